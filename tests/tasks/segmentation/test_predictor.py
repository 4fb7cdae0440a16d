"""Segmenters on image files: the same logits from every export, masks and overlays of images and videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.base.errors import CheckpointError, SettingsError
from ablata.base.settings import expand
from ablata.data.io.decode import ImageRules, open_image, to_rgb
from ablata.data.io.input_files import InputFile, find_input_files
from ablata.data.io.video import Video, video_writer
from ablata.data.io.windows import ImageWindows
from ablata.data.labels.mask_files import read_mask
from ablata.data.labels.table import default_palette
from ablata.engine.predictor import PredictOptions
from ablata.recipes.index import load_recipe
from ablata.tasks.inference.hub import export_hub, load_exported
from ablata.tasks.inference.load import assemble
from ablata.tasks.inference.onnx_pt2 import export_onnx, export_pt2, preparation
from ablata.tasks.segmentation.predictor import SegmentationPredictor

CLASSES = ["sky", "road", "car", "void"]


def predictor(void: bool = False, **contract: object) -> SegmentationPredictor:
    """Return an untrained little BiSeNet of three classes, perhaps with a void class that is not predicted."""
    torch.manual_seed(0)
    recipe = load_recipe("bisenet_scenes", ["model.head.width=16", "model.context.width=16", "model.fusion.width=32"])
    tree, count = expand(recipe), 3 + void
    told = {
        "task": "segment",
        "classes": CLASSES[:count],
        "scored_classes": CLASSES[:3],
        "palette": [list(color) for color in default_palette(count)],
        "image_size": [64, 64],
        "channels": 3,
        "mean": list(tree["data"]["mean"]),
        "std": list(tree["data"]["std"]),
        "image_backend": "exact",
        "protocols": {"ss": {}},
    } | contract
    network = recipe.model.build(count, 3)  # type: ignore[attr-defined]
    facts = {"recipe": tree, "run": "abc", "seed": 0, "step": 6, "scores": {"val/ss/miou": 50.0}}
    found = assemble(tree, told, network.state_dict(), facts, "run abc")
    assert isinstance(found, SegmentationPredictor)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with images of two sizes, one in a folder of its own, a damaged one, and a film."""
    random = np.random.default_rng(0)
    place = tmp_path / "in"
    (place / "more").mkdir(parents=True)
    for name, size in (("a.png", (64, 64)), ("more/b.png", (37, 51))):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(place / name)
    (place / "bad.jpg").write_bytes(b"broken")
    with video_writer(place / "film.mp4", 10) as add:
        for _ in range(2):
            add(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return place


def test_an_exported_folder_gives_the_logits_of_the_segmenter(tmp_path: Path) -> None:
    model = predictor()
    assert export_hub(model, tmp_path / "out") == 0
    back = load_exported(tmp_path / "out")
    assert isinstance(back, SegmentationPredictor)
    assert torch.equal(back.outputs(back.example(2)), model.outputs(model.example(2)))
    assert "segmenter of 3 classes" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.slow
def test_a_graph_of_another_size_gives_the_logits_of_the_segmenter(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = predictor().with_size("96x128")
    assert preparation(model)["output"] == "logits: float32 [batch, 3, 96, 128]"
    assert export_pt2(model, tmp_path / "out.pt2") <= 1e-5
    assert export_onnx(model, tmp_path / "out.onnx") <= 1e-4


@pytest.mark.parametrize("size", ["96", "96x", "axb", "96x128x3"])
def test_a_size_of_another_form_is_refused(size: str) -> None:
    with pytest.raises(SettingsError, match="HEIGHTxWIDTH"):
        predictor().with_size(size)


def test_logits_of_an_image_have_its_size_and_a_void_class_is_never_predicted() -> None:
    model = predictor(void=True)
    assert model.outputs(model.example(1)).shape == (1, 4, 64, 64)
    with torch.no_grad():
        model.network.head.classifier.bias[3] += 1e3  # type: ignore[union-attr,index,operator]
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    labels = model.predict(pixels, model.protocol("ss"))
    assert labels.shape == (40, 50)
    assert labels.max() <= 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_image_is_predicted_in_the_number_format_of_its_training(precision: str) -> None:
    model = predictor()
    tree = model.facts["recipe"]
    model = replace(model, facts={**model.facts, "recipe": {**tree, "compute": {"precision": precision}}})
    seen: list[torch.dtype] = []
    model.network.head.register_forward_hook(lambda *said: seen.append(said[-1].dtype))  # type: ignore[union-attr]
    model.predict(np.zeros((64, 64, 3), dtype=np.uint8), model.protocol("ss"))
    assert seen == [{"fp32": torch.float32, "bf16": torch.bfloat16}[precision]]


def test_masks_overlays_and_class_list_are_written_for_every_readable_file(folder: Path, tmp_path: Path) -> None:
    model, out = predictor(), tmp_path / "out"
    found = list(model.predict_files(find_input_files([folder], videos=True), PredictOptions(output=out)))
    assert [one.file.name for one in found] == ["a.png", "bad.jpg", "film.mp4", "b.png"]
    assert [bool(one.problem) for one in found] == [False, True, False, False]
    assert "bad.jpg" in found[1].problem
    for name in ("a", "more/b"):
        mask = read_mask(out / "masks" / f"{name}.png", "ids")
        pixels = np.asarray(to_rgb(open_image(folder / f"{name}.png", name), name))
        assert np.array_equal(mask, model.predict(pixels, model.protocol("ss")))
        with Image.open(out / "overlays" / f"{name}.jpg") as over:
            assert (over.height, over.width) == mask.shape
    assert (out / "classes.txt").read_text() == "0 sky\n1 road\n2 car\n"
    assert sorted(path.name for path in (out / "masks" / "film").iterdir()) == ["000000.png", "000001.png"]
    assert len(list(Video(out / "overlays" / "film.mp4").frames())) == found[2].frames == 2
    for one in found:
        assert sum(share for _, share in one.classes) == pytest.approx(0 if one.problem else 1)


def test_nothing_is_written_without_a_folder_to_write_to(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    found = predictor().predict_files(find_input_files([folder], videos=True), PredictOptions())
    assert [one.outputs for one in found] == [()] * 4
    assert sorted(folder.rglob("*")) == before


def test_a_protocol_is_one_of_the_task_with_the_windows_of_the_recipe(folder: Path) -> None:
    model, inputs = predictor(), [InputFile(folder / "a.png", "a")]
    whole = predictor().protocol("ssc").sliding_window
    assert whole is not None
    assert whole.size == 48
    assert next(iter(model.predict_files(inputs, PredictOptions(protocol="mscf")))).frames == 1
    with pytest.raises(SettingsError, match="A protocol must be one of ss, ssc, msf, mscf"):
        model.predict_files(inputs, PredictOptions(protocol="plain"))


def test_an_image_too_small_for_the_network_is_told_and_the_others_are_done(folder: Path) -> None:
    model = predictor()
    model.network.least = 60  # type: ignore[assignment]
    found = list(model.predict_files(find_input_files([folder / "a.png", folder / "more"]), PredictOptions()))
    assert [bool(one.problem) for one in found] == [False, False]
    options = PredictOptions(protocol="ss+multiple=1")
    found = list(model.predict_files(find_input_files([folder / "more"]), options))
    assert "37x51" in found[0].problem


def test_images_decoded_otherwise_than_in_training_are_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"pil 4\.2"):
        predictor(image_backend="pil 4.2").predict_files(find_input_files([folder], videos=True), PredictOptions())


def test_tiles_put_together_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model, random = predictor(), np.random.default_rng(0)
    pixels = random.integers(0, 256, (150, 201, 3), dtype=np.uint8)
    whole = model.predict(pixels, model.protocol("ss"))
    image = ImageWindows(pixels, (150, 201))
    assert np.array_equal(model.predict_tiled(image, model.protocol("ss"), 201), whole)
    shapes = set()

    def local(self: SegmentationPredictor, seen: np.ndarray, protocol: object) -> np.ndarray:
        shapes.add(seen.shape[:2])
        labels: np.ndarray = seen[..., 0] % 3
        return labels

    monkeypatch.setattr(SegmentationPredictor, "predict", local)
    for tile in (64, 100, 150, 300):
        assert np.array_equal(model.predict_tiled(image, model.protocol("ss"), tile), pixels[..., 0] % 3)
    assert (96, 96) in shapes


def test_parts_of_a_file_that_is_decoded_whole_are_its_pixels(tmp_path: Path) -> None:
    pixels, file = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8), tmp_path / "a.png"
    Image.fromarray(pixels).save(file)
    with ImageWindows.open(file) as image:
        assert image.is_whole
        assert np.array_equal(image.read(-5, 10, 30, 90), pixels[:30, 10:])
        assert np.array_equal(image.shrunk(3), pixels[::3, ::3])
    with ImageWindows.open(file, ImageRules(bands=(2, 0))) as image:
        assert np.array_equal(image.read(1, 2, 3, 4), pixels[1:3, 2:4, [2, 0]])


@pytest.mark.parametrize("name", ["large.png", "large.tif"])
def test_an_image_beyond_the_limit_is_predicted_in_tiles(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, file = predictor(), tmp_path / name
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)).save(file)
    monkeypatch.setattr(SegmentationPredictor, "rules", ImageRules(max_pixels=10_000))
    found = find_input_files([file])
    refused, done = (
        next(iter(model.predict_files(found, PredictOptions(tile=tile, output=tmp_path / "out"))))
        for tile in (None, 64)
    )
    assert refused.problem.endswith(f"{name}: 30,000 pixels, limit 10,000 (data.max_pixels); --tile 2048 predicts "
                                    "images of any size")  # fmt: skip
    assert (done.problem, sum(share for _, share in done.classes)) == ("", pytest.approx(1))
    for written in ("masks/large.png", "overlays/large.jpg"):
        with Image.open(tmp_path / "out" / written) as image:
            assert image.size == (200, 150)
