"""Logs of one object a line, as tools write them: `{"epoch": 1, "loss": 0.5}`, `{'eval_loss': 0.4, 'epoch': 1.0}`."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from ablata.notebooks.reader.model import Score, Setting
from ablata.notebooks.reader.names import KEYS, normal
from ablata.notebooks.reader.shape import PLAIN, Shape
from ablata.notebooks.reader.wording import LONGEST, Wording

_OBJECT = re.compile(r"\s*\{\s*(['\"]).*\}\s*")
_STEP = re.compile(r"(?:global_?|total_?|current_?)?(?:step|epoch|iter(?:ation)?|batch(?:_idx)?)s?", re.IGNORECASE)


def read_objects(texts: Sequence[str]) -> dict[int, Wording]:
    """Return what the lines say that are one object with a step and figures, by place from 0; others are absent."""
    found: dict[int, Wording] = {}
    for place, text in enumerate(texts):
        if "{" in text and len(text) <= LONGEST and _OBJECT.fullmatch(text):
            word = _read(text.strip())
            if word is not None:
                found[place] = word
    return found


def _read(text: str) -> Wording | None:
    given = _parsed(text)
    steps = {name: value for name, value in given.items() if _STEP.fullmatch(name)}
    scores: list[Score] = []
    settings: list[Setting] = []
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or name in steps:
            continue
        key = KEYS.get(normal(name))
        if key is not None:
            settings.append(Setting(key, value))
        else:
            scores.append(Score(name, (float(value),)))
    if not steps or not scores:
        return None
    label = ", ".join(f"{name} {value}" for name, value in steps.items())
    shape = Shape(0, PLAIN, "", text)
    progress = f"objects of {', '.join(sorted(given))}"
    return Wording(shape, "result", label, tuple(scores), tuple(settings), progress=progress, logged=True)


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
