"""Precise normalisation: the pooled moments of what each layer sees, for scores and delivery, beside the training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.data.classification.image_folder import ImageFolder
from ablata.engine.batch_norm import PreciseBn, buffers, population_statistics, with_statistics
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.task import RunContext, Task
from ablata.recipes.index import load_recipe
from ablata.tasks.classification.task import Classify

PRECISE = "train.precise_bn=true"


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(1)
    layers = (nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4))
    return nn.Sequential(*layers, nn.Dropout(0.5)).eval()


def seen(network: nn.Module, images: list[Tensor], layer: int) -> Tensor:
    """Return what reaches a layer of a sequence whose normalisations go by the batch, double [n, C]."""
    found = []
    for part in images:
        for module in list(network.children())[:layer]:
            if isinstance(module, nn.BatchNorm2d):
                part = nn.functional.batch_norm(part, None, None, module.weight, module.bias, training=True)
            else:
                part = module(part.clone())
        found.append(part.movedim(1, -1).flatten(0, -2).double())
    return torch.cat(found)


def test_statistics_are_the_pooled_mean_and_variance_of_all_that_a_layer_sees(network: nn.Module) -> None:
    images = [10 + torch.randn(count, 3, 9, 8) * (1 + count) for count in (7, 2, 12)]
    found = population_statistics(network, images, ProcessGroup())
    assert list(found) == ["1", "4"]
    with torch.no_grad():
        for layer in (1, 4):
            values = seen(network, images, layer)
            torch.testing.assert_close(found[str(layer)][0].double(), values.mean(0), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(found[str(layer)][1].double(), values.var(0, correction=0), rtol=1e-5, atol=1e-5)


def test_the_statistics_of_constant_images_are_exact() -> None:
    norm = nn.BatchNorm2d(2).eval()
    images = torch.tensor([0.75, -1024.5]).view(1, 2, 1, 1).expand(3, 2, 5, 5)
    mean, variance = population_statistics(nn.Sequential(norm), [images, images[:1]], ProcessGroup())["0"]
    assert mean.tolist() == [0.75, -1024.5]
    assert variance.tolist() == [0, 0]


def test_a_mean_far_from_zero_does_not_swallow_the_variance() -> None:
    images = [3000 + torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(n)) for n in range(4)]
    _, variance = population_statistics(nn.Sequential(nn.BatchNorm2d(1)).eval(), images, ProcessGroup())["0"]
    assert float(variance) == pytest.approx(float(torch.cat(images).double().var(correction=0)), rel=1e-4)


def test_looking_leaves_the_model_as_it_was(network: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    own = network[1].running_mean
    population_statistics(network, [torch.randn(4, 3, 8, 8)], ProcessGroup())
    assert network[1].running_mean is own
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_statistics_stand_in_for_the_running_ones_inside_the_block_only(network: nn.Module) -> None:
    own = network[4].running_var
    found = population_statistics(network, [torch.randn(4, 3, 8, 8)], ProcessGroup())
    with with_statistics(network, found):
        assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in buffers(found).items())
    assert network[4].running_var is own


@pytest.mark.parametrize(("samples", "batches"), [(2, 1), (64, 1), (65, 2), (8192, 20)])
def test_images_come_in_whole_batches_and_at_most_once(samples: int, batches: int) -> None:
    assert PreciseBn(samples=samples).batches(64, 20) == batches


@pytest.mark.parametrize("images", ["training", "plain"])
def test_the_training_is_the_same_and_the_scores_are_not(digits: Callable, training: Callable, images: str) -> None:
    settings = ("ema.decay=0.9", "data.augment.mix=mixup", "model.dropout=0.2")
    plain = training(digits(*settings), "plain")
    precise = training(digits(*settings, PRECISE, f"train.precise_bn.images={images}"), "precise")
    assert precise.listener.curve("train/cross_entropy") == plain.listener.curve("train/cross_entropy")
    for group, tensors in plain.last().groups.items():
        assert all(torch.equal(precise.last().groups[group][name], tensor) for name, tensor in tensors.items())
    for name in ("val/plain/loss", "raw/val/plain/loss"):
        assert precise.outcome.scores[name] != plain.outcome.scores[name]


def test_a_training_with_precise_statistics_resumes_exactly(digits: Callable, training: Callable) -> None:
    recipe = digits("ema.decay=0.9", "train.accumulate=2", "train.evaluate_every=0.5", PRECISE)
    whole = training(recipe, "whole")
    for step in (3, 4, 11):
        training(recipe, "cut", stop_after=step)
    resumed = training(recipe, "cut")
    assert resumed.outcome.scores == whole.outcome.scores
    for one, other in ((resumed.last(), whole.last()), (resumed.best(), whole.best())):
        assert one.groups.keys() == other.groups.keys()
        for group, tensors in other.groups.items():
            assert all(torch.equal(one.groups[group][name], tensor) for name, tensor in tensors.items())


def scores(recipe: Classify, weights: dict[str, Tensor], cache: Path) -> dict[str, float]:
    task = recipe.build(3, RunContext(torch.device("cpu"), cache, channels_last=False))
    task.model.load_state_dict(weights)
    with torch.no_grad():
        return task.evaluate(task.model.eval(), "val", "plain")


def test_both_checkpoints_score_as_the_training_did(digits: Callable, training: Callable, shared_cache: Path) -> None:
    recipe = digits("ema.decay=0.9", "train.epochs=1", PRECISE)
    done = training(recipe)
    last, best, found = done.last(), done.best(), done.outcome.scores
    assert scores(recipe, last.weights(), shared_cache)["loss"] == found["val/plain/loss"]
    assert scores(recipe, last.weights(raw=True), shared_cache)["loss"] == found["raw/val/plain/loss"]
    assert scores(recipe, best.weights(), shared_cache)["loss"] == found["val/plain/loss"]
    assert best.groups.keys() == {"model"}


def test_the_weights_saved_between_two_evaluations_have_no_statistics(digits: Callable, training: Callable) -> None:
    stopped = training(digits(PRECISE), stop_after=4)
    assert stopped.last().groups.keys() == {"model", "optimiser"}


def test_plain_images_are_drawn_from_all_classes(digits: Callable, shared_cache: Path) -> None:
    recipe = digits()
    task = recipe.build(3, RunContext(torch.device("cpu"), shared_cache, channels_last=False))
    (images,) = task.norm_images("plain", 0, 1)
    (again,) = task.norm_images("plain", 8, 1)
    assert torch.equal(images, again)
    known = next(iter(task.data.eval_loader("train", 147)))
    rows = [(known.images == image).flatten(1).all(1).nonzero()[0] for image in images]
    assert len(known.labels[torch.cat(rows)].unique()) > 4


def test_images_from_files_come_beside_those_of_the_training(tmp_path: Path, shared_cache: Path) -> None:
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(6):
                file = tmp_path / split / name / f"{number}.png"
                Image.fromarray(random.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(file)
    recipe = Classify(data=ImageFolder(root=str(tmp_path), size=8, resize=8, workers=1))
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"batch": 4})})
    task = recipe.build(3, RunContext(torch.device("cpu"), shared_cache, channels_last=False))
    undisturbed = [batch.images for batch in task.batches(0, 3)]
    batches = task.batches(0, 3)
    first = next(batches).images
    shown = list(task.norm_images("training", 0, 2))
    assert all(torch.equal(a, b) for a, b in zip(undisturbed, [first, *(b.images for b in batches)], strict=True))
    assert [tuple(images.shape) for images in shown] == [(4, 3, 8, 8)] * 2
    assert torch.equal(shown[0], task.augment(next(task.batches(0, 1)), 0).images)


def test_a_network_without_normalisation_is_refused(digits: Callable, training: Callable) -> None:
    with pytest.raises(SettingsError, match="needs a network with batch normalisation"):
        training(digits(PRECISE, "model.norm=none"))


def test_a_task_that_cannot_show_its_images_refuses(digits: Callable, shared_cache: Path) -> None:
    task = digits().build(3, RunContext(torch.device("cpu"), shared_cache))
    with pytest.raises(SettingsError, match="is for tasks that can show"):
        Task.norm_images(task, "training", 0, 1)


def test_a_recipe_takes_it_from_the_command_line() -> None:
    changed = load_recipe("resnet50_imagenet", [PRECISE, "train.precise_bn.samples=1024"])
    assert changed.train.precise_bn == PreciseBn(samples=1024)
