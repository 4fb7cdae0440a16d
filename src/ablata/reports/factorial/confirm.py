"""The command that asks about the best cell of a factorial study anew."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

_SEEDS = 10
_DROPPED = ("--cells", "--seeds", "--budget", "--first-seed", "--name", "--question")


def confirming_command(command: str, on: Sequence[str], first_seed: int) -> str:
    """Return what to type to compare the best cell with the control on fresh seeds; empty where it is not known.

    Args:
        command: what the factorial study was asked with.
        on: the changes of that cell.
        first_seed: the first seed that it did not use.
    """
    words = shlex.split(command)
    if words[:3] != ["ablata", "study", "run"] or "--factor" not in words or not on:
        return ""
    made, place = list(words[:3]), 3
    while place < len(words):
        word = words[place]
        if word == "--factor" and place + 1 < len(words):
            name, _, setting = words[place + 1].partition(":")
            made += ["--arm", f"best:{setting}"] if name in on else []
        elif word not in _DROPPED:
            made.append(word)
        place += 2 if word == "--factor" or word in _DROPPED else 1
    return shlex.join([*made, "--seeds", str(_SEEDS), "--first-seed", str(first_seed)])
