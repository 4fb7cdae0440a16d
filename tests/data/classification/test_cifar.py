"""CIFAR in each of its published layouts: what is read, what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.classification.cifar import Cifar10, Cifar100
from ablata.data.transforms.normalization import IMAGENET_MEAN, IMAGENET_STD

from ..conftest import COUNTS, encoded, labels, named, pixels, write_cifar10


def write_cifar100(folder: Path) -> None:
    """Write the binary layout: a coarse and a fine label byte before the pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    for source, name in (("train", "train.bin"), ("val", "test.bin")):
        fine = labels(source, 100)
        both = np.stack([fine // 5, fine], axis=1)
        np.concatenate([both, pixels(source).reshape(COUNTS[source], -1)], axis=1).tofile(folder / name)
    (folder / "fine_label_names.txt").write_text("\n".join(f"kind {number}" for number in range(100)))
    (folder / "coarse_label_names.txt").write_text("\n".join(f"group {number}" for number in range(20)))


def write_cifar100_parquet(folder: Path) -> None:
    """Write the layout of the hubs: PNGs, both labels, class names in the schema."""
    folder.mkdir(parents=True, exist_ok=True)
    classes = {"fine_label": [f"kind {n}" for n in range(100)], "coarse_label": [f"group {n}" for n in range(20)]}
    schema = named(("fine_label", "coarse_label"), classes)
    for source, name in (("train", "train-00000-of-00001"), ("val", "test-00000-of-00001")):
        images = [encoded(Image.fromarray(image.transpose(1, 2, 0))) for image in pixels(source)]
        fine = labels(source, 100).astype(np.int64)
        table = pa.table({"img": images, "fine_label": fine, "coarse_label": fine // 5}, schema=schema)
        pq.write_table(table, folder / f"{name}.parquet")


def test_cifar10s_binary_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "cifar-10-batches-bin")
    data = Cifar10(root=str(tmp_path)).build(tmp_path / "cache")
    assert data.sizes == {"train": 40, "val": 20}
    assert (data.classes[0], data.classes[9], data.backend) == ("airplane", "truck", "exact")
    raw = next(iter(data.train_loader(0, 40).batches(0, 1)))
    order = raw.index.argsort()
    assert torch.equal(raw.images[order], torch.from_numpy(pixels("train")))
    assert raw.labels[order].tolist() == labels("train", 10).tolist()
    assert data.split_labels("val").tolist() == labels("val", 10).tolist()


@pytest.mark.parametrize("write", [write_cifar100, write_cifar100_parquet])
@pytest.mark.parametrize(("kind", "classes", "word"), [("fine", 100, "kind"), ("coarse", 20, "group")])
def test_cifar100_has_fine_and_coarse_labels_in_both_layouts(
    write: type, kind: str, classes: int, word: str, tmp_path: Path
) -> None:
    write(tmp_path / "set")
    settings = Cifar100(root=str(tmp_path / "set"), labels=kind)  # type: ignore[arg-type]
    data = settings.build(tmp_path / "cache")
    fine = labels("train", 100)
    assert data.classes == tuple(f"{word} {number}" for number in range(classes))
    assert data.split_labels("train").tolist() == (fine if kind == "fine" else fine // 5).tolist()
    raw = next(iter(data.train_loader(0, 40).batches(0, 1)))
    assert torch.equal(raw.images[raw.index.argsort()], torch.from_numpy(pixels("train")))
    assert settings.nominal_shape().classes == classes


def test_numbers_stand_in_for_missing_class_names(tmp_path: Path) -> None:
    write_cifar100(tmp_path)
    (tmp_path / "coarse_label_names.txt").unlink()
    data = Cifar100(root=str(tmp_path), labels="coarse").build(tmp_path / "cache")
    assert data.classes == tuple(map(str, range(20)))


@pytest.mark.parametrize(
    ("settings", "names"), [(Cifar10, ["data_batch_1", "test_batch"]), (Cifar100, ["train", "test", "meta"])]
)
def test_pickled_files_are_refused_unread_and_the_binary_ones_named(
    settings: type[Cifar10 | Cifar100], names: list[str], tmp_path: Path
) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    folder = tmp_path / "python"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match=r"pickled(.|\n)*binary version, a folder cifar-10.*\.bin"):
        settings(root=str(tmp_path)).build(tmp_path / "cache")
    assert not (tmp_path / "sprung").exists()


def test_the_binary_version_is_found_beside_the_pickled_one(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "set" / "cifar-10-batches-bin")
    (tmp_path / "set" / "cifar-10-batches-py").mkdir()
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / "set" / "cifar-10-batches-py" / name).write_bytes(b"pickled")
    assert Cifar10(root=str(tmp_path / "set")).build(tmp_path / "cache").sizes["train"] == 40


def test_a_missing_set_is_refused_with_both_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"parquet files \(.*CIFAR-100's binary files \(train.bin and test.bin\)"):
        Cifar100(root=str(tmp_path)).build(tmp_path / "cache")


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    whole = (tmp_path / "data_batch_3.bin").read_bytes()
    (tmp_path / "data_batch_3.bin").write_bytes(whole[:-5])
    with pytest.raises(DataError, match=r"records of 3073 bytes\n  found: .*data_batch_3.bin: 24579 bytes"):
        Cifar10(root=str(tmp_path)).build(tmp_path / "cache")


def test_a_label_out_of_range_is_named_with_its_record(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    content = bytearray((tmp_path / "data_batch_2.bin").read_bytes())
    content[3 * 3073] = 10
    (tmp_path / "data_batch_2.bin").write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"0\.\.9\n  found: 10 in record 3 \(1 such records\) of .*data_batch_2"):
        Cifar10(root=str(tmp_path)).build(tmp_path / "cache")


def test_a_list_of_class_names_must_be_whole(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    (tmp_path / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"10 different ones\n  found: .*batches.meta.txt"):
        Cifar10(root=str(tmp_path)).build(tmp_path / "cache")


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("own", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ("imagenet", IMAGENET_MEAN, IMAGENET_STD),
        ("none", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ],
)
def test_images_are_normalized_with_the_named_constants(
    name: str, mean: tuple[float, ...], std: tuple[float, ...], tmp_path: Path
) -> None:
    write_cifar10(tmp_path)
    data = Cifar10(root=str(tmp_path), normalization=name).build(tmp_path / "cache")  # type: ignore[arg-type]
    assert (data.mean, data.std) == (mean, std)
    seen = next(iter(data.eval_loader("val", 20))).images
    raw = torch.from_numpy(pixels("val")).double() / 255
    expected = (raw - torch.tensor(mean, dtype=torch.float64)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(seen.double(), expected, atol=1e-5, rtol=1e-5)


def test_imagenets_constants_are_for_three_channels(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    with pytest.raises(DataError, match="three channels"):
        Cifar10(root=str(tmp_path), normalization="imagenet", mean=(0.5,), std=(0.5,)).build(tmp_path / "cache")
