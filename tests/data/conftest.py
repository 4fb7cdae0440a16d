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


def _picture(random: np.random.Generator, height: int, width: int) -> Image.Image:
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
                picture = _picture(random, int(random.integers(20, 60)), int(random.integers(20, 60)))
                suffix = ("jpg", "png")[number % 2]
                picture.save(root / split / name / f"{number}.{suffix}")
    (root / "train" / "ant" / "notes.txt").write_text("not an image")
    (root / "classes.txt").write_text("ant Formica rufa\nbee Apis\n")
    return root


@pytest.fixture(scope="session")
def parquet_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return train.parquet (two shards) and test.parquet of 12x12 PNGs, class names in the schema metadata."""
    root, random = tmp_path_factory.mktemp("parquet"), np.random.default_rng(4)
    for name, count in (("train-00000", 17), ("train-00001", 16), ("test-00000", 11)):
        write_parquet(root / f"{name}.parquet", [_picture(random, 12, 12) for _ in range(count)], np.arange(count) % 3)
    return root


def write_parquet(path: Path, pictures: list[Image.Image], labels: np.ndarray) -> None:
    """Write a parquet file as the hubs publish them."""
    contents = []
    for picture in pictures:
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        contents.append({"bytes": stream.getvalue(), "path": None})
    features = {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    schema = pa.schema(
        [("img", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    pq.write_table(pa.table({"img": contents, "label": labels}, schema=schema), path)
