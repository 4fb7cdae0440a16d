"""Scores in a line: named metrics, figures behind a colon, at the start, or alone behind a gap.

Four small readers are tried in that order. Each says which part of the line it took; what stands before is the label,
what stands behind is the remark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ablata.notebooks.reader.model import NotedScore

Span = tuple[int, int, NotedScore]
"""Start and end of a score in its line, and the score."""

_NOT_IN_WORD = r"(?![A-Za-z0-9_^]|[.\-×]\d|\.[A-Za-z]|\s(?:[MGmg]i?[Bb]?|fps|FPS)\b)"
"""What a score never stands before: the rest of a word, or a unit of memory, size or speed."""
FIGURE = rf"(?:\d{{1,3}}\.\d+|\d{{1,3}}(?![\w\u4e00-\u9fff])|\bnan\b|\binf\b){_NOT_IN_WORD}\s?%?"
_JOIN = r"\s*[/,，、]+\s*"
_GROUP = rf"{FIGURE}(?:{_JOIN}{FIGURE})*"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf|-+\.-+|\?+|N/?A"
_METRIC = (
    r"(?:val(?:id)?|test|eval|train|best|ema|mean|avg|class)?[\s_./-]*(?:\w+[./])?"
    r"(?:m?iou|a?acc(?:uracy)?\w*(?:@\d)?|m?ap(?:@?\[?\d[\d.:]*\]?|_\w+)?|top-?[15]|prec(?:ision)?(?:@\d+)?|"
    r"recall(?:@\d+)?|f1(?:[\s_-]?score)?"
    r"|m?dice\w*|psnr|ssim|rank-?\d+|auc\w*|\w*loss(?:es)?(?:_\w+)?|loos_\w+|err(?:or)?(?:@\d)?|perplexity|ppl|kappa|"
    r"score|正确率|准确率|精度)"
)
_NAMED = re.compile(
    rf"(?<![\w.])(?P<name>{_METRIC})\s*(?P<sign>[:：=]|"
    rf"\s)\s*(?P<values>(?:{_NUMBER})(?:\s?/\s?(?:{_NUMBER}))*)(?![\w.]*[A-Za-z\u4e00-\u9fff])\s?%?(?:\s*\(\s*(?P<mean>{_NUMBER})\))?",
    re.IGNORECASE,
)
_HINTS = re.compile(
    r"iou|a(?:cc|p|uc)|top|p(?:rec|snr|pl|erp)|r(?:ec|ank)|f1|dice|s(?:sim|core)|lo(?:ss|os)|err|kappa|率|精度|mem|time|\{"
)
"""What every named metric has some of, so that other lines are passed over quickly."""
_STRONG_NAMES = re.compile(r"(?i)(mean\s+)?(m?iou|map\S*|ap\d+|top-?[15])")
_CLASSES = re.compile(
    r"(?P<name>[A-Za-z][\w ]*?)\s*[:：=]?\s*\{(?P<body>\s*['\"]?[\w ]+['\"]?\s*:\s*[\d.naif]+\s*(?:,[^{}]*)?)\}"
)
_CLASS = re.compile(r"['\"]?([\w ]+?)['\"]?\s*:\s*(nan|inf|[-+]?[\d.]+(?:e[-+]?\d+)?)")
_MEMORY = re.compile(r"(?i)(?<![\w.])(mem(?:ory)?)\s*[=:：]\s*(\d+(?:\.\d+)?)\s*([mg]i?b?)?(?![\w.])")
_TIME = re.compile(r"(?i)(?<![\w.])((?:data_)?time)\s*[=:：]\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h)?(?![\w.]|:\d)")
_DURATION = re.compile(r"(?i)^\s*(\d+(?:\.\d+)?)\s*(ms|s|sec|min|h)\s*$")
_SECONDS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0}
_THRESHOLDS = re.compile(r"(?<![\w.=])(0\.\d{1,2})\s+(\d{1,3}\.\d+)\s*(%?)")
_PERCENTS = re.compile(r"(?<![\w.=])(\d{1,3}\.\d+)\s*%(?:\s+(\d{1,3}\.\d+)\s*%)?")
_COLON = re.compile(r"[:：]")
_ITEM = re.compile(
    rf"\s*(?:(?P<name>[^\W\d][\w +./-]{{0,30}}?)\s*[:：]\s*)?(?P<group>{_GROUP})\s*(?:[(（](?P<note>[^()（）]*)[)）])?"
)
_INNER = re.compile(rf"\s*([A-Za-z]\w*)\s*[:：=]\s*({FIGURE})\s*")
_COMMA = re.compile(r"\s*[,，]\s*")
_BESIDE = re.compile(r"(?:(?:\s+|(?<=\s))\d{1,3}\.\d+(?![\w.%/]))+(?=\s*(?:$|[,，;；(（-]))")
"""More figures, side by side without commas: `71.2 93.1`."""
_JOINS = re.compile(_JOIN)
_LEADING = re.compile(rf"(?P<group>{_GROUP})")
_LONE = re.compile(
    r"(?<![\w.=/:：^\-\[(（])(0?\.\d{3,}|\d{2}\.\d{2,})"
    + _NOT_IN_WORD
    + r"(?:\s*%)?((?:\s+(?:0\.\d{3,}|\d{2}\.\d{2,})(?![\w.]))*)"
)
_ALONE = re.compile(r"\d{2}\.\d+|0?\.\d{3,}|100\.0+|\d\.\d{2,}")
_ROW = re.compile(
    r"(?P<label>(?=.*[^\W\d_]).*?[\w)\]%])\s+(?P<values>\d{2}\.\d{1,2}\s?%?(?:\s+\d{1,2}\.\d{1,2}\s?%?)+)\s*",
    re.DOTALL,
)
_LONGEST_ROW = 60
_ARROW = re.compile(
    r"(?<!\d\d\.\d)(?<!\d\d\.\d\d)\s+(?:-+>|=>|→)\s*"
    r"(?P<group>\d{2}\.\d+\s?%?(?:\s?/\s?\d{1,3}\.\d+\s?%?)?)(?![\w.]|\s*(?:-|=|→))"
)
_SETS = re.compile(r"[=＝]\s*$")
_WORD = re.compile(r"[^\W\d_]{2}")
_SENTENCE = re.compile(r"[，。；,;=]")
_DIGIT = re.compile(r"\d")
_OPENS = re.compile(r"[(（\[{]")
_CLOSED = re.compile(r"[(（\[{][^()（）\[\]{}]*[)）\]}]")
_ENDS = ("", *",，;；:：)）|")
_DASHES = " \t,，;；.。:：-–—>＞<→|"


class LineScores(NamedTuple):
    """Scores found in a line.

    Attributes:
        scores: in the order written; empty if there are none.
        label: the text before them.
        remark: the text behind them.
        missing: a figure's place is held by a sign that stands for none (`--.--`, `?`).
    """

    scores: tuple[NotedScore, ...] = ()
    label: str = ""
    remark: str = ""
    missing: bool = False


def find_scores(body: str) -> LineScores | None:
    """Return the scores of a line without its marker, or None if it has none."""
    if not _DIGIT.search(body) and "nan" not in body and "--.--" not in body:
        return None
    for reader in (_named, _at_thresholds, _behind_colon, _leading, _percents, _behind_arrow, _alone, _in_a_row):
        if found := reader(body):
            return found
    return None


def hidden(text: str) -> str:
    """Return a text of the same length in which what stands in brackets is zero bytes."""
    if not _OPENS.search(text):
        return text
    return _CLOSED.sub(lambda found: "\0" * len(found[0]), text)


def figure(text: str) -> float:
    """Read one figure as the notes write it; a sign for none is nan."""
    try:
        return float(text.strip().rstrip("%"))
    except ValueError:
        return float("nan")


def _named(body: str) -> LineScores | None:
    """`mIOU = 34.56`, `mAP50:21.73 mAP1:35.72`, `Class IOU: {0: 0.93, 1: nan}`, `mem=6600m, time=120s: 76.99/93.53`."""
    if not _HINTS.search(body.lower()):
        return None
    spans = _class_scores(body)
    written, missing = _written_scores(body, spans)
    spans += written
    spans += [span for span in _costs(body) if not _inside(span[0], spans)]
    if not spans:
        return None
    spans.sort(key=lambda span: span[0])
    if not missing and _names_a_loss(body, spans):
        return None
    before, behind = body[: spans[0][0]], body[spans[-1][1] :]
    scores = [score for _, _, score in spans if score.values]
    lead, tail = _leading(before), _tail(behind)
    if lead and not lead.label.strip(_DASHES) and not lead.remark.strip(_DASHES):
        scores, before = [*lead.scores, *scores], ""
    if tail:
        scores, behind = [*scores, *tail.scores], tail.remark
    if all(score.name in ("mem", "time") for score in scores) and before.strip(_DASHES) and not tail and not missing:
        found_in = find_scores(before) if _COLON.search(before) else None
        if found_in:
            return LineScores((*found_in.scores, *scores), found_in.label, found_in.remark + behind)
    label, remark = before.strip(), behind.strip()
    if not before.strip(_DASHES):
        # `mAP50:21.73 512box`: what tells these figures from others stands behind them.
        label, remark = ("", behind) if behind[:1] in tuple("-–—,，(（;。") else (behind.strip(), "")
    return LineScores(tuple(scores), label.strip(_DASHES), remark.strip(), missing and not scores)


def _class_scores(body: str) -> list[Span]:
    """`Class IOU: {0: 0.93, 1: nan}`."""
    spans: list[Span] = []
    for match in _CLASSES.finditer(body) if "{" in body else ():
        pairs = _CLASS.findall(match["body"])
        values, keys = tuple(float(value) for _, value in pairs), tuple(key.strip() for key, _ in pairs)
        name = re.sub(r"\s+", " ", match["name"]).strip()
        spans.append((match.start(), match.end(), NotedScore(name, values, "classes", keys)))
    return spans


def _written_scores(body: str, taken: Sequence[Span]) -> tuple[list[Span], bool]:
    """`mIOU = 34.56`, `mAP50:21.73 mAP1:35.72`, outside what is taken; and whether a name had a sign for no figure."""
    spans: list[Span] = []
    missing = False
    for match in _NAMED.finditer(body):
        start, end = match.span()
        weak = match["sign"].isspace() and not _STRONG_NAMES.fullmatch(match["name"].strip())
        if _inside(start, taken) or (weak and "." not in match["values"]):
            continue
        if weak and body[:start].rstrip()[-1:] not in _ENDS:
            # `dice loss 0.81`: the metric's word is part of the trial's name.
            continue
        texts = [text for text in re.split(r"\s?/\s?", match["values"]) if text]
        if any(not re.search(r"\d|nan|inf", text, re.IGNORECASE) for text in texts):
            missing = True
            spans.append((start, end, NotedScore(None, ())))
            continue
        if match["sign"] == "=" and not any("." in text for text in texts):
            continue
        if match["mean"]:
            # Loggers write `Acc@1: 71.9 (76.1)`: this batch, then all so far.
            texts = [match["mean"]]
        name = re.sub(r"\s+", " ", match["name"]).strip(" _./-")
        score = NotedScore(name, tuple(map(figure, texts)), "single" if len(texts) == 1 else "parts")
        spans.append((start, end, score))
    return spans, missing


def _names_a_loss(body: str, spans: Sequence[Span]) -> bool:
    """Tell whether the only score begins the line and names a loss: `smooth_loss:   0.7173  still rising`, a trial."""
    ((start, end, score), *others) = spans
    name = score.name or ""
    alone = not others and body[end:].strip(_DASHES) and not body[:start].strip(_DASHES)
    return bool(alone and "loss" in name and name.lower() != "loss" and not _STRONG_NAMES.fullmatch(name))


def _costs(body: str) -> list[Span]:
    """Memory in MB and time in seconds, as scores named mem and time."""
    found = []
    for memory in _MEMORY.finditer(body):
        size = float(memory[2]) * (1024 if (memory[3] or "").lower().startswith("g") else 1)
        found.append((memory.start(), memory.end(), NotedScore("mem", (size,))))
    times = ((time, float(time[2]) * _SECONDS[(time[3] or "s").lower()]) for time in _TIME.finditer(body))
    found.extend((time.start(), time.end(), NotedScore(time[1].lower(), (seconds,))) for time, seconds in times)
    return found


def _inside(place: int, spans: Sequence[Span]) -> bool:
    return any(start <= place < end for start, end, _ in spans)


def _at_thresholds(body: str) -> LineScores | None:
    """`original 0.01 41.37% 0.5 25.96%`: each figure behind the overlap it holds at."""
    found = list(_THRESHOLDS.finditer(body)) if "0." in body else []
    if len(found) < 2 and not any(pair[3] for pair in found):
        return None
    scores = tuple(NotedScore(pair[1], (float(pair[2]),)) for pair in found)
    return LineScores(scores, body[: found[0].start()].strip(_DASHES), body[found[-1].end() :].strip())


def _behind_colon(body: str) -> LineScores | None:
    """`label: 76.03/92.84 - remark`, at the first colon that figures follow."""
    if ":" not in body and "：" not in body:
        return None
    opaque = hidden(body)
    for colon in _COLON.finditer(opaque):
        behind = body[colon.end() :]
        if colon[0] == ":" and body[colon.end() : colon.end() + 2] == "//":
            continue
        if duration := _DURATION.match(behind):
            seconds = float(duration[1]) * _SECONDS[duration[2].lower()]
            return LineScores((NotedScore("time", (seconds,)),), body[: colon.start()].strip())
        if (tail := _tail(behind)) and (
            tail.scores[0].name is None or sum(bool(score.name) for score in tail.scores) > 1
        ):
            return LineScores(tail.scores, body[: colon.start()].strip(), tail.remark)
    return None


def _tail(text: str) -> LineScores | None:
    """Figures at the start of a text, more of them behind commas, with names and parentheses of their own."""
    text = text.lstrip(" \t:：,，")
    scores: list[NotedScore] = []
    place = 0
    while match := _ITEM.match(text, place):
        if match["name"] and not scores and not _is_score(match["group"]):
            break
        if not _is_score(match["group"]):
            break
        scores.append(_score(match["group"], match["name"], match["note"]))
        if inner := _INNER.fullmatch(match["note"] or ""):
            scores[-1:] = [_score(match["group"], match["name"], ""), _score(inner[2], inner[1], "")]
        place = match.end()
        if len(scores) == 1 and (beside := _BESIDE.match(text, place)):
            values = (*scores[0].values, *map(figure, beside[0].split()))
            scores[0] = scores[0]._replace(values=values, form="parts")
            place = beside.end()
        if not (comma := _COMMA.match(text, place)):
            break
        place = comma.end()
    if not scores:
        return None
    return LineScores(tuple(scores), "", text[place:].strip())


def _leading(body: str) -> LineScores | None:
    """`54.20 - remark`, `0.8208  what gave it`: figures first."""
    found = _LEADING.match(body)
    if not found or not _is_score(found["group"], alone=True):
        return None
    behind = body[found.end() :]
    if behind and not behind[0].isspace() and not found["group"][-1].isspace() and behind[0] not in _DASHES + "(（":
        return None
    words = behind.strip()
    if words[:1] in tuple("-–—<>（(") or not words.strip(_DASHES):
        return LineScores((_score(found["group"], None, ""),), "", words)
    return LineScores((_score(found["group"], None, ""),), words.lstrip(_DASHES), "")


def _percents(body: str) -> LineScores | None:
    """`sc2 (what) 44.31% 29.75% remark`: per cents behind a name, in a line that is no sentence."""
    found = list(_PERCENTS.finditer(body)) if "%" in body else []
    label = body[: found[0].start()].strip(_DASHES) if found else ""
    if not found or len(label) > 60 or re.search(r"[，。；,;]", _CLOSED.sub("", label)):
        return None
    scores = tuple(
        NotedScore(None, tuple(float(value) for value in pair.groups() if value), "parts" if pair[2] else "single")
        for pair in found
    )
    return LineScores(scores, label, body[found[-1].end() :].strip())


def _alone(body: str) -> LineScores | None:
    """`ce * weights        0.7997   remark`: a figure of score's form that nothing else explains."""
    found = _LONE.search(hidden(body))
    if not found:
        return None
    label, remark = body[: found.start()].rstrip(), body[found.end() :].strip()
    if _SETS.search(label):
        # `lr = 0.0006` sets something.
        return None
    label = re.split(r"\s{4,}", label)[0]
    if len(label) > 80 or "。" in label or (len(label) > 40 and remark):
        return None
    values = (float(found[1]), *map(float, found[2].split()))
    return LineScores(
        (NotedScore(None, values, "single" if len(values) == 1 else "parts"),), label.strip(_DASHES + "、"), remark
    )


def _behind_arrow(body: str) -> LineScores | None:
    """`lr 0.1, wide -> 71.2 93.1`: what a trial came to, not what a figure became."""
    found = _ARROW.search(hidden(body)) if ">" in body or "→" in body else None
    if not found or not _WORD.search(body[: found.start()]):
        return None
    more = _tail(body[found.start("group") :])
    if more and not more.remark:
        return LineScores(more.scores, body[: found.start()].strip(_DASHES))
    remark = body[found.end() :].strip()
    return LineScores((_score(found["group"], None, ""),), body[: found.start()].strip(_DASHES), remark)


def _in_a_row(body: str) -> LineScores | None:
    """`baseline 71.2 93.1`: two or more figures side by side at the end of a line that is no sentence."""
    found = _ROW.fullmatch(body) if len(body) <= _LONGEST_ROW else None
    if not found or _SENTENCE.search(found["label"]):
        return None
    values = tuple(map(figure, found["values"].replace("%", " ").split()))
    return LineScores((NotedScore(None, values, "parts"),), found["label"].strip(_DASHES))


def _is_score(group: str, *, alone: bool = False) -> bool:
    """Tell whether figures may be scores: at most 100, with a decimal point or as whole per cents side by side."""
    texts = [text.strip() for text in _JOINS.split(group.strip()) if text.strip()]
    values = [figure(text) for text in texts]
    if any(value > 100 for value in values):
        return False
    decimals = [text for text in texts if "." in text]
    if alone:
        first = texts[0].rstrip("%").rstrip()
        return bool(_ALONE.fullmatch(first)) and 2 * len(decimals) >= len(texts)
    return bool(decimals) or any(text.endswith("%") for text in texts) or ("/" in group and len(texts) > 1)


def _score(group: str, name: str | None, note: str | None) -> NotedScore:
    values = tuple(figure(text) for text in _JOINS.split(group.strip()) if text.strip())
    form = "single" if len(values) == 1 else "parts" if "/" in group else "series"
    return NotedScore(name.strip() if name else None, values, form, (), (note or "").strip())  # type: ignore[arg-type]
