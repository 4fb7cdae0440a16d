"""What each line is among the others: which texts are titles, which name a trial, which were only planned."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ablata.notebooks.reader.line import BULLET, HASH, NUMBER, PLAIN, LineNature, ParsedLine
from ablata.notebooks.reader.model import LineKind, NoteLine

_RESULTS: frozenset[LineNature] = frozenset(("result", "answer", "outcome"))
_NAMES: frozenset[LineNature] = frozenset(("label", "text", "named"))
_TITLE_LENGTH = 60
_LISTING = re.compile(
    r"(?i).*(说明|命名|文件输出|模型输出|输出|步骤|问题|结论|总结|区别|错误|bug测试|关于|原因|naming|files?|outputs?|"
    r"paths?|steps|conclusions?|summary|problems?|issues?|references?|links?)\s*"
)
_TARGETS = re.compile(r"(?i)(目标|goals?|targets?)\s*")
_INTENT = re.compile(
    r"试|看(一下|是否|看|能不能|两|是不是|先)|能不能|是否|再来|再弄|改成|改用|换成|换上|加上?|加个|使用|用回|去掉|想|"
    r"要不要|别忘|需要|修正|调大|调小|变成|延长|那样|弄一个|"
    r"\b(to-?do|try|test|check|should|add|use|replace|switch|see (if|whether)|want|plan|investigate|compare|retrain|"
    r"rerun|increase|reduce|change)\b",
    re.IGNORECASE,
)
_INTENT_FIRST = re.compile(r"(再|先|然后)?(试|看(一下|是否|能不能))")
_CONCLUDING = re.compile(
    r"看来|看样子|看起来|说明|所以|因为|因此|可见|可以看出|感觉|反而|其实|而且|原版|原实现|官方好像|论文里?|后面先|"
    r"可能|应该|实验发现|为何|为什么|如何|怎么|那我们|的|"
    r"(so|thus|hence|because|it seems|seems|therefore|conclusion|in the paper|the paper|why|how)\b",
    re.IGNORECASE,
)
_EXPECTED = re.compile(r"应该会|应该是.*才对|预计|估计|should (be|give|improve)|expected to", re.IGNORECASE)
_ASKING = re.compile(r"怎么|如何|为何|为什么|\b(how|why)\b", re.IGNORECASE)
_PLAN_OF = re.compile(r"(?i).*(做法|设置|配置|超参)(是|如下)?|(settings?|set-?up|config(uration)?|hyper-?parameters?)")
_OPENED = re.compile(r"(.*[:=]\s*)?(\[[-\d.,\s]*|\{|\[\{?)\s*")
_SENTENCE_END = re.compile(r"[。！!?？.]\s*$")
_BLOCK_LIMIT = 400


@dataclass(slots=True)
class _Heading:
    """An open title: where it stands, whether what belongs to it is indented, the block it began, what it announces."""

    indent: int
    rank: int
    label: str
    deep: bool
    numbered: bool
    block: int
    announces: str | None


def outline(texts: Sequence[str], words: Sequence[ParsedLine]) -> list[NoteLine]:
    """Give every line its kind and the headings above it.

    Args:
        texts: the lines as written.
        words: what each says by itself.
    """
    return _Outline(texts, words).read()


class _Outline:
    """One pass over the lines, with a look at what follows."""

    def __init__(self, texts: Sequence[str], words: Sequence[ParsedLine]) -> None:
        self.texts, self.words = texts, words
        self.natures: list[LineNature] = [word.nature for word in words]
        self.kinds: list[LineKind] = []
        self.open: list[_Heading] = []
        self.block = 0
        self._next = self._following()
        self._fill_brackets()

    def read(self) -> list[NoteLine]:
        """Read all lines in their order."""
        lines: list[NoteLine] = []
        section: tuple[str, ...] = ()
        for index, (text, word) in enumerate(zip(self.texts, self.words, strict=True)):
            kind = self._kind(index)
            if kind == "blank":
                self.block += 1
            else:
                self._close(index, kind)
            above = tuple([heading.label for heading in self.open if heading.label])
            # Lines of one section share its tuple: a file may have 300,000.
            section = section if above == section else above
            self.kinds.append(kind)
            if kind == "heading" and self.natures[index] not in ("columns", "rule"):
                self._push(index)
            label = word.label if kind in ("heading", "plan", "trial") else ""
            remark = word.remark
            if kind == "remark" and not remark:
                remark = word.shape.body
            claim = word.claim if kind in ("trial", "remark") else None
            state = word.state if kind == "plan" else None
            lines.append(NoteLine(index + 1, text, kind, section, label, word.settings, remark, claim, state=state))
        return lines

    def _following(self) -> list[int | None]:
        """For each line, the next one that is not blank."""
        found: list[int | None] = []
        after: int | None = None
        for index in range(len(self.natures) - 1, -1, -1):
            found.append(after)
            after = after if self.natures[index] == "blank" else index
        return found[::-1]

    def _fill_brackets(self) -> None:
        """Make settings of the lines inside an opened list or object, until it closes or a blank line ends it."""
        depth = since = 0
        for index, text in enumerate(self.texts):
            stripped = text.strip()
            if not stripped or index - since > _BLOCK_LIMIT:
                depth = 0
            opens = depth == 0 and stripped[-1:] in ("[", "{", ",") and ("[" in stripped or "{" in stripped)
            if opens and (self.natures[index] == "setting" or _OPENED.fullmatch(stripped)):
                depth, since = _depth(stripped), index
                self.natures[index] = "setting"
            elif depth > 0:
                depth += _depth(stripped)
                self.natures[index] = "setting"

    def _kind(self, index: int) -> LineKind:
        nature = self.natures[index]
        if nature == "blank":
            return "blank"
        if nature in ("rule", "heading", "columns"):
            return "heading"
        listed = self._listing(index)
        if nature in _RESULTS:
            return "remark" if listed == "targets" and nature != "outcome" else "trial"
        if nature == "setting":
            return self._setting(index)
        if nature == "plan":
            return "trial" if self._names_trial(index) else "remark" if listed else "plan"
        if nature == "remark":
            return "remark"
        if self._names_trial(index):
            return "trial"
        if nature == "unknown":
            return "unknown"
        if self._describes(index):
            return "setting"
        if self._is_title(index):
            return "heading"
        if listed == "settings":
            return "setting"
        return "remark" if listed or not self._is_intended(index) else "plan"

    def _listing(self, index: int) -> str | None:
        """Return "list", "settings" or "targets" if the line stands under a title that announces no trials."""
        indent = self.words[index].shape.indent
        for heading in self.open:
            if heading.announces is None:
                continue
            holds = heading.indent < indent or (
                heading.indent == indent and not (heading.deep and heading.rank != HASH)
            )
            here = heading.block == self.block
            holds = holds and (here or heading.rank in (HASH, NUMBER) or heading.indent < indent)
            if holds and (here or heading.announces != "settings"):
                return heading.announces
        return None

    def _setting(self, index: int) -> LineKind:
        """Settings alone name a trial if figures follow, and a group if what follows is indented below them."""
        if self.words[index].nature != "setting" or not self.words[index].label:
            return "setting"
        if self._names_trial(index):
            return "trial"
        after = self._next[index]
        deeper = after is not None and after == index + 1 and self._indent(after) > self._indent(index)
        if deeper and self.natures[after or 0] in _RESULTS | _NAMES | {"setting", "plan"}:
            return "heading"
        if self.words[index].colon:
            below = after is not None and after == index + 1 and self.natures[after] in _RESULTS
            first = index == 0 or self.natures[index - 1] in ("blank", "rule")
            if (
                below
                and first
                and self._indent(after or 0) == self._indent(index)
                and not self._shares_key(index, after or 0)
            ):
                return "heading"
            return "plan"
        return "setting"

    def _names_trial(self, index: int) -> bool:
        """Tell whether the next line gives figures alone, which then are this one's."""
        after = self._next[index]
        if after is None or after != index + 1 or self.natures[after] != "answer":
            return False
        expected = self.natures[index] == "text" and _EXPECTED.search(self.words[index].shape.body)
        return self._indent(after) >= self._indent(index) and self.words[after].shape.rank != HASH and not expected

    def _is_title(self, index: int) -> bool:
        word, after = self.words[index], self._next[index]
        if word.colon and len(word.label) < 20 and (_LISTING.fullmatch(word.label) or _TARGETS.fullmatch(word.label)):
            return True
        if after is None or after - index > 2 or (word.remark and not word.colon):
            return False
        shape, below = word.shape, self.words[after].shape
        nature, adjacent = self.natures[after], after == index + 1
        if nature in ("rule", "heading"):
            return adjacent and shape.rank == PLAIN and self._natures_before(index) in ("rule",)
        if (
            self._natures_before(index) == "rule"
            and adjacent
            and word.label
            and len(word.label) <= _TITLE_LENGTH
            and self._has_results(index)
        ):
            return True
        if below.indent > shape.indent:
            return (word.colon and adjacent) or self._has_results(index, blanks=after - index - 1)
        if below.indent < shape.indent:
            return False
        if word.colon and adjacent and (nature == "setting" or (len(self._written(after)) > 1 and nature == "label")):
            return True
        if word.colon and adjacent and nature == "remark":
            return len(shape.body) <= 24
        if self._follows_sibling(index, after):
            return False
        if shape.rank == PLAIN and below.rank in (BULLET, NUMBER):
            return (adjacent and word.colon) or self._has_results(index, blanks=0 if adjacent else 1)
        if not adjacent:
            record = word.colon and self._names_trial(after) and below.body.startswith("[")
            return record or (
                shape.rank == PLAIN and not word.colon and self._has_results(index, blanks=1, ranks=(BULLET,))
            )
        if shape.rank != PLAIN and below.rank <= shape.rank and below.rank != PLAIN:
            return False
        if shape.rank == PLAIN and not word.colon:
            if len(shape.body) > _TITLE_LENGTH or _SENTENCE_END.search(shape.body) or re.search(r"[；。;]", shape.body):
                return False
            marked = self._has_results(index, blanks=1, ranks=(BULLET,))
            return marked or (word.nature != "named" and self._has_results(index))
        return self._has_results(index)

    def _follows_sibling(self, index: int, after: int) -> bool:
        """Tell whether a line stands in a row of trials, so that it is one more that has no result yet."""
        shape = self.words[index].shape
        before = index - 1
        if shape.rank == PLAIN and before >= 0 and self.natures[before] != "blank":
            last = self.words[before].shape
            if (last.indent, last.rank) == (shape.indent, shape.rank) and self.kinds[before] in ("trial", "plan"):
                return True
        return self._shares_key(index, after)

    def _shares_key(self, before: int, after: int) -> bool:
        """Tell whether two lines open with the same key: `wd=1e-5:` stands beside `wd=2e-5`, not above it."""
        first, second = (re.match(r"[A-Za-z_]+(?=\s*=)", self.words[index].shape.body) for index in (before, after))
        return bool(first and second and first[0] == second[0])

    def _written(self, index: int) -> list[str]:
        """Keys that a line writes with an equals sign."""
        return re.findall(r"[A-Za-z_]\w*(?=\s?=)", self.words[index].shape.body)

    def _has_results(
        self, start: int, *, blanks: int = 0, ranks: tuple[int, ...] = (HASH, NUMBER, PLAIN, BULLET)
    ) -> bool:
        """Tell whether results follow below a line before its block ends or a line of its own standing comes."""
        shape = self.words[start].shape
        for index in range(start + 1, min(start + 40, len(self.natures))):
            if self.natures[index] == "blank":
                blanks -= 1
                if blanks < 0:
                    return False
                continue
            other = self.words[index].shape
            if self.natures[index] in ("rule", "heading") or other.indent < shape.indent:
                return False
            if other.indent == shape.indent and other.rank <= shape.rank and PLAIN not in (shape.rank, other.rank):
                return False
            if self.natures[index] in _RESULTS and other.rank in ranks:
                return True
        return False

    def _describes(self, index: int) -> bool:
        """Tell whether a text says how all trials below were made: it stands between their title and the first one."""
        word = self.words[index]
        if (
            index == 0
            or not word.settings
            or word.remark
            or word.nature == "named"
            or _EXPECTED.search(word.shape.body)
            or word.shape.rank != PLAIN
            or self._listing(index)
        ):
            return False
        if self.kinds[index - 1] != "heading":
            return False
        if self.natures[index - 1] == "rule":
            after = self._next[index]
            return (
                not word.colon and after is not None and after == index + 2 and not _INTENT_FIRST.match(word.shape.body)
            )
        title = self.words[index - 1].shape
        if (title.indent, title.rank <= PLAIN) != (word.shape.indent, True):
            return False
        return (len(self._written(index)) > 1 or not word.colon) and self._has_results(
            index, blanks=1 if word.colon else 0
        )

    def _is_intended(self, index: int) -> bool:
        """Tell whether a text that nothing follows names something to be tried."""
        word = self.words[index]
        body = word.shape.body
        if word.nature == "named":
            return True
        if _CONCLUDING.match(body) or _EXPECTED.search(body) or _ASKING.search(body) or word.logged:
            return False
        if word.colon:
            return len(body) <= 60 or bool(_INTENT.search(body))
        if word.remark:
            return False
        if _INTENT_FIRST.match(body) and len(body) <= 120:
            return True
        if (
            len(body) > 100
            or (body.endswith(("。", ".")) and len(body) > 40)
            or ("。" in body.rstrip("。 ") and len(body) > 60)
        ):
            return False
        if word.shape.rank in (NUMBER, BULLET) and not _SENTENCE_END.search(body):
            return True
        return bool(_INTENT.search(body)) and len(body) <= 60 and not (body.isascii() and len(body.split()) > 12)

    def _natures_before(self, index: int) -> LineNature:
        return self.natures[index - 1] if index else "blank"

    def _indent(self, index: int) -> int:
        return self.words[index].shape.indent

    def _close(self, index: int, kind: LineKind) -> None:
        """Close the titles that a line ends."""
        shape = self.words[index].shape
        title = kind == "heading" and self.natures[index] != "columns"
        if shape.ruled:
            self.open = [heading for heading in self.open if heading.rank == HASH and shape.rank != HASH]
            return
        while self.open:
            last = self.open[-1]
            if last.rank == HASH:
                if title and shape.rank == HASH:
                    self.open.pop()
                    continue
                break
            same = last.indent == shape.indent
            gone = same and last.rank in (PLAIN, BULLET) and last.block != self.block
            if last.numbered and same and shape.rank == NUMBER:
                break
            if (
                last.indent > shape.indent
                or gone
                or (same and (last.deep or shape.rank <= NUMBER))
                or (title and same and last.rank >= shape.rank)
            ):
                self.open.pop()
                continue
            break

    def _push(self, index: int) -> None:
        word, after = self.words[index], self._next[index]
        if not word.label:
            return
        deep = after is not None and self._indent(after) > word.shape.indent
        numbered = after is not None and word.shape.rank == PLAIN and self.words[after].shape.rank == NUMBER
        shape, announces = word.shape, _announced(word.label)
        self.open.append(_Heading(shape.indent, shape.rank, word.label, deep, numbered, self.block, announces))


@lru_cache(maxsize=1024)
def _announced(label: str) -> str | None:
    """Return what stands below a title that announces no trials: "targets", "list", "settings"; None below others."""
    if _TARGETS.fullmatch(label):
        return "targets"
    if len(label) >= 20:
        return None
    return "list" if _LISTING.fullmatch(label) else "settings" if _PLAN_OF.fullmatch(label) else None


def _depth(text: str) -> int:
    return sum(text.count(sign) for sign in "[{") - sum(text.count(sign) for sign in "]}")
