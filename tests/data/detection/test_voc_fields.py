"""Pascal VOC's XML field by field: encodings, numbers, boxes that are left out, images of any format."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablata.base.errors import DataError
from ablata.data.formats.boxes import BoxSet

from .sets import voc_object, voc_text, write_voc

REFUSED = {
    "a decimal comma": (voc_text(voc_object("10,5", 6, 30, 40)), r"one\.xml object 1 xmin='10,5'"),
    "a word": (voc_text(voc_object("left", 6, 30, 40)), r"one\.xml object 1 xmin='left'"),
    "nan": (voc_text(voc_object("nan", 6, 30, 40)), r"one\.xml object 1 xmin='nan'"),
    "a missing border": (voc_text(voc_object("", 6, 30, 40)), r"one\.xml object 1 xmin=''"),
    "no box": (voc_text("<object><name>a</name></object>"), r"one\.xml object 1: no bndbox"),
    "no name": (voc_text("<object></object>"), r"one\.xml object 1: no name"),
    "two boxes": (
        voc_text(voc_object(5, 6, 30, 40).replace("</object>", "<bndbox></bndbox></object>")),
        r"one\.xml object 1: bndbox more than once",
    ),
    "two names": (
        voc_text(voc_object(5, 6, 30, 40).replace("</object>", "<name>b</name></object>")),
        r"one\.xml object 1: name more than once",
    ),
    "a box outside objects": (
        voc_text(voc_object(5, 6, 30, 40) + voc_object(1, 1, 9, 9).replace("object>", "item>")),
        r"one\.xml: 1 bndbox elsewhere",
    ),
    "capitals": (voc_text(voc_object(5, 6, 30, 40).replace("object>", "Object>")), r"one\.xml: Object"),
    "another root": (voc_text(voc_object(5, 6, 30, 40)).replace("annotation>", "note>"), r"one\.xml: <note>"),
    "difficult a word": (voc_text(voc_object(5, 6, 30, 40, difficult="Unspecified")), r"difficult='Unspecified'"),
    "width a word": (voc_text(voc_object(5, 6, 30, 40), width="wide"), r"one\.xml width='wide'"),
    "another size": (voc_text(voc_object(5, 6, 30, 40), width=65), "annotated 48x65, is 48x64"),
    "no XML": ("<annotation>", r"one\.xml"),
    "an entity": ('<!DOCTYPE a [<!ENTITY x "y">]>' + voc_text(voc_object(5, 6, 30, 40)), "not declare a document type"),
    "an unknown encoding": ('<?xml version="1.0" encoding="klingon"?>' + voc_text(""), r"one\.xml"),
    "bytes of another encoding": (voc_text("<object><name>猫</name></object>").encode("gb2312"), r"one\.xml"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_field_without_a_meaning_is_refused_by_file_object_and_field(tmp_path: Path, fault: str) -> None:
    text, named = REFUSED[fault]
    with pytest.raises(DataError, match=named):
        write_voc(tmp_path, text).build(tmp_path / "cache")


GB2312 = '<?xml version="1.0" encoding="gb2312"?>' + voc_text(voc_object(5, 6, 30, 40) + "<pose>猫</pose>")
READ = {
    "floats in the size": voc_text(voc_object(5, 6, 30, 40), width="64.0", height="48.0"),
    "floats in the box": voc_text(voc_object("5.0", "6.0", "30.0", "40.0")),
    "no size": f"<annotation>{voc_object(5, 6, 30, 40)}</annotation>",
    "a size of 0": voc_text(voc_object(5, 6, 30, 40), width=0, height=0),
    "gb2312": GB2312.encode("gb2312"),
    "a byte order mark": voc_text(voc_object(5, 6, 30, 40)).encode("utf-8-sig"),
    "UTF-16": ('<?xml version="1.0" encoding="utf-16"?>' + voc_text(voc_object(5, 6, 30, 40))).encode("utf-16"),
    "a namespace": voc_text(voc_object(5, 6, 30, 40)).replace("<annotation>", '<annotation xmlns="http://x/y">'),
    "spaces around": voc_text(voc_object(" 5 ", " 6", "30\n", "40")).replace(">a<", "> a <"),
    "annotated twice": voc_text(voc_object(5, 6, 30, 40) * 2),
}  # fmt: skip


@pytest.mark.parametrize("form", READ)
def test_forms_with_one_meaning_give_the_same_box(tmp_path: Path, form: str) -> None:
    data = write_voc(tmp_path, READ[form]).build(tmp_path / "cache")
    assert data.entries("train")[0].objects.boxes.tolist() == [[4, 5, 30, 40]]


def test_a_set_whose_boxes_are_all_left_out_says_why(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    for file in (tmp_path / "Annotations").iterdir():
        file.write_text(voc_text(voc_object(5, 5, 5, 5)))
    with pytest.raises(DataError, match=r"boxes without area left out: one\.xml object 1 \[5, 5, 5, 5\]"):
        settings.build(tmp_path / "cache")


@pytest.mark.parametrize("suffix", ["jpg", "png", "JPG", "jpeg", "bmp"])
def test_images_are_found_in_any_format(tmp_path: Path, suffix: str) -> None:
    assert write_voc(tmp_path, suffix=suffix).build(tmp_path / "cache").sizes == {"train": 3, "val": 1}


def test_lists_have_marks_flags_and_repeated_names(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    (tmp_path / "ImageSets/Main/train.txt").write_bytes("\ufeffone  1\r\ntwo -1\r\n\r\nthree\r\none\r\n".encode())
    data = settings.build(tmp_path / "cache")
    assert [entry.id for entry in data.entries("train")] == ["one", "two", "three"]
    assert "listed twice" in "\n".join(data.notices)


def test_a_listed_image_without_annotation_is_named(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    (tmp_path / "Annotations" / "two.xml").unlink()
    with pytest.raises(DataError, match=r"no file .*two\.xml"):
        settings.build(tmp_path / "cache")


def test_a_test_list_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    (tmp_path / "ImageSets/Main/test.txt").write_text("three\n")
    data = settings.build(tmp_path / "cache")
    assert data.image_ids("test") == ["three"]
    assert set(data.splits) == {"train", "val"}


def test_an_annotation_that_names_another_image_counts_for_its_own_and_is_told(tmp_path: Path) -> None:
    named = voc_text(voc_object(5, 6, 30, 40)).replace("<size>", "<filename>three.png</filename><size>")
    data = write_voc(tmp_path, named).build(tmp_path / "cache")
    assert [entry.id for entry in data.entries("train")] == ["one", "two", "three"]
    assert "1 annotation names another image of the set as filename" in "\n".join(data.notices)
    assert "one.xml (three.png)" in "\n".join(data.notices)
    boxes = BoxSet(root=str(tmp_path)).read(tmp_path / "cache")
    assert any("one.xml (three.png)" in remark for remark in boxes.findings.remarks)
