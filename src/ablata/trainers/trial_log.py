"""A log of trials, as research loops and agents keep it: a line a run, and whether its change was kept.

| column | read as |
|---|---|
| status, decision, outcome, kept | keep, discard or crash |
| commit, hash, sha | the code; equal ones are repeats |
| description, change, idea, name | what was tried; `baseline`, `baseline (again)` and `baseline, seed 2` are repeats |
| runs, noise | of how many runs a score is the mean; the standard deviation of one run |
| the one other column of numbers, or `--score` | the score |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ablata.base.errors import DataError, choices, listing, suggestion
from ablata.trainers.given import LARGEST, lower_is_better
from ablata.trainers.readers.settings import SEED_COLUMNS
from ablata.trainers.readers.tables import finite_numbers, refuse_mixed_percent

Status = Literal["keep", "discard", "crash"]

_STATUS = ("status", "decision", "outcome", "verdict", "kept", "keep", "accepted", "state", "result")
_COMMIT = ("commit", "hash", "sha", "commit_hash", "git", "revision")
_WORDS = ("description", "change", "idea", "hypothesis", "experiment", "name", "message", "notes", "note", "arm", "run")
_RUNS = ("runs",)
_NOISE = ("noise",)
_WORDS_OF: dict[Status, str] = {
    "keep": "keep kept accept accepted baseline base improved success merged yes true 1 winner",
    "discard": "discard discarded reject rejected revert reverted drop dropped no false 0 worse skip skipped",
    "crash": "crash crashed fail failed error oom timeout nan diverged invalid",
}
_DECISIONS = {"keep", "kept", "accept", "accepted", "discard", "discarded", "reject", "rejected", "revert", "reverted"}
"""Words of a loop's decisions; the others may also say how a run of a table of arms ended."""
_ARMS = ("arm", "variant", "config", "setting", "method", "model", "group")
_MOST_UNKNOWN = 1 / 4
"""Share of rows whose word is not known up to which a column still says what was kept."""
_COST = re.compile(
    r"(?:^|[_\W])(?:mem|memory|vram|ram|gb|mb|gib|mib|seconds|secs?|minutes|mins?|hours|time|duration|params|flops|mfu|"
    r"tokens?|steps?|epochs?|iter|iterations?|lr|seed|id|index|trial|number|no|round)(?:$|[_\W])",
    re.IGNORECASE,
)
_AGAIN = re.compile(
    r"\b(?:re-?runs?|repeat(?:s|ed|ing)?|replicat\w+|again|once more|same code|noise (?:check|floor)|"
    r"seed\s*[=:]?\s*\d+|(?:run|try|take)\s*#?\d+|"
    r"(?:second|third|fourth|fifth|\d+(?:st|nd|rd|th)) (?:run|time|try))\b|#\d+|\(\d+\)\s*$",
    re.IGNORECASE,
)
"""Words that tell of a repeat."""
_LEADING = re.compile(r"^((of|the)\b ?)+")


@dataclass(frozen=True, kw_only=True)
class LoggedTrial:
    """One run of a log.

    Args:
        row: of the table, from 1, its line of names not counted.
        commit: of its code; empty where the log has none.
        words: what was tried.
        status: what became of it.
        score: finite; None of a crash, or where there is none.
        code: equal for runs of equal code.
        runs: of how many runs the score is the mean.
    """

    row: int
    commit: str
    words: str
    status: Status
    score: float | None
    code: int
    runs: int = 1


@dataclass(frozen=True, kw_only=True)
class TrialLog:
    """A log of trials.

    Args:
        trials: in the order of the table, the state that the loop began with first.
        score: the score's name.
        higher_is_better: whether higher scores are better.
        noise: the standard deviation of one run as the log says it, > 0; None: it does not.
        notes: what was guessed, one sentence each.
    """

    trials: tuple[LoggedTrial, ...]
    score: str
    higher_is_better: bool
    noise: float | None = None
    notes: tuple[str, ...] = ()


def is_trial_log(rows: Sequence[Mapping[str, str]]) -> bool:
    """Return whether a table says of each run whether its change was kept."""
    return status_column(rows) is not None


def read_trial_log(
    rows: Sequence[Mapping[str, str]], source: str, *, score: str | None = None, lower: bool | None = None
) -> TrialLog:
    """Read a log of trials.

    Args:
        rows: the table's, at least one.
        source: what they come from, for messages.
        score: the score's column; None for the one column of numbers that is no cost.
        lower: lower scores are better; None: as what was kept shows.

    Raises:
        DataError: the score or its direction cannot be told, or no run has one.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    decided, commit_column = status_column(rows), _known(names, _COMMIT)
    words_column = _known([name for name in names if name not in (decided, commit_column)], _WORDS)
    runs_column, noise_column = (_known([name for name in names if name != score], one) for one in (_RUNS, _NOISE))
    named = (decided, commit_column, words_column, runs_column, noise_column)
    left = [name for name in names if name not in named]
    name = _score_column(rows, left, score, source)
    notes = [f"the score is read from the column {name}"] if score is None else []
    refuse_mixed_percent(((number, row.get(name)) for number, row in enumerate(rows, 1)), name, source)
    if decided:
        notes += _unknown_words(rows, decided)
    raw = []
    for number, row in enumerate(rows, 1):
        status = _status(row.get(decided, "")) if decided else "keep"
        value = finite_numbers({name: row.get(name, "")}).get(name)
        raw.append((number, row, status, None if status == "crash" else value))
    if not any(value is not None for *_, value in raw):
        raise DataError(
            "A log of trials must hold a run with a score",
            found=f"{source}: none in the column {name}",
            do="name another column by --score",
        )
    for number, _, _, value in raw:
        if value is not None and abs(value) > LARGEST:
            raise DataError(
                f"Scores must lie below {LARGEST:g}",
                found=f"{source}, row {number}: {value:g}",
                do="correct the score, or leave the row out",
            )
    commits = [row.get(commit_column or "", "") for _, row, *_ in raw]
    texts = [row.get(words_column or "", "") for _, row, *_ in raw]
    # A repeat of what was kept is no step: it tells of the noise, not of the direction.
    firsts = {code: place for place, code in reversed(list(enumerate(_codes(commits, texts, [one[2] for one in raw]))))}
    steps = [raw[place] for place in sorted(firsts.values())]
    kept = [value for _, _, status, value in steps if status == "keep" and value is not None]
    is_lower = _is_lower(name, kept, lower, notes, known=decided is not None)
    if decided is None:
        raw = _kept_if_better(raw, is_lower)
        notes.append("a change counts as kept if it beat the best before it: no column says so")
    codes = _codes(commits, texts, [status for *_, status, _ in raw])
    trials = tuple(
        LoggedTrial(
            row=number, commit=commit, words=words, status=status, score=value, code=code,
            runs=max(int(_number(row, runs_column) or 1), 1),
        )
        for (number, row, status, value), commit, words, code in zip(raw, commits, texts, codes, strict=True)
    )  # fmt: skip
    told = [value for _, row, *_ in raw if (value := _number(row, noise_column)) is not None and value > 0]
    if told:
        notes.append(f"the noise of one run is read from the column {noise_column}")
    return TrialLog(
        trials=trials, score=name, higher_is_better=not is_lower, noise=told[-1] if told else None, notes=tuple(notes)
    )


def _number(row: Mapping[str, str], name: str | None) -> float | None:
    return None if name is None else finite_numbers({name: row.get(name, "")}).get(name)


def status_column(rows: Sequence[Mapping[str, str]]) -> str | None:
    """Return the column that says of each run keep, discard or crash, and of some that a change was kept.

    A few words may be others. Arms with seeds are no log, though their runs end with success or failure.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    arms = _known(names, _ARMS) and _known(names, SEED_COLUMNS)
    for name in names:
        if name.lower() not in _STATUS:
            continue
        cells = [row.get(name, "") for row in rows]
        found = [_status_word(cell) for cell in cells]
        unknown = found.count(None)
        several = len(set(found) - {None}) > 1
        if "keep" not in found or unknown > _MOST_UNKNOWN * len(found):
            continue
        if arms and not _DECISIONS & {cell.strip().lower() for cell in cells}:
            continue
        if several or (not unknown and name.lower() in ("status", "decision")):
            return name
    return None


def _unknown_words(rows: Sequence[Mapping[str, str]], column: str) -> list[str]:
    """Say which rows have a word that is none of those known."""
    cells = [(number, row.get(column, "")) for number, row in enumerate(rows, 1)]
    return [
        f"row {number}: {column} {cell.strip() or 'an empty cell'} is none of keep, discard and crash; "
        "its change counts as not kept"
        for number, cell in cells
        if _status_word(cell) is None
    ]


def _status_word(cell: str) -> Status | None:
    word = cell.strip().lower()
    return next((status for status, words in _WORDS_OF.items() if word in words.split()), None)


def _status(cell: str) -> Status:
    return _status_word(cell) or "discard"


def _score_column(rows: Sequence[Mapping[str, str]], names: Sequence[str], wanted: str | None, source: str) -> str:
    if wanted is not None:
        for name in names:
            if wanted.lower() in (name.lower(), name.lower().strip()):
                return name
        raise DataError(
            f"The column of the score must be one of {choices(names, wanted)}",
            found=f"{source}: {wanted}",
            do=suggestion(wanted, names),
        )
    numbers = [name for name in names if any(finite_numbers({name: row.get(name, "")}) for row in rows)]
    likely = [name for name in numbers if not _COST.search(name)]
    if len(likely) == 1:
        return likely[0]
    raise DataError(
        "Say which column of the log is the score",
        found=f"{source}: {listing(likely or numbers or names)}",
        do=f"--score {(likely or numbers or ['COLUMN'])[0]}",
    )


def _is_lower(name: str, kept: Sequence[float], lower: bool | None, notes: list[str], *, known: bool) -> bool:
    """Return whether lower scores are better: as was said, else as most steps of what was kept went."""
    if lower is not None or not known:
        return lower_is_better(name, lower)
    steps = [(new > old) - (new < old) for old, new in pairwise(kept)]
    if sum(steps) == 0:
        return lower_is_better(name, None)
    is_lower = sum(steps) < 0
    notes.append(f"{'lower' if is_lower else 'higher'} {name} is better, as what was kept shows")
    return is_lower


def _kept_if_better(
    raw: Sequence[tuple[int, Mapping[str, str], Status, float | None]], is_lower: bool
) -> list[tuple[int, Mapping[str, str], Status, float | None]]:
    best: float | None = None
    found: list[tuple[int, Mapping[str, str], Status, float | None]] = []
    for number, row, _, value in raw:
        better = value is not None and (best is None or (value < best if is_lower else value > best))
        status: Status = "crash" if value is None else "keep" if better else "discard"
        best = value if better else best
        found.append((number, row, status, value))
    return found


def _codes(commits: Sequence[str], texts: Sequence[str], statuses: Sequence[Status]) -> list[int]:
    """Return for each run a number of its code: equal for equal commits, and for words that tell of a repeat.

    With commits, equal words alone are no repeat unless they say so, or were tried on the same state and not kept: what
    is kept after it was given up is another change.
    """
    numbers: dict[str, int] = {}
    by_words: dict[str, tuple[int, int]] = {}
    codes: list[int] = []
    kept = 0
    for commit, words, status in zip(commits, texts, statuses, strict=True):
        plain = _LEADING.sub("", " ".join(re.sub(r"[^\w.]+", " ", _AGAIN.sub(" ", words)).lower().split()))
        says_again = bool(_AGAIN.search(words))
        code = numbers.get(commit) if commit else None
        tried_again = plain in by_words and by_words[plain][1] == kept and status != "keep"
        if code is None and plain in by_words and (says_again or not commit or tried_again):
            code = by_words[plain][0]
        is_new = code is None
        code = len(codes) if code is None else code
        codes.append(code)
        if commit:
            numbers.setdefault(commit, code)
        if plain and (is_new or plain not in by_words):
            by_words[plain] = (code, kept)
        # The first run is the state that the loop began with, not a change to it.
        kept += is_new and status == "keep" and len(codes) > 1
    return codes


def _known(names: Sequence[str], words: Sequence[str]) -> str | None:
    folded = {name.lower().replace(" ", "_"): name for name in reversed(names)}
    return next((folded[word] for word in words if word in folded), None)
