"""The noise known of a recipe: from which studies it comes, and of which it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ablata.records import Ledger
from ablata.stats import noise_from_scores
from ablata.studies.identity import new_run, record_environment
from ablata.studies.planning.noise import known_noise
from ablata.studies.study import Study

Record = Callable[..., Study]
End = Callable[..., None]
SCORES = {"control": [90.0, 90.6, 89.5], "wide": [91.0, 91.2, 90.9], "slow": [89.0, 90.1, 88.8]}


def end_all(ledger: Ledger, study: Study, end: End) -> None:
    environment = record_environment(ledger)
    for arm, values in SCORES.items():
        for row, value in enumerate(values):
            new = new_run(ledger, study.recipes[arm], study.seed_row(row), environment)
            end(ledger.studies.enqueue(study.name, arm, new), value)


def test_noise_is_pooled_over_studies_of_a_recipe_which_are_named(
    ledger: Ledger, recorded: Record, end_run: End, quick: Any
) -> None:
    end_all(ledger, recorded(name="first"), end_run)
    end_all(ledger, recorded(name="second", first_seed=50), end_run)
    end_all(
        ledger, recorded(name="other", control=quick.model_copy(update={"name": "another"}), first_seed=90), end_run
    )
    found = known_noise(ledger, quick.name)
    assert found is not None
    one = noise_from_scores([list(row) for row in zip(*SCORES.values(), strict=True)])
    assert (found.noise.sd, found.noise.df) == pytest.approx((one.sd, 2 * one.df))
    assert (set(found.studies), found.runs) == ({"first", "second"}, 18)


def test_a_recipe_without_a_finished_study_has_no_known_noise(ledger: Ledger, recorded: Record, quick: Any) -> None:
    recorded(name="waiting")
    assert known_noise(ledger, quick.name) is None


def test_a_study_of_another_metric_says_nothing_of_the_noise_of_scores(
    ledger: Ledger, recorded: Record, end_run: End, quick: Any
) -> None:
    end_all(ledger, recorded(name="scores"), end_run)
    end_all(ledger, recorded(name="times", metric="seconds", margin="5%"), lambda run, value: None)
    found = known_noise(ledger, quick.name)
    assert found is not None
    assert found.studies == ("scores",)
