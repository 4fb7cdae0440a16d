"""`train.batch=auto`: a number before the run is recorded, the largest that fits, kept by the lab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ablata.base.errors import AblataError, SettingsError
from ablata.engine import batch_size
from ablata.engine.batch_size import fitting_batch, with_batch
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.task import RunContext
from ablata.nn.single_values import single_values_in_words

MEGABYTE = 1e6


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Return what makes a machine of so much memory, where a step takes 100 MB and 2 MB an image; with the batches
    that were tried."""

    def make(megabytes: float, seconds: float = 0.0, full: int | None = None, single: int = 0) -> list[int]:
        tried: list[int] = []

        def step(recipe: object, context: RunContext) -> tuple[float, float]:
            batch = recipe.train.batch  # type: ignore[attr-defined]
            tried.append(batch)
            with single_values_in_words():
                torch.nn.BatchNorm1d(2)(torch.zeros(1 if batch <= single else 2, 2))
            if full is not None and batch >= full:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return (100 + 2 * batch) * MEGABYTE, seconds

        monkeypatch.setattr(batch_size, "time_one_step", step)
        monkeypatch.setattr(batch_size, "available_memory", lambda device: 2 * megabytes * MEGABYTE)
        return tried

    return make


def test_the_largest_batch_that_fits_is_found_by_doubling_or_by_the_line_through_two(
    digits: Callable, machine: Callable[..., list[int]], tmp_path: Path
) -> None:
    context = RunContext(torch.device("cpu"), tmp_path)
    for megabytes, seconds, samples, batch, measured, bound in (
        (400, 0.0, 8000, 128, 256, "memory"),
        (400, 2.0, 8000, 128, 2, "memory"),
        (4000, 0.0, 8000, 512, 512, "images"),
        (4000, 0.0, 80, 8, 8, "images"),
        (102, 0.0, 8000, 1, 2, "memory"),
        (4000, 0.0, 5, 1, 1, "images"),
        (4000, 0.0, None, 1024, 1024, "images"),
    ):
        machine(megabytes, seconds)
        found = fitting_batch(digits(), samples, context)
        assert (found.batch, found.measured, found.bound) == (batch, measured, bound), (megabytes, seconds, samples)
        assert found.memory == pytest.approx((100 + 2 * batch) * MEGABYTE)
    machine(400, single=1)
    assert fitting_batch(digits(), 8000, context).batch == 128
    assert fitting_batch(digits(), 5, context).batch == 2
    machine(400, single=2)
    with pytest.raises(SettingsError, match="more than one value a channel"):
        fitting_batch(digits(), 8000, context)
    machine(4000)
    assert fitting_batch(digits("train.accumulate=3", "train.batch=3"), 8000, context).batch == 768
    machine(4000, full=64)
    assert fitting_batch(digits(), 8000, context).batch == 32, "a GPU that is full says so"
    machine(50)
    with pytest.raises(AblataError, match="fit the memory"):
        fitting_batch(digits(), 8000, context)


def test_the_number_is_measured_once_in_a_lab_and_is_the_runs(
    digits: Callable, machine: Callable[..., list[int]], tmp_path: Path
) -> None:
    tried = machine(4000)
    context, recipe = RunContext(torch.device("cpu"), tmp_path), digits("train.batch=auto")
    made, found = with_batch(recipe, context)
    assert found is not None
    assert made.train.batch == found.batch == 16, "an eighth of the 147 images, as a power of two"
    assert made.train.batch_size == 16
    assert "it may use" in str(found)
    count = len(tried)
    assert with_batch(recipe, context)[0] == made
    assert len(tried) == count
    assert with_batch(made, context) == (made, None)
    with pytest.raises(SettingsError, match="must be a number"):
        recipe.train.batch_size  # noqa: B018
    with pytest.raises(SettingsError, match="one process"):
        with_batch(recipe, RunContext(torch.device("cpu"), tmp_path, ProcessGroup(0, 2)))


def test_a_real_step_takes_memory_and_time(digits: Callable, tmp_path: Path) -> None:
    found = fitting_batch(digits("train.batch=2"), 64, RunContext(torch.device("cpu"), tmp_path))
    assert 1 <= found.batch <= 8
    assert found.memory > MEGABYTE
