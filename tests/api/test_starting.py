"""`start`: a folder becomes a recipe that trains, its choices with reasons; what is wrong or unknown is told."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.io.test_tiff import write_tiff

from ablata.api.start.first_study import first_study
from ablata.api.start.image_reading import reading_choices
from ablata.api.start.proposal import Choice, Proposal
from ablata.api.start.proposing import propose
from ablata.base.errors import DataError
from ablata.data.formats.recognize import Recognized
from ablata.data.io.decode import ImageRules, decode_bands, open_image
from ablata.recipes.index import load_recipe


def classes(root: Path, each: int = 40) -> Path:
    generator = np.random.default_rng(0)
    for split, count in (("train", each), ("val", each // 4)):
        for number, name in enumerate(("dark", "light")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(100 * number, 100 * number + 100, (40, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


def test_a_proposal_is_a_file_of_settings_each_with_its_reason(tmp_path: Path) -> None:
    found = Recognized("image_folder", "a folder of images", "classify", "image_folder", ("data.root=x",))
    choices = (Choice("data=image_folder", "what the\nfolder is"), Choice("train.epochs=3", "short"))
    path = tmp_path / "recipe.py"
    path.write_text(Proposal(found, (), (), (), choices).text())
    assert "    # what the folder is\n" in path.read_text()
    recipe = load_recipe(str(path), ["train.batch=8"])
    assert (recipe.task, recipe.train.epochs, recipe.train.batch) == ("classify", 3, 8)


def test_a_folder_of_no_known_layout_is_told_the_layouts_there_are(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"1 \.txt; none is an image\n.*CLASS/IMAGE.*formats\.md"):
        propose(str(tmp_path), say=lambda _: None)


def test_a_folder_without_labels_is_told_what_it_holds(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)

    def images(folder: Path, values: int = 255) -> Path:
        folder.mkdir(parents=True)
        for number in range(3):
            shape = (20, 20) if values < 255 else (20, 20, 3)
            Image.fromarray(generator.integers(0, values, shape, dtype=np.uint8)).save(folder / f"i{number}.png")
        return folder

    (tmp_path / "empty").mkdir()
    images(tmp_path / "masks/labels", values=4)
    (images(tmp_path / "table") / "captions.csv").write_text("image,caption\ni0.png,a cat\n")
    images(tmp_path / "beside/more")
    for number in range(3):
        (tmp_path / f"beside/more/i{number}.txt").write_text("a dog runs over grass")
    (images(tmp_path / "json") / "metadata.jsonl").write_text('{"file_name": "i0.png", "text": "a cat"}\n')
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as packed:
        packed.writestr("a.txt", "x")
    told = {
        "empty": "folder must hold images.*\n.*it is empty",
        "texts.zip": r"files: 1 \.txt; none is an image",
        "masks": "Masks must have images beside them\n.*4 values at most: masks alone",
        "table": "not trained on captions.*\n.*captions in captions.csv",
        "beside": r"not trained on captions.*\n.*i0\.txt and 2 more",
        "json": "not trained on captions.*\n.*metadata.jsonl",
    }
    for name, words in told.items():
        with pytest.raises(DataError, match=words):
            propose(str(tmp_path / name), say=lambda _: None)


def test_bands_bits_and_pages_are_chosen_where_images_have_them(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    files = []
    for number in range(4):
        files.append(tmp_path / f"{number}.tif")
        files[-1].write_bytes(write_tiff(generator.integers(0, 3000, (16, 20, 5)).astype(np.uint16)))
    settings = [choice.setting for choice in reading_choices(files)]
    assert settings == ["data.bands=[0,1,2,3,4]", "data.bits=12"]
    pixels, _ = decode_bands(open_image(files[0], "f"), "f", ImageRules(bands=(0, 1, 2, 3, 4), bits=12))
    assert pixels.max() > 150
    stack = tmp_path / "stack.tif"
    pages = [Image.fromarray(generator.integers(0, 255, (16, 20), dtype=np.uint8)) for _ in range(3)]
    pages[0].save(stack, save_all=True, append_images=pages[1:])
    assert [choice.setting for choice in reading_choices([stack])] == ["data.page=0"]
    pages[0].convert("RGB").save(tmp_path / "plain.png")
    assert not list(reading_choices([tmp_path / "plain.png", tmp_path / "missing.png"]))


def test_a_first_studys_margin_and_seeds_follow_from_the_images_to_score_on() -> None:
    for images, seeds, margin in ((12, 8, 10.0), (73, 8, 3.0), (153, 5, 3.0), (1000, 5, 1.0), (10000, 3, 1.0)):
        assert first_study(images)[:2] == (seeds, margin), images


def test_what_is_wrong_is_told_before_anything_is_chosen(tmp_path: Path) -> None:
    root = classes(tmp_path / "set", each=4)
    (root / "train" / "dark" / "0.png").write_bytes(b"no image")
    made = propose(str(root), weights=False, say=lambda _: None)
    assert not made.choices
    assert any("0.png" in problem for problem in made.wrong)


@pytest.mark.slow
def test_a_folder_becomes_a_recipe_that_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablata.api.training import train

    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "home"))
    made = propose(str(classes(tmp_path / "set")), minutes=0.1, weights=False, say=lambda _: None)
    settings = [choice.setting for choice in made.choices]
    assert {"data=image_folder", "data.size=32", "model.name=mobilenetv2_100", "train.minutes=0.1"} <= set(settings)
    assert made.steps >= 1
    path = tmp_path / "recipe.py"
    path.write_text(made.text())
    assert train(str(path), progress=False).scores["val/plain/top1"] >= 50
