"""Sharded tars: what a folder holds comes back, every sample once, and whatever is wrong is named."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.classification.image_files import ImageFileDataset
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.classification.report import check_files
from ablata.data.classification.shard_writing import pack_folder
from ablata.data.classification.shards import Shards
from ablata.data.io.file_slice import Member, content_of

SIZES = {"size": 16, "resize": 18, "workers": 0}


@pytest.fixture(scope="module")
def packed(folder_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the little image folder as tars of a few images each."""
    target = tmp_path_factory.mktemp("packed") / "shards"
    pack_folder(str(folder_root), target, target.parent / "cache", tar_bytes=8_000)
    return target


@pytest.fixture
def copy(packed: Path, tmp_path: Path) -> Path:
    """Return a copy of them to be spoilt."""
    return Path(shutil.copytree(packed, tmp_path / "copy"))


def _build(root: Path, cache: Path, **settings: object) -> ImageFileDataset:
    return Shards.model_validate({"root": str(root), **SIZES, **settings}).build(cache)


def _sample(name: str, label: object, color: str = "red", kind: str = "cls") -> list[tuple[str, bytes]]:
    stream = io.BytesIO()
    Image.new("RGB", (20, 24), color).save(stream, "PNG")
    text = json.dumps({"label": label, "other": 1}) if kind == "json" else str(label)
    return [(f"{name}.png", stream.getvalue()), (f"{name}.{kind}", text.encode())]


def _write(file: Path, members: list[tuple[str, bytes]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


def test_a_packed_folder_holds_the_same_images_with_the_same_labels(
    folder_root: Path, packed: Path, tmp_path: Path
) -> None:
    shards = _build(packed, tmp_path)
    folder = ImageFolder.model_validate({"root": str(folder_root), **SIZES}).build(tmp_path)
    assert shards.sizes == folder.sizes
    assert shards.classes == folder.classes
    assert len(list(packed.glob("train-*.tar"))) > 2
    for source in ("train", "val"):
        contents = [
            sorted(zip(map(content_of, data.files[source]), data.split_labels(source).tolist(), strict=True))
            for data in (shards, folder)
        ]
        assert contents[0] == contents[1]
    for left, right in zip(shards.eval_loader("val", 4), folder.eval_loader("val", 4), strict=True):
        assert torch.equal(left.images, right.images)
        assert torch.equal(left.labels, right.labels)


def test_equal_folders_give_equal_tars(folder_root: Path, packed: Path, tmp_path: Path) -> None:
    pack_folder(str(folder_root), tmp_path / "again", tmp_path / "cache", tar_bytes=8_000)
    for file in packed.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_training_starts_in_mid_epoch_as_if_it_had_come_there(packed: Path, tmp_path: Path) -> None:
    loader = _build(packed, tmp_path).train_loader(5, 8)
    through, later = list(loader.batches(0, 9)), list(_build(packed, tmp_path).train_loader(5, 8).batches(6, 9))
    for left, right in zip(through[6:], later, strict=True):
        assert torch.equal(left.images, right.images)
        assert torch.equal(left.index, right.index)


def test_a_start_in_mid_epoch_reads_no_image_before_it(packed: Path, tmp_path: Path) -> None:
    data = _build(packed, tmp_path)
    read: list[int] = []

    class Watched(list):  # type: ignore[type-arg]
        def __getitem__(self, row: int) -> object:  # type: ignore[override]
            read.append(int(row))
            return super().__getitem__(row)

    data.images = {source: Watched(images) for source, images in data.images.items()}
    batch = next(data.train_loader(0, 8).batches(3, 4))
    assert read == batch.index.tolist()


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_the_samples_and_evaluation_sees_each_once(
    packed: Path, tmp_path: Path, world_size: int
) -> None:
    data = _build(packed, tmp_path)
    seen = [batch.index for rank in range(world_size) for batch in data.eval_loader("val", 4, rank, world_size)]
    assert sorted(torch.cat(seen).tolist()) == list(range(data.sizes["val"]))
    whole = next(data.train_loader(0, 12).batches(1, 2)).index
    shares = [next(data.train_loader(0, 12, rank, world_size).batches(1, 2)).index for rank in range(world_size)]
    assert torch.equal(torch.cat(shares), whole)


def test_shards_can_be_prepared(packed: Path, tmp_path: Path) -> None:
    plain, stored = _build(packed, tmp_path), _build(packed, tmp_path, prepared=18)
    for left, right in zip(plain.eval_loader("train", 8), stored.eval_loader("train", 8), strict=True):
        assert torch.equal(left.images, right.images)


def test_the_fingerprint_follows_names_lengths_and_labels_and_not_the_place(packed: Path, copy: Path) -> None:
    before = _build(packed, copy.parent / "cache").fingerprint
    assert _build(copy, copy.parent / "cache").fingerprint == before
    _write(copy / "val-9.tar", _sample("more", 1))
    more = _build(copy, copy.parent / "cache").fingerprint
    _write(copy / "val-9.tar", _sample("more", 2))
    assert len({before, more, _build(copy, copy.parent / "cache").fingerprint}) == 3


def test_headers_are_read_once(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _build(packed, tmp_path).fingerprint
    monkeypatch.setattr(tarfile.TarFile, "next", lambda self: pytest.fail("read again"))
    assert _build(packed, tmp_path).fingerprint == first


def test_labels_may_stand_in_json_and_classes_are_numbers_without_a_list(tmp_path: Path) -> None:
    _write(tmp_path / "set-train-0.tar", [*_sample("a/x.1", 1, kind="json"), ("a/x.txt", b"no matter")])
    _write(tmp_path / "set-train-1.tar", _sample("y", 0, "blue"))
    _write(tmp_path / "set-test-0.tar", _sample("z", 1))
    _write(tmp_path / "other.tar", [("readme", b"")])
    with pytest.raises(DataError, match="no images"):
        _build(tmp_path, tmp_path / "cache")
    _write(tmp_path / "set-train-0.tar", _sample("a.b/x", 1, kind="json"))
    _write(tmp_path / "set-test-1.tar", _sample("v", 0))
    data = _build(tmp_path, tmp_path / "cache")
    assert data.classes == ("0", "1")
    assert data.split_labels("train").tolist() == [1, 0]
    assert isinstance(data.files["train"][0], Member)
    assert str(data.files["train"][0]) == f"{tmp_path / 'set-train-0.tar'}: a.b/x.png"


@pytest.mark.parametrize("damage", ["in an image", "between samples", "without end mark", "garbage", "gzip", "empty"])
def test_a_tar_that_is_not_whole_is_named(copy: Path, damage: str) -> None:
    file = copy / "train-000001.tar"
    content = file.read_bytes()
    with tarfile.open(file) as tar:
        members = tar.getmembers()
    last = members[-1].offset_data + 512
    file.write_bytes(
        {
            "in an image": content[: members[0].offset_data + 10],
            "between samples": content[: members[2].offset],
            "without end mark": content[:last],
            "garbage": content[:512] + b"x" * 5000,
            "gzip": gzip.compress(content),
            "empty": b"",
        }[damage]
    )
    with pytest.raises(DataError, match=r"train-000001\.tar"):
        _build(copy, copy.parent / "cache")


def test_a_wrong_sample_is_named_with_its_tar(copy: Path, subtests: pytest.Subtests) -> None:
    for members, said in [
        (_sample("x", "ant"), r"x\.cls: b'ant'"),
        (_sample("x", -1), "-1"),
        (_sample("x", "true"), "True"),
        (_sample("x", 7), r"train-000001\.tar: x\.png \(label 7, labels must be in 0\.\.2"),
        (_sample("x", 0)[:1], r"x\.png"),
        (_sample("x", 0)[1:], "no images"),
        ([*_sample("x", 0), *_sample("y", 1)[1:]], "a label for y"),
        ([*_sample("x", 0), ("x.jpg", b"")], r"x\.png and x\.jpg"),
    ]:
        with subtests.test(members=members, said=said):
            _write(copy / "train-000001.tar", members)
            with pytest.raises(DataError, match=said) as caught:
                _build(copy, copy.parent / "cache")
            assert "train-000001.tar" in str(caught.value)


def test_a_class_without_training_images_is_named(copy: Path) -> None:
    (copy / "classes.txt").write_text("ant\nbee\ncat\ndog\n")
    with pytest.raises(DataError, match="dog"):
        _build(copy, copy.parent / "cache")


def test_a_folder_without_tars_says_how_it_must_look(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\*train\*\.tar"):
        _build(tmp_path, tmp_path / "cache")


def test_a_damaged_image_is_named_with_its_tar(copy: Path) -> None:
    data = _build(copy, copy.parent / "cache")
    with tarfile.open(copy / "val-000000.tar") as tar:
        member = tar.getmembers()[0]
    with (copy / "val-000000.tar").open("r+b") as stream:
        stream.seek(member.offset_data)
        stream.write(b"\0" * 40)
    for built in (data, None):
        with pytest.raises(DataError, match=rf"val-000000\.tar: {member.name}"):
            list((built or _build(copy, copy.parent / "cache")).eval_loader("val", 4))


def test_what_cannot_be_used_is_left_out_and_listed(copy: Path) -> None:
    before = _build(copy, copy.parent / "cache")
    cut = (copy / "train-000001.tar").read_bytes()
    with tarfile.open(copy / "train-000001.tar") as tar:
        lost = sum(member.name.endswith(".cls") for member in tar.getmembers())
    (copy / "train-000001.tar").write_bytes(cut[: len(cut) // 2])
    broken = ("x/broken.png", b"broken")
    _write(copy / "train-9.tar", [*_sample("new", 1), *_sample("odd", 3), broken, ("x/broken.cls", b"0")])
    data = _build(copy, copy.parent / "cache", on_invalid="skip")
    assert data.sizes == {"train": before.sizes["train"] - lost + 1, "val": before.sizes["val"]}
    assert [line.split(" (")[0] for line in data.left_out] == [
        "unreadable: train-000001.tar",
        "unknown class: train-9.tar: odd.png",
        "unreadable: train-9.tar: x/broken.png",
    ]
    assert data.fingerprint != before.fingerprint
    assert sum(len(batch) for batch in data.eval_loader("train", 8)) == data.sizes["train"]


def test_a_check_names_what_is_wrong_tar_by_tar_and_image_by_image(copy: Path) -> None:
    _write(copy / "val-9.tar", [*_sample("odd", 3), ("broken.png", b"broken"), ("broken.cls", b"0")])
    (copy / "train-000000.tar").write_bytes(b"")
    settings = Shards.model_validate({"root": str(copy), **SIZES})
    report = check_files(settings.listed(copy.parent / "cache"), settings.size)
    assert [(one.kind, one.where) for one in report.problems] == [
        ("unreadable", "train-000000.tar"),
        ("unknown class", "val-9.tar: odd.png"),
        ("unreadable", "val-9.tar: broken.png"),
    ]
    assert sum(report.classes["val"].values()) == 11


def test_shards_are_not_written_over_a_folder(folder_root: Path, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is there"):
        pack_folder(str(folder_root), packed, tmp_path, tar_bytes=8_000)


def test_names_that_meet_in_a_shard_are_told_apart(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "root" / split / "ant").mkdir(parents=True)
        for name in ("1.jpg", "1.png", "a.b.jpg", "a_b.jpg"):
            Image.new("RGB", (8, 8)).save(tmp_path / "root" / split / "ant" / name)
        (tmp_path / "root" / split / "bee").mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / "root" / split / "bee" / "1.jpg")
    written = pack_folder(str(tmp_path / "root"), tmp_path / "shards", tmp_path / "cache", tar_bytes=1 << 20)
    assert written.samples == {"train": 5, "val": 5}
    assert written.tars == {"train": 1, "val": 1}
    names = [image.name for image in _build(tmp_path / "shards", tmp_path / "cache").files["val"]]
    assert len(set(np.array(names))) == 5
