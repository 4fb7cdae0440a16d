"""`ablata predict`, `ablata export` and `ablata data check`, as a user calls them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.data.io.video import Video, video_writer

from .conftest import QUICK

Ablata = Callable[..., object]


@pytest.fixture
def run(ablata: Callable) -> str:
    """A run of the digits that has completed."""
    return str(json.loads(ablata("train", "digits", *QUICK, "--json").out)["run"])


@pytest.fixture
def image(tmp_path: Path) -> str:
    """An image file."""
    Image.linear_gradient("L").save(tmp_path / "image.png")
    return str(tmp_path / "image.png")


def test_an_export_predicts_by_path_and_by_name_what_its_run_does(
    ablata: Callable, run: str, image: str, tmp_path: Path
) -> None:
    said = json.loads(ablata("predict", run, image, "--json", "--top", "3").out)
    assert len(said["predictions"][0]["classes"]) == 3
    answer = ablata("export", run, "--format", "hub")
    assert (answer.status, "differ by at most 0" in answer.err) == (0, True)
    assert ablata("export", run, "--format", "hub", "--output", str(tmp_path / "out")).status == 0
    for reference in (f"digits-{run}", str(tmp_path / "out")):
        assert json.loads(ablata("predict", reference, image, "--json", "--top", "3").out) == said


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_told(
    ablata: Callable, run: str, image: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"broken")
    answer = ablata("predict", run, str(tmp_path / "bad.jpg"), image, "--output", str(tmp_path / "new" / "sheet.png"))
    assert answer.status == 1
    assert "unreadable" in answer.err
    assert "bad.jpg" in answer.err
    assert "image.png: " in answer.out
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        assert sheet.width > 100


def test_wrong_usage_is_told_in_words(ablata: Callable, run: str, image: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for line, words in (
        (f"predict zzz {image}", "fits no run"),
        (f"predict {tmp_path / 'empty'} {image}", "must be one that was exported"),
        (f"predict {run} nothing.png", "nothing.png"),
        (f"predict {run} {image} --protocol ten_crop", "trained on digits"),
        (f"predict {run} {image} --checkpoint first", "last or best"),
        (f"export {run} --format tflite", "format of an export must be one of"),
        (f"evaluate {run} --protocol ten_crop", "need a set of image files"),
        (f"evaluate {run} --weights mean", "eval or raw"),
        ("data check ./nowhere", "no such folder or zip"),
        ("data check digitz", "did you mean digits?"),
        ("data check image_folder", "data.root is not set"),
    ):
        answer = ablata(*line.split())
        assert answer.status == 2, line
        assert words in answer.err, line
        assert "Traceback" not in answer.err


def test_a_check_ends_with_1_where_something_is_wrong(ablata: Callable, tmp_path: Path) -> None:
    for split, colour in (("train", "red"), ("val", "blue")):
        for name in ("ant", "bee"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            Image.new("RGB", (20 + len(split), 20 + ord(name[0])), colour).save(
                tmp_path / "set" / split / name / "0.png"
            )
    sound = ablata("data", "check", str(tmp_path / "set"), "data.size=16")
    assert (sound.status, sound.out.splitlines()[-1]) == (0, "no problems")
    (tmp_path / "set" / "train" / "bee" / "0.png").write_bytes(b"broken")
    wrong = ablata("data", "check", str(tmp_path / "set"), "data.size=16", "--json")
    assert wrong.status == 1
    assert {one["kind"] for one in json.loads(wrong.out)["problems"]} == {"unreadable", "empty class"}
    assert ablata("data", "stats", str(tmp_path / "set"), "data.size=16").status == 0


def test_a_segmenter_writes_masks_and_overlays_of_a_folder(ablata: Callable, image: str, tmp_path: Path) -> None:
    small = ("data.train=32", "data.val=8", "train.batch=16", *QUICK[:3], "train.steps=1", "model.head.width=16")
    run = str(json.loads(ablata("train", "bisenet_scenes", *small, "--json").out)["run"])
    (tmp_path / "in").mkdir()
    Path(image).rename(tmp_path / "in" / "image.png")
    (tmp_path / "in" / "bad.mp4").write_bytes(b"broken")
    answer = ablata("predict", run, str(tmp_path / "in"), "--output", str(tmp_path / "out"))
    assert answer.status == 1
    assert "unreadable: " in answer.err
    assert "bad.mp4: no video, damaged" in answer.err
    assert "image.png: " in answer.out
    with Image.open(tmp_path / "out" / "masks" / "image.png") as mask, Image.open(tmp_path / "in/image.png") as own:
        assert (mask.mode, mask.size) == ("P", own.size)
    assert ablata("runs", "show", run, "--output", str(tmp_path / "page.html")).status == 0
    assert re.search(r"^created = \d{4}-\d\d-\d\dT", ablata("runs", "show", run).out, re.MULTILINE)
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg;base64,") > 1
    said = json.loads(ablata("predict", run, str(tmp_path / "in" / "image.png"), "--protocol", "msf", "--json").out)
    assert said["protocol"] == "msf"
    for line, words in (
        (f"export {run} --format pt2 --output {tmp_path / 'in' / 'image.png'}", "must end in .pt2"),
        (f"export {run} --format pt2 --size 64", "HEIGHTxWIDTH"),
        (f"export {run} --format hub --size 64x96", "are of graphs"),
        (f"predict {run} {tmp_path / 'in'} --output {tmp_path / 'in' / 'image.png'}", "must be a folder"),
        (f"predict {run} {tmp_path / 'in'} --protocol plain", "ss, ssc, msf, mscf"),
    ):
        answer = ablata(*line.split())
        assert (answer.status, words in answer.err) == (2, True), line


@pytest.mark.slow
def test_a_segmenter_is_exported_in_every_form_and_labels_a_video(ablata: Callable, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    small = ("data.train=32", "data.val=8", "train.batch=16", *QUICK[:3], "train.steps=1", "model.head.width=16")
    run = str(json.loads(ablata("train", "bisenet_scenes", *small, "--json").out)["run"])
    for form, size in (("onnx", ("--size", "64x96")), ("pt2", ("--size", "64x96")), ("hub", ())):
        answer = ablata("export", run, "--format", form, "--output", str(tmp_path / f"out.{form}"), *size)
        assert (answer.status, (tmp_path / f"out.{form}").exists()) == (0, True), answer.err
        assert "outputs differ by at most" in answer.err
    random = np.random.default_rng(0)
    with video_writer(tmp_path / "video.mp4", 10) as add:
        for _ in range(3):
            add(random.integers(0, 256, (64, 96, 3), dtype=np.uint8))
    for model in (run, str(tmp_path / "out.hub")):
        out = tmp_path / Path(model).name / "drawn"
        answer = ablata("predict", model, str(tmp_path / "video.mp4"), "--output", str(out))
        assert (answer.status, "video.mp4 (3 frames): " in answer.out) == (0, True), answer.err
        assert len(list(Video(out / "overlays" / "video.mp4").frames())) == 3
        assert len(list((out / "masks" / "video").iterdir())) == 3
