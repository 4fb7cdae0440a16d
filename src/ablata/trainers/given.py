"""Runs that were made elsewhere: their scores by name, the arm they belong to, and their seed where it is known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ablata.base.errors import DataError, listing, nearest


@dataclass(frozen=True, kw_only=True)
class GivenRun:
    """One finished run of any tool.

    Args:
        arm: which setting it belongs to.
        seed: its seed; None where nothing tells it.
        scores: its figures by name; of a curve the last or the best, as was asked for.
        source: where it was read, for people: `results.csv, line 7`, `runs/wide/seed1`.
    """

    arm: str
    seed: int | None
    scores: Mapping[str, float]
    source: str


@dataclass(frozen=True, kw_only=True)
class GivenRuns:
    """The runs of one reading.

    Args:
        runs: in the order they were found.
        score: the score that is judged.
        notes: what was guessed, one sentence each.
        oldest: when the first of them began, as its tool says, or when the first of their files was written last, in
            seconds since 1970; None: unknown.
    """

    runs: tuple[GivenRun, ...]
    score: str
    notes: tuple[str, ...] = field(default=())
    oldest: float | None = None

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of the arms in the order in which they first come."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    def of_arm(self, arm: str) -> tuple[GivenRun, ...]:
        """Return the runs of an arm."""
        return tuple(run for run in self.runs if run.arm == arm)


MOST_LETTERS = 200
LARGEST = 1e150
"""Squares of larger scores are no numbers."""


def check_scores(given: GivenRuns) -> None:
    """Refuse scores that cannot be squared, and arms whose names are no names.

    Raises:
        DataError: names the run.
    """
    for run in given.runs:
        if abs(run.scores[given.score]) > LARGEST:
            raise DataError(
                f"Scores must lie below {LARGEST:g}",
                found=f"{run.source}: {run.scores[given.score]:g}",
                do="correct the score, or leave the run out",
            )
        if len(run.arm) > MOST_LETTERS:
            raise DataError(
                f"An arm's name must have at most {MOST_LETTERS} letters",
                found=f"{run.source}: {run.arm[:40]}... of {len(run.arm)}",
                do="--arm-from COLUMN if the arm is read from the wrong one",
            )


_LOWER = re.compile(
    r"(?:^|[^a-z])(?:loss|error|err|perplexity|ppl|rmse|mse|mae|nll|bpb|bpc|wer|cer|fid|lpips|seconds|time|latency|memory)"
    r"(?:$|[^a-z])",
    re.IGNORECASE,
)
_UNNAMED = re.compile(r"_|unnamed: ?\d+$", re.IGNORECASE)
"""What trackers keep for themselves, and the index of a data frame."""
_NO_SCORE = re.compile(
    r"(?:^|[^a-z])(?:lr|learning rate|grad norm|epochs?|steps?|iter(?:ation)?s?|time|runtime|seconds?|seed|id|index|"
    r"batch)",
    re.IGNORECASE,
)
_QUALITY = re.compile(r"acc|top-?[15]|iou|m?ap(?:$|[^a-z])|f1|auc|dice|psnr|ssim|recall|precision", re.IGNORECASE)
_HELD_OUT = re.compile(r"(?:^|[^a-z])(?:val|valid|validation|eval|test)(?:$|[^a-z])", re.IGNORECASE)


def lower_is_better(name: str, lower: bool | None) -> bool:
    """Return whether lower scores are better; a name that sounds like a loss must be told which.

    Args:
        name: of the score.
        lower: as the user said; None: not at all.

    Raises:
        DataError: the name is one whose lower values are usually better, and nothing was said.
    """
    if lower is None and _LOWER.search(name.replace("_", " ")):
        raise DataError(
            "Say which scores are better: a lower one usually is, by this name",
            found=f"{name}, and neither --lower nor --higher",
            do="--lower (in Python lower=True); or --higher (lower=False) if higher is better all the same",
        )
    return bool(lower)


def _unlikely(name: str) -> tuple[bool, bool, bool]:
    """Return what a name lacks of a score that people judge by; the likeliest sorts first."""
    plain = name.replace("_", " ")
    return bool(_NO_SCORE.search(plain)), not _QUALITY.search(plain), not _HELD_OUT.search(plain)


def choose_score(runs: Sequence[GivenRun], wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the name of the score to judge, and what was guessed about it.

    Args:
        runs: at least one.
        wanted: as the user named it: whole, or a part that only one name has; None to take the only one there is.

    Raises:
        DataError: no score has this name, or several could be meant.
    """
    names = list(dict.fromkeys(name for run in runs for name in run.scores if not _UNNAMED.match(name)))
    if wanted is None:
        if len(names) == 1:
            return names[0], (f"the score is {names[0]}, the only one there is",)
        likely = sorted(names, key=_unlikely)[:1]
        raise DataError(
            "Say which score is to be judged",
            found=f"there are {listing(names[:12])}" if names else "no column of numbers",
            do=f"for example --score {likely[0]}" if names else "a column of numbers must hold the score",
        )
    if wanted in names:
        return wanted, ()
    loose = [name for name in names if name.strip().lower() == wanted.lower()]
    part = loose or [name for name in names if wanted.lower() in name.lower()]
    if len(part) == 1:
        return part[0], (f"the score {wanted} is read as {part[0]}",)
    if part:
        raise DataError(f"`--score {wanted}` must mean one score", found=listing(part), do=f"--score {part[0]!r}")
    close = nearest(wanted, names)
    raise DataError(
        f"The runs must have a score named {wanted}",
        found=f"they have {listing(names[:12])}",
        do=f"--score {close!r}" if close else "--score NAME",
    )
