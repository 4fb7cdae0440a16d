"""What the page of the notebooks tells: conclusions, the noise they are held against, and what our own runs found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ablata.stats import Noise, Visibility, largest_noise

Claim = Literal["better", "worse", "same", "failed"]
Standing = Literal["shown", "hidden", "contrary", "same", "failed", "unknown", "bare"]
"""What one run a side says for a conclusion.

shown: the difference is larger than two equal trainings show; hidden: it is not; contrary: it is, but points the other
way; same: no difference was claimed; failed: the training failed, which needs no figures; unknown: the noise is not
known; bare: no figures were recorded.
"""
Agreement = Literal["confirmed", "contradicted", "no larger", "undecided"]
"""Whether our verdict is the author's. no larger: the author saw a difference below our margin, and ours lies within it
on both sides, which speaks neither for nor against it."""
AGREEMENTS: tuple[Agreement, ...] = ("confirmed", "contradicted", "no larger", "undecided")

_CONFIRMING: dict[Claim, tuple[str, ...]] = {
    "better": ("better",),
    "worse": ("worse",),
    "same": ("equivalent",),
    "failed": ("worse", "unstable"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Our own verdict on a trial.

    Args:
        verdict: better, worse, equivalent, undecided or unstable.
        effect: trial minus control, in the metric's unit; None where runs gave no score.
        low: end of its interval, over all looks and arms.
        high: the other end.
        seeds: whole seed rows that it rests on.
        basis: what it rests on, in words; empty: the seeds.
        study: that judged it.
        change: of that study.
        reverse: the change takes the trial's back, and effect and verdict are turned round.
        margin: the largest difference that does not matter, in the metric's unit; None: none.
    """

    verdict: str
    effect: float | None
    low: float | None
    high: float | None
    seeds: int
    basis: str = ""
    study: str = ""
    change: str = ""
    reverse: bool = False
    margin: float | None = None


@dataclass(frozen=True, kw_only=True)
class NoiseView:
    """The noise that a conclusion is held against.

    Args:
        noise: of one run.
        source: the runs that it comes from, half a sentence.
        ours: they are ours.
        stand_in: they are of other data and shorter trainings, so that it is told and no conclusion is held against it.
    """

    noise: Noise
    source: str
    ours: bool = True
    stand_in: bool = False


@dataclass(frozen=True, kw_only=True)
class OwnStudy:
    """A study of ours that bears on a notebook.

    Args:
        name: of the study.
        setup: what was trained, half a sentence.
        runs: how many ended.
        noise: of one of them; None: not known.
        unit: of the metric.
        margin: the largest difference that does not matter; None: none.
        claims: how many conclusions it has a verdict on.
        made: the date, and the hardware.
        command: what repeats it.
    """

    name: str
    setup: str
    runs: int
    noise: Noise | None
    unit: str
    margin: float | None
    claims: int
    made: str
    command: str


@dataclass(frozen=True, kw_only=True)
class ClaimView:
    """What an author said of one trial, and what can be said of it.

    Args:
        question: the study it belongs to.
        title: what that study asked, a sentence.
        text: the author's conclusion, in English.
        lines: where it stands in the notebook.
        trial: its name.
        change: what was changed.
        claim: better, worse, same or failed.
        control: the recorded score it was compared with; None: none.
        recorded: its own recorded score; None: none.
        beside: the control in words.
        noise: what the difference is held against; None: not known.
        visible: whether single runs could show the difference; None where there is none, or no noise of its own kind.
        finding: our verdict; None where it was not run, or is nominal.
        nominal: the settings of the trial, or of its control, are not what the author changed: no run repeats it.
    """

    question: str
    title: str
    text: str
    lines: tuple[int, ...]
    trial: str
    change: str
    claim: Claim
    control: float | None
    recorded: float | None
    beside: str = ""
    noise: NoiseView | None = None
    visible: Visibility | None = None
    finding: Finding | None = None
    nominal: bool = False

    @property
    def difference(self) -> float | None:
        """The recorded difference; None where a score is missing."""
        return None if self.control is None or self.recorded is None else self.recorded - self.control

    @property
    def standing(self) -> Standing:
        """What one run a side says for it."""
        if self.claim == "failed":
            return "failed"
        if self.difference is None:
            return "bare"
        if self.visible is None:
            return "unknown"
        if self.claim == "same":
            return "same"
        if not self.visible.seen:
            return "hidden"
        return "contrary" if self.contrary else "shown"

    @property
    def contrary(self) -> bool:
        """The recorded figures point the other way than the words."""
        difference = self.difference
        if difference is None or self.claim not in ("better", "worse"):
            return False
        return difference < 0 if self.claim == "better" else difference > 0

    @property
    def tolerable(self) -> float | None:
        """The noise of one run up to which the difference would be seen; None without a difference."""
        return None if self.difference is None else largest_noise(self.difference)

    @property
    def agreement(self) -> Agreement | None:
        """Whether our verdict is what the author said; None where it was not run."""
        if self.finding is None:
            return None
        if self.finding.verdict == "undecided":
            return "undecided"
        if self._too_small_to_tell:
            return "no larger"
        return "confirmed" if self.finding.verdict in _CONFIRMING[self.claim] else "contradicted"

    @property
    def _too_small_to_tell(self) -> bool:
        finding, difference = self.finding, self.difference
        if finding is None or finding.verdict != "equivalent" or self.claim not in ("better", "worse"):
            return False
        return difference is not None and finding.margin is not None and abs(difference) < finding.margin


@dataclass(frozen=True, kw_only=True)
class NotebookView:
    """A notebook on the page.

    Args:
        name: of its system.
        title: what was studied.
        metric: what its scores are.
        studies: how many groups of trials it has.
        trials: how many trials.
        planned: how many of them have no result.
        scale: how our runs are smaller, a sentence.
        claims: in the notebook's order.
        loose: conclusions about no single trial: text, lines.
        nominal: the trials whose settings are not what the author changed: name, lines.
        own: our studies.
    """

    name: str
    title: str
    metric: str
    studies: int
    trials: int
    planned: int
    scale: str
    claims: tuple[ClaimView, ...]
    loose: tuple[tuple[str, tuple[int, ...]], ...] = ()
    nominal: tuple[tuple[str, tuple[int, ...]], ...] = ()
    own: tuple[OwnStudy, ...] = ()

    @property
    def noises(self) -> tuple[NoiseView, ...]:
        """The noises that its conclusions are held against, each once."""
        return tuple(dict.fromkeys(claim.noise for claim in self.claims if claim.noise is not None))

    def count(self, *standings: Standing) -> int:
        """Count the conclusions of these standings."""
        return sum(claim.standing in standings for claim in self.claims)

    def agreed(self, agreement: Agreement) -> int:
        """Count the conclusions whose trials our runs say this of."""
        return sum(claim.agreement == agreement for claim in self.claims)
