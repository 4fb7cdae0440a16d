"""A run as a tool or an experiment tracker kept it: its name, settings and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """One run.

    Args:
        name: what people call it, with its seed perhaps, or the folders it lies in, with `/` between; empty if nothing
            tells.
        group: what its tool put it in with other runs of its kind; empty if nothing.
        project: the tool's larger unit, such as an experiment of MLflow; empty if there is none.
        settings: by dotted keys.
        scores: its figures by name; of a curve the last or the best, as was asked for.
        source: where it was read, for people.
        ended: whether it ran to its end.
        time: when it began, as its tool says, else when its file was written last, in seconds since 1970; None if
            nothing tells.
    """

    name: str
    group: str = ""
    project: str = ""
    settings: Mapping[str, Any]
    scores: Mapping[str, float]
    source: str
    ended: bool = True
    time: float | None = None


def plain_value(text: str) -> Any:
    """Return a setting that was kept as text as a whole number if it is one."""
    return int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) < 20 else text
