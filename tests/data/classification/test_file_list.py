"""What cannot be used is named before the first step, and refused or left out as the settings say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.classification import inspection
from ablata.data.classification.file_list import Subset
from ablata.data.classification.image_files import ImageFileDataset
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.classification.inspection import inspect_image, inspect_images
from ablata.data.classification.report import check_files


@pytest.fixture
def root(folder_root: Path, tmp_path: Path) -> Path:
    """Return a copy of the little folder, to be spoiled: 33 and 11 images of ants, bees and cats."""
    return Path(shutil.copytree(folder_root, tmp_path / "set"))


def build(root: Path, **settings: object) -> ImageFileDataset:
    fields = {"root": str(root), "size": 16, "resize": 18, "workers": 0} | settings
    return ImageFolder.model_validate(fields).build(root.parent / "cache")


def cut_short(root: Path) -> str:
    whole = (root / "train/cat/0.jpg").read_bytes()
    (root / "train/cat/0.jpg").write_bytes(whole[: len(whole) // 2])
    return "unreadable: train/cat/0.jpg"


def broken(root: Path) -> str:
    (root / "val/bee/1.png").write_bytes(b"broken")
    return "unreadable: val/bee/1.png"


def animated(root: Path) -> str:
    frames = [Image.new("RGB", (30, 30), color) for color in ("red", "blue")]
    frames[0].save(root / "train/ant/moving.webp", save_all=True, append_images=frames[1:])
    return "animated: train/ant/moving.webp"


def huge(root: Path) -> str:
    Image.new("1", (19_000, 10_000)).save(root / "train/ant/huge.png")
    return "huge: train/ant/huge.png (190,000,000 pixels, limit 178,956,970 (data.max_pixels); cut it into parts, "


def empty_class(root: Path) -> str:
    (root / "train/dog").mkdir()
    (root / "val/dog").mkdir()
    return "empty class: train/dog"


def unknown_class(root: Path) -> str:
    shutil.copytree(root / "val/ant", root / "val/ants")
    return "unknown class: val/ants (not in train; did you mean ant?)"


def missing_class(root: Path) -> str:
    shutil.copytree(root / "train/ant", root / "train/dog")
    return "empty class: val/dog (no such folder)"


SPOILS = [cut_short, broken, animated, huge, empty_class, unknown_class, missing_class]


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_cannot_be_used_is_named_and_refused(root: Path, spoil: Callable[[Path], str]) -> None:
    named = spoil(root)
    with pytest.raises(DataError) as caught:
        build(root)
    assert named in str(caught.value)
    assert "data.on_invalid=skip" in str(caught.value)


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_cannot_be_used_is_left_out_and_listed(root: Path, spoil: Callable[[Path], str]) -> None:
    named = spoil(root)
    data = build(root, on_invalid="skip")
    assert any(line.startswith(named) for line in data.left_out)
    assert named.split(" (")[0] in " ".join(data.notices)
    for split, size in data.sizes.items():
        assert sum(len(batch) for batch in data.eval_loader(split, 8)) == size


def test_leaving_out_a_file_is_as_if_it_had_never_been_there(root: Path, folder_root: Path) -> None:
    before = build(root)
    for spoil in (animated, huge, empty_class):
        spoil(root)
    after = build(root, on_invalid="skip")
    assert (after.fingerprint, after.classes, after.sizes) == (before.fingerprint, before.classes, before.sizes)
    for source, labels in before._labels.items():
        assert after._labels[source].tolist() == labels.tolist()


def test_a_set_of_one_class_is_refused_and_found_by_check(root: Path) -> None:
    for split in ("train", "val"):
        for name in ("bee", "cat"):
            shutil.rmtree(root / split / name)
    (root / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"two classes or more.*\n.*ant alone"):
        build(root)
    report = check_files(ImageFolder(root=str(root)).listed(root.parent / "cache"), 8)
    assert [(one.kind, one.where) for one in report.problems] == [("one class", "ant")]


def test_the_limit_of_pixels_is_a_setting(root: Path) -> None:
    Image.new("L", (100, 100)).save(root / "train/ant/larger.png")
    with pytest.raises(
        DataError, match=r"huge: train/ant/larger\.png \(10,000 pixels, limit 9,999 \(data\.max_pixels\); .*=10000\)"
    ):
        build(root, max_pixels=9999)
    assert "larger.png" not in str(build(root, max_pixels=10_000).left_out)


def test_a_class_goes_with_its_last_training_image_and_the_others_are_numbered_anew(root: Path) -> None:
    for file in (root / "train/ant").glob("*.[jp][pn]g"):
        file.write_bytes(b"")
    data = build(root, on_invalid="skip")
    assert data.classes == ("Apis", "cat")
    assert data.split_labels("train").tolist() == [0] * 9 + [1] * 11
    assert data.split_labels("val").tolist() == [0] * 3 + [1] * 4
    assert all("bee" in str(file) or "cat" in str(file) for files in data.files.values() for file in files)


def test_a_set_of_which_nothing_remains_is_refused(root: Path) -> None:
    for file in root.glob("train/*/*.[jp][pn]g"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match="must have training images"):
        build(root, on_invalid="skip")


def test_images_smaller_than_the_crop_are_kept_refused_or_left_out(root: Path) -> None:
    Image.new("RGB", (100, 15), "red").save(root / "train/bee/flat.png")
    kept = build(root)
    assert kept.sizes["train"] == 34
    assert kept.notices[-1] == "1 image is smaller than the crop and enlarged: train/bee/flat.png"
    with pytest.raises(DataError, match=r"flat\.png \(15x100 \(height x width\), crop 16\)[^*]*data\.on_small=skip"):
        build(root, on_small="refuse")
    left = build(root, on_small="skip")
    assert left.sizes["train"] == 33
    assert left.left_out[0].startswith("smaller than the crop: train/bee/flat.png")
    assert build(root, on_small="refuse", size=15, resize=15).sizes["train"] == 34


def test_many_problems_are_counted_and_the_first_named(root: Path) -> None:
    for file in sorted(root.glob("*/*/*.jpg")):
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"2\d problems") as caught:
        build(root)
    assert str(caught.value).count("unreadable: ") == 20


def test_images_are_decoded_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    animated(root)
    build(root, on_invalid="skip")
    monkeypatch.setattr(inspection, "inspect_image", lambda image, rules: pytest.fail("decoded again"))
    again = build(root, on_invalid="skip")
    assert len(again.left_out) == 1
    with pytest.raises(DataError, match="moving"):
        build(root)


def test_a_damaged_memory_of_what_was_decoded_is_made_anew(root: Path, tmp_path: Path) -> None:
    images = sorted((root / "train/ant").glob("*.[jp][pn]g"))
    first = inspect_images(images, "key", tmp_path)
    for kept in (tmp_path / "inspected").iterdir():
        kept.write_bytes(b"damaged")
    second = inspect_images(images, "key", tmp_path)
    assert np.array_equal(first.sizes, second.sizes)
    assert np.array_equal(inspect_images([], "key", tmp_path).sizes, second.sizes)


def test_a_photograph_with_a_preview_behind_it_is_not_animated(tmp_path: Path) -> None:
    views = [Image.new("RGB", (30, 20), color) for color in ("red", "blue")]
    views[0].save(tmp_path / "stereo.mpo", save_all=True, append_images=views[1:])
    (tmp_path / "stereo.mpo").rename(tmp_path / "stereo.jpg")
    seen = inspect_image(tmp_path / "stereo.jpg")
    assert (seen.fault, seen.size) == (None, (20, 30))


def test_rows_are_looked_up_when_they_are_asked_for() -> None:
    some = Subset(["a", "b", "c", "d"], np.array([3, 1]))
    assert (len(some), some[0], some[1], some[:], list(some)) == (2, "d", "b", ["d", "b"], ["d", "b"])
