"""A research loop as it is asked for: what it runs, which score is judged and how; all fixed when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ablata.base.errors import SettingsError, choices, listing, suggestion
from ablata.base.metric import Metric
from ablata.stats.loop import LoopMode, LoopRule
from ablata.studies.guards import GUARDS, parse_guard
from ablata.studies.metric import absolute_margin, judged_metric
from ablata.trainers.any import Outside
from ablata.trainers.command import Command, own_keys
from ablata.trainers.git import git_commit, repository_of

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

Smaller = Literal["lines", "parameters", "time"]
SMALLER: tuple[Smaller, ...] = get_args(Smaller)
"""What a change may save that makes no difference otherwise."""


@dataclass(frozen=True, kw_only=True)
class LoopPlan:
    """What a loop is.

    Args:
        name: unique in the ledger.
        start: what it starts from: a recipe, a command or a function.
        metric: what is judged.
        margin: the largest difference that does not matter, in the metric's unit; None: none.
        mode: what is held: a level for each proposal, or the share of false keeps over the stream.
        budget: seconds of training that it may take; None: no end.
        guards: quantities that a kept change may not worsen by more than an allowed amount, such as `seconds:+3%`.
        smaller: keep changes that make no difference and save this; None: discard them.
        first_seed: seeds count up from here.
        commands: what to type to start it again.
    """

    name: str
    start: Recipe | Outside
    metric: Metric
    margin: float | None = None
    mode: LoopMode = LoopMode.PROGRESS
    budget: float | None = None
    guards: tuple[str, ...] = ()
    smaller: Smaller | None = None
    first_seed: int = 0
    commands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.start, Command) and self.start.ref is None and not own_keys(self.start.words):
            raise SettingsError(
                "A loop must have something that can be changed",
                found="the command has no key of its own, and there is no --worktree",
                do="--worktree, to propose commits by --ref; or a key in the command, such as --lr {lr} with --set "
                "lr=0.1, to propose other values of it",
            )
        if self.smaller is not None and self.margin is None:
            raise SettingsError(
                "What makes no difference can be told only with a margin",
                found=f"--prefer-smaller {self.smaller} without --margin",
                do="--margin M, the largest difference that does not matter to you",
            )
        if self.smaller == "lines" and not (isinstance(self.start, Command) and self.start.ref):
            raise SettingsError(
                "Lines of code can be counted where each proposal is a git commit",
                found="--prefer-smaller lines without --worktree",
                do="--worktree, or --prefer-smaller time",
            )
        guarded = [parse_guard(self.start, text).metric.key for text in self.guards]
        if len({*guarded, self.metric.key}) <= len(guarded):
            raise SettingsError(
                "Each guardrail must be of a quantity of its own, and not of the metric",
                found=f"{listing(guarded)}, judged by {self.metric.key}",
                do="leave one out",
            )

    def rule(self) -> LoopRule:
        """Return how proposals are judged."""
        return LoopRule(
            margin=self.margin,
            higher_is_better=self.metric.higher_is_better,
            mode=self.mode,
            seek_equivalence=self.smaller is not None,
        )

    def spec(self) -> dict[str, Any]:
        """Return what is fixed, JSON-safe, as the ledger keeps it."""
        metric = self.metric
        return {
            "metric": {
                "key": metric.key, "name": metric.name, "split": metric.split, "protocol": metric.protocol,
                "unit": metric.unit, "higher_is_better": metric.higher_is_better,
            },
            "rule": self.rule().to_json(),
            GUARDS: [parse_guard(self.start, text).to_json() for text in self.guards],
            "smaller": self.smaller,
            "first_seed": self.first_seed,
            "commands": list(self.commands),
        }  # fmt: skip


def plan_loop(
    name: str,
    start: Recipe | Outside,
    *,
    score: str | None = None,
    lower: bool | None = None,
    margin: float | str | None = None,
    mode: str = LoopMode.PROGRESS.value,
    smaller: str | None = None,
    worktree: bool = False,
    **rest: Any,
) -> LoopPlan:
    """Return what a loop is, from what was typed.

    Args:
        name, start: see `LoopPlan`.
        score: of a recipe: what is judged, in place of its own score.
        lower: of such a score: lower values are better.
        margin: in the score's unit, or its text.
        mode: `progress` or `claim`.
        smaller: `lines`, `parameters` or `time`.
        worktree: each proposal is a commit, which runs in a git worktree under the lab's home.
        rest: further fields of `LoopPlan`.

    Raises:
        SettingsError: a value is wrong, or a worktree is asked for outside git.
    """
    if mode not in tuple(LoopMode):
        raise SettingsError(
            f"The mode of a loop must be one of {choices(LoopMode, mode)}", found=mode, do=suggestion(mode, LoopMode)
        )
    if smaller is not None and smaller not in SMALLER:
        raise SettingsError(
            f"What is to be smaller must be one of {choices(SMALLER, smaller)}",
            found=smaller,
            do=suggestion(smaller, SMALLER),
        )
    if worktree:
        start = _at_commit(start)
    metric = start.metric() if isinstance(start, Outside) else judged_metric(start, score, lower=lower)
    return LoopPlan(
        name=name, start=start, metric=metric, margin=absolute_margin(margin), mode=LoopMode(mode), smaller=smaller,
        **rest,
    )  # fmt: skip


def _at_commit(start: Recipe | Outside) -> Command:
    """Return a command with the files of the commit that its folder is at.

    Raises:
        SettingsError: it is no command, is in no repository with a commit, or names its sources.
    """
    if not isinstance(start, Command):
        raise SettingsError(
            "Worktrees are for programs", found=f"--worktree with {start.name}", do="leave --worktree out"
        )
    folder = Path(start.folder)
    if repository_of(folder) is None:
        raise SettingsError(
            "A loop of git commits must start in a repository that has one",
            found=f"none in {folder}",
            do="git init && git add train.py && git commit -m start; or leave --worktree out and try --set key=value",
        )
    if start.sources:
        raise SettingsError(
            "With --worktree the commit says what the code is", found=f"--source {start.sources[0]}", do="leave it out"
        )
    return start.model_copy(update={"ref": git_commit(folder, "HEAD")})
