"""The segmentation task: what is scored and how, the contract, parameter groups, refusals before the first step."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ablata.base.errors import CheckpointError, DataError, SettingsError, StoppedError
from ablata.base.overrides import override
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.data.synthetic.scenes import Streets
from ablata.data.transforms.segmentation import Crop, JointAugment
from ablata.engine.checkpoints import LAST, load_checkpoint, refuse_mismatch
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.recipe import Compute, Train
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.models.backbones.xception39 import Xception39
from ablata.models.segmentation.base import AuxiliaryHead, DenseHead, Segmenter
from ablata.models.segmentation.bisenet.context_path import ContextPath
from ablata.models.segmentation.bisenet.feature_fusion import FeatureFusion
from ablata.models.segmentation.bisenet.model import BiSeNet
from ablata.models.segmentation.bisenet.spatial_path import SpatialPath
from ablata.recipes.index import load_recipe
from ablata.structures.segmentation import IGNORE, SegmentationBatch
from ablata.tasks.segmentation.task import Segment, SegmentTask

CPU = torch.device("cpu")
HEAD = DenseHead(width=8)
RECIPE = Segment(
    data=SceneMasks(train=12, val=5, streets=Streets(height=32, width=64)),
    model=BiSeNet(
        backbone=Xception39(width=4, blocks=(1, 1, 1)),
        spatial=SpatialPath(widths=(4, 4, 4), first="3x3", width=8),
        context=ContextPath(width=8),
        fusion=FeatureFusion(width=8),
        head=HEAD,
        aux=tuple(AuxiliaryHead(stride=stride, source="merged", head=HEAD) for stride in (8, 16)),
    ),
    loss=PixelCrossEntropy(),
    train=Train(steps=2, batch=4, evaluate_batch=5, evaluate_every=0),
    compute=Compute(precision="fp32", threads=1),
)
SIZES = ((40, 32), (32, 48))


class Share(ProcessGroup):
    """One of several processes, which keeps its sums to itself."""

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        return tensor


@pytest.fixture
def make(shared_cache: Path) -> Callable[..., SegmentTask]:
    """Return `make("key=value", ..., recipe=, rank=, world_size=)`: a task with the same weights each time."""

    def build(*overrides: str, recipe: Segment = RECIPE, rank: int = 0, world_size: int = 1) -> SegmentTask:
        torch.manual_seed(0)
        return override(recipe, overrides).build(3, RunContext(CPU, shared_cache, Share(rank, world_size), False))

    return build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return images and masks of two sizes, with ids 1, 2 (classes) and 7 (to be ignored)."""
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 3)):
        for number in range(count):
            ids = random.choice(np.array([1, 2, 7], np.uint8), SIZES[number % 2])
            for kind, pixels in (("images", np.stack([ids * 30] * 3, -1)), ("labels", ids)):
                file = tmp_path / "set" / kind / split / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    (tmp_path / "set" / "classes.txt").write_text("1 road\n2 sky\n7 unlabelled\n")
    return tmp_path / "set"


def of_folder(folder: Path) -> Segment:
    crop = JointAugment(crop=Crop(height=32, width=32))
    data = MaskFolder(root=str(folder), ignored=("unlabelled",), augment=crop)
    return RECIPE.model_copy(update={"data": data, "train": Train(steps=2, batch=2, evaluate_batch=2)})


def first_batch(task: SegmentTask) -> SegmentationBatch:
    return task.augment(next(task.batches(0, 1)), 0)


def every_image(task: SegmentTask, split: str) -> list[SegmentationBatch]:
    return list(task.data.eval_loader(split, 1))


# What a step teaches.


def test_the_loss_is_that_of_every_head_at_the_size_of_the_labels(make: Callable) -> None:
    task = make("aux_weight=0.5")
    batch = first_batch(task)
    outputs = copy.deepcopy(task.model)(batch.images)
    terms = task.loss(task.model, batch)
    assert list(terms) == ["cross_entropy", "aux8", "aux16"]
    for name, weight, output in (("cross_entropy", 1, "logits"), ("aux8", 0.5, "aux8"), ("aux16", 0.5, "aux16")):
        full = F.interpolate(outputs[output], batch.labels.shape[1:], mode="bilinear", align_corners=False)
        torch.testing.assert_close(terms[name], weight * F.cross_entropy(full, batch.labels.long()))


@pytest.mark.parametrize("upsample", ["nearest", "deconv", "bilinear"])
def test_the_loss_sees_logits_enlarged_as_the_network_enlarges_them(make: Callable, upsample: str) -> None:
    corners = ("model.logits_upsample.align_corners=true",) if upsample == "bilinear" else ()
    task = make(f"model.logits_upsample={upsample}", *corners)
    batch = first_batch(task)
    size = tuple(batch.labels.shape[1:])
    twin = copy.deepcopy(task.model)
    full = twin.full_size(twin(batch.images), size)
    terms = task.loss(task.model, batch)
    torch.testing.assert_close(terms["cross_entropy"], F.cross_entropy(full["logits"], batch.labels.long()))
    sum(terms.values()).backward()
    assert all(parameter.grad is not None for parameter in task.model.parameters())


def test_a_batch_without_a_pixel_that_counts_teaches_nothing_and_breaks_nothing(make: Callable) -> None:
    for loss in ("ohem", "focal", "cross_entropy"):
        task = make(f"loss={loss}")
        batch = first_batch(task)
        batch.labels.fill_(IGNORE)
        terms = task.loss(task.model, batch)
        sum(terms.values()).backward()
        assert [float(term.detach()) for term in terms.values()] == [0, 0, 0]
        assert all(float(parameter.grad.abs().sum()) == 0 for parameter in task.model.parameters())


def test_an_interrupted_training_ends_like_a_whole_one(shared_cache: Path, tmp_path: Path) -> None:
    class Stop(Reporter):
        def stop_reason(self) -> str | None:
            return "asked"

    recipe = override(RECIPE, ["ema=ema", "data.augment.color_jitter=true", "data.augment.color_jitter.brightness=0.3"])
    train(recipe, 0, tmp_path / "whole", shared_cache)
    with pytest.raises(StoppedError):
        train(recipe, 0, tmp_path / "parts", shared_cache, Stop())
    outcome = train(recipe, 0, tmp_path / "parts", shared_cache)
    whole, parts = (load_checkpoint(tmp_path / name / LAST) for name in ("whole", "parts"))
    for group, tensors in whole.groups.items():
        assert all(torch.equal(tensor, parts.groups[group][name]) for name, tensor in tensors.items())
    assert whole.facts["scores"] == parts.facts["scores"] == outcome.scores
    assert set(outcome.scores) >= {"val/ss/miou", "raw/val/ss/miou", "val/ss/pixel_accuracy", "val/ss/mean_accuracy"}


# Parameter groups.


def test_new_layers_learn_faster_and_norms_and_biases_do_not_decay() -> None:
    recipe = load_recipe("bisenet_camvid", ["new_layers_lr=10"]).effective()
    assert recipe.effective() == recipe
    with torch.device("meta"):
        model = recipe.model.build(11)
    groups = recipe.optim.groups.build(model, 5e-4)
    rates = {name: group["lr_scale"] for group in groups for name, _ in group["params"]}
    decays = {name: group["weight_decay"] for group in groups for name, _ in group["params"]}
    named = dict(model.named_parameters())
    assert sum(len(group["params"]) for group in groups) == len(named) == len(rates)
    fast = {name for name in named if name.split(".")[0] in ("fusion", "head", "aux")}
    assert {name for name, rate in rates.items() if rate == 10} == fast
    assert {name for name, decay in decays.items() if decay == 0} == {
        name for name, parameter in named.items() if parameter.ndim == 1
    }


def test_the_faster_layers_follow_the_model_that_was_chosen() -> None:
    parts = ["model.spatial=none", "model.merge=concat", "model.upsample=deconv"]
    changed = load_recipe("bisenet_camvid", [*parts, "new_layers_lr=10"])
    patterns = {multiplier.pattern for multiplier in changed.effective().optim.groups.multipliers}
    assert patterns == {"head.*", "aux.*"}


# Scores.


def brute_force(task: SegmentTask, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return intersections and unions by class, from whole maps of one image at a time."""
    classes = len(task.scored_classes)
    overlap, union = np.zeros(classes), np.zeros(classes)
    task.model.eval()
    for batch in every_image(task, split):
        truth = batch.labels.numpy()
        guess = task.predict(task.model, batch.images, "ss").numpy()
        guess = np.where(truth < classes, guess, IGNORE)
        for number in range(classes):
            overlap[number] += ((guess == number) & (truth == number)).sum()
            union[number] += ((guess == number) | (truth == number)).sum()
    return overlap, union


@torch.no_grad()
def test_mean_iou_is_that_of_all_pixels_and_absent_classes_are_left_out(make: Callable) -> None:
    task = make()
    found = task.evaluate_detailed(task.model.eval(), "val")
    overlap, union = brute_force(task, "val")
    with np.errstate(invalid="ignore"):
        each = 100 * overlap / union
    np.testing.assert_allclose(found.class_scores, each)
    assert found.scores["miou"] == pytest.approx(np.nanmean(each))
    assert (found.class_metric, found.classes) == ("iou", task.data.classes)
    absent = make("data.val=1").evaluate_detailed(task.model, "val")
    assert any(np.isnan(absent.class_scores))
    assert absent.scores["miou"] == pytest.approx(np.nanmean(absent.class_scores))


@torch.no_grad()
@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_processes_count_every_image_once(make: Callable, world_size: int) -> None:
    whole = make()
    recipe = override(RECIPE, ["train.batch=42", "data.train=42"])
    parts = [make(rank=rank, world_size=world_size, recipe=recipe) for rank in range(world_size)]
    counts = [part.score(whole.model.eval(), "val", "ss").confusion() for part in parts]
    assert torch.equal(sum(counts), whole.score(whole.model, "val", "ss").confusion())


@torch.no_grad()
def test_protocols_with_views_score_what_the_network_says_of_them(make: Callable) -> None:
    task = make()
    task.model.eval()
    plain, mirrored = (task.score(task.model, "val", name).confusion() for name in ("ss", "ss+mirror=true"))
    assert not torch.equal(plain, mirrored)
    assert torch.equal(plain, task.score(task.model, "val", "ss+multiple=1").confusion())
    windows = task.score(task.model, "val", "ssc+sliding_window.size=32").confusion()
    assert not torch.equal(plain, windows)
    assert torch.equal(windows, make("sliding_window.size=32").score(task.model, "val", "ssc").confusion())


@pytest.mark.parametrize(
    ("name", "message"), [("sss", "must be one of ss, ssc, msf, mscf"), ("ss+crop=3", "crop must be a key")]
)
def test_an_unknown_protocol_is_refused(make: Callable, name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make().check_protocol(name)
    with pytest.raises(SettingsError, match=message):
        override(RECIPE, [f"protocols=[{name}]"])


@torch.no_grad()
def test_predictions_come_in_the_order_of_the_split_whatever_their_sizes(make: Callable, folder: Path) -> None:
    task = make(recipe=of_folder(folder))
    found = task.evaluate_detailed(task.model.eval(), "val", samples=True)
    rows = found.samples
    assert rows["index"].tolist() == [0, 1, 2]
    assert rows["size"].tolist() == [list(SIZES[0]), list(SIZES[1]), list(SIZES[0])]
    counted = torch.zeros(2, 2, dtype=torch.int64)
    for batch in every_image(task, "val"):
        row, (height, width) = int(batch.index), batch.labels.shape[1:]
        assert torch.equal(rows["label"][row, :height, :width], batch.labels[0])
        assert int((rows["label"][row] != IGNORE).sum()) == int((batch.labels != IGNORE).sum())
        own = task.predict(task.model, batch.images, "ss")[0]
        assert torch.equal(rows["predicted"][row, :height, :width].long(), own)
    for truth, guess in zip(rows["label"].flatten().tolist(), rows["predicted"].flatten().tolist(), strict=True):
        if truth != IGNORE:
            counted[truth, guess] += 1
    assert counted.tolist() == [list(row) for row in found.confusion]


@torch.no_grad()
def test_a_void_class_is_trained_but_neither_scored_nor_predicted(make: Callable, folder: Path) -> None:
    recipe = override(of_folder(folder), ["data.void=class"])
    task = make(recipe=recipe)
    batch = first_batch(task)
    assert int((batch.labels == 2).sum()) > 0
    assert task.model(batch.images)["logits"].shape[1] == 3
    ignoring = make(recipe=of_folder(folder))
    task.model.eval()
    found = task.evaluate_detailed(task.model, "val")
    assert found.classes == ignoring.scored_classes == ("road", "sky")
    assert task.contract()["classes"] == ["road", "sky", "void"]
    pixels = int(ignoring.data.pixel_counts("val")[:2].sum())
    assert sum(map(sum, found.confusion)) == pixels


# The contract.


def test_a_checkpoint_of_other_classes_ids_or_ignored_values_is_refused(make: Callable, folder: Path) -> None:
    saved = json.loads(json.dumps(make(recipe=of_folder(folder)).contract()))
    refuse_mismatch(saved, make(recipe=of_folder(folder)).contract(), "run x")
    assert saved["ids"] == {"form": "ids", "values": [1, 2], "ignored": [7]}
    assert saved["ignore_label"] == IGNORE
    for text, ignored, key in (
        ("1 road\n2 water\n7 unlabelled\n", "unlabelled", "classes"),
        ("2 road\n1 sky\n7 unlabelled\n", "unlabelled", "ids"),
        ("1 road\n2 sky\n7 other\n", "other", None),
    ):
        (folder / "classes.txt").write_text(text)
        other = make(recipe=override(of_folder(folder), [f"data.ignored=[{ignored}]"])).contract()
        if key is None:
            refuse_mismatch(saved, other, "run x")
        else:
            with pytest.raises(CheckpointError, match=rf"{key} must be the same(.|\n)*run x has"):
                refuse_mismatch(saved, other, "run x")


def test_a_checkpoint_of_twenty_classes_is_not_scored_on_nineteen(make: Callable, folder: Path) -> None:
    twenty = make(recipe=override(of_folder(folder), ["data.void=class"])).contract()
    with pytest.raises(CheckpointError, match=r'"void"'):
        refuse_mismatch(twenty, make(recipe=of_folder(folder)).contract(), "run x")


# What is refused before the first step.


def test_the_check_of_shapes_changes_nothing(make: Callable) -> None:
    task = make()
    batch, before = first_batch(task), copy.deepcopy(task.model.state_dict())
    random = torch.get_rng_state()
    task.check(batch)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.model.state_dict().items())
    assert all(tensor.device == CPU for tensor in task.model.state_dict().values())


def test_an_output_of_another_size_than_its_label_is_named(make: Callable) -> None:
    task = make()
    task.model.aux["aux16"].where = "nowhere"
    with pytest.raises(DataError, match=r"aux16 is 4x11x2x4 for labels 4x32x64"):
        task.check(first_batch(task))


def test_a_label_outside_the_class_list_is_refused(make: Callable) -> None:
    task = make()
    batch = first_batch(task)
    batch.labels[0, 0, 0] = 17
    with pytest.raises(DataError, match=r"0 to 10, or 255(.|\n)*1 pixels with labels such as 17"):
        task.check(batch)


def test_images_that_the_network_cannot_train_on_are_refused_with_their_size(make: Callable) -> None:
    crop = ("data.augment.crop.height=32", "data.augment.crop.width=32")
    task = make(*crop, "train.accumulate=4", "model.pooled_norm=none")
    with pytest.raises(SettingsError, match=r"1 at once of 32x32 \(height x width\): Expected more than 1 value"):
        task.check(first_batch(task))
    task = make("train.accumulate=4")
    with pytest.raises(SettingsError, match="needs two images a batch"):
        task.check(first_batch(task))


def test_a_list_of_weights_must_be_as_long_as_the_class_list(make: Callable) -> None:
    with pytest.raises(SettingsError, match=r"must fit the classes(.|\n)*each of the 11 classes"):
        make("loss.weights=[1,2,3]")


def test_masks_that_do_not_fit_are_named_by_file_before_the_first_step(make: Callable, folder: Path) -> None:
    mask = folder / "labels" / "train" / "1.png"
    good = np.asarray(Image.open(mask))
    wrong = {
        "ids": Image.fromarray(np.where(good == 7, 9, good).astype(np.uint8)),
        "size": Image.fromarray(good[:-1]),
        "RGB": Image.fromarray(np.stack([good] * 3, -1)),
    }
    palette = Image.fromarray(np.where(good == 7, 9, good).astype(np.uint8))
    palette.putpalette([200, 0, 0] * 256)
    messages = {
        "ids": r"1\.png(.|\n)*\b9\b",
        "size": r"1\.png is 31x48, .*1\.png is 32x48",
        "RGB": r"greyscale or palette(.|\n)*1\.png: RGB",
        "palette": r"1\.png(.|\n)*\b9\b",
    }
    for name, image in (wrong | {"palette": palette}).items():
        image.save(mask)
        with pytest.raises(DataError, match=messages[name]):
            make(recipe=of_folder(folder))


def test_palette_masks_are_read_as_their_indices(make: Callable, folder: Path) -> None:
    before = make(recipe=of_folder(folder)).data.pixel_counts("train")
    for mask in (folder / "labels" / "train").iterdir():
        image = Image.open(mask).copy()
        image.putpalette([200, 0, 0] * 256)
        image.save(mask)
    assert torch.equal(make(recipe=of_folder(folder)).data.pixel_counts("train"), before)


def test_every_segmenter_of_the_union_is_one(make: Callable) -> None:
    for kind in ("bisenet", "bisenet_v2"):
        task = make(f"model={kind}")
        assert isinstance(task.model, Segmenter)
        task.check(first_batch(task))


def test_a_test_split_without_masks_is_predicted_and_not_scored(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for number in range(count):
            for kind, shape in (("images", (32, 64, 3)), ("labels", (32, 64))):
                if (kind, split) != ("labels", "test"):
                    file = tmp_path / "set" / kind / split / f"{number}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    high = 256 if kind == "images" else 3
                    Image.fromarray(random.integers(0, high, shape, dtype=np.uint8)).save(file)
    (tmp_path / "set/classes.txt").write_text("sky\nroad\ncar\n")
    recipe = RECIPE.model_copy(update={"data": MaskFolder(root=str(tmp_path / "set"))})
    task = recipe.build(0, RunContext(cache=tmp_path / "cache", device=CPU))
    model = task.model.eval()
    with pytest.raises(DataError, match="must have masks with pixels that count"):
        task.evaluate_detailed(model, "test")
    found = task.evaluate_detailed(model, "test", samples=True)
    assert found.scores == {}
    assert found.samples["predicted"].shape == (2, 32, 64)
    assert len(task.split_fingerprint("test")) == 24
    assert task.split_fingerprint("val") == ""
