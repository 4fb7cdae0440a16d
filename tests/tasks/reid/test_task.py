"""The re-identification task: loss, scores over one and two processes, refusals, learning without labels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from ablata.base.errors import DataError, SettingsError
from ablata.base.overrides import override
from ablata.data.loading.sampling import Balanced
from ablata.data.synthetic.persons import Persons
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.recipe import Compute, Train
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.losses.embedding.triplet import Triplet, TripletLoss
from ablata.metrics.retrieval import RetrievalScores
from ablata.models.classification.small_resnet import CifarResNet
from ablata.structures.batch import ImageBatch
from ablata.tasks.reid.task import Reidentify, ReidentifyTask

CPU = torch.device("cpu")
RECIPE = Reidentify(
    data=Persons(train=10, val=6, cameras=2, images=3, height=32, width=16, minival=4, sampling=Balanced(images=2)),
    model=CifarResNet(depth=8, width=4),
    triplet=Triplet(weight=0.5),
    train=Train(epochs=1, batch=12, evaluate_batch=7),
    compute=Compute(precision="fp32", channels_last=False, threads=1),
)
Make = Callable[..., ReidentifyTask]


@pytest.fixture
def make(shared_cache: Path) -> Make:
    """Return `make("key=value", ..., group=)`: a task with the same weights each time."""

    def build(*overrides: str, group: ProcessGroup | None = None) -> ReidentifyTask:
        torch.manual_seed(0)
        context = RunContext(CPU, shared_cache, group or ProcessGroup(), False)
        return override(RECIPE, overrides).build(3, context)

    return build


def first_batch(task: ReidentifyTask) -> ImageBatch:
    return task.augment(next(task.batches(0, 1)), 0)


def test_the_loss_is_the_identities_cross_entropy_and_the_weighted_triplets(make: Make) -> None:
    task = make("loss.smoothing=0.1")
    batch = first_batch(task)
    outputs = task.model(batch.images)
    terms = task.loss(task.model, batch)
    assert list(terms) == ["cross_entropy", "triplet"]
    expected = F.cross_entropy(outputs["logits"], batch.labels, label_smoothing=0.1)
    torch.testing.assert_close(terms["cross_entropy"], expected)
    torch.testing.assert_close(terms["triplet"], 0.5 * TripletLoss()(outputs["features"], batch.labels))
    assert terms["triplet"].item() > 0


OWN = """
import torch

def squared(logits, labels, factor: float = 2.0):
    return factor * (logits.softmax(1) - torch.nn.functional.one_hot(labels, logits.shape[1])).square().sum(1)

def spread(features, labels):
    return features.var(0).mean()

class Weighted(torch.nn.Module):
    def __init__(self, weight: float = 3.0):
        super().__init__()
        self.weight = weight

    def forward(self, features, labels):
        return self.weight * features.mean()

def rows(features, labels):
    return features.sum(1)
"""


def test_losses_of_logits_and_of_features_may_be_the_users_own(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    task = make("loss=own.py:squared", "loss.factor=3", "triplet=own.py:spread", "triplet.weight=0.5")
    batch = first_batch(task)
    outputs, terms = task.model(batch.images), task.loss(task.model, batch)
    assert list(terms) == ["squared", "spread"]
    wrong = outputs["logits"].softmax(1) - F.one_hot(batch.labels, len(task.classes))
    torch.testing.assert_close(terms["squared"], 3 * wrong.square().sum(1).mean())
    torch.testing.assert_close(terms["spread"], 0.5 * outputs["features"].var(0).mean())
    weighted = make("triplet=own.py:Weighted")
    term = weighted.loss(weighted.model, batch)["Weighted"]
    torch.testing.assert_close(term, 3 * weighted.model(batch.images)["features"].mean())
    with pytest.raises(SettingsError, match="must return a scalar"):
        make("triplet=own.py:rows").loss(task.model, batch)


def test_without_triplets_only_the_logits_are_asked_for(make: Make) -> None:
    task = make("triplet=null")
    assert list(task.loss(task.model, first_batch(task))) == ["cross_entropy"]
    assert task.outputs == ("logits",)
    assert make().outputs == ("logits", "features")


def test_mixed_images_are_judged_against_both_identities(make: Make) -> None:
    task = make("triplet=null", "data.sampling=shuffled", "data.augment.mix=mixup")
    batch = first_batch(task)
    assert batch.mixing is not None
    targets = batch.mixing.targets(batch.labels, 6)
    reference = -(targets * task.model(batch.images)["logits"].log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(task.loss(task.model, batch)["cross_entropy"], reference)


def test_mixed_images_have_no_triplets() -> None:
    with pytest.raises(ValidationError, match="no one identity"):
        Reidentify(triplet=Triplet(), data=Persons(augment={"mix": {"kind": "mixup"}}))


@torch.no_grad()
def test_scores_are_those_of_the_embedded_queries_and_gallery(make: Make) -> None:
    task = make()
    model = task.model.eval()
    sightings = task.data.retrieval_split("val")
    features = torch.cat([model(batch.images)["features"] for batch in task.data.eval_loader("val", 36)])
    seen = task.embed(model, "val")
    torch.testing.assert_close(seen.features, features, rtol=1e-4, atol=1e-5)
    counted = RetrievalScores(seen.at(sightings.gallery))
    counted.update(seen.at(sightings.queries))
    assert task.evaluate(model, "val", "cross_camera") == counted.scores()
    assert set(counted.scores()) == {"rank1", "rank5", "rank10", "mAP"}
    assert counted.answered == 6 * 2


@dataclass(frozen=True)
class Together(ProcessGroup):
    """One of two processes that are threads of this one."""

    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))
    given: dict[int, Tensor] = field(default_factory=dict)

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        self.given[self.rank] = tensor
        self.barrier.wait(timeout=60)
        total = self.given[0] + self.given[1]
        self.barrier.wait(timeout=60)
        return total


def test_two_processes_score_what_one_does_and_embed_every_image_once(make: Make) -> None:
    def evaluate(task: ReidentifyTask, split: str, seen: list[int]) -> dict[str, float]:
        model = task.model.eval()
        model.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
        with torch.no_grad():
            return task.evaluate(model, split, "cross_camera")

    for split, size in (("val", 36), ("minival", 24)):
        alone: list[int] = []
        expected = evaluate(make(), split, alone)
        first = Together(0, 2)
        places = (first, Together(1, 2, 0, first.barrier, first.given))
        tasks = [make(group=place) for place in places]
        seen: list[list[int]] = [[], []]
        found: dict[int, dict[str, float]] = {}

        def work(rank: int, tasks: Any = tasks, split: str = split, seen: Any = seen, found: Any = found) -> None:
            found[rank] = evaluate(tasks[rank], split, seen[rank])

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found[0] == found[1] == pytest.approx(expected)
        assert sum(alone) == sum(seen[0]) + sum(seen[1]) == size
        assert abs(sum(seen[0]) - sum(seen[1])) <= 1


@torch.no_grad()
def test_an_examination_agrees_with_the_scores(make: Make) -> None:
    task = make()
    model = task.model.eval()
    for split, queries in (("val", 12), ("minival", 8), ("train", 12)):
        plain, full = task.evaluate_detailed(model, split), task.evaluate_detailed(model, split, samples=True)
        assert plain.samples == {}
        assert plain.scores == full.scores == task.evaluate(model, split, "cross_camera")
        confusion = np.array(plain.confusion)
        assert confusion.sum() == queries
        assert plain.scores["rank1"] == pytest.approx(100 * confusion.trace() / queries)
        assert len(plain.classes) == len(confusion)
        size = len(task.data.splits[split])
        assert {name: tuple(tensor.shape) for name, tensor in full.samples.items()} == {
            "index": (size,), "label": (size,), "camera": (size,), "query": (size,), "gallery": (size,),
            "features": (size, 16),
        }  # fmt: skip


def test_an_unknown_split_is_refused(make: Make) -> None:
    task = make()
    with pytest.raises(DataError, match=r"train, val, minival\n  found: test"):
        task.evaluate_detailed(task.model, "test")


def test_a_batch_that_fits_passes_the_check_and_others_are_refused(make: Make) -> None:
    task = make()
    batch = first_batch(task)
    task.check(batch)
    with pytest.raises(DataError, match=r"Labels must lie in 0\.\.5\n  found: labels from 0 to 6"):
        task.check(replace(batch, labels=torch.arange(12) % 7))
    task.model.classifier = nn.Linear(16, 9)
    with pytest.raises(DataError, match=r"logits \(1, 9\) for 6"):
        task.check(batch)


def test_the_contract_holds_what_features_mean(make: Make) -> None:
    contract = make().contract()
    assert contract["classes"] == list(make().data.classes)
    assert (contract["image_size"], contract["image_backend"]) == ([32, 16], "exact")
    assert (contract["protocols"], contract["distance"]) == (["cross_camera"], "cosine")
    assert make().contract() == contract
    for change in ("distance=euclidean", "data.mean=[0.5,0.5,0.5]", "data.split_seed=1", "data.height=34"):
        assert make(change).contract() != contract


def test_the_best_is_chosen_by_mean_average_precision_on_minival(make: Make) -> None:
    assert RECIPE.metric().key == "minival/cross_camera/mAP"
    assert override(RECIPE, ["data.minival=0"]).metric().key == "val/cross_camera/mAP"
    assert make().splits == ("minival", "val")


def test_the_fingerprint_follows_data_and_splits_only(shared_cache: Path) -> None:
    plain = RECIPE.data_fingerprint(shared_cache)
    for change in ("optim.lr=0.3", "data.augment.pad=2", "data.sampling=shuffled"):
        assert override(RECIPE, [change]).data_fingerprint(shared_cache) == plain
    for change in ("data.split_seed=1", "data.minival=0", "data.domain=summer"):
        assert override(RECIPE, [change]).data_fingerprint(shared_cache) != plain


def test_the_nominal_complexity_is_that_of_the_training(make: Make) -> None:
    counted = sum(parameter.numel() for parameter in make().model.parameters())
    assert RECIPE.complexity().parameters == counted


@pytest.mark.parametrize(
    ("accumulate", "world_size", "fits"), [(1, 2, True), (2, 1, True), (4, 1, False), (2, 2, False)]
)
def test_an_identitys_images_are_not_torn_apart(make: Make, accumulate: int, world_size: int, fits: bool) -> None:
    change = f"train.accumulate={accumulate}"
    if fits:
        make(change, group=ProcessGroup(0, world_size))
        return
    with pytest.raises(SettingsError, match=r"stay together: train.batch must be a multiple .* = 8"):
        make(change, group=ProcessGroup(0, world_size))
    make(change, "triplet=null", group=ProcessGroup(0, world_size))


def test_queries_without_an_answer_are_announced_and_a_set_of_them_is_refused(make: Make, shared_cache: Path) -> None:
    assert make().notices == ()
    data = make("data.minival=0").data
    recipe, cameras = override(RECIPE, ["data.minival=0"]), data._seen["val"].cameras

    def seen_by(cameras: np.ndarray) -> ReidentifyTask:
        data._seen["val"] = replace(data._seen["val"], cameras=cameras)
        return ReidentifyTask(recipe, data, 3, RunContext(CPU, shared_cache, channels_last=False))

    first_person_by_one_camera = np.where(np.arange(36) < 6, 0, cameras)
    assert seen_by(first_person_by_one_camera).notices == (
        "2 of 12 queries of val have no image by another camera: left out",
    )
    with pytest.raises(DataError, match="none of 12 queries of val"):
        seen_by(np.zeros(36, np.int64))


class Taught(ReidentifyTask):
    """Learns a fixed group over the identities of another set."""

    def identity_terms(self, outputs: dict[str, Tensor], batch: ImageBatch) -> dict[str, Tensor]:
        """Return the cross-entropy with the evenly spread group."""
        return {"taught": -outputs["logits"].log_softmax(1).mean()}


def test_a_subclass_teaches_other_identities_without_seeing_a_label(shared_cache: Path) -> None:
    recipe = override(RECIPE, ["data.domain=summer", "data.sampling=shuffled", "triplet=null"])
    classes = [f"winter {number}" for number in range(9)]
    task = Taught(
        recipe, recipe.data.build(shared_cache), 3, RunContext(CPU, shared_cache, channels_last=False), classes
    )
    batch = first_batch(task)
    task.check(batch)
    assert set(batch.labels.tolist()) == {-1}
    assert task.model(batch.images)["logits"].shape == (12, 9)
    assert list(task.loss(task.model, batch)) == ["taught"]
    assert task.contract()["classes"] == classes
    with torch.no_grad():
        assert task.score(task.embed(task.model.eval(), "val"), "val").answered == 12


@pytest.mark.parametrize("wrong", ["triplet=triplet", "data.sampling=balanced"])
def test_without_labels_neither_triplets_nor_balanced_batches_are_formed(shared_cache: Path, wrong: str) -> None:
    recipe = override(RECIPE, ["data.sampling=shuffled", "triplet=null", wrong])
    with pytest.raises(SettingsError, match="without labels"):
        Taught(recipe, recipe.data.build(shared_cache), 3, RunContext(CPU, shared_cache), ["a", "b"])


@pytest.mark.slow
def test_a_short_training_finds_persons_that_it_never_saw(tmp_path: Path, shared_cache: Path) -> None:
    changes = ["data.train=40", "data.val=20", "data.minival=0", "data.images=4", "data.height=64", "data.width=32",
               "data.sampling=shuffled", "triplet=null", "model.stem=3x3_s2", "model.width=16",
               "train.epochs=null", "train.batch=32", "train.evaluate_every=0"]  # fmt: skip
    found = {}
    for steps, rate in ((1, 1e-9), (120, 0.1)):
        recipe = override(RECIPE, [*changes, f"train.steps={steps}", f"optim.lr={rate}"])
        outcome = train(recipe, 0, tmp_path / str(steps), shared_cache)
        found[steps] = outcome.scores["val/cross_camera/mAP"]
    assert found[120] > 3 * found[1]
