"""`start`: a folder becomes a recipe that trains, its choices with reasons; what is wrong or unknown is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.api.start.proposal import Choice, Proposal
from ablata.api.start.proposing import propose
from ablata.base.errors import DataError
from ablata.data.formats.recognize import Recognized
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
