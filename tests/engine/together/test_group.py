"""Runs that are trained together are, each of them, the run that is trained alone: on the processor bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ablata.base.errors import DivergedError, StoppedError
from ablata.engine.checkpoints import LAST, load_checkpoint
from ablata.engine.loop import Part
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.engine.together.group import TrainingEnd, train_together, why_alone
from ablata.engine.together.network import StackedNetwork, why_not_stacked
from ablata.engine.train import TrainResult, train, training
from ablata.models.classification.small_resnet import CifarResNet
from ablata.recipes.index import load_recipe

SHORT = ("train.epochs=null", "train.steps=6", "train.batch=32", "data.augment.flip=true", "train.log_every=2")


class Told(Reporter):
    """Keeps events; asks to stop after a given step."""

    def __init__(self, stop_after: int = -1) -> None:
        self.told: list[str] = []
        self._left = stop_after

    def event(self, level: str, kind: str, text: str) -> None:
        self.told.append(text)

    def stop_reason(self) -> str | None:
        self._left -= 1
        return "asked" if self._left == 0 else None


def together(
    recipes: Sequence[Recipe], folder: Path, cache: Path, listeners: Sequence[Reporter] = ()
) -> list[TrainingEnd[TrainResult]]:
    """Train recipes, with the seeds 0, 1, ... in folders of these names."""
    heard = listeners or [Reporter() for _ in recipes]
    return train_together(
        [
            training(recipe, seed, folder / str(seed), cache, heard[seed], together=True)
            for seed, recipe in enumerate(recipes)
        ]
    )


def tensors_of(folder: Path) -> dict[str, Tensor]:
    groups = load_checkpoint(folder / LAST).groups
    return {f"{group}/{name}": tensor for group, found in groups.items() for name, tensor in found.items()}


def assert_same(found: Path, expected: Path) -> None:
    here, there = tensors_of(found), tensors_of(expected)
    assert here.keys() == there.keys()
    assert [name for name in here if not torch.equal(here[name], there[name])] == []


ALIKE: dict[str, tuple[tuple[str, ...], ...]] = {
    "seeds": ((), (), ()),
    "averages, dropout, parts of a batch": (("ema.decay=0.9", "model.dropout=0.3", "train.accumulate=2"),) * 2,
    "rates, decays and smoothing": (
        ("optim.lr=0.03",), ("optim.weight_decay=0", "train.clip=0.5"), ("loss.smoothing=0.1", "data.augment.pad=0"),
    ),
    "channels last": (("compute.channels_last=true",),) * 2,
    "optimisers and lengths": (("optim=adamw",), ("train.steps=4", "schedule=constant")),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIKE)
def test_a_member_is_the_run_alone_bit_for_bit(case: str, tmp_path: Path, shared_cache: Path) -> None:
    recipes = [load_recipe("digits", (*SHORT, *changes)) for changes in ALIKE[case]]
    listeners = [Told() for _ in recipes]
    ended = together(recipes, tmp_path / "together", shared_cache, listeners)
    for seed, recipe in enumerate(recipes):
        alone = train(recipe, seed, tmp_path / "alone" / str(seed), shared_cache)
        assert_same(tmp_path / "together" / str(seed), tmp_path / "alone" / str(seed))
        result = ended[seed].result
        assert result is not None
        assert result.scores == alone.scores
        assert result.cost["together"] == len(recipes)
        assert "together" not in alone.cost
        assert [text for text in listeners[seed].told if "layers stacked" in text]


def test_a_residual_network_is_stacked_and_equal(tmp_path: Path, shared_cache: Path) -> None:
    recipe = load_recipe("digits", SHORT).model_copy(update={"model": CifarResNet(depth=8)})
    ended = together([recipe] * 2, tmp_path / "together", shared_cache)
    assert all(one.error is None for one in ended)
    train(recipe, 1, tmp_path / "alone", shared_cache)
    assert_same(tmp_path / "together" / "1", tmp_path / "alone")


def test_a_member_that_diverges_leaves_the_others_as_they_are(tmp_path: Path, shared_cache: Path) -> None:
    good = load_recipe("digits", SHORT)
    ended = together([good, load_recipe("digits", (*SHORT, "optim.lr=1e30")), good], tmp_path / "t", shared_cache)
    assert isinstance(ended[1].error, DivergedError)
    for seed in (0, 2):
        assert ended[seed].error is None
        train(good, seed, tmp_path / "alone" / str(seed), shared_cache)
        assert_same(tmp_path / "t" / str(seed), tmp_path / "alone" / str(seed))


def test_members_that_were_stopped_at_different_steps_end_as_if_they_were_not(
    tmp_path: Path, shared_cache: Path
) -> None:
    recipe = load_recipe("digits", (*SHORT, "ema.decay=0.9"))
    ended = together([recipe] * 2, tmp_path / "t", shared_cache, [Told(2), Told(4)])
    assert all(isinstance(one.error, StoppedError) for one in ended)
    assert all(one.error is None for one in together([recipe] * 2, tmp_path / "t", shared_cache))
    for seed in range(2):
        train(recipe, seed, tmp_path / "alone" / str(seed), shared_cache)
        assert_same(tmp_path / "t" / str(seed), tmp_path / "alone" / str(seed))


class Joins(nn.Module):
    """Joins channels, so that the members' blocks would mix."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        found = self.conv(images)
        return {"logits": torch.cat((found, found.roll(1, 1)), 1).mean((2, 3))}


class Holds(nn.Module):
    """Has a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": images.mean((2, 3)) * self.scale}


class Draws(nn.Module):
    """Draws random numbers in its own code."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.linear(nn.functional.dropout(images.mean((2, 3)), 0.5, self.training))}


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Joins, "output logits differs"), (Holds, "parameters of its own"), (Draws, "random numbers outside its layers")],
)
def test_a_network_that_cannot_be_stacked_is_told_in_words(kind: type[nn.Module], words: str) -> None:
    models, images = [kind(), kind()], [torch.randn(4, 3, 6, 6) for _ in range(2)]
    assert words in why_not_stacked(models, ("logits",), images)


def test_layers_that_are_not_known_take_turns_with_their_own_random_numbers() -> None:
    def network() -> nn.Module:
        body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Dropout2d(0.5), nn.Flatten(2))
        return Named(body)

    models, images = [network(), network()], [torch.randn(4, 3, 6, 6) for _ in range(2)]
    assert why_not_stacked(models, ("logits",), images) == ""
    stacked = StackedNetwork(models, ("logits",), lambda member: torch.no_grad())
    assert [found["logits"].shape for found in stacked.forward(images)] == [(4, 8, 16)] * 2


class Named(nn.Module):
    """Names what a module puts out."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.body(images)}


def test_networks_that_cannot_be_stacked_take_turns_and_end_as_alone(
    tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*asked: Any) -> str:
        return "of a reason"

    monkeypatch.setattr("ablata.engine.together.group.why_not_stacked", refuse)
    recipe = load_recipe("digits", (*SHORT, "model.dropout=0.3"))
    listeners = [Told(), Told()]
    together([recipe] * 2, tmp_path / "t", shared_cache, listeners)
    assert any("takes turns" in text and "of a reason" in text for text in listeners[0].told)
    train(recipe, 1, tmp_path / "alone", shared_cache)
    assert_same(tmp_path / "t" / "1", tmp_path / "alone")


def test_what_settings_tell_is_told_before_anything_is_built() -> None:
    assert why_alone(load_recipe("digits", ())) == ""
    assert "compiled" in why_alone(load_recipe("digits", ("compute.compile=true",)))
    assert "frozen" in why_alone(load_recipe("digits", ("freeze=stem.*",)))
    assert "minutes" in why_alone(load_recipe("digits", ("train.minutes=1",)))
    assert "teacher" in why_alone(load_recipe("digits", ("refine.rounds=1",)))


def test_a_mistake_of_the_program_in_one_member_is_raised_once_all_have_ended() -> None:
    ended: list[str] = []

    def failing() -> Any:
        raise KeyError("a mistake")
        yield

    def whole() -> Any:
        ended.append("whole")
        return None
        yield

    with pytest.raises(KeyError):
        train_together([failing(), whole()])
    assert ended == ["whole"]
    assert Part.__dataclass_fields__.keys() >= {"state", "batch"}
