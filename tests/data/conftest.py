"""Small data sets of every kind, made on the spot."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

CLASSES = ("ant", "bee", "cat")
COUNTS = {"train": 40, "val": 20}
"""Images in the sources of a little CIFAR."""


def _image(random: np.random.Generator, height: int, width: int) -> Image.Image:
    coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)


@pytest.fixture(scope="session")
def folder_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return train/ and val/ with three classes of different counts, sizes and file types, and one junk file."""
    root, random = tmp_path_factory.mktemp("folder"), np.random.default_rng(3)
    for split, counts in (("train", (13, 9, 11)), ("val", (4, 3, 4))):
        for name, count in zip(CLASSES, counts, strict=True):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                image = _image(random, int(random.integers(20, 60)), int(random.integers(20, 60)))
                suffix = ("jpg", "png")[number % 2]
                image.save(root / split / name / f"{number}.{suffix}")
    (root / "train" / "ant" / "notes.txt").write_text("not an image")
    (root / "classes.txt").write_text("ant Formica rufa\nbee Apis\n")
    return root


@pytest.fixture(scope="session")
def parquet_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return train.parquet (two shards) and test.parquet of 12x12 PNGs, class names in the schema metadata."""
    root, random = tmp_path_factory.mktemp("parquet"), np.random.default_rng(4)
    for name, count in (("train-00000", 17), ("train-00001", 16), ("test-00000", 11)):
        write_parquet(root / f"{name}.parquet", [_image(random, 12, 12) for _ in range(count)], np.arange(count) % 3)
    return root


@pytest.fixture(scope="session")
def cifar_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a little CIFAR-10 in binary files."""
    root = tmp_path_factory.mktemp("cifar")
    write_cifar10(root)
    return root


def write_parquet(path: Path, images: list[Image.Image], labels: np.ndarray) -> None:
    """Write a parquet file as the hubs publish them."""
    schema = named(("label",), {"label": list(CLASSES)})
    pq.write_table(pa.table({"img": list(map(encoded, images)), "label": labels}, schema=schema), path)


def encoded(image: Image.Image) -> dict[str, object]:
    """Return an image as a row of the image column, losslessly."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def named(columns: tuple[str, ...], classes: dict[str, list[str]]) -> pa.Schema:
    """Return the schema of an image column and label columns, with the class names that the hubs keep in it."""
    features = {name: {"names": names, "_type": "ClassLabel"} for name, names in classes.items()}
    image = ("img", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    return pa.schema(
        [image, *((column, pa.int64()) for column in columns)],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )


def pixels(source: str) -> np.ndarray:
    """Return the images of a little CIFAR, uint8 [n, 3, 32, 32]."""
    random = np.random.default_rng(len(source))
    return random.integers(0, 256, (COUNTS[source], 3, 4, 4), dtype=np.uint8).repeat(8, 2).repeat(8, 3)


def labels(source: str, classes: int) -> np.ndarray:
    """Return their labels, uint8 [n]."""
    return (np.arange(COUNTS[source]) * 7 % classes).astype(np.uint8)


def write_cifar10(folder: Path) -> None:
    """Write the binary layout: five training files and a test file, a label byte before the pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    (folder / "batches.meta.txt").write_text(names.replace(" ", "\n") + "\n\n")
    records = {
        source: np.concatenate([labels(source, 10)[:, None], pixels(source).reshape(COUNTS[source], -1)], axis=1)
        for source in COUNTS
    }
    for number in range(5):
        records["train"][number * 8 : number * 8 + 8].tofile(folder / f"data_batch_{number + 1}.bin")
    records["val"].tofile(folder / "test_batch.bin")
