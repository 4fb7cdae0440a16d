"""Checks of label files: each accident is named with the file, the values, and the command that mends it."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.io.decode import ImageRules
from ablata.data.label_tools.check import LabelFinding
from ablata.data.label_tools.scan import value_counts
from ablata.data.labels.layout import FolderNames
from ablata.data.segmentation.mask_folder import MaskFolder

from ..label_sets import blocks, checked, image, small_set, write


def _problem(root: Path, kind: str) -> LabelFinding:
    found = [one for one in checked(root).problems if one.kind == kind]
    assert len(found) == 1
    return found[0]


def _listed(root: Path, text: str = "0 sky\n1 road\n2 car\n") -> Path:
    (root / "classes.txt").write_text(text)
    return root


def test_a_sound_set_has_no_problem(tmp_path: Path) -> None:
    report = checked(_listed(small_set(tmp_path / "set", [0, 1, 2])))
    assert report.problems == ()
    assert [label.name for _, label, _ in report.rows() if label] == ["sky", "road", "car"]


def test_values_with_gaps_are_named_and_the_commands_that_close_them(tmp_path: Path) -> None:
    problem = _problem(small_set(tmp_path / "set", [0, 74, 128, 145]), "values with gaps")
    assert "4 values (0 25%, 74 25%, 128 25%, 145 25%)" in problem.detail
    assert "ablata data check" in problem.do
    assert "--propose-map map.yaml" in problem.do
    assert f"ablata data convert {tmp_path / 'set'} --map map.yaml" in problem.do


def test_255_as_background_is_asked_about(tmp_path: Path) -> None:
    problem = _problem(small_set(tmp_path / "set", [0, 1, 255, 255]), "255 is not explained")
    assert "in 12 of 12 files, 50% of all pixels" in problem.detail
    assert "background" in problem.detail
    assert "ablata data convert" in problem.do


def test_255_that_is_in_the_list_is_no_problem(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 255]), "0 sky\n1 road\n255 void\n")
    assert checked(root).problems == ()


def test_a_value_in_one_file_only_is_named_with_the_file_and_its_share(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 1, 2])
    mask = blocks([0, 1, 2], 0)
    mask[0, :2] = 3
    write(root, "train", "p03", mask, 3)
    problem = _problem(root, "in few files")
    assert problem.where == "3"
    assert "in 1 of 12 files, 0.0868% of all pixels: labels/train/p03.png 1.04%" in problem.detail
    assert "ablata data convert" in problem.do
    _listed(root)
    listed = _problem(root, "unexpected value")
    assert (listed.where, "labels/train/p03.png 1.04%" in listed.detail) == ("3", True)
    assert "--propose-map map.yaml" in listed.do
    assert {one.kind for one in checked(root).problems} == {"unexpected value"}


def test_jpeg_label_files_are_named_with_what_compression_made_of_the_values(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 74, 200]), "0 sky\n74 road\n200 car\n")
    (root / "labels/train/p05.png").unlink()
    write(root, "train", "p05", blocks([0, 74, 200], 5), 5, "jpg")
    problem = _problem(root, "lossy")
    assert problem.where == "labels/train/p05.jpg"
    assert problem.detail.startswith("JPEG, ")
    assert int(problem.detail.split()[1]) > 3
    assert "--nearest --output NEW_FOLDER" in problem.do


def test_sixteen_bit_files_are_named_with_the_values_that_are_too_high(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 1, 2])
    deep = np.where(blocks([0, 1, 2], 0) == 2, 514, 257).astype(np.uint16)
    Image.fromarray(deep).save(root / "labels/train/p01.png")
    problem = _problem(root, "16 bits")
    assert problem.where == "labels/train/p01.png"
    assert "1 of 12 files, values above 255: 257 (labels/train/p01.png), 514" in problem.detail
    assert "ablata data convert" in problem.do


def test_sixteen_bit_files_with_small_values_are_only_remarked_on(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2]))
    Image.fromarray(blocks([0, 1, 2], 0).astype(np.uint16)).save(root / "labels/train/p01.png")
    report = checked(root)
    assert report.problems == ()
    assert "16 bits" in {one.kind for one in report.remarks}


def _palette(indices: np.ndarray, colors: list[int]) -> Image.Image:
    image = Image.fromarray(indices, mode="L").convert("L")
    palette = Image.frombytes("P", image.size, image.tobytes())
    palette.putpalette(colors)
    return palette


def test_a_palette_file_among_grey_ones_is_named_with_its_indices_and_their_colors(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 200])
    _palette(blocks([0, 1, 2], 0), [0, 0, 0, 74, 74, 74, 200, 200, 200]).save(root / "labels/train/p02.png")
    problem = _problem(root, "palette")
    assert problem.where == "labels/train/p02.png"
    assert "1 of 12 files hold indices, which are taken: 0 is #000000, 1 is #4A4A4A, 2 is #C8C8C8" in problem.detail
    assert "--palette grey" in problem.do


def test_a_set_of_palette_files_is_read_by_its_indices(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2]))
    for file in root.glob("labels/*/*.png"):
        with Image.open(file) as mask:
            indices = np.asarray(mask)
        _palette(indices, [10, 0, 0, 20, 0, 0, 30, 0, 0]).save(file)
    report = checked(root)
    assert report.problems == ()
    assert "palette" in {one.kind for one in report.remarks}


def test_color_files_where_values_are_expected_are_named(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 1, 2])
    image(1).save(root / "labels/train/p02.png")
    problem = _problem(root, "mode")
    assert (problem.where, problem.detail) == ("labels/train/p02.png", "RGB")
    assert "ablata data convert" in problem.do


def test_an_image_without_label_and_a_label_without_image_are_named(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 1, 2])
    (root / "labels/train/p04.png").unlink()
    (root / "images/val/p01.png").unlink()
    lonely = _problem(root, "no label file")
    assert lonely.where == "images/train/p04.png"
    assert "--paired-only" in lonely.do
    assert _problem(root, "no image").where == "labels/val/p01.png"


def test_a_class_missing_from_validation_is_named_with_the_command_that_splits_anew(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1]))
    for number in (1, 4):
        write(root, "train", f"p{number:02}", blocks([0, 1, 2], number), number)
    problem = _problem(root, "missing class")
    assert (problem.where, problem.detail) == ("car", "not in val; in 2 files of train")
    assert "--val 0.2" in problem.do


def test_a_class_of_the_test_split_alone_is_named(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1]))
    write(root, "test", "p01", blocks([0, 1, 2], 1), 77)
    problem = _problem(root, "missing class")
    assert (problem.where, problem.detail) == ("car", "in no file of train or val")


def test_a_class_list_of_other_files_is_told_with_both_sides(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 1])
    palette = np.array([[0x84, 0x29, 0xF6], [0xE2, 0xA9, 0x29]], np.uint8)
    for file in root.glob("labels/*/*.png"):
        with Image.open(file) as mask:
            indices = np.asarray(mask)
        Image.fromarray(palette[indices]).save(file)
    classes = [{"title": name, "color": color} for name, color in (("Water", "#50E3C2"), ("Land", "#F5A623"))]
    (root / "classes.json").write_text(json.dumps({"classes": classes}))
    report = checked(root)
    assert [one.kind for one in report.problems] == ["class list"]
    assert "2 of its 2 colors are in no label file (Water #50E3C2, Land #F5A623)" in report.problems[0].detail
    assert "#8429F6 50%, #E2A929 50%" in report.problems[0].detail


def test_classes_whose_names_differ_in_capitals_are_told_by_check_and_training(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2]), "0 sky\n1 car\n2 Car\n")
    report, said = checked(root), "classes whose names differ in capitals alone are trained as different ones: car, Car"
    assert report.problems == ()
    assert said in {one.detail for one in report.remarks}
    assert said in MaskFolder(root=str(root)).build(tmp_path / "cache").notices


def test_sizes_are_compared_with_the_images_and_listed(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2]))
    Image.fromarray(blocks([0, 1, 2], 0, (13, 16))).save(root / "labels/train/p00.png")
    problem = _problem(root, "size")
    assert problem.detail == "13x16, its image 12x16 (height x width)"
    sizes = next(one for one in checked(root).remarks if one.kind == "sizes")
    assert "12x16 in 11, 13x16 in 1 files; some are a pixel or two apart" in sizes.detail


def test_masks_of_one_page_beside_a_later_page_of_stacks_are_told_by_check_and_training(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2], 2, 1))
    for file in sorted((root / "images").rglob("*.png")):
        with Image.open(file) as first:
            first.save(file.with_suffix(".tif"), save_all=True, append_images=[image(9)])
        file.unlink()
    said = "3 masks have one page, taken for page 1 of the image (data.page=1)"
    assert said in {one.detail for one in checked(root, rules=ImageRules(page=1)).remarks}
    assert "one page" not in str(checked(root, rules=ImageRules(page=0)).remarks)
    notices = MaskFolder(root=str(root), page=1).build(tmp_path / "cache").notices
    assert [notice.partition(", the first")[0] for notice in notices if "one page" in notice] == [said]


def test_damaged_label_files_and_images_are_named_and_the_others_counted(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2]))
    (root / "labels/train/p00.png").write_bytes(b"broken")
    (root / "images/train/p01.png").write_bytes(b"broken")
    report = checked(root)
    assert sorted(Path(one.where).name for one in report.problems if one.kind == "unreadable") == ["p00.png", "p01.png"]
    assert report.survey.values[0].total().files == 11


def test_one_image_in_both_splits_is_named(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2]))
    shutil.copy(root / "images/train/p03.png", root / "images/val/p01.png")
    assert _problem(root, "in two splits").where == "images/train/p03.png = images/val/p01.png"
    (root / "images/test").mkdir()
    with Image.open(root / "images/train/p03.png") as image:
        image.save(root / "images/test/again.bmp")
    expected = "images/train/p03.png = images/val/p01.png = images/test/again.bmp"
    assert _problem(root, "in two splits").where == expected


def test_accents_written_as_two_signs_are_those_written_as_one(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2]))
    for kind, form in (("images", "NFC"), ("labels", "NFD")):
        (root / kind / "train/p00.png").rename(root / kind / "train" / unicodedata.normalize(form, "\u00e9.png"))
    report = checked(root)
    assert report.problems == ()
    assert [one.detail for one in report.remarks if one.kind == "names"]


def test_a_link_that_leads_nowhere_is_named_by_check_and_training(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2]))
    for kind in ("images", "labels"):
        (root / kind / "train/gone.png").symlink_to(tmp_path / "nowhere.png")
    faults = [one.where for one in checked(root).problems if one.kind == "unreadable"]
    assert sorted(faults) == ["images/train/gone.png", "labels/train/gone.png"]
    with pytest.raises(DataError, match=r"images/train/gone\.png: a link that leads nowhere"):
        MaskFolder(root=str(root)).build(tmp_path / "cache")


def test_images_of_a_test_split_are_decoded_where_they_have_no_label_files(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2]))
    (root / "images/test").mkdir()
    whole = (root / "images/train/p00.png").read_bytes()
    for name, content in (("cut.png", whole[: len(whole) // 2]), ("broken.jpg", b"broken"), ("good.png", None)):
        if content is None:
            Image.fromarray(np.full((12, 16, 3), 9, np.uint8)).save(root / "images/test" / name)
        else:
            (root / "images/test" / name).write_bytes(content)
    Image.fromarray(np.full((12, 16), 1.5, np.float32)).save(root / "images/test/floats.tif")
    for workers in (0, 2):
        report = checked(root, workers=workers)
        faults = [one.where for one in report.problems if one.kind == "unreadable"]
        assert sorted(faults) == ["images/test/broken.jpg", "images/test/cut.png", "images/test/floats.tif"]
        assert len(report.problems) == 3


def test_classes_are_counted_by_split_and_source_folder(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for split, folder, values in (("train", "a", [0, 1]), ("train", "b", [0, 1, 2]), ("val", "a", [0, 1]),
                                  ("val", "b", [0, 1]), ("val", "c", [2])):  # fmt: skip
        for number in range(3):
            seed = 1000 * len(folder + split) + 100 * "abc".index(folder) + number + 50 * (split == "val")
            write(root, split, f"{folder}/{number}", blocks(values, number), seed)
    _listed(root)
    report = checked(root)
    assert report.survey.values[2].total("train", "b").files == 3
    assert report.survey.values[2].total("train", "a").files == 0
    assert report.problems == ()
    missing = [one for one in report.remarks if one.kind == "missing class"]
    assert [(one.where, one.detail) for one in missing] == [("car", "not in val of source folder b")]


def test_worker_processes_and_this_one_see_the_same(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 128])
    (root / "labels/train/p00.png").write_bytes(b"broken")
    assert checked(root, workers=2).as_dict() == checked(root, workers=0).as_dict()


def test_the_layouts_of_folders_are_found(tmp_path: Path) -> None:
    inside = small_set(tmp_path / "inside", [0, 1])
    outside = tmp_path / "outside"
    for split in ("train", "val"):
        for kind, name in (("images", "image"), ("labels", "label")):
            shutil.copytree(inside / kind / split, outside / split / name)
    flat = tmp_path / "flat"
    shutil.copytree(inside / "images/train", flat / "images")
    shutil.copytree(inside / "labels/train", flat / "lung_gray")
    assert checked(inside).labelled.splits == checked(outside).labelled.splits == ("train", "val")
    report = checked(flat, FolderNames("images", "lung_gray"))
    assert (report.labelled.splits, len(report.labelled.samples)) == (("",), 8)
    with pytest.raises(DataError, match="images with lung_grey of the same names"):
        checked(flat, FolderNames(labels="lung_grey"))


@pytest.mark.realdata
def test_dubai_has_another_class_list_an_undocumented_black_and_five_sizes(data_home: Path, tmp_path: Path) -> None:
    shutil.copytree(data_home / "dubai_aerial", tmp_path / "set")
    report = checked(tmp_path / "set")
    problems = {one.kind: one for one in report.problems}
    assert set(problems) == {"class list", "in few files"}
    assert problems["in few files"].where == "#000000"
    assert "5 of its 6 colors are in no label file" in problems["class list"].detail
    assert len(report.survey.sizes) == 5


def test_values_are_counted_as_numpy_counts_them() -> None:
    random = np.random.default_rng(0)
    for high, shape in ((3, (7, 9)), (70_000, (40, 50)), (2, (1, 1)), (5, (0, 4))):
        raw = random.integers(-1, high, shape).astype(np.int32)
        values, counts, more = value_counts(raw)
        expected = np.unique(raw, return_counts=True)
        if more:
            assert len(values) == 1024
            assert len(values) + more == len(expected[0])
        else:
            assert np.array_equal(values, expected[0])
            assert np.array_equal(counts, expected[1])


def test_equal_label_files_of_different_images_are_remarked_on(tmp_path: Path) -> None:
    root = _listed(small_set(tmp_path / "set", [0, 1, 2]))
    write(root, "train", "p05", blocks([0, 1, 2], 2), 5)
    twice = {(one.where, one.detail) for one in checked(root).remarks if one.kind == "there twice"}
    assert (
        "labels/train/p02.png = labels/train/p05.png = labels/val/p02.png",
        "one label for different images",
    ) in twice
    flipped = blocks([0, 1, 2], 2)[:, ::-1]
    write(root, "train", "p05", flipped, 5)
    twice = {one.where for one in checked(root).remarks if one.kind == "there twice"}
    assert "labels/train/p02.png = labels/val/p02.png" in twice
