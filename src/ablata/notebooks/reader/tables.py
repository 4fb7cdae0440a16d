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
        rows = {index: _cells(texts[index], block.sign) for index in range(block.start, block.stop)}
        head: list[str] = []
        for index, cells in rows.items():
            shape = shape_of(texts[index][:LONGEST])
            if _RULE.fullmatch(texts[index].strip()) or (block.sign == "&" and _LATEX_RULE.fullmatch(texts[index])):
                found[index] = ParsedLine(shape, "columns")
            elif not head or (not any(map(_FIGURE.fullmatch, cells)) and not _row(head, cells)):
                head = head or cells
                found[index] = ParsedLine(shape, "columns", " | ".join(cells))
            else:
                found[index] = _row(head, cells) or ParsedLine(shape, "plan", cells[0] if cells else "")
    return found


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
    if text.count("|") >= 2 and not stripped.startswith("--") and (stripped[0] == "|" or _is_ruled(after)):
        follows = after.count("|") == text.count("|") or _is_ruled(after)
        return "|" if follows and any(_cells(text, "|")) else None
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


def _row(head: list[str], cells: list[str]) -> ParsedLine | None:
    """Read one row: figures are scores named by their column, unless the column is a setting; words are the label."""
    scores: list[NotedScore] = []
    settings: list[NotedSetting] = []
    words: list[str] = []
    step = ""
    for name, cell in zip(head, [*cells, *[""] * len(head)], strict=False):
        if _EMPTY.fullmatch(cell):
            continue
        key = KEYS.get(normal(name))
        if _STEP.fullmatch(name) and _FIGURE.fullmatch(cell):
            step = name.lower()
        elif key is not None:
            settings.append(NotedSetting(key, parse_value(cell)))
        elif _FIGURE.fullmatch(cell):
            scores.append(NotedScore(name or None, (float(cell.rstrip("% ")),)))
        else:
            words.append(cell)
    if not scores:
        return None
    label, rest = (words[0], " ".join(words[1:])) if words else ("", "")
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
