"""Checks of data sets: each thing that is wrong is named by file, and a sound set has no problem."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.classification.digits import Digits
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.classification.report import Report, check_files, check_images
from ablata.data.formats.recognize import recognize


@pytest.fixture
def root(folder_root: Path, tmp_path: Path) -> Path:
    """Return a copy of the little folder, to be spoiled."""
    return Path(shutil.copytree(folder_root, tmp_path / "set"))


def found(root: Path, crop: int = 8) -> Report:
    return check_files(ImageFolder(root=str(root)).listed(root.parent / "cache"), crop)


def problems(root: Path) -> set[tuple[str, str]]:
    return {(one.kind, one.where) for one in found(root).problems}


def test_a_sound_folder_has_no_problem_and_its_figures_are_those_of_its_pixels(root: Path) -> None:
    report = found(root)
    assert report.problems == ()
    assert report.classes == {
        "train": {"ant": 13, "bee": 9, "cat": 11},
        "val": {"ant": 4, "bee": 3, "cat": 4},
    }
    assert [(one.kind, one.where) for one in report.remarks] == [("no image", "train/ant/notes.txt")]
    images = []
    for file in sorted(root.glob("*/*/*.[jp][pn]g")):
        with Image.open(file) as image:
            images.append((file, np.asarray(image.convert("RGB")) / 255))
    shapes = {pixels.shape[:2] for _, pixels in images}
    assert report.sizes["different"] == len(shapes)
    assert report.sizes["lowest"] == min(height for height, _ in shapes)
    means = [pixels.mean((0, 1)) for file, pixels in images if "train" in file.parts]
    squares = [(pixels**2).mean((0, 1)) for file, pixels in images if "train" in file.parts]
    mean = np.mean(means, axis=0)
    assert report.mean == pytest.approx(tuple(mean), abs=1e-5)
    assert report.std == pytest.approx(tuple(np.sqrt(np.mean(squares, axis=0) - mean**2)), abs=1e-5)


def test_unreadable_truncated_and_animated_files_are_named(root: Path) -> None:
    (root / "train/bee/broken.jpg").write_bytes(b"broken")
    whole = (root / "train/cat/0.jpg").read_bytes()
    (root / "train/cat/0.jpg").write_bytes(whole[: len(whole) // 2])
    frames = [Image.new("RGB", (30, 30), color) for color in ("red", "blue")]
    frames[0].save(root / "val/ant/moving.webp", save_all=True, append_images=frames[1:])
    assert problems(root) == {
        ("unreadable", "train/bee/broken.jpg"),
        ("unreadable", "train/cat/0.jpg"),
        ("animated", "val/ant/moving.webp"),
    }


def test_an_image_too_large_to_be_one_is_named_and_not_decoded(root: Path) -> None:
    Image.new("1", (19_000, 10_000)).save(root / "val/bee/bomb.png")
    report = found(root)
    (bomb,) = report.problems
    assert (bomb.kind, bomb.where) == ("huge", "val/bee/bomb.png")
    assert "190,000,000 pixels, limit" in bomb.detail
    assert report.sizes["highest"] < 100


def test_folders_of_splits_are_known_by_their_other_names(root: Path) -> None:
    before = found(root)
    for names in (("Train", "Valid"), ("TRAIN", "validation")):
        other = Path(shutil.copytree(root, root.with_name(names[0])))
        for split, name in zip(("train", "val"), names, strict=True):
            (other / split).rename(other / name)
        assert found(other).classes == before.classes
        assert [one.kind for one in recognize(str(other), root.parent / "cache")] == ["image_folder"]


def test_empty_and_unknown_classes_are_named(root: Path) -> None:
    (root / "train/dog").mkdir()
    (root / "val/dgo").mkdir()
    shutil.copy(root / "val/ant/0.jpg", root / "val/dgo/new.jpg")
    assert problems(root) == {
        ("empty class", "train/dog"),
        ("empty class", "val/dog"),
        ("unknown class", "val/dgo"),
    }


def test_classes_whose_names_differ_in_capitals_are_remarked_on(root: Path) -> None:
    (root / "classes.txt").unlink(missing_ok=True)
    for split in ("train", "val"):
        shutil.copytree(root / split / "ant", root / split / "Ant")
    assert [one.detail for one in found(root).remarks if one.kind == "class names"] == [
        "classes whose names differ in capitals alone are trained as different ones: Ant, ant"
    ]


def test_images_of_two_splits_are_found_by_their_pixels(root: Path) -> None:
    (root / "test").mkdir()
    for name in ("ant", "bee", "cat"):
        (root / "test" / name).mkdir()
    for source, target in (("train/bee/1.png", "val/cat/other.bmp"), ("val/ant/0.jpg", "test/ant/same.png")):
        with Image.open(root / source) as image:
            image.save(root / target)
    twins = [(one.where, one.detail) for one in found(root).problems if one.kind == "in two splits"]
    assert twins == [("val/cat/other.bmp", "train/bee/1.png"), ("test/ant/same.png", "val/ant/0.jpg")]


def test_training_tells_images_of_both_splits_and_refuses_a_copy_of_train_as_val(root: Path) -> None:
    shutil.copy(root / "train/bee/1.png", root / "val/cat/other.png")
    cache = root.parent / "cache"
    told = "\n".join(ImageFolder(root=str(root), size=16, resize=16).build(cache).notices)
    assert "images that are in train and val both (scores flatter): " in told
    assert "val/cat/other.png has the content of " in told
    shutil.rmtree(root / "val")
    shutil.copytree(root / "train", root / "val")
    with pytest.raises(DataError, match=r"must not be in both .*\n.* are in both: "):
        ImageFolder(root=str(root), size=16, resize=16).build(cache)


def test_grey_and_small_images_are_remarked_on(root: Path) -> None:
    Image.linear_gradient("L").save(root / "train/ant/grey.png")
    Image.linear_gradient("L").convert("RGB").save(root / "train/bee/grey3.png")
    remarks = {(one.kind, one.where) for one in found(root, crop=300).remarks}
    assert {("grey", "train/ant/grey.png"), ("grey", "train/bee/grey3.png")} <= remarks
    assert sum(kind == "smaller than the crop" for kind, _ in remarks) == 13 + 9 + 11 + 11 + 2


def test_a_folder_without_the_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train/CLASS"):
        found(tmp_path)


def test_a_set_in_memory_has_balance_colors_and_twins(tmp_path: Path) -> None:
    settings = Digits()
    report = check_images(settings.build(tmp_path))
    assert sum(report.classes["val"].values()) == 500
    assert report.mean == pytest.approx(settings.mean, abs=5e-3)
    assert report.std == pytest.approx(settings.std, abs=5e-3)
    assert report.problems == ()


@pytest.mark.realdata
def test_hymenoptera_has_one_junk_file_and_many_sizes(data_home: Path, shared_cache: Path) -> None:
    settings = ImageFolder(root=str(data_home / "hymenoptera"))
    report = check_files(settings.listed(shared_cache), settings.size)
    assert report.classes == {"train": {"ants": 123, "bees": 121}, "val": {"ants": 70, "bees": 83}}
    assert report.sizes["different"] == 153
    assert any("imageNotFound.gif" in one.where for one in report.remarks if one.kind == "no image")


def test_accidents_of_image_folders_are_told_and_settings_mend_them(root: Path) -> None:
    def refused(**settings: object) -> str:
        fields = {"root": str(root), "size": 16, "resize": 18, "workers": 0} | settings
        try:
            ImageFolder.model_validate(fields).build(root.parent / "cache")
        except DataError as error:
            return str(error)
        return ""

    for number, file in enumerate(sorted(root.rglob("*.[jp]*g"))):
        file.unlink()
        deep = np.random.default_rng(number).integers(0, 4096, (20, 20)).astype(np.uint16)
        Image.fromarray(deep).save(file.with_suffix(".png"))
    dark = next(one for one in found(root).problems if one.kind == "dark")
    assert "set data.bits=12" in dark.detail
    assert "data.bits=12" in refused()
    assert refused(bits=12) == ""
    settings = ImageFolder(root=str(root), bits=12)
    assert check_files(settings.listed(root.parent / "cache"), 16, settings.image_rules()).problems == ()

    bands = np.random.default_rng(0).integers(0, 255, (20, 20, 4), dtype=np.uint8)
    Image.fromarray(bands).save(root / "train/ant/nir.tif")
    assert any("4 bands" in one.detail for one in found(root).problems)
    assert "train/ant/nir.tif" in refused(bits=12)
    (root / "train/ant/nir.tif").unlink()

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(bands[..., :3]).save(root / "train/ant/phone.jpg", exif=exif)
    Image.fromarray(bands[..., :3]).save(root / "train/loose.png")
    (root / "extra/ant").mkdir(parents=True)
    Image.fromarray(bands[..., :3]).save(root / "extra/ant/more.png")
    remarks = {(one.kind, one.where) for one in found(root).remarks}
    expected = {
        ("orientation", "train/ant/phone.jpg"),
        ("left out", "train/loose.png"),
        ("left out", "extra/ant/more.png"),
    }
    assert expected <= remarks


def test_a_test_folder_beside_val_is_a_split_of_its_own(root: Path, tmp_path: Path) -> None:
    settings = ImageFolder(root=str(root), size=16, resize=18, workers=0)
    before = settings.build(tmp_path / "cache")
    shutil.copytree(root / "val", root / "test")
    for number, file in enumerate(sorted((root / "test").rglob("*.*"))):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (30, 30, 3), dtype=np.uint8)).save(file)
    (tmp_path / "more").mkdir()
    Image.linear_gradient("L").save(tmp_path / "more/linked.png")
    (root / "train/ant/link").symlink_to(tmp_path / "more")
    data = settings.build(tmp_path / "cache")
    assert data.sizes["test"] == data.sizes["val"]
    assert data.sizes["train"] == before.sizes["train"] + 1
    assert data.split_labels("test").tolist() == data.split_labels("val").tolist()
    assert found(root).classes["test"] == found(root).classes["val"]
    (root / "classes.txt").write_bytes("ant Ameise\r\nbee Biene\r\ncat Katze\r\n".encode("utf-16"))
    assert settings.build(tmp_path / "cache").classes == ("Ameise", "Biene", "Katze")


def test_one_image_in_two_classes_is_a_problem_and_training_tells_it(root: Path) -> None:
    for split in ("train", "val"):
        (root / split / "wolf").symlink_to("cat")
    said = [(one.where, one.detail) for one in found(root).problems if one.kind == "two labels"]
    assert said[0] == ("train/wolf/0.jpg", "the same pixels as train/cat/0.jpg")
    assert len(said) == 15
    data = ImageFolder(root=str(root), size=8, workers=0).build(root.parent / "cache")
    assert any(notice.startswith("training images with two labels: ") for notice in data.notices)


def test_counts_of_one_are_said_so(root: Path) -> None:
    data = ImageFolder(root=str(root), size=8, workers=0).build(root.parent / "cache")
    assert "1 file is no image and is ignored: train/ant/notes.txt" in data.notices
