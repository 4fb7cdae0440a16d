"""The head for rotation: turned copies, its loss, what it leaves alone, and that checkpoints hold it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ablata.base.errors import SettingsError, StoppedError
from ablata.base.overrides import override
from ablata.data.classification.digits import Digits
from ablata.data.synthetic.scenes import Scenes, Streets
from ablata.data.transforms.classification import Augment
from ablata.engine.checkpoints import LAST, load_checkpoint
from ablata.engine.recipe import Compute, Train
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.models.classification.digits_net import DigitsNet
from ablata.structures.batch import ImageBatch
from ablata.tasks.classification.rotation import Rotation, turned
from ablata.tasks.classification.task import Classify, ClassifyTask

RECIPE = Classify(
    data=Digits(val=1650, augment=Augment(pad=1)),
    model=DigitsNet(width=4, norm="none"),
    train=Train(steps=6, batch=16, evaluate_every=0, log_every=1),
    compute=Compute(precision="fp32", channels_last=False, threads=1),
)
every_form = pytest.mark.parametrize("views", ["all", "one"])


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ClassifyTask]:
    """Return `make("key=value", ...)`: a task with the same weights each time."""

    def build(*overrides: str) -> ClassifyTask:
        torch.manual_seed(0)
        return override(RECIPE, overrides).build(3, RunContext(torch.device("cpu"), tmp_path))

    return build


def first_batch(task: ClassifyTask) -> ImageBatch:
    return task.augment(next(task.batches(0, 1)), 0)


def inputs(count: int = 6, side: int = 5) -> Tensor:
    return torch.randn(count, 2, side, side, generator=torch.Generator().manual_seed(1))


def test_all_views_are_the_four_quarter_turns_in_order() -> None:
    x = inputs()
    seen, angles = turned(x, "all")
    assert angles.tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6
    for turn in range(4):
        assert torch.equal(seen[6 * turn : 6 * turn + 6], x.rot90(turn, (2, 3)))


def test_one_view_is_the_upright_image_and_one_turned_by_a_drawn_angle() -> None:
    torch.manual_seed(0)
    x = inputs(400)
    seen, angles = turned(x, "one")
    assert torch.equal(seen[:400], x)
    assert all(torch.equal(seen[400 + row], x[row].rot90(int(angles[row]), (1, 2))) for row in range(400))
    assert (torch.bincount(angles, minlength=4) > 60).all()


@every_form
def test_copies_keep_the_layout_of_the_memory(views: str) -> None:
    x = inputs().to(memory_format=torch.channels_last)
    assert turned(x, views)[0].is_contiguous(memory_format=torch.channels_last)  # type: ignore[arg-type]
    assert turned(inputs(), views)[0].is_contiguous()  # type: ignore[arg-type]


@every_form
def test_the_head_leaves_first_weights_and_the_loss_of_the_class_as_they_are(make: Callable, views: str) -> None:
    plain, rotating = make(), make(f"rotation.views={views}")
    for name, value in plain.model.state_dict().items():
        assert torch.equal(rotating.model.state_dict()[f"network.{name}"], value)
    batch = first_batch(plain)
    assert torch.equal(first_batch(rotating).images, batch.images)
    terms = rotating.loss(rotating.model, batch)
    assert list(terms) == ["cross_entropy", "rotation"]
    torch.testing.assert_close(terms["cross_entropy"], plain.loss(plain.model, batch)["cross_entropy"])


@every_form
@pytest.mark.parametrize("mix", ["null", "mixup"])
def test_the_loss_of_the_angle_is_the_weighted_cross_entropy_of_four_classes(
    make: Callable, views: str, mix: str
) -> None:
    task = make(f"rotation.views={views}", "rotation.weight=0.3", f"data.augment.mix={mix}")
    batch = first_batch(task)
    assert (batch.mixing is not None) == (mix == "mixup")
    torch.manual_seed(5)
    found = task.loss(task.model, batch)["rotation"]
    torch.manual_seed(5)
    seen, angles = turned(batch.images, views)  # type: ignore[arg-type]
    copies = seen[-len(angles) :]
    logits = task.model.rotation_head(task.model.network(copies)["features"])
    assert logits.shape == (len(angles), 4)
    torch.testing.assert_close(found, 0.3 * F.cross_entropy(logits, angles))


@every_form
def test_every_parameter_gets_a_gradient(make: Callable, views: str) -> None:
    task = make(f"rotation.views={views}")
    torch.stack(list(task.loss(task.model, first_batch(task)).values())).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in task.model.parameters())


class Stop(Reporter):
    """Asks to stop after three steps."""

    def __init__(self) -> None:
        self.asked = 0

    def stop_reason(self) -> str | None:
        self.asked += 1
        return "asked" if self.asked == 3 else None


@every_form
def test_a_training_goes_on_bit_for_bit_with_the_head_in_its_checkpoint(views: str, tmp_path: Path) -> None:
    recipe = override(RECIPE, [f"rotation.views={views}", "data.augment.mix=mixup", "model.norm=batch"])
    train(recipe, 1, tmp_path / "whole", tmp_path)
    with pytest.raises(StoppedError):
        train(recipe, 1, tmp_path / "cut", tmp_path, Stop())
    train(recipe, 1, tmp_path / "cut", tmp_path)
    whole, cut = (load_checkpoint(tmp_path / name / LAST).groups["model"] for name in ("whole", "cut"))
    assert whole["rotation_head.weight"].shape == (4, 8)
    assert all(torch.equal(cut[name], value) for name, value in whole.items())


def test_a_network_taught_by_one_with_the_head_needs_none_itself(tmp_path: Path) -> None:
    train(override(RECIPE, ["rotation=true"]), 1, tmp_path / "teacher", tmp_path)
    student = override(RECIPE, [f"refine.start={tmp_path / 'teacher'}"])
    train(student, 1, tmp_path / "student", tmp_path)
    assert "rotation_head.weight" not in load_checkpoint(tmp_path / "student" / LAST).groups["model"]
    both = override(student, ["rotation=true"])
    train(both, 1, tmp_path / "both", tmp_path)
    assert "rotation_head.weight" in load_checkpoint(tmp_path / "both" / LAST).groups["model"]


def test_the_head_counts_in_the_size_of_the_network() -> None:
    plain, rotating = RECIPE.complexity(), override(RECIPE, ["rotation=true"]).complexity()
    assert rotating.parameters - plain.parameters == 8 * 4 + 4
    assert rotating.flops - plain.flops == 8 * 4


def test_images_that_are_not_square_are_refused(tmp_path: Path) -> None:
    data = Scenes(train=20, val=10, streets=Streets(height=16, width=24))
    with pytest.raises(SettingsError, match=r"square(.|\n)*16x24"):
        RECIPE.model_copy(update={"data": data, "rotation": Rotation()}).build(
            3, RunContext(torch.device("cpu"), tmp_path)
        )


def test_a_peer_and_the_head_are_refused_together() -> None:
    peer = ["refine.teacher=online", "refine.teacher.source=peer", "refine.loss.label_weight=0.5", "rotation=true"]
    with pytest.raises(SettingsError, match="rotation does not go with a peer"):
        override(RECIPE, peer)
