"""What the ledger returns: frozen rows, never live objects. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ablata.records.processes import process_is_gone

_CLOCKS_APART = 60.0
"""Seconds that the clocks of a lab's machines may differ by."""

RunState = Literal["waiting", "running", "completed", "failed", "diverged", "cancelled"]
EndState = Literal["completed", "failed", "diverged"]
StudyState = Literal["open", "finished"]
ArmState = Literal["open", "stopped"]
SEVERAL = "several"
"""The launch of a run that was begun in one and resumed in another."""
FOREIGN_CODE = ("command-", "function-")
"""What the code of runs begins with that are no trainings of ours: of programs, and of functions."""
GIVEN_CODE = "given"
"""What stands for the code of runs that were made elsewhere, and for the class of their environment."""
EntryKind = Literal["trial", "plan", "remark"]
ProposalState = Literal["waiting", "open", "decided"]
Outcome = Literal["keep", "discard", "undecided", "crash"]
RunRole = Literal["trial", "baseline", "confirm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be trained.

    Attributes:
        recipe_name: the name people know the recipe by.
        recipe: the expanded settings, JSON-safe.
        recipe_hash: the hash of the expanded settings, the seed excluded.
        code: fingerprint of the code (`code_fingerprint()`).
        data: fingerprint of the data set.
        seed: drives initialisation, data order and augmentation.
        environment: class of the environment (`environment_class(...)`).
        priority: runs of a higher priority are claimed first; equal ones in the order they were enqueued.
        parent: id of the run this one starts from, if any.
    """

    recipe_name: str
    recipe: dict[str, Any]
    recipe_hash: str
    code: str
    data: str
    seed: int
    environment: str
    priority: int = 0
    parent: str | None = None

    @property
    def identity(self) -> tuple[str, str, str, int, str]:
        """Recipe hash, code, data, seed and environment class: two runs equal in these are one run."""
        return (self.recipe_hash, self.code, self.data, self.seed, self.environment)


def is_held(owner: str | None, lease_until: float | None) -> bool:
    """Tell whether a running run is still its worker's: its process is not known to be gone, and its lease holds."""
    return not process_is_gone(owner or "") and (lease_until or 0.0) > time.time() - _CLOCKS_APART


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as it stands. Its settings are kept apart: `ledger.runs.settings(run)`.

    Attributes:
        number: order of creation in this ledger.
        attempt: 0 before the first claim; one more at each claim.
        owner: the worker that holds or held it.
        lease_until: when the lease lapses, while running.
        folder: the run folder, relative to the lab's home.
        scores: protocol-named scores, once evaluated.
        cost: seconds, peak memory, FLOPs and the like.
        progress: what the training loop last said about itself.
        launch: which launch trained it, `SEVERAL` if it was resumed in another: times are compared within one.
    """

    number: int
    id: str
    recipe_name: str
    recipe_hash: str
    code: str
    data: str
    seed: int
    environment: str
    state: RunState
    attempt: int
    owner: str | None
    lease_until: float | None
    heartbeat: float | None
    priority: int
    folder: str
    scores: dict[str, Any] | None
    cost: dict[str, Any] | None
    progress: dict[str, Any] | None
    error: str | None
    stop_reason: str | None
    parent: str | None
    created: float
    started: float | None
    finished: float | None
    launch: str | None = None

    @property
    def state_word(self) -> str:
        """What its state is called: a program or function that left no score has failed, a training has diverged."""
        return "failed" if self.state == "diverged" and self.code.startswith(FOREIGN_CODE) else self.state

    @property
    def shown_state(self) -> str:
        """What lists call its state: one that was trained, and waits to be gone on with, is stopped.

        One that is running by the ledger, but whose process is known to be gone, is interrupted.
        """
        if self.state == "running" and self.owner and process_is_gone(self.owner):
            return "interrupted"
        return "stopped" if self.state == "waiting" and self.attempt else self.state_word

    @property
    def is_trained(self) -> bool:
        """Whether a worker trains it now: one that was killed, and whose run nobody took over, does not."""
        return self.state == "running" and is_held(self.owner, self.lease_until)

    @property
    def identity(self) -> tuple[str, str, str, int, str]:
        """What a `NewRun` of this run would have."""
        return (self.recipe_hash, self.code, self.data, self.seed, self.environment)


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to write about a run, as long as `attempt` is the run's current attempt."""

    run: RunRow
    recipe: dict[str, Any]
    lease_seconds: float

    @property
    def attempt(self) -> int:
        """The attempt this claim stands for."""
        return self.run.attempt

    @property
    def resumed(self) -> bool:
        """Whether an earlier attempt may have left something in the run folder."""
        return self.run.attempt > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NewArm:
    """An arm of a study to be created; exactly one arm is the control."""

    name: str
    recipe_name: str
    recipe: dict[str, Any]
    recipe_hash: str
    change: list[str] = field(default_factory=list)
    is_control: bool = False


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm: its recipe, and, once stopped, the verdict and why."""

    study: str
    position: int
    name: str
    is_control: bool
    change: list[str]
    recipe_name: str
    recipe_hash: str
    state: ArmState
    verdict: str | None
    reason: str | None
    recipe: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One study: its question and its specification (margin, metric, protocol, split, rule, ...)."""

    name: str
    question: str
    spec: dict[str, Any]
    state: StudyState
    created: float
    finished: float | None

    @property
    def is_given(self) -> bool:
        """Whether its scores were made elsewhere."""
        return isinstance(self.spec.get(GIVEN_CODE), dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """The run that answers for one arm and one seed of a study."""

    arm: str
    seed: int
    run: RunRow


@dataclass(frozen=True, slots=True)
class LookRow:
    """One look: how many whole seed rows it saw, and its contrasts and verdicts."""

    seeds: int
    result: dict[str, Any]
    time: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one run, by rising step. Values may be nan or infinite."""

    run: str
    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class EventRow:
    """One notice: level is info, warning or error; run is None for one about no run."""

    run: str | None
    time: float
    level: str
    kind: str
    text: str


class NoteEntry(NamedTuple):
    """One trial, plan or remark read from hand-written notes; a tuple, since a log may hold 100,000 of them.

    Attributes:
        source: the file it was read from.
        line: the line it starts at, from 1.
        last: the line it ends at.
        kind: a trial has a result, a plan has none, a remark is about others.
        section: the headings it stands under.
        label: what the notes call it.
        settings: changed settings by name.
        scores: figures by name.
        claim: what the notes conclude, if they do: `{"verdict": "better"}`; of a plan, that it was done or discarded.
        remark: the author's words beside label and figures.
        original: the text as written.
    """

    source: str
    line: int
    last: int
    kind: EntryKind
    section: str | None
    label: str | None
    settings: dict[str, Any]
    scores: dict[str, Any]
    claim: dict[str, Any] | None
    remark: str | None
    original: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteFile:
    """One file of hand-written notes.

    Attributes:
        source: its path.
        digest: SHA-256 of its bytes, hexadecimal.
        encoding: how its bytes were decoded.
        counts: how many lines were read as what.
        time: when it was read into the ledger.
    """

    source: str
    digest: str
    encoding: str
    counts: dict[str, Any]
    time: float = 0.0


@dataclass(frozen=True, slots=True)
class LoopRow:
    """One research loop.

    Attributes:
        spec: what is fixed when it starts: metric, rule, guardrails and the like.
        budget: seconds of training that it may take; None: no end.
        best: the number of the proposal that is the best so far; 0 is the start.
    """

    name: str
    spec: dict[str, Any]
    budget: float | None
    best: int
    created: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProposal:
    """A proposal to be recorded.

    Attributes:
        text: what is tried, for people.
        change: its overrides, or its git ref, for people and to make it again.
        base: the number of the proposal that it changes.
        recipe_name, recipe, recipe_hash, code, data: as of a `NewRun`.
        content: what tells that two proposals are equal.
    """

    text: str
    change: list[str]
    base: int
    recipe_name: str
    recipe: dict[str, Any]
    recipe_hash: str
    code: str
    data: str
    content: str


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """One proposal of a loop; number 0 is the start, which counts as kept.

    Attributes:
        number: its place in the stream.
        level: what it is held against, fixed when it was submitted.
        first_seed: from which seed on its runs are free to measure it as a baseline.
        outcome: once decided.
        result: how it was decided: verdict, effect, interval, reason and the like.
        recipe: its expanded settings.
    """

    number: int
    text: str
    change: list[str]
    base: int
    recipe_name: str
    recipe_hash: str
    code: str
    data: str
    content: str
    level: float
    first_seed: int
    state: ProposalState
    outcome: Outcome | None
    result: dict[str, Any] | None
    created: float
    decided: float | None
    recipe: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoopRun:
    """A run of a loop: of which proposal, and what for."""

    number: int
    role: RunRole
    seed: int
    run: RunRow
