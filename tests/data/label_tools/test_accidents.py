"""Accidents of whole sets of masks and images: check names each, training refuses what check does, and advice works."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.io.decode import ImageRules
from ablata.data.label_tools.accidents import instances, smoothed
from ablata.data.label_tools.check import LabelReport
from ablata.data.label_tools.convert import Conversion, convert
from ablata.data.label_tools.propose_map import propose
from ablata.data.labels.class_lists import find_list, read_list
from ablata.data.labels.layout import FolderNames, list_labelled
from ablata.data.labels.map import read_label_map
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.structures.segmentation import IGNORE

from ..label_sets import SIZE, blocks, checked, image, small_set, write

LIST = "0 sky\n1 road\n2 car\n"


def _set(tmp_path: Path, text: str | None = LIST, values: tuple[int, ...] = (0, 1, 2)) -> Path:
    root = small_set(tmp_path / "set", list(values), train=6, val=3)
    if text is not None:
        (root / "classes.txt").write_text(text)
    return root


def _train(root: Path, **settings: object) -> str:
    """Build the set as training does; return the message of its refusal, or nothing."""
    try:
        MaskFolder(root=str(root), **settings).build(root.parent / "cache")  # type: ignore[arg-type]
    except DataError as error:
        return str(error)
    return ""


def _kinds(report: LabelReport) -> set[str]:
    return {one.kind for one in report.problems}


def _remark(report: LabelReport, kind: str) -> str:
    return "; ".join(str(one) for one in report.remarks if one.kind == kind)


def _images(root: Path, change: Callable[[np.ndarray], Image.Image], suffix: str = ".png", **options: object) -> None:
    for file in sorted((root / "images").rglob("*.png")):
        with Image.open(file) as opened:
            pixels = np.asarray(opened)
        file.unlink()
        change(pixels).save(file.with_suffix(suffix), **options)


def _masks(
    root: Path, change: Callable[[np.ndarray, int], Image.Image], suffix: str = ".png", **options: object
) -> None:
    for number, file in enumerate(sorted((root / "labels").rglob("*.png"))):
        with Image.open(file) as opened:
            ids = np.asarray(opened)
        file.unlink()
        change(ids, number).save(file.with_suffix(suffix), **options)


def test_check_and_training_agree_about_every_accident(tmp_path: Path) -> None:
    def cut_short(root: Path) -> None:
        _images(root, Image.fromarray, ".jpg", quality=95)
        file = next((root / "images/train").iterdir())
        file.write_bytes(file.read_bytes()[:300])

    def floating(root: Path) -> None:
        _images(root, lambda pixels: Image.fromarray(pixels.mean(-1).astype(np.float32)), ".tif")

    def dark(root: Path) -> None:
        _images(root, lambda pixels: Image.fromarray(pixels[..., 0].astype(np.uint16) * 16))

    def dark_colors(root: Path) -> None:
        for file in (root / "images").rglob("*.png"):
            with Image.open(file) as opened:
                pixels = np.asarray(opened)
            cv2.imwrite(str(file), pixels.astype(np.uint16) * 4)

    def fourth_band(root: Path) -> None:
        _images(root, lambda pixels: Image.fromarray(np.dstack([pixels, pixels[..., 0] // 2])), ".tif")

    def stack(root: Path) -> None:
        _images(root, Image.fromarray, ".tif", save_all=True, append_images=[image(0)])

    def stack_of_masks(root: Path) -> None:
        _masks(root, lambda ids, _: Image.fromarray(ids), ".tif", save_all=True, append_images=[image(0).convert("L")])

    def jpeg_in_tiff(root: Path) -> None:
        _masks(root, lambda ids, _: Image.fromarray(ids), ".tif", compression="jpeg")

    def one_name(root: Path) -> None:
        (root / "classes.txt").write_text("0 sky\n1 road\n2 road\n")

    def lone_mask(root: Path) -> None:
        next((root / "images/train").iterdir()).unlink()

    def suffixes(root: Path) -> None:
        for file in list((root / "labels").rglob("*.png")):
            file.rename(file.with_name(f"{file.stem}_MASK.png"))

    def turned_alone(root: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        _images(root, Image.fromarray, exif=exif)

    def palettes(root: Path) -> None:
        _masks(root, _shuffled)

    accidents = (
        (cut_short, "unreadable", "runcated"), (floating, "unreadable", "floating point"),
        (dark, "dark", "data.bits=12"),
        (dark_colors, "dark", "data.bits=10"), (fourth_band, "unreadable", "data.bands=[0,1,2]"),
        (stack, "unreadable", "2 pages"), (stack_of_masks, "pages", "2 pages"),
        (jpeg_in_tiff, "lossy", "JPEG inside TIFF"), (one_name, "", "1 and 2 are road"),
        (lone_mask, "no image", "has no image"), (suffixes, "names", "data.mask_suffix=_MASK"),
        (turned_alone, "size", "data.orientation=ignored"), (palettes, "palettes differ", "index 0 is"),
    )  # fmt: skip
    for spoil, kind, said in accidents:
        root = _set(tmp_path / spoil.__name__)
        assert _train(root) == "", spoil.__name__
        spoil(root)
        refused = _train(root)
        assert said in refused, spoil.__name__
        if not kind:
            with pytest.raises(DataError, match=said):
                checked(root)
            continue
        report = checked(root)
        assert _kinds(report) == {kind}, spoil.__name__
        told = " ".join(f"{one} {one.do}" for one in report.problems)
        assert said in told or said == "has no image", told


_COLORS = ((60, 60, 60), (255, 0, 0), (0, 0, 255))


def _shuffled(ids: np.ndarray, number: int) -> Image.Image:
    """Return a palette file whose colours have an order of their own."""
    order = np.roll(np.arange(3), number)
    found = Image.frombytes("P", (ids.shape[1], ids.shape[0]), np.argsort(order)[ids].astype(np.uint8).tobytes())
    found.putpalette([part for at in order for part in _COLORS[at]])
    return found


def test_settings_that_messages_advise_make_a_set_train_and_check_clean(tmp_path: Path) -> None:
    root = _set(tmp_path / "dark")
    _images(root, lambda pixels: Image.fromarray(pixels[..., 0].astype(np.uint16) * 16))
    assert _train(root, bits=12) == ""
    assert checked(root, rules=ImageRules(bits=12)).problems == ()
    root = _set(tmp_path / "bands")
    _images(root, lambda pixels: Image.fromarray(np.dstack([pixels, pixels[..., 0] // 2])), ".tif")
    assert _train(root, bands=(3, 0, 1)) == ""
    assert checked(root, rules=ImageRules(bands=(3, 0, 1))).problems == ()
    for suffix in ("_mask", ".png", "-GT"):
        root = _set(tmp_path / suffix)
        for file in list((root / "labels").rglob("*.png")):
            file.rename(file.with_name(f"{file.stem}{suffix}.png"))
        names = FolderNames(mask_suffix=suffix.lower())
        assert _train(root, mask_suffix=suffix.lower()) == ""
        assert checked(root, names).problems == ()
    root = _set(tmp_path / "both")
    for kind, suffix in (("images", "_SAT"), ("labels", "_mask")):
        for file in list((root / kind).rglob("*.png")):
            file.rename(file.with_name(f"{file.stem}{suffix}.png"))
    (problem,) = checked(root).problems
    assert problem.do.startswith("say so: data.image_suffix=_SAT data.mask_suffix=_mask ")
    assert "set data.image_suffix=_SAT data.mask_suffix=_mask" in _train(root)
    assert _train(root, image_suffix="_sat", mask_suffix="_mask") == ""
    assert checked(root, FolderNames(image_suffix="_sat", mask_suffix="_mask")).problems == ()


def test_images_and_masks_of_one_folder_are_told_apart_by_their_suffixes(tmp_path: Path) -> None:
    root = _set(tmp_path / "both")
    for kind, suffix in (("images", "_sat"), ("labels", "_mask")):
        for file in list((root / kind).rglob("*.png")):
            target = root / file.parent.name / "all" / f"{file.stem}{suffix}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
        shutil.rmtree(root / kind)
    (root / "train/all/stray.png").write_bytes((root / "train/all/").glob("*_sat.png").__next__().read_bytes())
    names = FolderNames("all", "all", image_suffix="_sat", mask_suffix="_mask")
    report = checked(root, names)
    assert report.problems == ()
    assert [file.name for file in report.labelled.left_out] == ["stray.png"]
    assert _train(root, images="all", labels="all", image_suffix="_sat", mask_suffix="_mask") == ""


def test_one_class_and_pixels_that_all_are_ignored_are_refused(tmp_path: Path) -> None:
    root = _set(tmp_path / "one", None, (0, 1))
    (root / "label_map.yaml").write_text("labels:\n- {value: 0, id: 255, name: rest, ignore: true}\n"
                                         "- {value: 1, id: 0, name: disc}\n")  # fmt: skip
    assert "mIoU" in _train(root)
    assert _kinds(checked(root)) == {"one class"}
    root = _set(tmp_path / "two", "0 sky\n1 road\n", (1,))
    assert "road alone" in _train(root)
    assert "one class" in _kinds(checked(root))
    root = _set(tmp_path / "void", "0 sky\n1 road\n2 car\n9 void\n")
    for file in (root / "labels/val").iterdir():
        Image.fromarray(np.full(SIZE, 9, np.uint8)).save(file)
    assert "must have pixels that count" in _train(root)


def test_a_class_called_void_is_ignored_by_check_and_training(tmp_path: Path) -> None:
    root = _set(tmp_path, "0 sky\n1 road\n2 Void\n")
    assert checked(root).problems == ()
    data = MaskFolder(root=str(root)).build(tmp_path / "cache")
    assert (data.classes, data.table.ignored) == (("sky", "road"), (2,))
    more = MaskFolder(root=str(root), ignored=("road",), map=str(_listed(tmp_path, "0 sky\n1 road\n2 car\n")))
    assert more.build(tmp_path / "cache").classes == ("sky", "car")


def _listed(folder: Path, text: str) -> Path:
    (folder / "list.txt").write_text(text)
    return folder / "list.txt"


def test_palettes_that_differ_are_converted_by_their_colors_or_by_word_of_the_user(tmp_path: Path) -> None:
    root = _set(tmp_path, None)
    truth = {file.stem + file.parent.name: np.asarray(Image.open(file)) for file in root.glob("labels/*/*")}
    _masks(root, _shuffled)
    by_color, _ = propose(checked(root, form="colors").survey, None)
    convert(list_labelled(root), Conversion(by_color), tmp_path / "out")
    order = {color: at for at, color in enumerate(_COLORS)}
    written = read_label_map(tmp_path / "out/label_map.yaml")
    for file in (tmp_path / "out/labels").glob("*/*"):
        with Image.open(file) as opened:
            drawn = np.array([order[label.color or (0, 0, 0)] for label in written.labels])[np.asarray(opened)]
        assert np.array_equal(drawn, truth[file.stem + file.parent.name])
    by_index = read_list(_listed(tmp_path, LIST))
    with pytest.raises(DataError, match="index 0 is"):
        convert(list_labelled(root), Conversion(by_index), tmp_path / "index")
    assert not (tmp_path / "index").exists()
    convert(list_labelled(root), Conversion(by_index, palette="index"), tmp_path / "index")


def test_what_lies_beside_the_splits_is_told(tmp_path: Path) -> None:
    for name, place in (("loose", "."), ("third", "extra")):
        root = _set(tmp_path / name)
        write(root, place, "x0", blocks([0, 1, 2], 3), 77)
        told = _remark(checked(root), "left out")
        assert "x0.png" in told
        assert "2 images and label files are in no split" in told
        assert any(
            "in no split, and left out: 1 in" in one for one in MaskFolder(root=str(root)).build(tmp_path).notices
        )
    root, more = _set(tmp_path / "link"), _set(tmp_path / "more")
    for kind in ("images", "labels"):
        os.symlink(more / kind / "train", root / kind / "train" / "siteB")
        os.symlink(root / kind, root / kind / "train" / "loop")
    assert sum(one.split == "train" for one in list_labelled(root).samples) == 12
    sites = tmp_path / "sites"
    for place in ("siteA", "siteB", "test"):
        write(sites, place, place, blocks([0, 1], 1), len(place))
    assert list_labelled(sites).splits == ("",)
    assert [one.name for one in list_labelled(sites).samples] == ["siteA/siteA", "siteB/siteB", "test/test"]


def test_names_that_differ_in_capitals_are_pairs_and_told(tmp_path: Path) -> None:
    root = _set(tmp_path)
    (root / "labels/train/p01.png").rename(root / "labels/train/P01.PNG")
    report = checked(root)
    assert report.problems == ()
    assert "1 pair has" in _remark(report, "names")
    assert _train(root) == ""


def _export(tmp_path: Path) -> Path:
    """Write what CVAT exports: names and colours in labelmap.txt, splits in lists."""
    root, colors = tmp_path / "cvat", np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    for kind in ("JPEGImages", "SegmentationClass"):
        (root / kind).mkdir()
    for number in range(8):
        image(number).save(root / f"JPEGImages/f{number}.png")
        Image.fromarray(colors[blocks([0, 1, 2], number)]).save(root / f"SegmentationClass/f{number}.png")
    (root / "ImageSets/Segmentation/train.txt").write_text("f0\nf1.jpg\nf2\nJPEGImages/f3.png\n")
    (root / "ImageSets/Segmentation/val.txt").write_bytes("f4\r\nf5\r\n".encode("utf-16"))
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\ndisc:250,50,83::\n"
                                       "box:51,221,255::\n")  # fmt: skip
    return root


def test_splits_and_names_of_exports_count(tmp_path: Path) -> None:
    root = _export(tmp_path)
    report = checked(root)
    assert report.problems == ()
    assert "4 images and label files are in no split" in _remark(report, "left out")
    data = MaskFolder(root=str(root)).build(tmp_path / "cache")
    assert (data.classes, data.sizes) == (("background", "disc", "box"), {"train": 4, "val": 2})
    known = find_list(root)
    assert known is not None
    convert(list_labelled(root), Conversion(read_list(known)), tmp_path / "out")
    assert sorted(file.stem for file in (tmp_path / "out/images/val").iterdir()) == ["f4", "f5"]
    (root / "ImageSets/Segmentation/val.txt").write_text("f3\nf5\nf9\n")
    told = _remark(checked(root), "list of a split")
    assert "val.txt names 1 that are not there: f9" in told
    assert "val.txt names 1 that ImageSets/Segmentation/train.txt names too: f3" in told


def test_a_list_of_colors_of_camvid_is_read(tmp_path: Path) -> None:
    (tmp_path / "label_colors.txt").write_text("64 128 64\tAnimal\n0 0 0\t\tVoid\n128 0 0 Building\n")
    found = find_list(tmp_path)
    assert found is not None
    label_map = read_list(found)
    assert (label_map.names, label_map.form) == (("Animal", "Building"), "colors")


def _smooth(ids: np.ndarray, number: int) -> Image.Image:
    large = Image.fromarray(ids * 100).resize((96, 72), Image.Resampling.NEAREST)
    half = large.resize((61, 47), Image.Resampling.BILINEAR)
    return half.resize((96, 72), Image.Resampling.BILINEAR)


def test_smoothed_masks_are_told_from_many_classes_and_converted_to_those_drawn(tmp_path: Path) -> None:
    root = _set(tmp_path, None)
    _masks(root, _smooth)
    _images(root, lambda pixels: Image.fromarray(pixels).resize((96, 72)))
    report = checked(root)
    assert smoothed(report.survey) == [0, 100, 200]
    assert len(report.survey.values) > 20
    assert _kinds(report) == {"smoothed"}
    assert "--nearest" in report.problems[0].do
    label_map, _ = propose(report.survey, None)
    assert label_map.names == ("class_0", "class_100", "class_200")
    convert(list_labelled(root), Conversion(label_map, nearest=True), tmp_path / "out")
    assert checked(tmp_path / "out").problems == ()
    assert _train(tmp_path / "out", augment=MaskFolder().augment) == ""


def test_thin_classes_and_many_classes_are_not_taken_for_smoothed(tmp_path: Path) -> None:
    root = _set(tmp_path, None, tuple(range(14)))
    assert smoothed(checked(root).survey) == []


def test_numbers_of_objects_are_recognized_and_their_classes_taken(tmp_path: Path) -> None:
    for base in (1000, 256):
        root = _set(tmp_path / str(base), None)
        numbered = np.array([7, 26 * base + 3, 24 * base + 1])
        _masks(
            root, lambda ids, number, n=numbered: Image.fromarray((n[ids] + (n[ids] > 255) * number).astype(np.uint16))
        )  # type: ignore[misc]
        report = checked(root)
        found = instances(report.survey)
        assert found is not None
        assert (found.base, list(found.classes)) == (base, [7, 24, 26])
        assert _kinds(report) == {"instances"}
        assert f"--divide {base}" in report.problems[0].do
        label_map, _ = propose(report.survey, None)
        convert(list_labelled(root), Conversion(label_map, divide=base), root.parent / "out")
        assert checked(root.parent / "out").problems == ()
    root = _set(tmp_path / "plain", None)
    _masks(root, lambda ids, number: Image.fromarray((np.arange(192).reshape(SIZE) + number * 30).astype(np.uint16)))
    found = instances(checked(root).survey)
    assert found is not None
    assert found.base is None
    with pytest.raises(DataError, match="number objects"):
        propose(checked(root).survey, None)


def test_images_and_masks_with_one_note_stay_together_through_conversion(tmp_path: Path) -> None:
    for orientation in ("applied", "ignored"):
        for note in (3, 6, 8):
            root = _set(tmp_path / f"{orientation}{note}")
            truth = {file: np.asarray(Image.open(file)) for file in root.glob("labels/*/*")}
            exif = Image.Exif()
            exif[0x0112] = note
            _images(root, Image.fromarray, exif=exif)
            noted = {"exif": exif} if orientation == "applied" else {}
            _masks(root, lambda ids, _: Image.fromarray(ids), **noted)
            rules = ImageRules(orientation)  # type: ignore[arg-type]
            report = checked(root, rules=rules)
            assert report.problems == ()
            assert "9 images" in _remark(report, "orientation")
            how = Conversion(read_list(root / "classes.txt"), rules=rules)
            out = root.parent / "out"
            convert(list_labelled(root), how, out)
            data = MaskFolder(root=str(out)).build(tmp_path / "cache")
            batch = next(iter(data.eval_loader("train", 1)))
            stored = truth[root / "labels/train/p00.png"]
            upright = {3: np.rot90(stored, 2), 6: np.rot90(stored, -1), 8: np.rot90(stored)}[note]
            assert np.array_equal(batch.labels[0].numpy(), upright)
            shutil.rmtree(out)


def test_a_test_split_is_counted_and_scored_apart_with_or_without_masks(tmp_path: Path) -> None:
    root = _set(tmp_path)
    before = MaskFolder(root=str(root)).build(tmp_path / "cache")
    for number in range(4):
        write(root, "test", f"t{number}", blocks([0, 1, 2], number), 200 + number)
    assert checked(root).problems == ()
    data = MaskFolder(root=str(root)).build(tmp_path / "cache")
    assert data.sizes == {"train": 6, "val": 3, "test": 4}
    assert (data.fingerprint, data.splits_hash) == (before.fingerprint, before.splits_hash)
    labels = [batch.labels for batch in data.eval_loader("test", 4)]
    assert np.array_equal(labels[0][1].numpy(), blocks([0, 1, 2], 1))
    shutil.rmtree(root / "labels/test")
    report = checked(root)
    assert report.problems == ()
    assert "4 of 4 images of test have no label file" in _remark(report, "no label file")
    bare = MaskFolder(root=str(root)).build(tmp_path / "cache")
    assert all((batch.labels == IGNORE).all() for batch in bare.eval_loader("test", 4))
    convert(list_labelled(root), Conversion(read_list(root / "classes.txt"), val=0.3), tmp_path / "out")
    assert sum(one.split == "test" for one in list_labelled(tmp_path / "out").samples) == 0


def test_a_new_split_leaves_the_images_of_test_alone_and_a_lacking_one_is_told(tmp_path: Path) -> None:
    root = _set(tmp_path)
    for kind in ("images", "labels"):
        (root / kind / "val").rename(root / kind / "test")
    how = Conversion(read_list(root / "classes.txt"))
    done = convert(list_labelled(root), how, tmp_path / "out")
    assert any("no val" in notice and "--val 0.2" in notice for notice in done.notices)
    done = convert(list_labelled(root), Conversion(how.label_map, val=0.5), tmp_path / "split")
    assert done.pairs == {"train": 3, "val": 3, "test": 3}
    names = {one.name for one in list_labelled(tmp_path / "split").samples if one.split == "test"}
    assert names == {"p00", "p01", "p02"}


def test_transparent_ground_becomes_a_class(tmp_path: Path) -> None:
    root = _set(tmp_path, None)
    colors = np.array([[0, 0, 0, 0], [255, 0, 0, 255], [0, 0, 255, 255]], np.uint8)
    _masks(root, lambda ids, _: Image.fromarray(colors[ids]))
    label_map, text = propose(checked(root).survey, None)
    assert "color: transparent" in text or 'color: "transparent"' in text
    (tmp_path / "map.yaml").write_text(text)
    assert read_label_map(tmp_path / "map.yaml").labels == tuple(
        label.__class__(label.value, label.id, label.name, label.ignore) for label in label_map.labels
    )
    convert(list_labelled(root), Conversion(label_map), tmp_path / "out")
    assert checked(tmp_path / "out").problems == ()
    back = Conversion(label_map, reverse=True)
    convert(list_labelled(tmp_path / "out"), back, tmp_path / "back")
    with (
        Image.open(root / "labels/train/p00.png") as before,
        Image.open(tmp_path / "back/labels/train/p00.png") as after,
    ):
        assert np.array_equal(np.asarray(before), np.asarray(after))
