"""The loss of a segmentation: terms by name, the contrast's gradient, its memory in checkpoints, class weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ablata.base.errors import SettingsError, StoppedError
from ablata.base.overrides import override
from ablata.data.label_tools.statistics import WEIGHTINGS
from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.engine.checkpoints import LAST, load_checkpoint
from ablata.engine.recipe import Compute, Train
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.losses.contrastive.pixel_contrast import PixelContrast
from ablata.models.backbones.xception39 import Xception39
from ablata.models.segmentation.bisenet.model import BiSeNet
from ablata.models.segmentation.hrnet import HRNet
from ablata.nn.projection import Projection
from ablata.structures.segmentation import IGNORE, SegmentationBatch
from ablata.tasks.segmentation.task import Segment, SegmentTask

RECIPE = Segment(
    data=SceneMasks(train=16, val=4),
    model=HRNet(width=2, exchanges=(1, 1, 1), blocks=1),
    loss=PixelContrast(max_views=4, projection=Projection(width=8)),
    train=Train(steps=4, batch=4, evaluate_every=0, log_every=1),
    compute=Compute(precision="fp32", channels_last=False, threads=1),
)
MEMORY = ("loss.memory=true", "loss.memory.pixels=7", "loss.memory.regions=3", "loss.memory.per_image=2")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., SegmentTask]:
    """Return `make("key=value", ...)`: a task with the same weights each time."""

    def build(*overrides: str, recipe: Segment = RECIPE) -> SegmentTask:
        torch.manual_seed(0)
        return override(recipe, overrides).build(3, RunContext(torch.device("cpu"), tmp_path))

    return build


def terms_of(task: SegmentTask, step: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(step)
    batch = task.augment(next(task.batches(step, step + 1)), step)
    return task.loss(task.model.train(), batch)


def reached(task: SegmentTask) -> set[str]:
    """Return the parts of the model that a backward pass gave a gradient other than 0."""
    return {
        name.partition(".")[0]
        for name, parameter in task.model.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }


def test_the_gradient_of_the_contrast_arrives_on_one_process(make: Callable[..., SegmentTask]) -> None:
    task = make()
    assert task.context.group.is_single
    terms = terms_of(task)
    assert list(terms) == ["cross_entropy", "contrast"]
    assert terms["contrast"].item() > 0
    terms["contrast"].backward()
    assert reached(task) == {"backbone", "projection"}
    unmoved = [name for name, p in task.model.named_parameters() if p.grad is None and not name.startswith("head.")]
    assert unmoved == []


def test_no_gradient_of_the_contrast_before_its_warm_up_is_over_and_all_of_it_after(
    make: Callable[..., SegmentTask],
) -> None:
    task = make("loss.weight_schedule=warm_up", "loss.weight_schedule.length=0.5")
    for step, parts in ((0, set()), (1, set()), (2, {"backbone", "projection"})):
        task.model.zero_grad()
        terms_of(task, step)["contrast"].backward()
        assert reached(task) == parts


def test_auxiliary_heads_have_a_loss_of_their_own_weight(make: Callable[..., SegmentTask]) -> None:
    context = ("model.context=object_context", "model.context.width=8", "model.context.keys=4", "model.head.width=null")
    plain, weighted = (terms_of(make(*context, f"aux_weight={weight}")) for weight in (1.0, 0.4))
    assert list(plain) == ["cross_entropy", "aux4", "contrast"]
    torch.testing.assert_close(weighted["aux4"], 0.4 * plain["aux4"])
    torch.testing.assert_close(weighted["cross_entropy"], plain["cross_entropy"])


def test_the_loss_of_the_logits_can_be_scaled_beside_the_contrast(make: Callable[..., SegmentTask]) -> None:
    context = ("model.context=object_context", "model.context.width=8", "model.context.keys=4", "model.head.width=null")
    plain, scaled = (terms_of(make(*context, f"loss.pixel_loss_weight={weight}")) for weight in (1.0, 0.01))
    for name in ("cross_entropy", "aux4"):
        torch.testing.assert_close(scaled[name], 0.01 * plain[name])
    torch.testing.assert_close(scaled["contrast"], plain["contrast"])


def test_the_product_of_loss_and_contrast_is_that_of_the_two_terms(make: Callable[..., SegmentTask]) -> None:
    apart, joint = (terms_of(make(f"loss.combine={form}")) for form in ("sum", "product"))
    assert list(joint) == ["cross_entropy_times_contrast"]
    torch.testing.assert_close(joint["cross_entropy_times_contrast"], apart["cross_entropy"] * apart["contrast"])
    task = make("loss.combine=product")
    terms_of(task)["cross_entropy_times_contrast"].backward()
    assert reached(task) == {"backbone", "head", "projection"}
    with pytest.raises(SettingsError, match="must not be null"):
        make("loss.combine=product", "loss.pixel_loss=null")


def test_contrast_alone_leaves_the_head_as_it_is(make: Callable[..., SegmentTask]) -> None:
    task = make("loss.pixel_loss=null")
    terms = terms_of(task)
    assert list(terms) == ["contrast"]
    terms["contrast"].backward()
    assert reached(task) == {"backbone", "projection"}
    assert all(parameter.grad is not None for parameter in task.model.parameters())


def test_every_segmenter_can_be_contrasted(make: Callable[..., SegmentTask]) -> None:
    recipe = RECIPE.model_copy(update={"model": BiSeNet(backbone=Xception39())})
    assert list(terms_of(make(recipe=recipe))) == ["cross_entropy", "aux8", "aux16", "contrast"]


@pytest.mark.parametrize("memory", [MEMORY, ()], ids=["memory", "no memory"])
def test_a_batch_without_labels_gives_finite_terms(make: Callable[..., SegmentTask], memory: tuple[str, ...]) -> None:
    task = make(*memory)
    batch = next(task.batches(0, 1))
    ignored = torch.full_like(batch.labels, IGNORE)
    batch = task.augment(SegmentationBatch(batch.images, ignored, batch.sizes, batch.index, batch.rows), 0)
    terms = task.loss(task.model.train(), batch)
    assert {name: value.item() for name, value in terms.items()} == {"cross_entropy": 0, "contrast": 0}
    sum(terms.values()).backward()
    assert reached(task) == set()


def test_a_batch_in_which_no_class_has_enough_pixels_has_no_contrast(make: Callable[..., SegmentTask]) -> None:
    task = make("loss.max_views=5000")
    terms = terms_of(task)
    assert terms["contrast"].item() == 0
    sum(terms.values()).backward()
    assert reached(task) == {"backbone", "head"}
    assert all(parameter.grad is not None for parameter in task.model.parameters())


class Stopping(Reporter):
    """Asks to stop after a step."""

    def __init__(self, after: int) -> None:
        self.left = after

    def stop_reason(self) -> str | None:
        self.left -= 1
        return "asked" if self.left == 0 else None


def test_a_training_with_memory_goes_on_after_an_interruption_as_if_there_had_been_none(tmp_path: Path) -> None:
    recipe = override(RECIPE, [*MEMORY, "loss.weight_schedule=warm_up", "loss.weight_schedule.length=0.5"])
    train(recipe, 3, tmp_path / "whole", tmp_path, Reporter())
    with pytest.raises(StoppedError):
        train(recipe, 3, tmp_path / "cut", tmp_path, Stopping(2))
    kept = load_checkpoint(tmp_path / "cut" / LAST).groups["task"]
    assert sorted(kept) == ["pixels.added", "pixels.vectors", "regions.added", "regions.vectors"]
    assert kept["pixels.added"].any()
    train(recipe, 3, tmp_path / "cut", tmp_path, Reporter())
    whole, cut = (load_checkpoint(tmp_path / name / LAST).groups for name in ("whole", "cut"))
    for group, tensors in whole.items():
        assert all(torch.equal(cut[group][name], tensor) for name, tensor in tensors.items()), group


def test_what_is_trained_with_a_contrast_predicts_without_the_projection(make: Callable[..., SegmentTask]) -> None:
    task = make()
    assert "embedding" not in task.model.eval()(task.example())
    assert 0 <= task.evaluate(task.model, "val", "ss")["miou"] <= 100


def test_weights_are_made_from_the_training_sets_pixels(make: Callable[..., SegmentTask]) -> None:
    counts = make().data.pixel_counts("train")[:-1].double()
    for way in WEIGHTINGS:
        weights = make(f"loss.pixel_loss.weights={way}").criterion.pixel_loss.weights
        assert weights.shape == counts.shape
        there = counts > 0
        ranks = [values[there].argsort(descending=True) for values in (weights.double(), -counts)]
        if way != "median":
            assert torch.equal(*ranks)
    found = make("loss.pixel_loss.weights=most-frequent").criterion.pixel_loss.weights
    torch.testing.assert_close(found[there], (counts.max() / counts[there]).float())


def test_weights_by_name_are_put_in_the_order_of_the_classes_and_wrong_names_refused(
    make: Callable[..., SegmentTask],
) -> None:
    classes = make().data.classes
    weights = make(f'loss.pixel_loss.weights={{"{classes[2]}": 5}}').criterion.pixel_loss.weights
    assert weights.tolist() == [5.0 if name == classes[2] else 1.0 for name in classes]
    with pytest.raises(SettingsError, match="did you mean") as caught:
        make(f'loss.pixel_loss.weights={{"{classes[2]}x": 5}}')
    assert f"{classes[2]}x" in str(caught.value)


def test_weights_of_the_cross_entropy_beside_lovasz_are_found_too(make: Callable[..., SegmentTask]) -> None:
    task = make("loss=cross_entropy_lovasz", "loss.cross_entropy.weights=median")
    assert task.criterion.pixel_loss.cross_entropy_loss.weights is not None
    assert list(terms_of(task)) == ["cross_entropy_lovasz"]
