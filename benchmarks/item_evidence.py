"""What single items add to a verdict: false verdicts, power and coverage, simulated and on trained digits.

    python benchmarks/item_evidence.py                     simulated, two minutes
    python benchmarks/item_evidence.py --digits FOLDER     trains 8 settings x 40 seeds into FOLDER, then judges them

Simulated: scores of standard deviation 1, a quarter of whose variance the arms share at a seed; phi is drawn around
its level with the spreads that the prior says; "fixed" is the rule without items as it ships. Digits: every study deals
runs of one setting to control and arms, so that each verdict is false; phi is learnt from the other settings' runs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ablata.stats import Rule, calibrate, draw_many, judge_many
from ablata.stats.contrasts import t_quantile
from ablata.stats.items.calibration import FIRST_LOOK, calibrate_items, draw_items
from ablata.stats.items.moderation import ArmItems, ItemEvidence
from ablata.stats.items.noise import ItemPrior, item_variance, learn_prior, phi_of
from ablata.stats.items.population import population_interval

SEEDS = 5
SHARED = 0.25
PRIORS = {
    "unlearnt": ItemPrior(level=1.5, between=0.4, within=0.3),
    "learnt": ItemPrior(level=1.2, between=0.2, within=0.2),
}
SETTINGS = {
    "control": (),
    "half-lr": ("optim.lr=0.05",),
    "smoothing": ("loss.smoothing=0.1",),
    "short": ("train.epochs=4",),
    "long": ("train.epochs=16",),
    "unpadded": ("data.augment.pad=0",),
    "no-decay": ("optim.weight_decay=0",),
    "batch-128": ("train.batch=128",),
}


def spreads(arms: int) -> Iterator[tuple[str, list[float]]]:
    """Give which run is noisier than the others, the control's first."""
    yield "equal", [1.0] * (arms + 1)
    yield "control 3x", [3.0] + [1.0] * arms
    yield "arm 3x", [1.0] * arms + [3.0]


def simulated(studies: int, seed: int) -> None:
    """Print false verdicts and power with and without items."""
    print(
        "arms rule      | false verdicts: equal, control 3x, arm 3x, phi x1.5, items' df 10 | power 1 sd, 2 sd (seeds)"
    )
    for arms in (1, 3, 8):
        for name, prior in {"fixed": None, **PRIORS}.items():
            rng = np.random.default_rng(seed)
            rule = Rule(seeds=SEEDS, first_look=3 if prior is None else FIRST_LOOK)
            bound = calibrate(arms, rule) if prior is None else calibrate_items(arms, rule, prior)

            def judged(
                effect=0.0, spread=None, phi=1.0, df=30.0, arms=arms, prior=prior, rule=rule, bound=bound, rng=rng
            ):
                sizes = np.array(spread or [1.0] * (arms + 1))
                effects = [effect] + [0.0] * (arms - 1)
                noise, shared = (1 - SHARED) ** 0.5, SHARED**0.5
                scores = draw_many(studies, effects, seeds=SEEDS, noise=noise, rng=rng, shared=shared, spread=sizes)
                if prior is None:
                    return judge_many(scores, rule, bound)
                variances = (1 - SHARED) * (sizes[0] ** 2 + sizes[1:] ** 2) / phi
                items = draw_items(studies, variances, prior, rng, df)
                whole = (SEEDS, *items.value.shape)
                known = ArmItems(np.broadcast_to(items.value, whole), np.broadcast_to(items.df, whole))
                return judge_many(scores, rule, bound, evidence=ItemEvidence(known, prior))

            false = [judged(spread=spread) for _, spread in spreads(arms)]
            false += [] if prior is None else [judged(phi=1.5), judged(df=10.0)]
            told = " ".join(f"{100 * one.decided.any(axis=1).mean():4.1f}" for one in false)
            power = [judged(effect) for effect in (1.0, 2.0)]
            found = " ".join(
                f"{100 * (one.sign[:, 0] > 0).mean():3.0f} ({one.seeds[:, 0].mean():.1f})" for one in power
            )
            print(f"{arms:4d} {name:9s} | {told:24s} | {found}", flush=True)


def coverage(studies: int, seed: int) -> None:
    """Print how often the interval for other items holds the truth, over seeds, items and both."""
    rng = np.random.default_rng(seed)
    print("items clusters | sd over seeds, items, both | coverage at 3, 5, 10 seeds")
    for items, clusters, over_seeds, over_items, both in (
        (300, 0, 0.0, 0.3, 0.4), (300, 0, 0.02, 0.3, 0.4), (300, 0, 0.05, 0.1, 0.4), (300, 30, 0.02, 0.1, 0.4),
        (300, 12, 0.02, 0.1, 0.4), (300, 6, 0.02, 0.1, 0.4), (300, 3, 0.02, 0.1, 0.4), (300, 2, 0.02, 0.1, 0.4),
    ):  # fmt: skip
        covered = []
        for seeds in (3, 5, 10):
            held = 0
            for _ in range(studies):
                table = over_seeds * rng.standard_normal((seeds, 1)) + over_items * rng.standard_normal(items)
                table = table + both * rng.standard_normal((seeds, items))
                groups = np.arange(items) % clusters if clusters else None
                if groups is not None:
                    table = table + 0.2 * rng.standard_normal(clusters)[groups]
                found = population_interval(table, groups)
                held += found is not None and found.low <= 0 <= found.high
            covered.append(f"{100 * held / studies:.1f}")
        print(f"{items:5d} {clusters:8d} | {over_seeds} {over_items} {both} | {' '.join(covered)}", flush=True)


def trained(folder: Path, seeds: int) -> dict[str, np.ndarray]:
    """Train what is missing and return the hits of each setting, (seeds, images) in percent."""
    from ablata.base.overrides import override
    from ablata.engine.train import train
    from ablata.recipes.index import load_recipe
    from ablata.records.run_folder.items import read_items

    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[np.ndarray]] = {name: [] for name in SETTINGS}
    for seed in range(seeds):
        for name, changes in SETTINGS.items():
            file = folder / f"{name}-{seed}.npy"
            if not file.exists():
                with tempfile.TemporaryDirectory() as run:
                    train(override(load_recipe("digits"), changes), seed, Path(run), folder / "cache")
                    items = read_items(Path(run), "val", "plain")
                assert items is not None
                np.save(file, items.values["top1"])
            found[name].append(np.load(file))
    return {name: np.array(rows) for name, rows in found.items()}


def dealt(hits: dict[str, np.ndarray], studies: int, seed: int) -> None:
    """Print phi by setting, false verdicts of dealt studies, and coverage on held-out halves of images and seeds."""
    rng, false = np.random.default_rng(seed), {1: [], 3: []}
    print("setting    | mean sd | phi, of differences | coverage on the other half")
    for name, runs in hits.items():
        differences = {other: _paired(hits, other) for other in hits if other != "control"}
        others = [phi for other, table in differences.items() if other != name and (phi := phi_of(table)) is not None]
        # Each other setting stands for a study of its own.
        learnt = learn_prior([[phi] for phi in others], PRIORS["unlearnt"])
        for arms, share in false.items():
            rule = Rule(seeds=SEEDS, first_look=FIRST_LOOK)
            bound = calibrate_items(arms, rule, learnt, studies=10_000)
            scores, value, df = _deal(runs, arms, studies, rng)
            known = ItemEvidence(ArmItems(value, df), learnt)
            share.append(judge_many(scores, rule, bound, evidence=known).decided.any(axis=1).mean())
        table = differences.get(name)
        told = "" if table is None else f"{phi_of(table).value:.2f}"
        held = "" if table is None else f"{100 * _held_out(table, studies // 2, rng):.1f}"
        spread = f"{runs.mean():.2f} {runs.mean(1).std(ddof=1):.2f}"
        print(f"{name:10s} | {spread} | {phi_of(runs).value:.2f} {told:5s} | {held}", flush=True)
    for arms, share in false.items():
        worst = f"by setting {100 * min(share):.1f} to {100 * max(share):.1f}"
        print(f"{arms} arms: false verdicts {100 * np.mean(share):.1f}% ({worst})")


def _paired(hits: dict[str, np.ndarray], name: str) -> np.ndarray:
    rows = min(len(hits[name]), len(hits["control"]))
    return hits[name][:rows] - hits["control"][:rows]


def _deal(runs: np.ndarray, arms: int, studies: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Deal runs of one setting to control and arms: scores (studies, seeds, 1 + arms), and what their items say."""
    scores = np.empty((studies, SEEDS, arms + 1))
    value, df = np.zeros((SEEDS, studies, arms)), np.zeros((SEEDS, studies, arms))
    for study in range(studies):
        table = runs[rng.permutation(len(runs))[: SEEDS * (arms + 1)]].reshape(arms + 1, SEEDS, -1)
        scores[study] = table.mean(axis=2).T
        for arm in range(arms):
            for row in range(1, SEEDS):
                known = item_variance(table[arm + 1, : row + 1] - table[0, : row + 1])
                value[row, study, arm], df[row, study, arm] = known.value, known.df
    return scores, value, df


def _held_out(table: np.ndarray, splits: int, rng: np.random.Generator) -> float:
    """Share of splits in which the difference on one half of images and 5 seeds agrees with the other half's."""
    held, items = 0, table.shape[1]
    for _ in range(splits):
        images, rows = rng.permutation(items), rng.permutation(len(table))
        parts = ((rows[:SEEDS], images[: items // 2]), (rows[SEEDS:], images[items // 2 :]))
        one, two = (population_interval(table[np.ix_(*part)]) for part in parts)
        variance = one.se**2 + two.se**2
        dof = variance**2 / (one.se**4 / one.dof + two.se**4 / two.dof)
        held += abs(one.effect - two.effect) <= t_quantile(0.975, dof) * variance**0.5
    return held / splits


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--digits", type=Path, help="folder of the trained digits' items")
    parser.add_argument("--runs", type=int, default=40, help="seeds of each setting of the digits")
    given = parser.parse_args()
    if given.digits is None:
        simulated(given.studies, given.seed)
        coverage(given.studies // 2, given.seed)
    else:
        dealt(trained(given.digits, given.runs), min(given.studies, 1000), given.seed)


if __name__ == "__main__":
    main()
