"""Students and teachers inside the training loop: what stays, what is resumed, what never reads a label."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from ablata.base.errors import CheckpointError, SettingsError, StoppedError
from ablata.base.overrides import override
from ablata.data.classification.digits import Digits
from ablata.data.transforms.classification import Augment
from ablata.engine.checkpoints import LAST, load_checkpoint
from ablata.engine.optim.optimisers import Sgd
from ablata.engine.recipe import Compute, Train
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.models.classification.digits_net import DigitsNet
from ablata.nn.state_digest import state_digest
from ablata.structures.batch import ImageBatch
from ablata.tasks.classification.task import Classify, ClassifyTask
from ablata.tasks.distillation.teachers import EmaTeacher, FrozenNetwork, StoredLabels

PLAIN = Classify(
    data=Digits(val=1650, augment=Augment(pad=1)),
    model=DigitsNet(width=4),
    train=Train(epochs=2, batch=16, log_every=1, checkpoint_seconds=1000),
    optim=Sgd(lr=0.05, momentum=0.9, weight_decay=1e-3),
    compute=Compute(precision="fp32", channels_last=False, threads=1),
)


def refined(*overrides: str) -> Classify:
    return override(PLAIN, ["refine=refinement", *overrides])


class Stopper(Reporter):
    """Asks to stop after a step."""

    def __init__(self, after: int) -> None:
        self.left = after

    def stop_reason(self) -> str | None:
        self.left -= 1
        return "asked" if self.left == 0 else None


@dataclass
class Lab:
    """Folders in which recipes are trained."""

    home: Path

    def train(self, recipe: Classify, folder: str, stop_after: int = 0) -> Path:
        place, parent = self.home / folder, self.home / "teacher"
        started = parent if recipe.parent() is not None else None
        stopper = Stopper(stop_after) if stop_after else None
        try:
            train(recipe, 3, place, self.home / "cache", stopper, parent=started)
        except StoppedError:
            assert stop_after
        return place

    def task(self, recipe: Classify, parent: bool = True) -> ClassifyTask:
        context = RunContext(
            torch.device("cpu"),
            self.home / "cache",
            channels_last=False,
            parent=self.home / "teacher" if parent else None,
        )
        torch.manual_seed(0)
        return recipe.build(3, context)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with a trained teacher."""
    made = Lab(tmp_path_factory.mktemp("lab"))
    made.train(PLAIN, "teacher")
    return made


def weights(folder: Path) -> dict[str, Tensor]:
    return load_checkpoint(folder / LAST).groups["model"]


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


ONLINE = ["refine.teacher=online", "refine.loss.label_weight=0.5"]
KINDS = [
    ["refine.teacher=static"],
    ["refine.teacher=static", "refine.mix_alpha=[0,0.4]"],
    ["refine.teacher=dynamic"],
    ["refine.teacher=dynamic", "refine.teacher_mode=train"],
    ["refine.teacher=dynamic", "refine.loss.label_weight=0.3", "refine.loss.combine=losses"],
    [*ONLINE, "refine.teacher.source=ema"],
    [*ONLINE, "refine.teacher.source=previous_epoch"],
    [*ONLINE, "refine.teacher.source=peer", "refine.loss.combine=losses"],
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: " ".join(kind).replace("refine.", ""))
def test_a_resumed_round_equals_an_uninterrupted_one(lab: Lab, kind: list[str], tmp_path: Path) -> None:
    recipe = refined(*kind)
    whole = lab.train(recipe, f"{tmp_path.name}-whole")
    parts = lab.train(recipe, f"{tmp_path.name}-parts", stop_after=12)
    assert load_checkpoint(parts / LAST).facts["step"] == 12
    lab.train(recipe, f"{tmp_path.name}-parts")
    saved = [load_checkpoint(folder / LAST) for folder in (whole, parts)]
    assert equal(saved[0].groups["model"], saved[1].groups["model"])
    assert saved[0].facts["scores"] == saved[1].facts["scores"]
    assert equal(saved[0].groups.get("task", {}), saved[1].groups.get("task", {}))


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_teacher_in_eval_mode_does_not_change_in_an_epoch(lab: Lab, kind: str) -> None:
    task = lab.task(refined(f"refine.teacher={kind}"))
    assert task.distiller is not None
    network = task.distiller.teacher.network
    assert network is not None
    before = state_digest(network.state_dict())
    task.model.train()
    for step, batch in enumerate(task.batches(0, task.steps_per_epoch)):
        sum(task.loss(task.model, task.augment(batch, step)).values()).backward()  # type: ignore[union-attr]
    task.evaluate(task.model.eval(), "val", "plain")
    assert state_digest(network.state_dict()) == before == task.distiller.digest
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(name.startswith("teacher") for name in task.model.state_dict())


def test_a_teacher_in_train_mode_normalises_by_the_batch(lab: Lab) -> None:
    answers = []
    for mode in ("eval", "train"):
        task = lab.task(refined(f"refine.teacher_mode={mode}"))
        assert task.distiller is not None
        batch = task.augment(next(task.batches(0, 1)), 0)
        answers.append(task.distiller.teacher.probabilities(batch, {}, 1.0))
    assert not torch.allclose(answers[0], answers[1], atol=1e-3)


def test_a_student_equal_to_its_teacher_has_no_gradient(lab: Lab) -> None:
    task = lab.task(refined())
    task.model.load_state_dict(weights(lab.home / "teacher"))
    task.model.eval()
    batch = task.augment(next(task.batches(0, 1)), 0)
    terms = task.loss(task.model, batch)
    assert abs(terms["distillation"].item()) < 1e-6
    terms["distillation"].backward()  # type: ignore[no-untyped-call]
    assert max(float(parameter.grad.abs().max()) for parameter in task.model.parameters()) < 1e-6  # type: ignore[union-attr]


def test_a_dynamic_teacher_sees_the_mixed_image_and_a_static_one_mixes_its_labels(lab: Lab) -> None:
    mixed = "refine.mix_alpha=[0,0.4]"
    task = lab.task(refined("refine.teacher=dynamic", mixed))
    batch = task.augment(next(task.batches(0, 1)), 0)
    assert batch.mixing is not None
    teacher = task.distiller.teacher  # type: ignore[union-attr]
    assert isinstance(teacher, FrozenNetwork)
    with torch.no_grad():
        seen = teacher.network(batch.images)["logits"].softmax(1)
    torch.testing.assert_close(teacher.probabilities(batch, {}, 1.0), seen)

    stored = lab.task(refined("refine.teacher=static", mixed)).distiller.teacher  # type: ignore[union-attr]
    assert isinstance(stored, StoredLabels)
    own, partner = (stored.logits[index].softmax(1) for index in (batch.index, batch.mixing.partner_index))
    share = batch.mixing.lam[:, None]
    torch.testing.assert_close(stored.probabilities(batch, {}, 1.0), share * own + (1 - share) * partner)


def test_static_labels_follow_their_samples_through_any_order(lab: Lab) -> None:
    task = lab.task(refined("refine.teacher=static"))
    teacher = task.distiller.teacher  # type: ignore[union-attr]
    assert isinstance(teacher, StoredLabels)
    network = teacher.network
    with torch.no_grad():
        for batch in task.data.eval_loader("train", 50):
            shuffle = torch.randperm(len(batch))
            shuffled = replace(
                batch, images=batch.images[shuffle], labels=batch.labels[shuffle], index=batch.index[shuffle]
            )
            expected = (network(shuffled.images)["logits"] / 2).softmax(1)
            torch.testing.assert_close(teacher.probabilities(shuffled, {}, 2.0), expected)


@pytest.mark.parametrize("target", [["refine.images=all"], ["refine.target=digits", "refine.target.val=1650"]])
def test_unlabelled_rounds_never_read_a_label(lab: Lab, target: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Permuted training labels change nothing in the weights."""
    recipe = refined(*target, "train.epochs=1")
    seen = weights(lab.train(recipe, f"labels-{target[0][-3:]}"))
    augment = ClassifyTask.augment

    def scrambled(task: ClassifyTask, batch: ImageBatch, step: int) -> ImageBatch:
        return augment(task, replace(batch, labels=(batch.labels + 3) % 10), step)

    monkeypatch.setattr(ClassifyTask, "augment", scrambled)
    blind = weights(lab.train(recipe, f"scrambled-{target[0][-3:]}"))
    assert equal(seen, blind)


def test_round_one_on_all_images_is_larger_than_round_zero_on_the_labelled(lab: Lab) -> None:
    recipe = refined("label_subset=label_subset", "label_subset.per_class=9", "refine.images=all")
    assert recipe.parent() is not None
    assert len(lab.task(recipe.parent()).loader.index) == 90  # type: ignore[arg-type]
    assert len(lab.task(recipe).loader.index) == PLAIN.data.build(lab.home).sizes["train"]


def test_a_fresh_student_shares_neither_weights_nor_order_with_its_teacher(lab: Lab) -> None:
    plain, taught = lab.task(PLAIN), lab.task(refined())
    assert not equal(dict(plain.model.state_dict()), dict(taught.model.state_dict()))
    assert not torch.equal(next(plain.batches(0, 1)).index, next(taught.batches(0, 1)).index)


def test_an_online_student_starts_as_the_plain_one_does(lab: Lab) -> None:
    online = refined("refine.teacher=online", "refine.loss.label_weight=0.5", "refine.teacher.start=1")
    torch.manual_seed(0)
    assert equal(dict(lab.task(PLAIN).model.state_dict()), dict(lab.task(online).model.state_dict()))


def test_before_its_start_an_online_teacher_changes_nothing(lab: Lab) -> None:
    online = refined("refine.teacher=online", "refine.loss.label_weight=0.5", "refine.teacher.start=2")
    assert equal(weights(lab.train(online, "late")), weights(lab.home / "teacher"))


def test_the_past_that_teaches_is_the_students_average(lab: Lab) -> None:
    task = lab.task(refined(*ONLINE, "refine.teacher.ema.decay=0.5", "refine.teacher.ema.warmup=none"))
    past = task.distiller.teacher  # type: ignore[union-attr]
    assert isinstance(past, EmaTeacher)
    name, parameter = next(iter(task.model.named_parameters()))
    expected = parameter.detach().clone()
    for step in range(3):
        with torch.no_grad():
            parameter.add_(1.0)
        expected = 0.5 * expected + 0.5 * parameter.detach()
        task.after_step(step)
    torch.testing.assert_close(dict(past.copy.named_parameters())[name].detach(), expected)


def test_the_last_epoch_teaches_from_the_second_on(lab: Lab) -> None:
    task = lab.task(refined(*ONLINE, "refine.teacher.source=previous_epoch", "refine.teacher.start=0"))
    past = task.distiller.teacher  # type: ignore[union-attr]
    assert isinstance(past, EmaTeacher)
    for step in range(task.steps_per_epoch):
        assert not past.ready
        with torch.no_grad():
            next(task.model.parameters()).add_(1.0)
        task.after_step(step)
    assert past.ready
    assert equal(dict(past.copy.state_dict()), dict(task.model.state_dict()))


def test_each_peer_learns_from_the_other_and_the_student_is_delivered(lab: Lab) -> None:
    recipe = refined(*ONLINE, "refine.teacher.source=peer", "refine.teacher.start=0")
    task = lab.task(recipe)
    task.model.train()
    terms = task.loss(task.model, task.augment(next(task.batches(0, 1)), 0))
    assert list(terms) == ["distillation", "peer_distillation"]
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in task.model.parameters())
    folder = lab.train(recipe, "peers")
    student = lab.task(refined(f"refine.start={folder}"), parent=False).distiller.teacher.network  # type: ignore[union-attr]
    kept = weights(folder)
    assert isinstance(student, nn.Module)
    assert equal(
        dict(student.state_dict()), {name[8:]: value for name, value in kept.items() if name[:8] == "student."}
    )


def test_a_taught_round_without_its_teacher_is_refused_before_the_first_step(lab: Lab) -> None:
    with pytest.raises(SettingsError, match="after its teacher"):
        train(refined(), 3, lab.home / "orphan", lab.home / "cache")


def test_a_teacher_of_other_classes_is_refused_with_both_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Digits.build

    def renamed(settings: Digits, cache: Path) -> object:
        data = build(settings, cache)
        data.classes = (*data.classes[:9], "nine")
        return data

    monkeypatch.setattr(Digits, "build", renamed)
    with pytest.raises(CheckpointError, match=r"same classes(?s:.)*10 \(9\), the student 10 \(nine\)"):
        lab.task(refined())


def test_a_teacher_of_other_normalisation_is_refused(lab: Lab) -> None:
    with pytest.raises(CheckpointError, match="same mean"):
        lab.task(refined("data.mean=[0.5]"))


def test_a_missing_or_damaged_teacher_is_refused(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        refined("refine.start=/nowhere").data_fingerprint(tmp_path)
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"bad\.safetensors"):
        refined(f"refine.start={tmp_path / 'bad.safetensors'}").data_fingerprint(tmp_path)


def test_a_given_teacher_s_content_counts_as_data(lab: Lab, tmp_path: Path) -> None:
    given = refined(f"refine.start={lab.home / 'teacher'}")
    assert given.data_fingerprint(tmp_path).startswith(PLAIN.data_fingerprint(tmp_path))
    assert given.data_fingerprint(tmp_path) != PLAIN.data_fingerprint(tmp_path)


def test_soft_labels_are_made_once_and_kept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.task(refined("refine.teacher=static"))
    from ablata.tasks.distillation import distiller as teaching

    def refuse(*_: object) -> Tensor:
        raise AssertionError("labelled again")

    monkeypatch.setattr(teaching, "_label_all", refuse)
    lab.task(refined("refine.teacher=static"))


@pytest.mark.parametrize(("change", "words"), [("data.val=1600", "same data"), ("data.minival=20", "same split")])
def test_soft_labels_of_another_split_are_refused_with_both_named(lab: Lab, change: str, words: str) -> None:
    lab.task(refined("refine.teacher=static"))
    file = next((lab.home / "cache" / "teachers").iterdir())
    with safe_open(file, framework="pt") as opened:
        saved = json.loads(opened.metadata()["ablata"])
    with pytest.raises(CheckpointError, match=words) as refused:
        lab.task(refined("refine.teacher=static", f"refine.teacher.file={file}", change))
    assert saved[words.split()[1]] in str(refused.value)


def test_soft_labels_of_another_teacher_are_refused(lab: Lab) -> None:
    lab.task(refined("refine.teacher=static"))
    other = Lab(lab.home / "other")
    other.train(override(PLAIN, ["optim.lr=0.01"]), "teacher")
    file = next((lab.home / "cache" / "teachers").iterdir())
    with pytest.raises(CheckpointError, match="same teacher"):
        other.task(refined("refine.teacher=static", f"refine.teacher.file={file}"))


def test_a_run_is_not_resumed_with_another_teacher(lab: Lab) -> None:
    other = Lab(lab.home / "second")
    other.train(PLAIN, "teacher")
    other.train(refined(), "student", stop_after=5)
    other.train(override(PLAIN, ["train.epochs=1"]), "another")
    with pytest.raises(CheckpointError, match="teacher must be the same"):
        train(refined(), 3, other.home / "student", lab.home / "cache", parent=other.home / "another")


def test_the_teacher_is_scored_beside_its_student(lab: Lab) -> None:
    scores = load_checkpoint(lab.train(refined(), "beside") / LAST).facts["scores"]
    own = load_checkpoint(lab.home / "teacher" / LAST).facts["scores"]
    assert scores["val/plain/teacher_top1"] == own["val/plain/top1"]


def test_the_terms_of_a_loss_keep_their_names_when_the_teacher_begins(lab: Lab) -> None:
    for kind in (["refine.loss.combine=losses"], ["refine.loss.combine=labels"]):
        task = lab.task(refined(*ONLINE, *kind, "refine.teacher.start=1"))
        batch = task.augment(next(task.batches(0, 1)), 0)
        before = list(task.loss(task.model, batch))
        for step in range(task.steps_per_epoch):
            task.after_step(step)
        assert task.distiller is not None
        assert task.distiller.teacher.ready
        assert list(task.loss(task.model, batch)) == before


def test_it_is_scored_without_its_teacher(lab: Lab) -> None:
    task = lab.task(refined(), parent=False)
    assert "teacher_top1" not in task.evaluate(task.model.eval(), "val", "plain")


def test_a_student_goes_on_under_its_teacher_and_its_average_begins_where_it_does(lab: Lab, tmp_path: Path) -> None:
    begun = override(PLAIN, [f"start.run={lab.home / 'teacher'}"])
    averaged = override(begun, ["refine=refinement", *ONLINE, "refine.teacher.source=ema"])
    task, parent = lab.task(averaged, parent=False), lab.home / "teacher"
    assert averaged.start is not None
    task.load_start(averaged.start, None)
    assert task.distiller is not None
    assert isinstance(task.distiller.teacher, EmaTeacher)
    assert equal(task.distiller.teacher.copy.state_dict(), weights(parent))
    assert equal(task.model.state_dict(), weights(parent))
    chain = override(begun, ["refine=refinement", "refine.rounds=2", "refine.epochs=[2,1,3]"])
    older = chain.parent()
    assert older is not None
    assert (older.start, older.effective().train.epochs) == (None, 1)
    again = chain.continued(parent)
    assert again.refine is not None
    assert (again.start, again.refine.start, again.parent()) == (None, str(parent), None)
    assert again.effective().train.epochs == 3
