"""Two processes that mine together have the loss of one; by themselves they mine their own pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ablata.losses.segmentation.ohem import Ohem

PROCESS = Path(__file__).with_name("mining_process.py")
DEFINITIONS = ("count_valid", "count_all", "probability", "top_fraction")
IMAGES = 4


def mined(definition: str) -> Ohem:
    """Return settings that keep a part of the pixels of `batch`, unlike ones in either half."""
    fields = {"min_kept": 40, "threshold": 0.05} if definition == "probability" else {"divisor": 3, "threshold": 0.01}
    return Ohem.model_validate({"definition": definition, "mine": "batch", **fields})


def batch() -> tuple[Tensor, Tensor]:
    """Return logits and labels of four images; those of the second half are harder, some pixels are ignored."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (IMAGES, 8, 8), generator=random)
    logits = torch.randn(IMAGES, 3, 4, 4, generator=random) * torch.tensor([1, 1, 4, 4])[:, None, None, None]
    labels[torch.rand(labels.shape, generator=random) < 0.1] = 255
    return logits, labels


def whole(definition: str) -> tuple[Tensor, Tensor]:
    """Return value and gradient of one process that has all images."""
    logits, labels = batch()
    logits.requires_grad_()
    value = mined(definition).build()(logits, labels)
    value.backward()
    assert logits.grad is not None
    return value.detach(), logits.grad


def beside(definition: str) -> Callable[[Tensor], Tensor]:
    """Return a pool that puts what the second half has behind what the first half gives it."""
    logits, labels = (part[2:] for part in batch())
    losses = mined(definition).build().cross_entropy(logits, labels).flatten()
    return lambda own: torch.cat([own, losses if own.is_floating_point() else (labels.flatten() != 255).to(own)])


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_pixels_mined_with_those_of_another_process_are_those_of_the_whole_batch(definition: str) -> None:
    logits, labels = (part[:2] for part in batch())
    alone = mined(definition).build()
    together = mined(definition).build()
    together.pool = beside(definition)
    expected, _ = whole(definition)
    torch.testing.assert_close(together(logits, labels), expected)
    assert abs(float(alone(logits, labels) - expected)) > 0.01 * float(expected)


def test_each_process_mines_its_own_unless_told_otherwise() -> None:
    logits, labels = (part[:2] for part in batch())
    own = mined("count_valid").model_copy(update={"mine": "process"}).build()
    own.pool = beside("count_valid")
    assert torch.equal(own(logits, labels), mined("count_valid").build()(logits, labels))


@pytest.mark.slow
def test_two_processes_mine_like_one(tmp_path: Path, run_on_two: Callable[[Path, Path], None]) -> None:
    run_on_two(PROCESS, tmp_path)
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2))
    for definition in DEFINITIONS:
        value, gradient = whole(definition)
        for found in (first, second):
            torch.testing.assert_close(found[f"{definition}.value"], value)
        # A training takes the mean of the processes' gradients.
        joined = torch.cat([first[f"{definition}.gradient"], second[f"{definition}.gradient"]]) / 2
        torch.testing.assert_close(joined, gradient)
