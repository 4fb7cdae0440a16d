"""Conformance of tasks: a recipe that trains, resumes exactly, and is scored by its own metric."""

from __future__ import annotations

import math
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import torch

from ablata.base.errors import StoppedError
from ablata.base.overrides import override
from ablata.base.settings import expand, settings_hash
from ablata.engine.checkpoints import load_checkpoint
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.engine.train import train
from ablata.recipes.index import load_recipe, restore_recipe
from ablata.testing.models import part_of


class _StopAfter(Reporter):
    def __init__(self, asked: int) -> None:
        self.asked = asked

    def stop_reason(self) -> str | None:
        self.asked -= 1
        return "asked" if self.asked < 0 else None


class TaskSuite:
    """What every task must do.

    Attributes:
        part: a recipe, a recipe function, its reference or its name.
        overrides: settings to change, such as `train.batch=8`; the training is shortened to six steps anyway.
    """

    part: ClassVar[Any] = None
    overrides: ClassVar[tuple[str, ...]] = ()

    def recipe(self) -> Recipe:
        """Return the recipe, of six steps on one thread."""
        part = part_of(self)
        made = load_recipe(part) if isinstance(part, str) else part if isinstance(part, Recipe) else part()
        short = ("train.steps=6", "train.evaluate_every=0", "compute.threads=1", "compute.precision=fp32")
        return override(made, [*self.overrides, *short])

    def trained(self, folder: Path, seed: int = 1, stop_after: int | None = None) -> dict[str, torch.Tensor]:
        """Train and return the weights; with `stop_after`, in two parts."""
        recipe, cache = self.recipe(), folder / "cache"
        if stop_after is not None:
            with suppress(StoppedError):
                train(recipe, seed, folder, cache, _StopAfter(stop_after))
        self.scores = train(recipe, seed, folder, cache).scores
        return load_checkpoint(folder / "last.safetensors").groups["model"]

    def test_it_is_scored_by_its_own_metric(self) -> None:
        """The metric that the recipe names is among the scores, and finite."""
        with tempfile.TemporaryDirectory() as folder:
            self.trained(Path(folder))
            key = self.recipe().metric().key
            assert key in self.scores, f"{key} is none of {', '.join(self.scores)}"
            assert math.isfinite(self.scores[key])

    def test_a_training_that_was_interrupted_ends_with_the_same_bits(self) -> None:
        """Stopped half way and resumed, the weights are those of one training."""
        with tempfile.TemporaryDirectory() as folder:
            whole = self.trained(Path(folder) / "whole")
            parts = self.trained(Path(folder) / "parts", stop_after=3)
            assert all(torch.equal(whole[name], parts[name]) for name in whole)

    def test_another_seed_ends_elsewhere(self) -> None:
        """The seed drives the training."""
        with tempfile.TemporaryDirectory() as folder:
            first, other = (self.trained(Path(folder) / str(seed), seed) for seed in (1, 2))
            assert any(not torch.equal(first[name], other[name]) for name in first)

    def test_it_comes_back_from_its_expanded_settings(self) -> None:
        """The recipe can be rebuilt from what a run records."""
        recipe = self.recipe()
        again = restore_recipe(expand(recipe), source="a test")
        assert settings_hash(again) == settings_hash(recipe)

    def test_the_fingerprint_of_its_data_stays(self) -> None:
        """Building it twice gives one fingerprint."""
        with tempfile.TemporaryDirectory() as folder:
            first, again = (self.recipe().data_fingerprint(Path(folder)) for _ in range(2))
            assert first == again
