"""The exceptions a user can meet, each in three parts: what must hold, what was found, what to do.

AblataError                 exit 1
+-- UserError               exit 2: the input has to change; nothing was started and nothing is lost
|   +-- SettingsError       a recipe key, a value, a file that holds a recipe or a study
|   +-- DataError           a data set: its folder, a file in it, a label
|   +-- RecordError         the ledger, a run, a study, an exported file
|   +-- CheckpointError     a checkpoint that does not fit what it is asked to do
+-- RunError                exit 1: a training that was under way ended
    +-- DivergedError       a loss or gradient is not finite, or the model fell apart
    +-- LeaseLostError      another worker took the run over
    +-- StoppedError        the user asked the run to stop; it was saved
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_MOST = 5


class AblataError(Exception):
    """Base of all errors that are shown as a message and not as a traceback.

    Args:
        must: what must hold, a full sentence without the final point.
        found: what was found instead: the file, key and value.
        do: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, must: str, *, found: str | None = None, do: str | None = None) -> None:
        self.must, self.found, self.do = must, found, do
        lines = [must]
        if found is not None:
            lines.append(f"  found: {found}")
        if do is not None:
            lines.append(f"  do:    {do}")
        super().__init__("\n".join(lines))


class UserError(AblataError, ValueError):
    """The input has to change. Raised before anything is started."""

    exit_code = 2


class SettingsError(UserError):
    """A recipe key, a value, or a file that holds a recipe or a study is wrong."""


class DataError(UserError):
    """A data set, a file in it, or a label is missing or wrong."""


class RecordError(UserError):
    """The ledger, a run, a study or an exported file is missing or does not fit."""


class LedgerError(RecordError):
    """The ledger as a whole cannot be used: it is away, locked, full or damaged."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, or does not fit what it is asked to do."""


class RunError(AblataError):
    """A training that was under way ended without completing."""


class DivergedError(RunError):
    """A loss or a gradient is not finite, or a watchdog found that training fell apart."""


class LeaseLostError(RunError):
    """Another worker took the run over while this one was silent."""


class StoppedError(RunError):
    """The user asked the run to stop; what was done so far is saved."""


@contextmanager
def named(owner: str) -> Iterator[None]:
    """Say whose input a refusal is about, where one of many is made: `found: optim.lr=abc, in arm wide`.

    Args:
        owner: what it belongs to, such as `arm wide`; a message that has it already stays as it is.
    """
    try:
        yield
    except UserError as error:
        if owner in str(error):
            raise
        found = f"{error.found}, in {owner}" if error.found else owner
        raise type(error)(error.must, found=found, do=error.do) from error.__cause__


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` that looks most like `name`, or None if none is close."""
    names = list(known)
    folded = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def suggestion(name: object, known: Iterable[str], otherwise: str = "choose one of them", most: int = 1) -> str:
    """Return advice for a name that is none of those known: the nearest `most`, or, where none is close, something
    else."""
    folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(str(name).lower(), list(folded), n=most, cutoff=0.6)
    return f"did you mean {listing(folded[one] for one in close)}?" if close else otherwise


def choices(known: Iterable[str], name: object = "") -> str:
    """Join what can be chosen for a message: all of a few, else the five most like `name`, and how many more."""
    names = [str(each) for each in known]
    if len(names) <= _MOST + 1:
        return listing(names)

    def likeness(candidate: str) -> float:
        return difflib.SequenceMatcher(None, candidate.lower(), str(name).lower()).ratio()

    return f"{listing(sorted(names, key=likeness, reverse=True)[:_MOST])} and {len(names) - _MOST} more"


def at_key(key: str, must: str) -> str:
    """Say of which key a sentence is: `It must ...` becomes `KEY must ...`, any other sentence follows `KEY: `."""
    if not key:
        return must
    return key + must.removeprefix("It") if must.startswith("It ") else f"{key}: {must}"


def reason(error: Exception) -> str:
    """Return what an exception says of a file: no path twice, no error number, no name of a Python class."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"no {error.args[0]}" if isinstance(error, KeyError) and error.args else str(error)


def listing(names: Iterable[str]) -> str:
    """Join names for a message: `a, b, c`, or `nothing` if there are none."""
    return ", ".join(names) or "nothing"
