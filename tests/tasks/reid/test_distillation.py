"""Persons of another domain, learned from a teacher without one label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.data.synthetic.persons import Persons
from ablata.engine.checkpoints import LAST, load_checkpoint
from ablata.engine.recipe import Compute, Train
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.models.classification.small_resnet import CifarResNet
from ablata.structures.batch import ImageBatch
from ablata.tasks.reid.task import Reidentify, ReidentifyTask

CPU = torch.device("cpu")
PLAIN = Reidentify(
    data=Persons(train=10, val=6, cameras=2, images=3, height=32, width=16),
    model=CifarResNet(depth=8, width=4),
    train=Train(epochs=1, batch=12, evaluate_batch=7),
    compute=Compute(precision="fp32", channels_last=False, threads=1),
)
TARGET = ("domain=summer", "train=14", "val=5", "cameras=2", "height=32", "width=16")
MOVED = ["refine=refinement", "refine.target=persons", *(f"refine.target.{one}" for one in TARGET)]


def moved(*overrides: str) -> Reidentify:
    return override(PLAIN, [*MOVED, *overrides])


@dataclass
class Lab:
    """A trained teacher and a cache."""

    home: Path

    def train(self, recipe: Reidentify, folder: str) -> dict[str, torch.Tensor]:
        parent = self.home / "teacher" if recipe.parent() is not None else None
        train(recipe, 3, self.home / folder, self.home / "cache", parent=parent)
        return load_checkpoint(self.home / folder / LAST).groups["model"]

    def task(self, recipe: Reidentify) -> ReidentifyTask:
        return recipe.build(3, RunContext(CPU, self.home / "cache", channels_last=False, parent=self.home / "teacher"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    made = Lab(tmp_path_factory.mktemp("lab"))
    made.train(PLAIN, "teacher")
    return made


def test_the_teacher_is_trained_on_its_own_domain() -> None:
    assert moved().parent() == PLAIN


@pytest.mark.parametrize("teacher", ["static", "dynamic"])
def test_a_student_on_other_persons_names_those_its_teacher_knows(lab: Lab, teacher: str) -> None:
    task = lab.task(moved(f"refine.teacher={teacher}"))
    assert len(task.data.classes) == 14
    assert len(task.classes) == 10
    batch = task.augment(next(task.batches(0, 1)), 0)
    assert batch.labels.unique().tolist() == [-1]
    assert task.model(batch.images)["logits"].shape == (12, 10)
    terms = task.loss(task.model, batch)
    assert list(terms) == ["distillation"]
    assert torch.isfinite(terms["distillation"])


def test_no_label_of_the_new_domain_is_read(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = lab.train(moved(), "seen")
    batches = ReidentifyTask.batches

    def scrambled(task: ReidentifyTask, start: int, stop: int) -> object:
        for batch in batches(task, start, stop):
            assert isinstance(batch, ImageBatch)
            yield replace(batch, labels=(batch.labels + 5) % 7)

    monkeypatch.setattr(ReidentifyTask, "batches", scrambled)
    blind = lab.train(moved(), "blind")
    assert all(torch.equal(seen[name], blind[name]) for name in seen)


def test_both_are_scored_on_the_new_domain(lab: Lab) -> None:
    lab.train(moved(), "scored")
    scores = load_checkpoint(lab.home / "scored" / LAST).facts["scores"]
    assert {"val/cross_camera/mAP", "val/cross_camera/teacher_mAP"} <= set(scores)
    task = lab.task(moved())
    assert task.distiller is not None
    network = task.distiller.teacher.network
    assert network is not None
    found = task.evaluate(network.eval(), "val", "cross_camera")
    assert found["mAP"] == pytest.approx(scores["val/cross_camera/teacher_mAP"])


def test_an_online_teacher_and_triplets_go_together(lab: Lab) -> None:
    recipe = override(PLAIN, ["refine=refinement", "refine.teacher=online", "refine.loss.label_weight=0.5",
                              "refine.teacher.source=peer", "refine.teacher.start=0", "triplet=triplet",
                              "data.sampling=balanced", "data.sampling.images=2"])  # fmt: skip
    task = lab.task(recipe)
    task.model.train()
    terms = task.loss(task.model, task.augment(next(task.batches(0, 1)), 0))
    assert list(terms) == ["distillation", "peer_distillation", "triplet"]


def test_triplets_need_labels(lab: Lab) -> None:
    with pytest.raises(SettingsError, match="without labels"):
        lab.task(moved("triplet=triplet"))


def test_a_round_without_its_teacher_is_refused(lab: Lab) -> None:
    with pytest.raises(SettingsError, match="after its teacher"):
        train(moved(), 3, lab.home / "orphan", lab.home / "cache")


def test_a_set_of_classes_is_no_target() -> None:
    with pytest.raises(SettingsError, match="persons or market"):
        override(PLAIN, ["refine=refinement", "refine.target=digits"])
