"""`ablata data` on a folder of images and label files, as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _grey_set(root: Path) -> Path:
    """Write six pairs whose label files hold 0, 74, 128 and 145."""
    random = np.random.default_rng(0)
    for kind in ("image", "label"):
        (root / kind).mkdir(parents=True)
    for number in range(6):
        mask = np.repeat(np.array([0, 74, 128, 145], np.uint8), 4)[None].repeat(12, 0)
        Image.fromarray(mask).save(root / "label" / f"{number}.png")
        Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(root / "image" / f"{number}.png")
    return root


def test_from_grey_values_to_a_set_that_is_sound(ablata: Callable, tmp_path: Path) -> None:
    root, file, new = _grey_set(tmp_path / "own"), tmp_path / "map.yaml", tmp_path / "new"
    checked = ablata("data", "check", str(root), "--propose-map", str(file))
    assert checked.status == 1
    assert "values with gaps" in checked.out
    assert f"ablata data convert {root} --map {file}" in checked.err
    again = ablata("data", "check", str(root), "--propose-map", str(file))
    assert (again.status, "may have been edited" in again.err) == (2, True)
    converted = ablata("data", "convert", str(root), "--map", str(file), "--output", str(new))
    assert converted.status == 0
    assert "train 5, val 1 pairs" in converted.err
    sound = ablata("data", "check", str(new))
    assert (sound.status, "no problems" in sound.out) == (0, True)
    counted = ablata("data", "stats", str(new), "--weights", "most-frequent")
    assert "loss.weights=[1,1,1,1]" in counted.out
    assert "not needed" in counted.out
    back = ablata("data", "convert", str(new), "--map", str(file), "--reverse", "--output", str(tmp_path / "back"))
    assert back.status == 0
    for mask in root.glob("label/*.png"):
        written = next((tmp_path / "back" / "labels").glob(f"*/{mask.name}"))
        assert np.array_equal(np.asarray(Image.open(written)), np.asarray(Image.open(mask)))


def test_what_is_found_is_told_as_json_too(ablata: Callable, tmp_path: Path) -> None:
    root = _grey_set(tmp_path / "own")
    tree = json.loads(ablata("data", "check", str(root), "--json").out)
    assert [row["value"] for row in tree["values"]] == ["0", "74", "128", "145"]
    assert {one["kind"] for one in tree["problems"]} == {"values with gaps"}
    assert all("ablata data" in one["do"] for one in tree["problems"])


def test_a_folder_is_drawn_with_its_labels(ablata: Callable, tmp_path: Path) -> None:
    root = _grey_set(tmp_path / "own")
    answer = ablata("data", "preview", str(root), "--output", str(tmp_path / "sheet.png"), "--count", "2")
    assert answer.status == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 2 * 3 * 16
        assert len(sheet.getcolors(1 << 24) or []) > 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stats", "OWN"), "ablata data convert"),
        (("stats", "OWN", "--weights", "median-ish"), "did you mean median?"),
        (("convert", "OWN"), "--map FILE --output NEW_FOLDER"),
        (("convert", "OWN", "--map", "none.yaml", "--output", "new"), "none.yaml"),
        (("check", "OWN", "--labels", "gt"), "images beside gt"),
        (("check", "OWN", "--form", "colored"), "ids or colors"),
        (("check", "OWN", "data.size=4"), "must be a key of data (mask_folder)"),
        (("check", "./nowhere"), "no such folder or zip"),
    ],
)
def test_wrong_usage_is_told_in_words(ablata: Callable, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    root = _grey_set(tmp_path / "own")
    answer = ablata("data", *[str(root) if argument == "OWN" else argument for argument in arguments])
    assert answer.status == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_a_map_without_a_value_that_is_there_names_file_and_value(ablata: Callable, tmp_path: Path) -> None:
    root = _grey_set(tmp_path / "own")
    (tmp_path / "map.yaml").write_text("labels:\n- {value: 0, id: 0, name: a}\n- {value: 74, id: 1, name: b}\n")
    answer = ablata("data", "convert", str(root), "--map", "map.yaml", "--output", "new")
    assert answer.status == 2
    assert "label/0.png: 128 (48 pixels), 145 (48 pixels)" in answer.err
    assert not (tmp_path / "new").exists()


def test_label_files_are_checked_where_torch_is_not(tmp_path: Path) -> None:
    root = _grey_set(tmp_path / "own")
    code = "import sys; sys.modules['torch'] = None; from ablata.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-W", "error", "-c", code, "data", "check", str(root)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 1
    assert "values with gaps" in answer.stdout


def test_an_output_or_option_that_nothing_can_be_done_with_is_refused(ablata: Callable, tmp_path: Path) -> None:
    root, file = _grey_set(tmp_path / "own"), tmp_path / "map.yaml"
    ablata("data", "check", str(root), "--propose-map", str(file))
    drawn = ablata("data", "preview", str(root), "--output", str(tmp_path / "sheet.txt"))
    assert (drawn.status, "An image is written as its ending says" in drawn.err) == (2, True)
    arguments = ("--map", str(file), "--output", str(tmp_path / "new"), "--palette", "blue")
    converted = ablata("data", "convert", str(root), *arguments)
    assert (converted.status, "--palette must be index or grey" in converted.err) == (2, True)
    assert not (tmp_path / "new").exists()
