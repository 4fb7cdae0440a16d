"""Lines that tools write: tables, and objects such as `{"epoch": 1, "loss": 0.5}`, one a line.

A table has columns between bars, tabs, commas, semicolons or LaTeX's `&`, below one line of their names.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ablata.notebooks.reader.claims import read_claim
from ablata.notebooks.reader.line import LONGEST, PLAIN, LineShape, ParsedLine, shape_of
from ablata.notebooks.reader.model import NotedScore, NotedSetting
from ablata.notebooks.reader.settings import KEYS, normal, parse_value, read_settings

_RULE = re.compile(r"[|+:=\-\s]+")
_LATEX_RULE = re.compile(r"\s*(?:\\(?:hline|(?:top|mid|bottom|c)(?:rule|line)(?:\{[^}]*\})?)\s*)+")
_FIGURE = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*%?|nan|inf", re.IGNORECASE)
_EMPTY = re.compile(r"[-–—.?/]*|n/?a", re.IGNORECASE)
_STEP = re.compile(r"(global_?)?(step|epoch|iter(ation)?s?|batch)", re.IGNORECASE)
_HEAD = re.compile(r"[A-Za-z_][\w ./@()%\-]{0,40}")


_WHOLE = re.compile(r"[-+]?\d+")
_METRIC_NAME = re.compile(
    r"(?i)\b(m?iou|acc(uracy)?|m?ap|top|prec(ision)?|recall|f1|m?dice|psnr|ssim|rank|auc|loss|err(or)?|ppl|perplexity|"
    r"kappa|score|miou|bpb|fid|wer|cer)|[正准]确率|精度"
)
_SIZE_NAME = re.compile(
    r"(?i)size|width|height|depth|layers?|channels?|dim|resolution|crop|scale|batch|heads?|blocks?|kernel|stride|"
    r"seed|gpus?|images?|classes|尺寸|大小|层|宽|深"
)
_REMARK_NAME = re.compile(r"(?i)notes?|remarks?|comments?|descriptions?|conclusions?|observations?|备注|说明|结论|描述")
_NAMES = re.compile(r"(?i)|#|id|run|name|method|model|arm|exp(eriment)?|trial|variant|config|setting|实验|方法|模型")
_LONGEST_VALUE = 30


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a table: its name, the setting it is of, and what its cells are."""

    name: str
    key: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines of one table: place of the first, and the sign between columns."""

    start: int
    stop: int
    sign: str


def read_tables(texts: Sequence[str]) -> dict[int, ParsedLine]:
    """Return what the lines of tables say, by place from 0; lines outside tables are absent."""
    found: dict[int, ParsedLine] = {}
    for block in _blocks(texts):
        rules = {
            index
            for index in range(block.start, block.stop)
            if _RULE.fullmatch(texts[index].strip()) or (block.sign == "&" and _LATEX_RULE.fullmatch(texts[index]))
        }
        places = [index for index in range(block.start, block.stop) if index not in rules]
        rows = {index: _cells(texts[index], block.sign) for index in places}
        found |= dict.fromkeys(rules, ParsedLine(LineShape(0, PLAIN, "", ""), "columns"))
        first = next(iter(rows), block.start)
        if rows and (first + 1 in rules or not any(map(_FIGURE.fullmatch, rows[first]))):
            head = rows.pop(first)
            found[first] = ParsedLine(shape_of(texts[first][:LONGEST]), "columns", " | ".join(head))
        else:
            head = []
        columns = _columns(head, list(rows.values()))
        for index, cells in rows.items():
            found[index] = _row(columns, cells) or _no_result(texts[index], columns, cells)
    return found


def _no_result(text: str, columns: list[_Column], cells: list[str]) -> ParsedLine:
    """A row without figures: something that failed, a line of names further down, or something planned."""
    claim = read_claim("; ".join(cells))
    if claim == "failed":
        settings = [
            NotedSetting(column.key, parse_value(cell))
            for column, cell in zip(columns, cells, strict=False)
            if column.kind == "setting" and column.key and not _EMPTY.fullmatch(cell)
        ]
        label = next(filter(None, cells), "")
        settings += [
            setting for setting in read_settings(label) if setting.name not in {each.name for each in settings}
        ]
        return ParsedLine(shape_of(text[:LONGEST]), "outcome", label, (), tuple(settings), " ".join(cells[1:]), claim)
    if not any(map(_FIGURE.fullmatch, cells)) and not any(map(_EMPTY.fullmatch, cells)):
        return ParsedLine(shape_of(text[:LONGEST]), "columns", " | ".join(cells))
    return ParsedLine(shape_of(text[:LONGEST]), "plan", next(filter(None, cells), ""))


def _columns(head: list[str], rows: list[list[str]]) -> list[_Column]:
    """Return what each column of a table holds, from its name and all of its cells."""
    width = max(map(len, (head, *rows)), default=0)
    names = [*head, *[""] * (width - len(head))]
    cells = [[row[place] for row in rows if place < len(row) and not _EMPTY.fullmatch(row[place])]
             for place in range(width)]  # fmt: skip
    figures = [bool(column) and all(map(_FIGURE.fullmatch, column)) for column in cells]
    whole = [bool(column) and all(map(_WHOLE.fullmatch, column)) for column in cells]
    metrics = [bool(_METRIC_NAME.search(name)) for name in names]
    others = any(metrics) or any(shown and not round_ for shown, round_ in zip(figures, whole, strict=True))
    columns = []
    for place, name in enumerate(names):
        # `lr \\ size` names the rows, then the columns.
        key = KEYS.get(normal(name.partition("\\")[0]))
        if _STEP.fullmatch(name) and figures[place]:
            kind = "step"
        elif key is not None:
            kind = "setting"
        elif figures[place]:
            # Beside figures with decimals or a metric's name, whole numbers are sizes and counts.
            is_size = whole[place] and not metrics[place] and others and (not name or bool(_SIZE_NAME.search(name)))
            kind = "setting" if is_size else "score"
        else:
            kind = "remark" if _REMARK_NAME.fullmatch(name) or any(map(_is_remark, cells[place])) else "words"
        columns.append(_Column(name, key or name.lower(), kind))
    return columns


def _is_remark(cell: str) -> bool:
    return len(cell) > _LONGEST_VALUE or read_claim(cell) is not None


def _blocks(texts: Sequence[str]) -> Iterator[_Block]:
    index = 0
    while index < len(texts):
        sign = _sign(texts, index)
        if not sign:
            index += 1
            continue
        stop = index + 1
        width = texts[index].count(sign)
        while stop < len(texts) and (
            (texts[stop].count(sign) == width and texts[stop].strip())
            or (sign == "|" and _is_ruled(texts[stop]))
            or (sign == "&" and _LATEX_RULE.fullmatch(texts[stop]))
        ):
            stop += 1
        if stop - index >= (3 if sign in ",;" else 2):
            yield _Block(index, stop, sign)
        index = stop


def _sign(texts: Sequence[str], index: int) -> str | None:
    """Return the sign between the columns of a table that starts here, or None."""
    text = texts[index]
    after = texts[index + 1] if index + 1 < len(texts) else ""
    stripped = text.strip()
    if "|" in text and not stripped.startswith("--") and any(_cells(text, "|")):
        same = after.count("|") == text.count("|")
        if _is_ruled(after) or (text.count("|") >= 2 and stripped[0] == "|" and same):
            return "|"
        if same and all(map(_HEAD.fullmatch, _cells(text, "|"))) and any(map(_FIGURE.fullmatch, _cells(after, "|"))):
            return "|"
    for sign in ("\t", ";", "&", ","):
        if sign not in text or len(text) > LONGEST:
            continue
        if sign == "&":
            below = [row for row in texts[index + 1 : index + 4] if not _LATEX_RULE.fullmatch(row)]
            after = below[0] if below else ""
        if after.count(sign) != text.count(sign):
            continue
        cells = _cells(text, sign)
        rows = [_cells(row, sign) for row in texts[index + 1 : index + 4] if row.count(sign) == text.count(sign)][:2]
        numeric = [sum(bool(_FIGURE.fullmatch(cell)) for cell in row) for row in rows]
        if (
            all(map(_HEAD.fullmatch, cells))
            and rows
            and min(numeric) >= max(1, (len(cells) + 1) // 2 if sign in ",;" else 1)
        ):
            return sign
    return None


def _is_ruled(text: str) -> bool:
    return "-" in text and bool(_RULE.fullmatch(text.strip())) and ("|" in text or "+" in text)


def _cells(text: str, sign: str) -> list[str]:
    if sign == "&":
        text = text.strip().removesuffix("\\\\")
    cells = text.strip().strip("|").split("|") if sign == "|" else text.rstrip("\n").split(sign)
    return [cell.strip().strip("`*_") for cell in cells]


def _row(columns: list[_Column], cells: list[str]) -> ParsedLine | None:
    """Read one row: figures are scores named by their column, settings by theirs; the first words are the label."""
    scores: list[NotedScore] = []
    settings: list[NotedSetting] = []
    words: list[str] = []
    remarks: list[str] = []
    step = ""
    for column, cell in zip(columns, cells, strict=False):
        is_figure = bool(_FIGURE.fullmatch(cell))
        if _EMPTY.fullmatch(cell):
            continue
        if column.kind == "step" and is_figure:
            step = column.name.lower()
        elif column.kind == "setting":
            settings.append(NotedSetting(column.key, parse_value(cell))) if column.key else words.append(cell)
        elif is_figure:
            scores.append(NotedScore(column.name or None, (float(cell.rstrip("% ")),)))
        elif column.kind == "remark" and words:
            remarks.append(cell)
        else:
            words.append(cell)
            if column.key and not _NAMES.fullmatch(column.name):
                settings.append(NotedSetting(column.key, parse_value(cell)))
    if not scores:
        return None
    label, rest = ", ".join(words), " ".join(remarks)
    shape = shape_of(" | ".join(cells))
    written = {setting.name for setting in settings}
    settings += [setting for setting in read_settings(label) if setting.name not in written]
    label = label or ", ".join(f"{setting.name}={setting.value}" for setting in settings) or step
    return ParsedLine(
        type(shape)(shape.indent, PLAIN, "", shape.body), "result", label, tuple(scores), tuple(settings), rest,
        read_claim(rest, label), progress=f"table by {step}" if step else None,
    )  # fmt: skip


_OBJECT = re.compile(r"\s*\{\s*(['\"]).*\}\s*")
_STEP_KEY = re.compile(r"(?:global_?|total_?|current_?)?(?:step|epoch|iter(?:ation)?|batch(?:_idx)?)s?", re.IGNORECASE)


def read_objects(texts: Sequence[str]) -> dict[int, ParsedLine]:
    """Return what the lines say that are one object with a step and figures, by place from 0; others are absent."""
    found: dict[int, ParsedLine] = {}
    for index, text in enumerate(texts):
        if "{" in text and len(text) <= LONGEST and _OBJECT.fullmatch(text):
            word = _read(text.strip())
            if word is not None:
                found[index] = word
    return found


def _read(text: str) -> ParsedLine | None:
    given = _parsed(text)
    steps = {name: value for name, value in given.items() if _STEP_KEY.fullmatch(name)}
    scores: list[NotedScore] = []
    settings: list[NotedSetting] = []
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or name in steps:
            continue
        key = KEYS.get(normal(name))
        if key is not None:
            settings.append(NotedSetting(key, value))
        else:
            scores.append(NotedScore(name, (float(value),)))
    if not steps or not scores:
        return None
    label = ", ".join(f"{name} {value}" for name, value in steps.items())
    shape = LineShape(0, PLAIN, "", text)
    progress = f"objects of {', '.join(sorted(given))}"
    return ParsedLine(shape, "result", label, tuple(scores), tuple(settings), progress=progress, logged=True)


def _parsed(text: str) -> dict[str, Any]:
    """Read an object of JSON, which may have NaN, or of Python; what is neither is empty."""
    try:
        value = json.loads(text)
    except ValueError:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return {}
    except RecursionError:
        return {}
    return value if isinstance(value, dict) and all(isinstance(name, str) for name in value) else {}
