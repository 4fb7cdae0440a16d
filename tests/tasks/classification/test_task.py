"""The classification task: loss against a plain reference, refusals, the contract, and predictions of every sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ablata.base.errors import DataError, SettingsError
from ablata.base.overrides import override
from ablata.data.classification.digits import Digits
from ablata.data.loading.in_memory import ImageArrays, InMemoryDataset
from ablata.data.synthetic.scenes import Scenes, Streets
from ablata.data.transforms.classification import Augment
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.recipe import Train
from ablata.engine.task import RunContext
from ablata.models.classification.digits_net import DigitsNet
from ablata.structures.batch import ImageBatch, Mixing
from ablata.tasks.classification.task import Classify, ClassifyTask

CPU = torch.device("cpu")
RECIPE = Classify(
    data=Digits(val=501, minival=60, augment=Augment(pad=1)), model=DigitsNet(width=4), train=Train(epochs=1, batch=32)
)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ClassifyTask]:
    """Return `make("key=value", ..., rank=, world_size=)`: a task with the same weights each time."""

    def build(*overrides: str, rank: int = 0, world_size: int = 1) -> ClassifyTask:
        torch.manual_seed(0)
        return override(RECIPE, overrides).build(3, RunContext(CPU, tmp_path, ProcessGroup(rank, world_size), False))

    return build


def first_batch(task: ClassifyTask) -> ImageBatch:
    return task.augment(next(task.batches(0, 1)), 0)


def test_the_loss_is_the_mean_cross_entropy_of_the_logits(make: Callable) -> None:
    task = make()
    batch = first_batch(task)
    logits = task.model(batch.images)["logits"]
    terms = task.loss(task.model, batch)
    assert list(terms) == ["cross_entropy"]
    by_hand = (logits.logsumexp(1) - logits.gather(1, batch.labels[:, None])[:, 0]).mean()
    torch.testing.assert_close(terms["cross_entropy"], by_hand)


@pytest.mark.parametrize("form", ["labels", "losses"])
@pytest.mark.parametrize("smoothing", ["0.0", "0.2"])
def test_mixed_images_are_judged_against_both_labels(make: Callable, form: str, smoothing: str) -> None:
    task = make(f"loss.smoothing={smoothing}")
    batch = first_batch(task)
    partner, weight = batch.labels.flip(0), torch.linspace(0, 1, len(batch))
    mixed = replace(batch, mixing=Mixing(partner, batch.index.flip(0), weight, form))
    targets = torch.lerp(F.one_hot(partner, 10).float(), F.one_hot(batch.labels, 10).float(), weight[:, None])
    targets = targets * (1 - float(smoothing)) + float(smoothing) / 10
    logits = task.model(batch.images)["logits"]
    reference = -(targets * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(task.loss(task.model, mixed)["cross_entropy"], reference)


@pytest.mark.parametrize("kind", ["mixup", "cutmix", "both"])
def test_the_augmentation_hands_its_mixing_to_the_loss(make: Callable, kind: str) -> None:
    task = make(f"data.augment.mix={kind}")
    batch = first_batch(task)
    assert batch.mixing is not None
    plain = task.loss(task.model, replace(batch, mixing=None))["cross_entropy"]
    assert not torch.isclose(task.loss(task.model, batch)["cross_entropy"], plain)


def test_a_batch_depends_on_its_step_alone(make: Callable) -> None:
    task = make()
    one, two = (task.augment(next(task.batches(start, 30)), start) for start in (7, 8))
    again = task.augment(list(task.batches(5, 9))[3], 8)
    assert torch.equal(two.images, again.images)
    assert torch.equal(two.labels, again.labels)
    assert not torch.equal(one.labels, two.labels)


def test_a_batch_that_fits_passes_the_check(make: Callable) -> None:
    task = make()
    task.check(first_batch(task))


@pytest.mark.parametrize(("label", "span"), [(10, "0 to 10"), (-1, "-1 to 9"), (255, "0 to 255")])
def test_labels_outside_the_class_list_are_refused(make: Callable, label: int, span: str) -> None:
    task = make()
    labels = torch.arange(32) % 10
    labels[4] = label
    with pytest.raises(DataError, match=rf"Labels must lie in 0\.\.9\n  found: labels from {span}"):
        task.check(replace(first_batch(task), labels=labels))


def test_logits_of_another_shape_are_refused(make: Callable) -> None:
    task = make()
    task.model.classifier = nn.Linear(8, 7)
    with pytest.raises(DataError, match=r"logits \(1, 7\) for 10 classes"):
        task.check(first_batch(task))


def test_the_check_leaves_no_trace_in_the_statistics(make: Callable) -> None:
    task = make()
    before = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    task.check(first_batch(task))
    assert all(torch.equal(before[name], tensor) for name, tensor in task.model.state_dict().items())


def test_the_contract_holds_what_predictions_mean(make: Callable) -> None:
    contract = make().contract()
    assert contract["classes"] == [str(digit) for digit in range(10)]
    assert (contract["image_size"], contract["channels"], contract["image_backend"]) == ([8, 8], 1, "exact")
    assert (contract["mean"], contract["std"]) == ([0.305], [0.376])
    assert make().contract() == contract
    assert make("data.mean=[0.5]").contract() != contract
    assert make("data.split_seed=1").contract()["splits"] != contract["splits"]


def test_splits_are_scored_in_the_order_choose_then_report(make: Callable) -> None:
    assert make().splits == ("minival", "val")
    assert RECIPE.metric().key == "minival/plain/top1"
    assert make("data.minival=0").splits == ("val",)
    assert override(RECIPE, ["data.minival=0"]).metric().key == "val/plain/top1"


@torch.no_grad()
def test_predictions_cover_every_sample_once(make: Callable) -> None:
    task = make("train.evaluate_batch=64")
    model = task.model.eval()
    for split, size in (("val", 501), ("minival", 60), ("train", 1236)):
        found = task.predictions(model, split, "plain")
        assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
            "index": (size,),
            "label": (size,),
            "logits": (size, 10),
        }
        assert found["index"].tolist() == task.data.split_indices()[split]
        assert torch.equal(found["label"], task.data.split_labels(split))


@torch.no_grad()
def test_scores_are_those_of_the_predictions(make: Callable) -> None:
    task = make("train.evaluate_batch=64")
    found = task.predictions(task.model.eval(), "val", "plain")
    right = found["logits"].argmax(1) == found["label"]
    five = (found["logits"].topk(5).indices == found["label"][:, None]).any(1)
    scores = task.evaluate(task.model, "val", "plain")
    assert scores["top1"] == pytest.approx(100 * right.double().mean().item())
    assert scores["top5"] == pytest.approx(100 * five.double().mean().item())
    assert scores["loss"] == pytest.approx(F.cross_entropy(found["logits"], found["label"]).item(), rel=1e-5)


@torch.no_grad()
def test_an_examination_agrees_with_the_scores(make: Callable) -> None:
    task = make()
    model = task.model.eval()
    plain, full = task.evaluate_detailed(model, "val"), task.evaluate_detailed(model, "val", samples=True)
    assert plain.samples == {}
    assert set(full.samples) == {"index", "label", "logits"}
    assert plain.scores == full.scores == task.evaluate(model, "val", "plain")
    confusion = np.array(plain.confusion)
    assert confusion.sum() == 501
    assert plain.scores["top1"] == pytest.approx(100 * confusion.trace() / 501)
    assert list(plain.class_scores) == pytest.approx(list(100 * confusion.diagonal() / confusion.sum(1)))
    assert plain.classes == task.data.classes


def test_an_unknown_split_is_refused(make: Callable) -> None:
    task = make()
    with pytest.raises(DataError, match=r"train, val, minival\n  found: vall\n  do:    did you mean val\?"):
        task.evaluate_detailed(task.model, "vall")


def test_two_processes_see_halves_of_one_batch(make: Callable) -> None:
    whole = first_batch(make())
    halves = [first_batch(make(rank=rank, world_size=2)) for rank in range(2)]
    assert torch.equal(torch.cat([half.images for half in halves]), whole.images)
    assert torch.equal(torch.cat([half.index for half in halves]), whole.index)


def test_the_fingerprint_follows_data_and_splits_only(tmp_path: Path) -> None:
    plain = RECIPE.data_fingerprint(tmp_path)
    assert override(RECIPE, ["optim.lr=0.3", "data.augment.pad=2"]).data_fingerprint(tmp_path) == plain
    assert override(RECIPE, ["data.split_seed=1"]).data_fingerprint(tmp_path) != plain
    assert override(RECIPE, ["data.minival=0"]).data_fingerprint(tmp_path) != plain


def test_a_training_set_smaller_than_a_batch_is_refused(make: Callable) -> None:
    with pytest.raises(DataError, match=r"train\.batch=2000"):
        make("train.batch=2000")


def test_the_example_has_the_shape_of_the_training(make: Callable) -> None:
    task = make()
    assert task.example().shape == first_batch(task).images[:1].shape


@pytest.mark.parametrize("data", [Digits(), Scenes(train=20, val=10, streets=Streets(height=16, width=24))])
def test_the_nominal_shape_is_that_of_the_data(data: Digits | Scenes, tmp_path: Path) -> None:
    built, shape = data.build(tmp_path), data.nominal_shape()
    assert (shape.classes, shape.channels) == (len(built.classes), built.channels)
    assert (shape.height, shape.width) == built.image_size


def test_classes_and_channels_of_the_network_come_from_the_data(tmp_path: Path) -> None:
    store = ImageArrays(np.zeros((40, 3, 8, 8), np.uint8), np.arange(40) % 4)
    data = InMemoryDataset(
        store, store, classes=["a", "b", "c", "d"], fingerprint="f", mean=[0.5] * 3, std=[0.5] * 3,
        minival=0, split_seed=0, augment=Augment(), backend="exact",
    )  # fmt: skip
    task = ClassifyTask(RECIPE, data, 3, RunContext(CPU, tmp_path))
    batch = first_batch(task)
    task.check(batch)
    assert task.model(batch.images)["logits"].shape == (32, 4)


def test_rounds_cannot_change_a_smoothing_that_a_pair_stands_for() -> None:
    override(RECIPE, ["loss.on=0.9", "loss.off=0.0001", "refine=true"])
    with pytest.raises(SettingsError, match=r"refine\.smoothing changes loss\.smoothing"):
        override(RECIPE, ["loss.on=0.9", "loss.off=0.0001", "refine.smoothing=[0.1,0]"])
