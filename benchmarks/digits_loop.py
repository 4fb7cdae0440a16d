"""A research loop of thirty proposals on handwritten digits, judged by `ablata loop` and by greed, beside the truth.

    python benchmarks/digits_loop.py [--seeds 100] [--output docs/results/digits_loop.md]

Ten proposals change nothing but the random numbers that order the images, ten were chosen to help, ten to harm; they
come in a mixed order, the same for all judges. What each does to the best it met is measured afterwards with as many
seeds as asked for, which no judge has seen: runs of all seeds are trained at once.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from ablata.api.loops import Loop
from ablata.base.files import write_text
from ablata.stats.loop import (
    CONFIRM_RUNS,
    Evidence,
    LoopMode,
    LoopRule,
    More,
    honest_gain,
    judge_proposal,
    level_of,
)
from ablata.stats.table import Floats
from decision_rule import hardware

TRAINED, HIDDEN_SEEDS = 500, 10_000
MANY_SEEDS = 40
"""Seeds of the truth where it is asked for many loops."""
Settings = dict[str, float]


@lru_cache(maxsize=1)
def images() -> tuple[Floats, np.ndarray]:
    """Return all digits, (1797, 64) in 0 to 1, in an order of their own, and their classes."""
    pixels, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(7).permutation(len(pixels))
    return (pixels[order] / 16).astype(np.float32), classes[order]


def train(
    seed: int,
    *,
    rate: float = 0.1,
    momentum: float = 0.8,
    hidden: int = 32,
    epochs: int = 8,
    batch: int = 32,
    decay: float = 0.0,
    smoothing: float = 0.0,
    shift: float = 0.0,
    noise: float = 0.0,
    scale: float = 1.0,
    start: float = 0.7,
    centred: bool = False,
    cosine: bool = False,
    order: int = 0,
) -> float:
    """Train a network of one hidden layer on 500 digits; return its accuracy on the other 1297, in percent."""
    settings = {name: value for name, value in locals().items() if name != "seed"}
    return float(train_many(np.array([seed]), **settings)[0])


def train_many(
    seeds: np.ndarray, *, rate: float = 0.1, momentum: float = 0.8, hidden: int = 32, epochs: int = 8, batch: int = 32,
    decay: float = 0.0, smoothing: float = 0.0, shift: float = 0.0, noise: float = 0.0, scale: float = 1.0,
    start: float = 0.7, centred: bool = False, cosine: bool = False, order: int = 0,
) -> Floats:  # fmt: skip
    """Train one network for each seed side by side, and return their accuracies in percent.

    Args:
        seeds: of weights, order and augmentation.
        rate, momentum, decay: of SGD.
        hidden: units.
        epochs, batch: over the 500 images.
        smoothing: of labels.
        shift: probability that an image is moved by a pixel.
        noise: standard deviation added to each pixel.
        scale: of the pixels.
        start: factor on the initial weights' usual size.
        centred: the mean image is taken off.
        cosine: the rate falls to 0 along a cosine.
        order: another stream of random numbers for the order of the images; nothing else.
    """
    pixels, classes = images()
    mean = pixels[:TRAINED].mean(axis=0) if centred else 0.0
    target = np.eye(10, dtype=np.float32)[classes[:TRAINED]] * (1 - smoothing) + smoothing / 10
    streams = [np.random.default_rng([int(seed), 1]) for seed in seeds]
    orders = [np.random.default_rng([int(seed), 2, order]) for seed in seeds]
    shapes = ((64, hidden), (1, hidden), (hidden, 10), (1, 10))
    sizes = (start * np.sqrt(2 / 64), 0.0, start * np.sqrt(2 / hidden), 0.0)
    weights = [
        np.stack([(size * rng.standard_normal(shape)).astype(np.float32) for rng in streams])
        for shape, size in zip(shapes, sizes, strict=True)
    ]
    speed = [np.zeros_like(weight) for weight in weights]
    steps, done = epochs * (TRAINED // batch), 0
    for _ in range(epochs):
        places = np.stack([rng.permutation(TRAINED) for rng in orders])
        for step in range(TRAINED // batch):
            chosen = places[:, step * batch : (step + 1) * batch]
            seen = augmented(pixels[chosen], shift, noise, streams) - mean
            pace = rate * (0.5 + 0.5 * np.cos(np.pi * done / steps)) if cosine else rate
            for weight, moved, slope in zip(weights, speed, slopes(weights, scale * seen, target[chosen]), strict=True):
                moved *= momentum
                moved -= pace * (slope + decay * weight)
                weight += moved
            done += 1
    guess = forward(weights, scale * (pixels[TRAINED:] - mean)[None])[1].argmax(axis=2)
    return np.asarray(100 * (guess == classes[TRAINED:]).mean(axis=1), dtype=np.float64)


def augmented(seen: Floats, shift: float, noise: float, streams: list[np.random.Generator]) -> Floats:
    """Return images (seeds, batch, 64) moved and made noisy, each seed by its own numbers."""
    if shift:
        square = seen.reshape(*seen.shape[:2], 8, 8)
        kind = np.stack([rng.random(seen.shape[1]) for rng in streams]) / shift
        for number, (step, axis) in enumerate(((1, 2), (-1, 2), (1, 3), (-1, 3))):
            moved = np.roll(square, step, axis=axis)
            square = np.where(((kind >= number / 4) & (kind < (number + 1) / 4))[..., None, None], moved, square)
        seen = square.reshape(seen.shape)
    if noise:
        seen = seen + noise * np.stack([rng.standard_normal(seen.shape[1:], dtype=np.float32) for rng in streams])
    return seen


def forward(weights: list[Floats], seen: Floats) -> tuple[Floats, Floats]:
    """Return hidden units and logits."""
    inner = np.maximum(seen @ weights[0] + weights[1], 0)
    return inner, inner @ weights[2] + weights[3]


def slopes(weights: list[Floats], seen: Floats, target: Floats) -> list[Floats]:
    """Return the gradients of the mean cross-entropy."""
    inner, logits = forward(weights, seen)
    likely = np.exp(logits - logits.max(axis=2, keepdims=True))
    likely /= likely.sum(axis=2, keepdims=True)
    off = (likely - target) / seen.shape[1]
    back = (off @ weights[2].swapaxes(1, 2)) * (inner > 0)
    return [
        seen.swapaxes(1, 2) @ back, back.sum(axis=1, keepdims=True),
        inner.swapaxes(1, 2) @ off, off.sum(axis=1, keepdims=True),
    ]  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A proposal.

    Attributes:
        text: what is proposed.
        kind: what it was planted as: help, nothing, harm.
        made: the settings that it changes, from those of the best so far.
    """

    text: str
    kind: str
    made: Callable[[Settings], Settings]


def times(name: str, factor: float, whole: bool = False) -> Callable[[Settings], Settings]:
    """Return the change that multiplies a setting."""
    return lambda best: {name: round(best[name] * factor) if whole else best[name] * factor}


def to(name: str, value: float) -> Callable[[Settings], Settings]:
    """Return the change that sets a setting."""
    return lambda best: {name: value}


START: Settings = dict(train.__kwdefaults__ or {})
CHANGES = (
    Change("the mean image taken off", "help", to("centred", True)),
    Change("twice the units", "help", times("hidden", 2, True)),
    Change("twice the units once more", "help", times("hidden", 2, True)),
    Change("half as many epochs again", "help", times("epochs", 1.5, True)),
    Change("a third more epochs", "help", times("epochs", 4 / 3, True)),
    Change("a third more epochs once more", "help", times("epochs", 4 / 3, True)),
    Change("brighter pixels", "help", times("scale", 1.5)),
    Change("labels smoothed by 0.1", "help", to("smoothing", 0.1)),
    Change("momentum 0.88", "help", to("momentum", 0.88)),
    Change("larger initial weights", "help", times("start", 1.7)),
    *(Change(f"order {number}", "nothing", to("order", number)) for number in range(1, 11)),
    Change("half the learning rate", "harm", times("rate", 0.5)),
    Change("momentum 0.6", "harm", to("momentum", 0.6)),
    Change("half the units", "harm", times("hidden", 0.5, True)),
    Change("a third fewer epochs", "harm", times("epochs", 0.67, True)),
    Change("twice the batch", "harm", times("batch", 2, True)),
    Change("noisy images", "harm", to("noise", 0.25)),
    Change("images moved by a pixel", "harm", to("shift", 0.15)),
    Change("smaller initial weights", "harm", times("start", 0.4)),
    Change("weight decay 0.01", "harm", to("decay", 0.01)),
    Change("darker pixels", "harm", times("scale", 0.6)),
)


@dataclass
class Told:
    """What a judge did in one loop: settings before each proposal, what it kept, runs, gain as it believes it."""

    before: list[Settings] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    runs: int = 0
    confirm_runs: int = 0
    claimed: float = 0.0
    end: Settings = field(default_factory=dict)


def greedy(order: Sequence[Change], first_seed: int) -> Told:
    """One run each, kept if it is better than the best so far."""
    told, best = Told(), dict(START)
    seed = first_seed
    score = start = train(seed, **best)
    for change in order:
        seed += 1
        told.before.append(dict(best))
        changed = best | change.made(best)
        found = train(seed, **changed)
        told.kept.append(found > score)
        if found > score:
            best, score = changed, found
    told.runs, told.claimed, told.end = 1 + len(order), score - start, best
    return told


def product(order: Sequence[Change], mode: LoopMode, home: Path) -> Told:
    """The loop as a user makes it: `ablata.Loop`, each proposal tried, the gain confirmed."""
    told, best = Told(), dict(START)
    loop = Loop(train, mode.value, mode=mode.value, home=home, progress=False)
    for number, change in enumerate(order):
        told.before.append(dict(best))
        answer = loop.try_(change.made(best), f"{number}: {change.text}")
        told.runs += answer.trained
        told.kept.append(answer.outcome == "keep")
        if told.kept[-1]:
            best = best | change.made(best)
    told.end = best
    if any(told.kept):
        confirmed = loop.confirm()
        told.claimed, told.confirm_runs = confirmed.gain.value, confirmed.start_runs + confirmed.gain.runs
    return told


def direct(order: Sequence[Change], mode: LoopMode, first_seed: int) -> Told:
    """The same by the functions of the rule alone, without a ledger: for many loops."""
    rule = LoopRule(margin=None, higher_is_better=True, mode=mode)
    told, best, seed = Told(), dict(START), first_seed
    baseline: dict[int, float] = {}
    pools: list[list[float]] = []

    def more(scores: dict[int, float], settings: Settings, count: int) -> None:
        nonlocal seed
        told.runs += count
        for _ in range(count):
            seed += 1
            scores[seed] = train(seed, **settings)

    for change in order:
        told.before.append(dict(best))
        changed, own = best | change.made(best), dict[int, float]()
        level = level_of(rule, told.kept)
        while isinstance(
            step := judge_proposal(rule, Evidence(baseline=baseline, proposal=own, pools=pools), level), More
        ):
            more(baseline, best, step.baseline)
            more(own, changed, step.proposal)
        told.kept.append(step.outcome == "keep")
        pools.append(list(own.values()))
        if told.kept[-1]:
            pools.append(list(baseline.values()))
            best, baseline = changed, {}
    told.end = best
    first, last = dict[int, float](), dict[int, float]()
    spent = told.runs
    more(first, START, CONFIRM_RUNS)
    more(last, best, CONFIRM_RUNS)
    told.runs, told.confirm_runs = spent, 2 * CONFIRM_RUNS
    told.claimed = honest_gain(rule, first, last, pools).effect
    return told


class Truth:
    """Mean accuracies over many seeds that no judge has seen, each setting trained once."""

    def __init__(self, seeds: int) -> None:
        self.seeds = np.arange(HIDDEN_SEEDS, HIDDEN_SEEDS + seeds)
        self.known: dict[tuple[tuple[str, float], ...], Floats] = {}

    def scores(self, settings: Settings) -> Floats:
        """Return the accuracies."""
        key = tuple(sorted(settings.items()))
        if key not in self.known:
            self.known[key] = train_many(self.seeds, **settings)
        return self.known[key]

    def effect(self, settings: Settings, before: Settings) -> tuple[float, float]:
        """Return the true difference of two settings in points, and its standard error."""
        apart = self.scores(settings) - self.scores(before)
        return float(apart.mean()), float(apart.std(ddof=1) / len(apart) ** 0.5)

    def gain(self, told: Told) -> float:
        """Return what a loop gained in truth, in points."""
        return self.effect(told.end, START)[0]


def mixed(seed: int) -> list[Change]:
    """Return the proposals in an order of their own."""
    return [CHANGES[place] for place in np.random.default_rng(seed).permutation(len(CHANGES))]


def one_loop(truth: Truth, seed: int) -> list[str]:
    """Return the table of one order of proposals under three judges."""
    order = mixed(seed)
    with tempfile.TemporaryDirectory() as folder:
        judged = {
            "greedy": greedy(order, 1000 * seed),
            "progress": product(order, LoopMode.PROGRESS, Path(folder) / "progress"),
            "claim": product(order, LoopMode.CLAIM, Path(folder) / "claim"),
        }
    lines = ["| # | proposal | planted as | to the start |" + "".join(f" {name} |" for name in judged),
             "|---:|---|---|---:" + "|---" * len(judged) + "|"]  # fmt: skip
    for number, change in enumerate(order):
        effect, error = truth.effect(START | change.made(START), START)
        row = f"| {number + 1} | {change.text} | {change.kind} | {effect:+.2f} ± {error:.2f} |"
        for told in judged.values():
            before = told.before[number]
            here = 0.0 if change.kind == "nothing" else truth.effect(before | change.made(before), before)[0]
            row += f" **keep** ({here:+.2f}) |" if told.kept[number] else f" ({here:+.2f}) |"
        lines.append(row)
    lines += [
        "",
        "| judge | runs | kept | of them without or with a bad effect | gain it claims | true gain |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, told in judged.items():
        lines.append(
            f"| {name} | {told.runs}{f' + {told.confirm_runs}' if told.confirm_runs else ''} | {sum(told.kept)} | "
            f"{useless(truth, told, order)} | {told.claimed:+.2f} | {truth.gain(told):+.2f} |"
        )
    return lines


def useless(truth: Truth, told: Told, order: Sequence[Change]) -> int:
    """Return how many kept changes did not help the best they met."""
    count = 0
    for change, before, kept in zip(order, told.before, told.kept, strict=True):
        if kept and change.kind == "nothing":
            count += 1
        elif kept:
            count += truth.effect(before | change.made(before), before)[0] <= 0
    return count


def many_loops(truth: Truth, loops: int) -> list[str]:
    """Return means over many orders of the proposals."""
    judges: dict[str, Callable[[Sequence[Change], int], Told]] = {
        "greedy, one run each": greedy,
        "ablata loop, progress": lambda order, seed: direct(order, LoopMode.PROGRESS, seed),
        "ablata loop, claim": lambda order, seed: direct(order, LoopMode.CLAIM, seed),
    }
    lines = ["| judge | true gain | gain it claims | runs | kept | without or with a bad effect | gain per 100 runs |",
             "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for name, judge in judges.items():
        found = []
        for loop in range(loops):
            order = mixed(100 + loop)
            told = judge(order, 20_000 + 1000 * loop)
            found.append((truth.gain(told), told.claimed, told.runs, sum(told.kept), useless(truth, told, order)))
        gain, claimed, runs, kept, bad = np.array(found, dtype=np.float64).T
        lines.append(
            f"| {name} | {gain.mean():.2f} ± {gain.std(ddof=1) / loops**0.5:.2f} | {claimed.mean():.2f} | "
            f"{runs.mean():.0f} | {kept.mean():.1f} | {100 * bad.sum() / max(kept.sum(), 1):.0f}% | "
            f"{100 * gain.mean() / runs.mean():.2f} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the loops, print the page, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="seeds of the truth (default: %(default)s)")
    parser.add_argument("--loops", type=int, default=40, help="orders of the proposals (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    begin = time.perf_counter()
    truth = Truth(options.seeds)
    start = truth.scores(START)
    one, many = one_loop(truth, 1), many_loops(Truth(min(options.seeds, MANY_SEEDS)), options.loops)
    text = "\n".join([
        "# A research loop on handwritten digits",
        "",
        f"{datetime.date.today()}, `python benchmarks/digits_loop.py --seeds {options.seeds} --loops {options.loops}`, "
        f"{hardware()}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"{time.perf_counter() - begin:.0f} s.",
        "",
        "A network of one hidden layer learns scikit-learn's handwritten digits from 500 of them; the score is its "
        f"accuracy on the other 1297: {start.mean():.2f}% at the start, with a standard deviation of "
        f"{start.std(ddof=1):.2f} over seeds. Thirty changes are proposed: ten planted to help, ten to harm, and ten "
        "that change nothing but the random numbers which order the images. They come in a mixed order. Every effect "
        f"here was measured with {options.seeds} seeds that no judge has seen ({MANY_SEEDS} in the second part).",
        "",
        "## One loop, as a user runs it",
        "",
        "`ablata.Loop(train)`, each proposal given to `try_`, `confirm` in the end; greed keeps a change if one run of "
        "it is better than the best run so far. *To the start*: the true effect on what the loop starts from, in "
        "points; in brackets the true effect on the best that the judge had when it was proposed, 0 for another order: "
        "what helped at the start may do nothing later. Runs of `confirm` stand behind the plus.",
        "",
        *one,
        "",
        f"## {options.loops} loops, the proposals in as many orders",
        "",
        "The same by the functions of the rule. For greed the gain it claims is that of its best run over its first; "
        "for the others it is what `confirm` says with six fresh runs a side, which are not in the runs.",
        "",
        *many,
    ]) + "\n"  # fmt: skip
    print(text)
    if options.output is not None:
        write_text(options.output, text)


if __name__ == "__main__":
    main()
