"""A realistic study with every kind of outcome, written down by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import fmean, stdev
from typing import Any

import pytest

from ablata.reports.replications.claims import Claim, ClaimView, NoiseView, NotebookView
from ablata.reports.run_views import ArmCurves, CurveView, RunView, SeriesView
from ablata.reports.view import (
    ArmView,
    ChangeView,
    CostView,
    EnvironmentView,
    Estimate,
    MetricView,
    PlanView,
    ProgressView,
    RuleView,
    SeedView,
    StudyView,
)
from ablata.stats import Noise, visibility

CONTROL = (74.62, 74.31, 74.88, 74.47, 74.71)
ARMS = {
    "ohem": ((75.69, 75.27, 75.93, 75.50), "loss", "cross-entropy", "ohem(threshold=0.7)", 1.07),
    "no-augment": ((72.66, 72.49, 72.93), "data.augment", "scale, flip, colour", "none", 0.83),
    "nearest": ((74.55, 74.39, 74.86, 74.44, 74.63), "model.upsample", "bilinear", "nearest", 0.97),
    "wide-context": ((75.02, 74.29, 75.41, 74.62, 75.18), "model.context", "resnet18", "resnet34", 1.46),
    "lr-x4": ((74.10, None, 74.35, None, 74.02), "optimiser.lr", "0.025", "0.1", 1.0),
    "ema": ((74.80, 74.49, 75.07, 74.66, 74.86), "ema.decay", "0", "0.9998", 1.03),
}
OUTCOMES = {
    "ohem": ("better", 0.985, "better after 4 seeds: the difference is between +0.70 and +1.36", 0.33),
    "no-augment": ("worse", 0.9993, "worse after 3 seeds: the difference is between -2.31 and -1.51", 0.40),
    "nearest": ("equivalent", 0.96, "equivalent within 0.3 after 5 seeds: any difference is smaller", 0.28),
    "wide-context": (
        "undecided",
        0.61,
        "5 seeds cannot settle this: the effect is probably of a size between 0.12 and 0.5, and 5 seeds only show "
        "effects above 0.6. To settle it: about 9 fresh seeds (--first-seed 5, about 39 h), or a margin of 0.62",
        0.45,
    ),
    "lr-x4": (
        "unstable",
        None,
        "unstable after 5 seeds: 2 runs of it diverged where the control's finished",
        0.62,
    ),
    "ema": (
        "undecided",
        0.42,
        "undecided after 5 seeds: the difference is between -0.53 and +0.89; it may be 0, and it may be more than the "
        "margin of 0.3. To settle it: about 23 fresh seeds (--first-seed 5, about 68 h), or a margin of 0.9",
        0.71,
    ),
}
NOTES = {
    "lr-x4": ("some runs diverged (2 of the arm alone): the means are over the seeds where both finished",),
    "ema": ("arm and control are not compared seed by seed: machines or versions differ, or they take no seed",),
}
STEPS = tuple(range(0, 40001, 500))


def spread(values: list[float]) -> Estimate:
    half = 2.776 * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    mean = fmean(values)
    return Estimate(value=mean, low=None if half is None else mean - half, high=None if half is None else mean + half)


def cost(factor: float) -> CostView:
    return CostView(seconds=5140.0 * factor, memory=6.4e9 * factor**0.8, flops=1.48e10 * factor, parameters=13.6e6)


def seeds(scores: tuple[float | None, ...], *, paired: bool) -> tuple[SeedView, ...]:
    found = []
    for seed, base in enumerate(CONTROL):
        score = scores[seed] if seed < len(scores) else None
        state = "closed" if seed >= len(scores) else "completed" if score is not None else "diverged"
        difference = None if score is None else score - base
        found.append(SeedView(seed=seed, state=state, score=score, difference=difference, paired=paired))
    return tuple(found)


def arm(name: str) -> ArmView:
    scores, key, old, new, factor = ARMS[name]
    verdict, confidence, reason, half = OUTCOMES[name]
    rows = seeds(scores, paired=name != "ema")
    effect = fmean(row.difference for row in rows if row.difference is not None)
    return ArmView(
        name=name,
        changes=(ChangeView(key=key, old=old, new=new),),
        seeds=rows,
        mean=spread([row.score for row in rows if row.score is not None]),
        effect=Estimate(value=effect, low=effect - half, high=effect + half),
        standardised=effect / 0.12,
        verdict=verdict,
        confidence=confidence,
        reason=reason,
        notes=NOTES.get(name, ()),
        cost=cost(factor),
        recipe_hash=f"{hash_of(name)}",
    )


def hash_of(name: str) -> str:
    return "".join(f"{(ord(letter) * 2654435761 + place) % 65536:04x}" for place, letter in enumerate((name * 4)[:4]))


def curve(kind: str, level: float, seed: int, stop: int | None) -> SeriesView:
    """A loss that falls, or a score that rises, to `level`, with ripples; not finite from `stop` on."""
    values = []
    for step in STEPS:
        ripple = math.sin(step / 900 + 2.1 * seed) * math.exp(-step / 30000) * (0.05 if kind == "loss" else 0.9)
        rise = 1 - math.exp(-step / 6000)
        value = level + (2.4 - level) * (1 - rise) + ripple if kind == "loss" else level * rise + ripple
        values.append(math.nan if stop is not None and step >= stop else value)
    return SeriesView(seed=seed, x=tuple(map(float, STEPS)), y=tuple(values))


def curves() -> tuple[CurveView, ...]:
    scores = {"baseline": CONTROL, **{name: row[0] for name, row in ARMS.items()}}
    made = []
    for kind, name in (("score", "mean IoU (val)"), ("loss", "training loss")):
        arms = []
        for place, (label, found) in enumerate(scores.items()):
            series = []
            for seed, score in enumerate(found):
                level = (score or 60.0) if kind == "score" else 0.55 + 0.03 * place
                series.append(curve(kind, level, seed, None if score is not None else 9000 + 4000 * seed))
            arms.append(ArmCurves(arm=label, series=tuple(series)))
        made.append(CurveView(name=name, arms=tuple(arms)))
    return tuple(made)


def runs(arms: tuple[ArmView, ...]) -> tuple[RunView, ...]:
    made = []
    for row in arms:
        for seed in row.seeds:
            if seed.state == "closed":
                continue
            ident = f"{hash_of(row.name)[:6]}-{seed.seed}"
            error = "loss is not finite: term `cross_entropy`, step 9213" if seed.state == "diverged" else ""
            scores = (("mean IoU", seed.score),) if seed.score is not None else ()
            made.append(
                RunView(
                    id=ident,
                    seed=seed.seed,
                    state=seed.state,
                    arm=row.name,
                    scores=scores,
                    seconds=row.cost.seconds,
                    environment="9f3c21aa" if row.name != "ema" else "41d07be2",
                    link=f"runs/{ident}/",
                    error=error,
                )
            )
    return tuple(made)


@pytest.fixture
def example() -> StudyView:
    """Control and six arms: better, worse, equivalent, undecided, unstable, unpaired."""
    control = ArmView(
        name="baseline",
        is_control=True,
        seeds=tuple(SeedView(seed=s, state="completed", score=v) for s, v in enumerate(CONTROL)),
        mean=spread(list(CONTROL)),
        cost=cost(1.0),
        recipe_hash=hash_of("baseline"),
    )
    arms = (control, *map(arm, ARMS))
    rows = runs(arms)
    machine = (
        ("processor", "Xeon, 16 cores"),
        ("GPU", "H200, driver 550.90"),
        ("python", "3.11.9"),
        ("torch", "2.6.0"),
    )
    other = (("processor", "Xeon, 16 cores"), ("GPU", "A100, driver 535.54"), ("python", "3.11.9"), ("torch", "2.6.0"))
    return StudyView(
        name="two-path-parts",
        question="Which parts of the two-path segmenter earn their place?",
        metric=MetricView(name="mean IoU", protocol="single scale, 1024×512", split="val", unit="%"),
        margin=0.3,
        rule=RuleView(mode="claim", alpha=0.05, seeds=5, first_look=3, futility=True),
        state="finished",
        created="2026-11-18T09:12:44+00:00",
        finished="2026-11-20T03:47:02+00:00",
        arms=arms,
        plan=PlanView(detectable=0.27, smallest_margin=0.26, noise=0.1),
        progress=ProgressView(done=len(rows), planned=len(rows)),
        curves=curves(),
        environments=(
            EnvironmentView(name="9f3c21aa", items=machine, runs=27),
            EnvironmentView(name="41d07be2", items=other, runs=5),
        ),
        fingerprints=(("code", "c0ffee12aa90"), ("data", "7d1e55b0c3f4")),
        commands=("ablata study run two_path.py:parts --seeds 5 --margin 0.3", "ablata study report two-path-parts"),
        runs=rows,
    )


@pytest.fixture
def make_claim() -> Callable[..., ClaimView]:
    """A function that returns a conclusion of a trial: name, claim, recorded difference; keywords replace its parts."""

    def build(name: str, claim: Claim, difference: float | None, **parts: Any) -> ClaimView:
        known = NoiseView(noise=Noise(variance=0.04, df=20), source="12 runs")
        shown = visibility(difference, known.noise) if difference is not None else None
        made: dict[str, Any] = {
            "question": "warmup", "title": "Does warm-up help?", "text": f"{name} <b>matters</b>", "lines": (7, 8),
            "trial": name, "change": f"{name} epochs", "claim": claim, "control": 90.0, "beside": "none",
            "recorded": None if difference is None else 90.0 + difference, "noise": known, "visible": shown,
        }  # fmt: skip
        return ClaimView(**{**made, **parts})

    return build


@pytest.fixture
def make_notebook() -> Callable[..., NotebookView]:
    """A function that returns a notebook of these conclusions."""

    def build(*claims: ClaimView, **parts: Any) -> NotebookView:
        made: dict[str, Any] = {
            "name": "book", "title": "A book", "metric": "top-1", "studies": 1, "trials": 5, "planned": 1,
            "scale": "Shorter.", "claims": claims,
        }  # fmt: skip
        return NotebookView(**{**made, **parts})

    return build
