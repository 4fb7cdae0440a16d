"""One line by itself: indent and marker, label, scores, settings, remark, claim, and how it may be meant."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from ablata.notebooks.reader.claims import read_claim
from ablata.notebooks.reader.model import Claim, NotedScore, NotedSetting, PlanState
from ablata.notebooks.reader.scores import find_scores, hidden
from ablata.notebooks.reader.settings import KEYS, normal, only_settings, read_settings
from ablata.notebooks.reader.tool_output import foreign_kind, progress_key, shell_note, without_time

TAB = 4
HASH, NUMBER, PLAIN, BULLET = range(4)
"""Ranks of lines of one indent: `# title` stands above `1. item`, that above plain lines, those above `* item`."""
_FENCE = re.compile(r"(?:```|~~~)\w*")
"""What opens and closes a block of code in Markdown."""

_RULE = re.compile(r"[#=*~_+.·—–\-\s]*([#=*~_—–\-])\1\1[#=*~_+.·—–\-\s]*")
_HASHES = re.compile(r"(#+)\s*(.*?)[\s#]*$", re.S)
_NUMBERED = re.compile(r"(\d{1,3}[.)、．](?!\d)|[(（]\d{1,2}[)）]|[①-⑳])\s*")
_BULLETED = re.compile(
    r"(-{2,}\||- \[[ xX]?\]\s|[*•·‣▪◦-](?=\s)|[-–—]{2,}(?=\s*[\d.]*\d\s*\S|\s+)|\+(?=\s)|\[[ xX]?\]\s)\s*"
)
_RULED_TITLE = re.compile(r"([=#*~\-_])\1{2,}\s*(.*?)[\s=#*~\-_]*$")


class LineShape(NamedTuple):
    """A line without its outer marks.

    Attributes:
        indent: columns of white space before it; a tab reaches to the next multiple of four.
        rank: HASH, NUMBER, PLAIN or BULLET.
        marker: what it opens with: `##`, `3.`, `*`; empty for plain lines.
        body: the rest.
        ruled: it is or opens with a rule (`=====`), which closes what stood above.
    """

    indent: int
    rank: int
    marker: str
    body: str
    ruled: bool = False


def shape_of(text: str) -> LineShape:
    """Take a line's outer marks off."""
    stripped = text.strip()
    indent = _indent(text)
    if _RULE.fullmatch(stripped):
        return LineShape(indent, HASH, stripped, "", ruled=True)
    if stripped.startswith("#") and (match := _HASHES.match(stripped)) and indent < TAB:
        level = len(match[1])
        return LineShape(indent, HASH, match[1], match[2].strip(), ruled=level >= TAB)
    if (match := _RULED_TITLE.match(stripped)) and match[2] and "|" not in match[1] and match[1] in "=#*":
        return LineShape(indent, HASH, match[1] * 3, match[2], ruled=True)
    if match := _NUMBERED.match(stripped):
        return LineShape(indent, NUMBER, match[1], stripped[match.end() :])
    if match := _BULLETED.match(stripped):
        return LineShape(indent, BULLET, match[1].strip(), stripped[match.end() :])
    return LineShape(indent, PLAIN, "", stripped)


def _indent(text: str) -> int:
    columns = 0
    for character in text:
        if character == "\t":
            columns += TAB - columns % TAB
        elif character.isspace():
            columns += 2 if character == "\u3000" else 1
        else:
            break
    return columns


LineNature = Literal[
    "blank",
    "rule",
    "heading",
    "result",
    "answer",
    "outcome",
    "label",
    "text",
    "named",
    "plan",
    "remark",
    "setting",
    "columns",
    "unknown",
]
"""How a line may be meant.

result: a label with figures; answer: figures alone; outcome: a label and what came of it in words; label: it ends in a
colon; named: it opens with an experiment's name; columns: the head of a table; text: words that others have to explain.
"""
_LARGEST_SET = 10.0
LONGEST = 4000
"""Of a longer line, only so many characters are read."""

_DATE = re.compile(r"\d{4}\s?[.\-/年]\s?\d{1,2}\s?[.\-/月]\s?\d{1,2}\s?日?(?:\s+\d{1,2}:\d{2}(?::\d{2})?)?")
_COUNT = re.compile(r"\d\s*/\s*\d|\[")
_COLON = re.compile(r"[:：]")
_REMARK_SIGN = re.compile(r"\s+(?:--+>?|<--+|—+)\s+|\s-\s?(?=[\u4e00-\u9fff])")
_CONCLUSION = re.compile(
    r"(?i).{0,6}(结论|总结|说明|注意|摘要|原因分析|备注|论文解?读?|论文链接|问题)|(note|notes|conclusion|summary|"
    r"abstract|remark|warning|reason|nb|ps|paper|link|source|author)s?"
)
_GIVEN_UP = re.compile(
    r"不看了|算了|没必要|不要了|放弃|不做了|不保存|\b(discard(ed)?|abandon(ed)?|skip(ped)?|gave up|given up|"
    r"cancel(led)?|not needed)\b",
    re.IGNORECASE,
)
_GIVEN_UP_FIRST = re.compile(r"(discard|不要|放弃)\b|~~", re.IGNORECASE)
_GIVEN_UP_LAST = re.compile(r"\s+(discard(?:ed)?|不要了|算了)$")
_DONE_FIRST = re.compile(r"(done|finished|已完成|完成)\b|\[[xX]\]|✓|✔|☑", re.IGNORECASE)
_ANNOUNCING = re.compile(r"(原因|问题|结论|区别)(是|如下)$")
_WAITING = re.compile(
    r"[左右]|更?晚|.{0,12}screen.{0,8}|screen.{0,10}|running|跑着|在跑|待.{0,3}|todo|tbd|wip|pending|queued|later|"
    r"next|\?+|[-.…]+",
    re.IGNORECASE,
)
_WORKS = re.compile(r"正常|可以了?|貌似可以了?|好了|对了|正确|没问题|稳定了|ok(ay)?|fine|works?|done", re.IGNORECASE)
_HEDGED = re.compile(
    r"貌似|看样子|看来|可能|好像|应该是|说明|不知道|感觉|是.{1,20}的问题|seems|looks like|probably|because",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"[(（]?[A-Za-z]\w*[_\d]\w*(?=[\s(（])|[A-Za-z]\w*(?=[(（])|[A-Za-z]\w*(?=\s+[\u4e00-\u9fff])|[A-Za-z]\w*[_\d]\w*$"
)
_MODEL_FILE = re.compile(r"[\w./-]+\.(pth|pt|ckpt|h5|onnx|pkl)$")
_LONE_FIGURES = re.compile(r"\d{2}\.\d+\s?%?(?:\s*[/, ]\s*\d{2}\.\d+\s?%?)*|[A-Za-z][\w/@.-]*\s*[:=]\s*\d+\.\d+\s?%?")
_WORDS = re.compile(r"[^\W\d_]{2,}|[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")


class ParsedLine(NamedTuple):
    """One line by itself.

    Attributes:
        shape: its marks and body.
        nature: how it may be meant.
        label: what it names.
        scores: its figures.
        settings: what it sets.
        remark: the words behind label and figures.
        claim: what those claim.
        colon: it ends in a colon.
        state: done or discarded, of something planned.
        progress: what it shares with the other lines of a tool's log.
        logged: a logging library wrote it.
    """

    shape: LineShape
    nature: LineNature
    label: str = ""
    scores: tuple[NotedScore, ...] = ()
    settings: tuple[NotedSetting, ...] = ()
    remark: str = ""
    claim: Claim | None = None
    colon: bool = False
    state: PlanState | None = None
    progress: str | None = None
    logged: bool = False


def parse_line(text: str) -> ParsedLine:
    """Read one line by itself."""
    text = text[:LONGEST]
    stripped = text.strip()
    if not stripped or _FENCE.fullmatch(stripped):
        return ParsedLine(LineShape(0, PLAIN, "", ""), "blank")
    shape = shape_of(text)
    if shape.ruled and not shape.body:
        return ParsedLine(shape, "rule")
    if stripped.startswith("#!"):
        return ParsedLine(shape, "remark", "", (), (), stripped)
    if command := shell_note(stripped):
        return _shell_line(shape, *command)
    if kind := foreign_kind(stripped) if shape.rank != HASH else None:
        claim: Claim | None = "failed" if kind == "failed" else None
        nature: LineNature = "setting" if kind == "setting" else "remark"
        return ParsedLine(shape, nature, "", (), read_settings(stripped) if kind == "setting" else (), stripped, claim)
    body, logged = without_time(shape.body) if shape.body else ("", False)
    if not shape.body or _DATE.fullmatch(body):
        return ParsedLine(shape, "heading", body or shape.marker.rstrip(".)、．"))
    figures = find_scores(body)
    if figures and figures.missing:
        return ParsedLine(shape, "plan", figures.label, (), read_settings(figures.label), figures.remark)
    if figures and shape.rank == HASH and not figures.label and shape.marker == "#" and _LONE_FIGURES.fullmatch(body):
        # In a script, `# 72.1` or `# acc: 0.912` below a command is what came of it.
        shape = LineShape(shape.indent, PLAIN, "", body)
    if figures and not (shape.rank == HASH and not figures.label):
        return _with_figures(shape, figures.scores, figures.label, figures.remark, logged)
    if shape.rank == HASH:
        return ParsedLine(shape, "heading", _label(body), (), read_settings(body))
    return _without_figures(shape, body, logged)


def _shell_line(shape: LineShape, command: str, note: str) -> ParsedLine:
    """A command of a shell script with what came of it in a comment, or one that is commented out."""
    plain = LineShape(shape.indent, PLAIN, "", command)
    settings = read_settings(command, written=True)
    found = find_scores(note) if note else None
    if found and found.scores:
        words = " ".join(filter(None, (found.label, found.remark)))
        return ParsedLine(plain, "result", command, found.scores, settings, words, read_claim(words, command))
    if claim := read_claim(note, command):
        return ParsedLine(plain, "outcome", command, (), settings, note, claim)
    if note or not settings:
        return ParsedLine(plain, "remark", "", (), settings, f"{command} {note}".strip())
    return ParsedLine(plain, "named", command, (), settings)


def _with_figures(
    shape: LineShape, scores: tuple[NotedScore, ...], label: str, remark: str, logged: bool
) -> ParsedLine:
    counted = logged or len(scores) > 1 or bool(_COUNT.search(label))
    progress = progress_key(label) if counted else None
    if progress:
        label = re.sub(r"([\[(])\s+", r"\1", label)
        label = re.split(r"\s{2,}|[,;]\s|\s+(?=lr:)", label)[0].strip(" ,:")
    head, tail = split_colon(label)
    if tail and (read_claim(tail) or _HEDGED.search(tail)) and not only_settings(tail):
        label, remark = head, f"{tail} {remark}".strip()
    if len(scores) == 1 and not remark and _is_setting(label, scores[0]):
        return ParsedLine(
            shape, "setting", _label(shape.body), (), (NotedSetting(KEYS[normal(label)], scores[0].plain),)
        )
    noted = "; ".join(score.note for score in scores if read_claim(score.note))
    remark = f"{noted}; {remark}".strip("; ") if noted else remark
    words = remark.strip(" \t,，;；.。:：-–—<>→")
    settings = _joined(read_settings(label), read_settings(words, written=True))
    return ParsedLine(
        shape, "result" if label else "answer", _label(label), scores, settings, words, read_claim(remark, label),
        progress=progress, logged=logged,
    )  # fmt: skip


def _is_setting(label: str, score: NotedScore) -> bool:
    """Tell `momentum: 0.9` from `dropout: 92.3`: what a key is set to is small, what it gave is a per cent."""
    return normal(label) in KEYS and score.form == "single" and not score.note and score.values[0] < _LARGEST_SET


def _joined(first: tuple[NotedSetting, ...], second: tuple[NotedSetting, ...]) -> tuple[NotedSetting, ...]:
    return tuple({setting.name: setting for setting in (*second, *first)}.values())


def _without_figures(shape: LineShape, body: str, logged: bool) -> ParsedLine:
    remark = ""
    if sign := _REMARK_SIGN.search(body):
        body, remark = body[: sign.start()], body[sign.end() :].strip()
    body = body.strip()
    if shape.marker.endswith("[ ]") and not split_colon(body)[1]:
        return ParsedLine(shape, "plan", _label(body), (), read_settings(body), remark)
    if _DONE_FIRST.match(body) or shape.marker.lower().endswith("[x]"):
        return ParsedLine(shape, "plan", _DONE_FIRST.sub("", body).strip(" :："), state="done", remark=remark)
    if found := _GIVEN_UP_FIRST.match(body):
        return ParsedLine(shape, "plan", body[found.end() :].strip(" :：~"), state="discarded", remark=remark)
    if found := _GIVEN_UP_LAST.search(body):
        return ParsedLine(shape, "plan", body[: found.start()].strip(" :："), state="discarded", remark=remark)
    if logged and not progress_key(body):
        return ParsedLine(shape, "remark", "", (), read_settings(body), body, read_claim(body), logged=True)
    head, tail = split_colon(body)
    settings = read_settings(body)
    if _ANNOUNCING.search(body):
        return ParsedLine(shape, "label", body, (), settings, colon=True)
    if head is not body:
        return _with_colon(shape, body, head, tail, remark, settings)
    claim = read_claim(remark or body, body)
    if claim and not remark:
        named = len(body) <= 120 and "。" not in body and (_NAME.match(body) or (body[0] in "(（" and settings))
        nature: LineNature = "outcome" if named else "remark"
        return ParsedLine(shape, nature, body if named else "", (), settings, body, claim)
    if remark and (claim or _GIVEN_UP.search(remark)):
        return _judged(shape, body, remark, settings, claim)
    if only_settings(body):
        return ParsedLine(shape, "setting", body, (), settings, remark)
    return ParsedLine(shape, _plain_nature(shape, body), _label(body), (), settings, remark)


def _label(text: str) -> str:
    """Return what a line calls something, without the signs at its end."""
    return text.strip().rstrip(" ,，、;；:：。\\")


def _plain_nature(shape: LineShape, body: str) -> LineNature:
    letters = sum(map(str.isalpha, body))
    if not _WORDS.search(body) or (3 * letters < len(body) and not read_settings(body)):
        return "heading" if re.fullmatch(r"\d+", body) and shape.rank != PLAIN else "unknown"
    if _NAME.match(body) and len(body) <= 80 and "。" not in body:
        return "named"
    return "text"


def _with_colon(
    shape: LineShape, body: str, head: str, tail: str, remark: str, settings: tuple[NotedSetting, ...]
) -> ParsedLine:
    """A line in which a colon stands outside parentheses."""
    words = f"{tail} {remark}".strip()
    named = _joined(read_settings(head), read_settings(words, written=True))
    if not tail:
        if remark:
            return _judged(shape, head, remark, settings, read_claim(remark, head))
        nature: LineNature = "setting" if only_settings(body) else "label"
        return ParsedLine(shape, nature, _label(head), (), settings, colon=True)
    if only_settings(body) and not read_claim(words):
        return ParsedLine(shape, "setting", _label(body), (), settings, colon=body[-1] in ":：")
    if _CONCLUSION.fullmatch(head) or len(words) > 90 or len(head) > 90:
        return ParsedLine(shape, "remark", "", (), settings, words or body, read_claim(words))
    claim = read_claim(words, head)
    if claim or _GIVEN_UP.search(words):
        return _judged(shape, head, words, named, claim)
    if _WAITING.fullmatch(tail):
        return ParsedLine(shape, "plan", head, (), settings, words)
    if _WORKS.match(tail):
        return ParsedLine(shape, "outcome", head, (), named, words)
    if body.endswith((":", "：")):
        return ParsedLine(shape, "label", _label(body), (), settings, remark, colon=True)
    return ParsedLine(shape, _plain_nature(shape, body), _label(body), (), settings, remark)


def _judged(
    shape: LineShape, label: str, words: str, settings: tuple[NotedSetting, ...], claim: Claim | None
) -> ParsedLine:
    """A label with an outcome in words, or one that was given up."""
    if _GIVEN_UP.search(words):
        return ParsedLine(shape, "plan", label, (), settings, words, state="discarded")
    return ParsedLine(shape, "outcome", label, (), settings, words, claim)


def split_colon(text: str) -> tuple[str, str]:
    """Split at the first colon outside parentheses, times and addresses; without one, the text is returned as it is."""
    if ":" not in text and "：" not in text:
        return text, ""
    opaque = hidden(text)
    for colon in _COLON.finditer(opaque):
        before, behind = opaque[: colon.start()], opaque[colon.end() :]
        if behind.startswith("//") or (before[-1:].isdigit() and re.match(r"\d{2}\b", behind)):
            continue
        return text[: colon.start()].strip(), text[colon.end() :].strip()
    return text, ""
