"""COCO's JSON field by field: what has one meaning is repaired and told, everything else is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.detection.report import check_detection
from ablata.data.detection.rle import areas
from ablata.data.detection.segmentation_field import unpack_runs

from .sets import HEIGHT, WIDTH, Tree, coco_at, write_coco

Change = Callable[[Tree, Tree], object]


def first(**values: Any) -> Change:
    return lambda train, val: train["annotations"][0].update(values)


def without(name: str) -> Change:
    return lambda train, val: train["annotations"][0].pop(name)


def image(**values: Any) -> Change:
    return lambda train, val: train["images"][0].update(values)


def image_without(name: str) -> Change:
    return lambda train, val: train["images"][0].pop(name)


def every(name: str, value: Callable[[Any], Any]) -> Change:
    def change(train: Tree, val: Tree) -> None:
        for one in train["annotations"]:
            one[name] = value(one[name])

    return change


WHOLE = HEIGHT * WIDTH
SIZE = [HEIGHT, WIDTH]

REFUSED: dict[str, tuple[Change, str]] = {
    "bbox of five": (first(bbox=[1, 2, 3, 4, 5]), r"1\.png annotation 1 bbox=\[1, 2, 3, 4, 5\]"),
    "bbox nested": (first(bbox=[[1, 2, 3, 4]]), r"1\.png annotation 1 bbox=\[\[1"),
    "bbox of words": (first(bbox=["a", 2, 3, 4]), r"annotation 1 bbox=\['a'"),
    "bbox nan": (first(bbox=[float("nan"), 2, 3, 4]), r"annotation 1 bbox=\[nan"),
    "bbox of truths": (first(bbox=[True, 2, 3, 4]), r"annotation 1 bbox=\[True"),
    "bbox a word": (first(bbox="1 2 3 4"), r"annotation 1 bbox='1 2 3 4'"),
    "bbox an object": (first(bbox={"x": 1}), r"annotation 1 bbox=\{'x'"),
    "no bbox, no mask": (first(bbox=[], segmentation=[]), r"annotation 1 bbox=\[\]"),
    "height a word": (image(height="tall"), r"image 1 \(1\.png\) height='tall'"),
    "height negative": (image(height=-4), r"image 1 \(1\.png\) height=-4"),
    "height with a fraction": (image(height=47.5), r"height=47\.5"),
    "no file_name": (image_without("file_name"), r"train\.json: image at position 0 no file_name"),
    "file_name null": (image(file_name=None), "image at position 0 file_name=null"),
    "file_name above": (image(file_name="../val/1.png"), "below the image folder"),
    "file_name absolute": (image(file_name="/etc/hostname"), "below the image folder"),
    "file_name with a null byte": (
        image(file_name="1\0.png"),
        r"must be the name of a file(.|\n)*file_name='1.x00",
    ),
    "file_name of half a character": (image(file_name="\ud800"), "must be the name of a file"),
    "file_name of two lines": (image(file_name="1.png\nno problems"), "must be the name of a file"),
    "file_name without end": (image(file_name="x" * 5000), "must exist"),
    "no image id": (image_without("id"), "image at position 0 no id"),
    "image id null": (image(id=None), "image at position 0 id=null"),
    "image id a list": (image(id=[1]), r"image at position 0 id=\[1\]"),
    "two of one file": (lambda train, val: train["images"].append(train["images"][0] | {"id": 9}), r"file_name 1\.png"),
    "an image that is no object": (lambda train, val: train["images"].append(7), "image at position 3: 7"),
    "no image_id": (without("image_id"), "annotation 1 no image_id"),
    "image_id of none": (first(image_id=99), "annotation 1 image_id=99"),
    "no category_id": (without("category_id"), r"1\.png annotation 1 no category_id"),
    "category_id a name": (first(category_id="a"), r"1\.png annotation 1 category_id='a'"),
    "category_id with a fraction": (first(category_id=1.5), r"category_id=1\.5"),
    "category_id of none": (first(category_id=7), "category_id=7"),
    "an annotation that is no object": (lambda train, val: train["annotations"].append([]), r"annotation 6: \[\]"),
    "iscrowd a word": (first(iscrowd="no"), r"1\.png annotation 1 iscrowd='no'"),
    "iscrowd 2": (first(iscrowd=2), "iscrowd=2"),
    "segmentation a word": (first(segmentation="mask"), r"1\.png annotation 1 segmentation='mask'"),
    "polygon of words": (first(segmentation=[["a", 1, 2, 3, 4, 5]]), "annotation 1 segmentation="),
    "polygon nan": (first(segmentation=[[float("nan"), 1, 2, 3, 4, 5]]), "finite"),
    "polygon infinite": (first(segmentation=[[float("inf"), 1, 2, 3, 4, 5]]), "finite"),
    "polygon of odd length": (first(segmentation=[[10, 10, 30, 10, 30, 30, 5]]), "7 numbers"),
    "polygon far away": (first(segmentation=[[0, 0, 1e9, 0, 1e9, 1e9]]), "on its image"),
    "RLE of another size": (first(segmentation={"size": [9, 9], "counts": [81]}), "mask 9x9, image 48x64"),
    "RLE of an immense size": (first(segmentation={"size": [1e8, 1e8], "counts": [1]}), "mask 1e"),
    "RLE without size": (first(segmentation={"counts": [1, 2]}), r"segmentation\.size=None"),
    "RLE too long": (first(segmentation={"size": SIZE, "counts": [500, 100000]}), "sum 100500"),
    "RLE too short": (first(segmentation={"size": SIZE, "counts": [5, 10]}), "sum 15"),
    "RLE negative": (first(segmentation={"size": SIZE, "counts": [WHOLE + 5, -5]}), "must be positive"),
    "RLE of fractions": (first(segmentation={"size": SIZE, "counts": [0.5, WHOLE - 0.5]}), "whole numbers"),
    "RLE null": (first(segmentation={"size": SIZE, "counts": None}), "Run lengths must be"),
    "RLE garbage": (first(segmentation={"size": SIZE, "counts": "hello world %%"}), "must be COCO's"),
    "RLE cut short": (first(segmentation={"size": SIZE, "counts": "PYm0"}), "annotation 1 segmentation="),
    "RLE with a letter beyond": (first(segmentation={"size": SIZE, "counts": "é"}), "must be COCO's"),
    "no category id": (lambda train, val: train["categories"][0].pop("id"), "category at position 0 no id"),
    "no category name": (lambda train, val: train["categories"][0].pop("name"), "category at position 0 no name"),
    "a category name of two lines": (
        lambda train, val: train["categories"][0].update(name="a\nb"),
        r"on one line(.|\n)*name='a.nb'",
    ),
    "no categories": (lambda train, val: train.update(categories=[]), "COCO's JSON must list at least one category"),
    "categories an object": (lambda train, val: train.update(categories={"1": "a"}), "categories is no list"),
    "no annotations": (lambda train, val: train.pop("annotations"), "no list annotations"),
    "a box beside its mask": (first(bbox=[0, 0, 3, 3], segmentation=[[30, 30, 40, 30, 40, 40]]), "where its mask is"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_field_without_a_meaning_is_refused_by_file_annotation_and_field(tmp_path: Path, fault: str) -> None:
    change, named = REFUSED[fault]
    settings = write_coco(tmp_path, change)
    with pytest.raises(DataError, match=named):
        settings.build(tmp_path / "cache")


REPAIRED: dict[str, tuple[Change, str]] = {
    "no bbox": (without("bbox"), "boxes taken from the masks: train.json: 1.png annotation 1 no bbox"),
    "bbox null": (first(bbox=None), "annotation 1 bbox=None"),
    "bbox empty": (first(bbox=[]), "annotation 1 bbox=[]"),
    "bbox as text": (every("bbox", lambda box: [str(side) for side in box]), "taken as numbers: train.json: 1.png"),
    "no height": (image_without("height"), "taken from the image files: train.json: image 1 (1.png)"),
    "width null": (image(width=None), "image 1 (1.png)"),
    "height as text": (image(height="48"), "height='48' as 48"),
    "height as float": (image(height=48.0), "height=48.0 as 48"),
    "no id": (without("id"), "given new ids, because ids are missing"),
    "id a word": (first(id="ann_1"), "annotation at position 0 id='ann_1'"),
    "id of 64 bits": (first(id=2**63), "annotation at position 0 id=9223372036854775808"),
    "id twice": (first(id=2), "annotation id 2"),
    "ids as floats": (every("id", float), "annotation id=1.0 as 1"),
    "image_id as text": (every("image_id", str), "image_id='1' as 1"),
    "category_id as float": (every("category_id", float), "category_id=1.0 as 1"),
    "iscrowd as text": (every("iscrowd", str), "iscrowd='0' as 0"),
    "flat polygon": (every("segmentation", lambda polygons: polygons[0]), "flat polygons taken as one each"),
    "polygon of pairs": (
        every("segmentation", lambda p: [np.array(p[0]).reshape(-1, 2).tolist()]), "polygons of pairs joined"
    ),
    "bare pairs": (every("segmentation", lambda p: np.array(p[0]).reshape(-1, 2).tolist()), "polygons of pairs joined"),
    "polygon of text": (every("segmentation", lambda p: [list(map(str, p[0]))]), "as text taken as numbers"),
    "RLE of floats": (first(segmentation={"size": SIZE, "counts": [0.0, float(WHOLE)]}, bbox=None), "from the masks"),
    "short polygons beside one": (
        lambda train, val: train["annotations"][0]["segmentation"].extend([[1, 1, 9, 9], [3, 3]]),
        "polygons of one or two points left out: train.json: 1.png annotation 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", REPAIRED)
def test_a_field_with_one_meaning_is_repaired_and_told_or_refused(tmp_path: Path, fault: str) -> None:
    change, told = REPAIRED[fault]
    clean = write_coco(tmp_path / "clean").build(tmp_path / "cache").entries("train")
    settings = write_coco(tmp_path / "spoilt", change)
    data = settings.build(tmp_path / "cache")
    assert told in "\n".join(data.notices)
    for entry, expected in zip(data.entries("train"), clean, strict=True):
        assert entry.size == expected.size
        assert entry.objects.labels.tolist() == expected.objects.labels.tolist()
        assert not entry.objects.crowd.any()
        if not fault.startswith("RLE"):
            assert entry.objects.boxes.tolist() == expected.objects.boxes.tolist()
            assert entry.objects.masks == expected.objects.masks
    with pytest.raises(DataError):
        settings.model_copy(update={"on_invalid": "refuse"}).build(tmp_path / "cache")


LEFT_OUT: dict[str, tuple[Change, str]] = {
    "two points alone": (first(segmentation=[[10, 10, 30, 30]]), "polygons of one or two points left out"),
    "four numbers": (first(segmentation=[10, 10, 30, 30]), "polygons of one or two points left out"),
    "no pixel": (first(segmentation={"size": SIZE, "counts": [WHOLE]}), "empty masks left out"),
    "no area": (first(bbox=[3, 3, 0, 4], segmentation=[]), "boxes without area left out"),
    "outside": (first(bbox=[80, 3, 4, 4], segmentation=[]), "boxes outside their image left out"),
}


@pytest.mark.parametrize("fault", LEFT_OUT)
def test_an_object_that_covers_nothing_is_left_out_and_told(tmp_path: Path, fault: str) -> None:
    change, told = LEFT_OUT[fault]
    data = write_coco(tmp_path, change).build(tmp_path / "cache")
    assert told in "\n".join(data.notices)
    assert [len(entry.objects) for entry in data.entries("train")] == [1, 2, 2]


def test_what_is_annotated_twice_counts_once(tmp_path: Path) -> None:
    def twice(train: Tree, val: Tree) -> None:
        train["annotations"] += [one | {"id": one["id"] + 100} for one in train["annotations"]]

    data = write_coco(tmp_path, twice).build(tmp_path / "cache")
    assert [len(entry.objects) for entry in data.entries("train")] == [2, 2, 2]
    assert "annotated twice left out: train.json: 1.png annotation 101" in "\n".join(data.notices)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_read_in_every_encoding_of_unicode(tmp_path: Path, encoding: str) -> None:
    settings = write_coco(tmp_path)
    file = tmp_path / "train.json"
    file.write_bytes(file.read_text().encode(encoding))
    assert settings.build(tmp_path / "cache").classes == ("a", "b")


@pytest.mark.parametrize("content", [b"", b"[1]", b"[" * 200000, b'{"images": 1}', b"\xff\xfe\x00", b"9" * 9999])
def test_what_is_no_coco_json_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    settings = write_coco(tmp_path)
    (tmp_path / "train.json").write_bytes(content)
    with pytest.raises(DataError, match="COCO's JSON"):
        settings.build(tmp_path / "cache")


def test_relative_roots_and_links_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = write_coco(tmp_path / "set")
    expected = settings.build(tmp_path / "cache").fingerprint
    (tmp_path / "set" / "train").rename(tmp_path / "elsewhere")
    (tmp_path / "set" / "train").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "1.png").rename(tmp_path / "one.png")
    (tmp_path / "elsewhere" / "1.png").symlink_to(tmp_path / "one.png")
    (tmp_path / "link").symlink_to(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    for root in ("set", "link", "./set/../set", str(tmp_path / "link")):
        assert coco_at(Path(root)).build(tmp_path / "cache").fingerprint == expected


def test_names_of_windows_and_of_addresses_are_read_where_the_file_is(tmp_path: Path) -> None:
    def change(train: Tree, val: Tree) -> None:
        (tmp_path / "train" / "sub").mkdir()
        (tmp_path / "train" / "1.png").rename(tmp_path / "train" / "sub" / "1.png")
        (tmp_path / "train" / "2.png").rename(tmp_path / "train" / "my 2.png")
        train["images"][0]["file_name"] = "sub\\1.png"
        train["images"][1]["file_name"] = "my%202.png"

    notices = "\n".join(write_coco(tmp_path, change).build(tmp_path / "cache").notices)
    assert "as sub/1.png" in notices
    assert "as my 2.png" in notices


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1\.PNG \(there is 1\.png\)"):
        write_coco(tmp_path, image(file_name="1.PNG")).build(tmp_path / "cache")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_an_image_that_is_cut_short_is_named_before_the_first_step(tmp_path: Path, suffix: str) -> None:
    def change(train: Tree, val: Tree) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        file = tmp_path / "train" / f"cut.{suffix}"
        Image.fromarray(pixels).save(file)
        file.write_bytes(file.read_bytes()[:900])
        train["images"][0]["file_name"] = file.name

    with pytest.raises(DataError, match=rf"cut\.{suffix}"):
        write_coco(tmp_path, change).build(tmp_path / "cache")


def test_the_same_images_in_train_and_val_are_refused_and_some_with_equal_pixels_told(tmp_path: Path) -> None:
    settings = write_coco(tmp_path)
    same = settings.model_copy(update={"val_images": "train"})
    with pytest.raises(DataError, match="3 of 3 are in both"):
        same.build(tmp_path / "cache")
    (tmp_path / "val" / "2.png").write_bytes((tmp_path / "train" / "1.png").read_bytes())
    assert "in train and val both" in "\n".join(settings.build(tmp_path / "cache").notices)
    (problem,) = check_detection(settings, tmp_path / "cache").problems
    assert (problem.kind, problem.repaired) == ("in two splits", False)
    assert problem.where == f"{tmp_path / 'val' / '2.png'} is {tmp_path / 'train' / '1.png'}"
    for number in (1, 2, 3):
        (tmp_path / "val" / f"{number}.png").write_bytes((tmp_path / "train" / f"{number}.png").read_bytes())
    with pytest.raises(DataError, match="3 of 3 are in both"):
        settings.build(tmp_path / "cache")


def test_categories_of_the_two_files_are_matched_by_name(tmp_path: Path) -> None:
    def change(train: Tree, val: Tree) -> None:
        val["categories"] = [{"id": 7, "name": "b"}, {"id": 9, "name": "a"}]
        for one in val["annotations"]:
            one["category_id"] = {1: 9, 2: 7}[one["category_id"]]

    plain = write_coco(tmp_path / "plain").build(tmp_path / "cache")
    other = write_coco(tmp_path / "other", change).build(tmp_path / "cache")
    for entry, expected in zip(other.entries("val"), plain.entries("val"), strict=True):
        assert entry.objects.labels.tolist() == expected.objects.labels.tolist()


def test_packed_run_lengths_are_those_of_the_library() -> None:
    from ablata.data.detection.rle import encode, from_runs

    rng = np.random.default_rng(3)
    for _ in range(50):
        mask = (rng.random((int(rng.integers(1, 90)), int(rng.integers(1, 90)))) < rng.random()).astype(np.uint8)
        packed = encode(mask[None])[0]
        runs = unpack_runs(packed.counts.decode())
        assert runs is not None
        assert runs.sum() == mask.size
        assert from_runs(packed.size, runs.tolist()) == packed
        assert areas([packed])[0] == mask.sum() == runs[1::2].sum()


def test_a_camera_s_orientation_is_one_rule_for_images_and_boxes(tmp_path: Path) -> None:
    def lying(train: Tree, val: Tree) -> None:
        """Store the pixels of one image on their side, with the note that turns them upright."""
        file = tmp_path / "train" / "1.png"
        with Image.open(file) as picture:
            side, note = picture.transpose(Image.Transpose.ROTATE_90), Image.Exif()
        note[0x0112] = 6
        side.save(file, exif=note)

    settings = write_coco(tmp_path, lying)
    data = settings.build(tmp_path / "cache")
    assert "1 image carries an EXIF orientation; turned upright" in "\n".join(data.notices)
    assert data.sources["train"].pixels(0).shape == (HEIGHT, WIDTH, 3)
    assert data.backend == "opencv"
    stored = settings.model_copy(update={"orientation": "ignored"})
    with pytest.raises(DataError, match=r"set data\.orientation=applied"):
        stored.build(tmp_path / "cache")


def test_dark_images_of_sixteen_bits_are_refused_with_the_setting_that_helps(tmp_path: Path) -> None:
    settings = write_coco(tmp_path)
    for number, file in enumerate(sorted(tmp_path.rglob("*.png"))):
        deep = np.random.default_rng(number).integers(0, 4096, (HEIGHT, WIDTH)).astype(np.uint16)
        Image.fromarray(deep).save(file)
    with pytest.raises(DataError, match=r"data\.bits=12"):
        settings.build(tmp_path / "cache")
    bright = settings.model_copy(update={"bits": 12}).build(tmp_path / "cache")
    assert bright.sources["train"].pixels(0).max() > 250


def test_images_that_training_would_refuse_are_named_before_it(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    deep = random.integers(0, 4095, (HEIGHT, WIDTH)).astype(np.uint16)
    four = random.integers(0, 255, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    floats = random.random((HEIGHT, WIDTH)).astype(np.float32)
    for number, (name, pixels, words) in enumerate(
        (("deep.png", deep, r"data\.bits=12"), ("four.tif", four, "4 bands"), ("float.tif", floats, "float"))
    ):
        root = tmp_path / str(number)

        def change(train: Tree, val: Tree, root: Path = root, name: str = name, pixels: np.ndarray = pixels) -> None:
            Image.fromarray(pixels).save(root / "train" / name)
            train["images"][0]["file_name"] = name

        settings = write_coco(root, change)
        with pytest.raises(DataError, match=words):
            settings.build(tmp_path / "cache")
        if name == "deep.png":
            bright = settings.model_copy(update={"bits": 12}).build(tmp_path / "cache")
            assert bright.sources["train"].pixels(0).max() > 250


def test_a_field_ignore_is_told_to_be_passed_over(tmp_path: Path) -> None:
    (note,) = [one for one in write_coco(tmp_path, first(ignore=1)).build(tmp_path / "c").notices if "ignore" in one]
    assert note.startswith("1 object has a field ignore")
    assert "train.json: 1.png annotation 1" in note


def test_an_image_that_does_not_decode_is_one_problem(tmp_path: Path) -> None:
    settings = write_coco(tmp_path)
    (tmp_path / "train/1.png").write_bytes(b"<html>")
    assert len(check_detection(settings, tmp_path / "c").problems) == 1


def test_boxes_of_which_most_are_points_or_whole_images_are_told(tmp_path: Path) -> None:
    for name, box, told in (("a", [9, 9, 1, 1], "at most a pixel"), ("b", [0, 0, WIDTH, HEIGHT], "whole images")):

        def change(train: Tree, val: Tree, box: list[int] = box) -> None:
            for one in train["annotations"]:
                one["bbox"] = box

        data = write_coco(tmp_path / name, change, masks=False).build(tmp_path / "c")
        assert [note for note in data.notices if note.startswith("6 of 6 boxes of train.json are") and told in note]
    assert not [note for note in write_coco(tmp_path / "c").build(tmp_path / "c").notices if "boxes of" in note]
