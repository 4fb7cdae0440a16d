"""Image classification sets in parquet files, as published on the hubs: a column of encoded images, a column of labels.

Images are decoded once, in parallel, into one array that is kept in the cache folder and mapped into memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from ablata.base.cores import usable_cores
from ablata.base.errors import DataError, choices, listing
from ablata.base.settings import INCIDENTAL, ON_DISK
from ablata.data.io.crop import Interpolation, backend_name, resize_and_center_crop
from ablata.data.io.decode import open_image, to_rgb
from ablata.data.loading.cache import combined, file_digest, load_array, stored_arrays
from ablata.data.loading.dataset import ClassificationSettings, NominalShape
from ablata.data.loading.in_memory import ImageArrays, InMemoryDataset
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import Source
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.normalization import IMAGENET_MEAN, IMAGENET_STD, NormalizationName, constants

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
_VERSION = 1


@dataclass(frozen=True)
class Columns:
    """The columns of parquet files, and how their images are resized.

    Attributes:
        image: column of encoded images; None: by its usual names.
        label: column of labels; None: by its usual names.
        size: pixels of the squares that images are resized and cut to; None: left as they are.
        interpolation: filter of that resizing.
    """

    image: str | None = None
    label: str | None = None
    size: int | None = None
    interpolation: Interpolation = "bilinear"


@dataclass(frozen=True)
class DecodedImages:
    """Decoded images and labels of one source.

    Attributes:
        images: uint8 [n, 3, H, W], a memory map.
        labels: int64 [n], in [0, classes).
        classes: class names.
        digest: hash of the files' contents.
        backend: what decoded and resized.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    digest: str
    backend: str


def read_files(files: list[Path], cache: Path, columns: Columns) -> DecodedImages:
    """Return the images and labels of parquet files, decoding them the first time.

    Raises:
        DataError: a file is damaged, a column is missing, an image does not decode or has another size than the first,
            a label is missing or out of range.
    """
    digest = combined([file_digest(file, cache) for file in files])
    resized = f"{columns.size}-{columns.interpolation}" if columns.size else "as-is"
    name = f"{digest[:32]}-{columns.image}-{columns.label}-{resized}-{_VERSION}"
    folder, facts = stored_arrays(cache / "decoded" / name, cache, lambda draft: _decode(draft, files, columns))
    images, labels = load_array(folder / "images.npy"), load_array(folder / "labels.npy")
    return DecodedImages(images, labels, tuple(facts["classes"]), digest, facts["backend"])


def _decode(draft: Path, files: list[Path], columns: Columns) -> dict[str, object]:
    """Decode files into `images.npy` and `labels.npy` in `draft`; return the class names and the backend."""
    tables = [_open(file) for file in files]
    image, label = (
        _column(tables[0], columns.image, IMAGE_COLUMNS, "image"),
        _column(tables[0], columns.label, LABEL_COLUMNS, "label"),
    )
    raw = pa.chunked_array([chunk for table in tables for chunk in table.read([label])[label].chunks])
    labels, classes = _labels(raw, tables[0].schema_arrow, label, files)
    np.save(draft / "labels.npy", labels)
    images: np.memmap | None = None
    with ThreadPoolExecutor(min(8, usable_cores())) as pool:
        for start, rows in _encoded(tables, files, image):
            block = list(pool.map(lambda row: _pixels(row[0], row[1], columns), rows))
            if images is None:
                shape = (len(labels), *block[0].shape)
                images = np.lib.format.open_memmap(draft / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
            for offset, pixels in enumerate(block):
                if pixels.shape != images.shape[1:]:
                    raise DataError(
                        "All images must have one size, unless data.size is set",
                        found=f"{rows[offset][1]}: {pixels.shape[2]}x{pixels.shape[1]}, the first has "
                        f"{images.shape[3]}x{images.shape[2]}",
                        do="set data.size=PIXELS",
                    )
                images[start + offset] = pixels
    if images is None:
        raise DataError(
            "A data set must hold images",
            found=f"no rows in {listing(map(str, files))}",
            do="correct data.root, or download the files again",
        )
    images.flush()
    return {"classes": classes, "backend": backend_name("pil", columns.interpolation if columns.size else None)}


def _open(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise DataError("A parquet file must be whole", found=f"{file}: {error}", do="fetch the file again") from None


def _column(table: pq.ParquetFile, wanted: str | None, usual: tuple[str, ...], role: str) -> str:
    names = table.schema_arrow.names
    found = [name for name in ((wanted,) if wanted else usual) if name in names]
    if not found:
        raise DataError(
            f"The {role} column must be {wanted or listing(usual)}",
            found=f"columns {choices(names, wanted or role)}",
            do=f"set data.{role}_column=NAME (with data=parquet)",
        )
    return found[0]


def _labels(raw: pa.ChunkedArray, schema: pa.Schema, column: str, files: list[Path]) -> tuple[np.ndarray, list[str]]:
    """Return int64 labels and class names: from the schema's metadata, names in the column, or the numbers."""
    where = listing(map(str, files))
    if raw.null_count:
        raise DataError(
            "Every row must have a label",
            found=f"{raw.null_count} rows without, in {where}",
            do="leave those rows out, or name another column: data.label=COLUMN",
        )
    if pa.types.is_string(raw.type) or pa.types.is_large_string(raw.type) or pa.types.is_dictionary(raw.type):
        names = [str(name) for name in raw.to_pylist()]
        classes, labels = np.unique(names, return_inverse=True)
        return labels.astype(np.int64), classes.tolist()
    if not pa.types.is_integer(raw.type):
        raise DataError(
            "Labels must be whole numbers or names",
            found=f"column {column} of type {raw.type} in {where}",
            do="name another column: data.label=COLUMN",
        )
    labels = raw.to_numpy().astype(np.int64)
    known = _metadata_names(schema, column)
    limit = len(known) if known else (int(labels.max()) + 1 if len(labels) else 0)
    wrong = np.flatnonzero((labels < 0) | (labels >= limit))
    if len(wrong):
        raise DataError(
            f"Labels must be in 0..{limit - 1}",
            found=f"{labels[wrong[0]]} in row {wrong[0]} ({len(wrong)} such rows) of {where}",
            do="correct the labels or the class names in the schema",
        )
    return labels, known or [str(number) for number in range(limit)]


def _metadata_names(schema: pa.Schema, column: str) -> list[str]:
    """Return class names from the hubs' schema metadata, or none."""
    try:
        feature: Any = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]
        return [str(name) for name in feature["names"]]
    except (KeyError, ValueError, TypeError):
        return []


def _encoded(
    tables: list[pq.ParquetFile], files: list[Path], column: str
) -> Iterator[tuple[int, list[tuple[bytes | None, str]]]]:
    """Yield blocks of (encoded bytes, file and row in words), with the number of their first row over all files."""
    start = 0
    for table, file in zip(tables, files, strict=True):
        row = 0
        for block in table.iter_batches(batch_size=2048, columns=[column]):
            values = block.column(0)
            values = values.field("bytes") if pa.types.is_struct(values.type) else values
            contents = values.to_pylist()
            yield start + row, [(content, f"{file}, row {row + offset}") for offset, content in enumerate(contents)]
            row += len(contents)
        start += row


def _pixels(content: bytes | None, where: str, columns: Columns) -> np.ndarray:
    """Decode one image to uint8 [3, H, W]."""
    if not isinstance(content, bytes):
        raise DataError(
            "Every row must hold an encoded image",
            found=f"{where}: {type(content).__name__}",
            do="name the column of images: data.image=COLUMN",
        )
    image = to_rgb(open_image(content, where), where)
    if columns.size:
        return resize_and_center_crop(image, columns.size, columns.size, "pil", columns.interpolation).transpose(
            2, 0, 1
        )
    return np.asarray(image).transpose(2, 0, 1)


PATTERNS: dict[Source, tuple[str, ...]] = {
    "train": ("train*.parquet",),
    "val": ("val*.parquet", "test*.parquet"),
}
"""File names of each source, the first pattern that fits."""


class PackedSet(ClassificationSettings):
    """Settings of data sets in a few large files; the base of several, not itself a choice."""

    kind: str
    """Which set."""
    root: Annotated[str | None, INCIDENTAL, ON_DISK] = None
    """Folder of the files, or a zip of it."""
    minival: int | float = 0
    """Samples (or a fraction, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""
    normalization: NormalizationName = "own"
    """Constants of normalisation: own (`mean` and `std`), imagenet, or none, which leaves pixels in 0..1."""
    augment: Augment = Augment()
    """Augmentation of training batches."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    """Mean of red, green, blue over the training set, in 0..1."""
    std: tuple[float, ...] = IMAGENET_STD
    """Standard deviation of red, green, blue, in 0..1."""

    def assemble(self, train: DecodedImages, val: DecodedImages) -> InMemoryDataset:
        """Put the two sources together.

        Raises:
            DataError: minival is out of range, or ImageNet's constants do not fit the channels.
        """
        mean, std = constants(self.normalization, self.mean, self.std)
        return InMemoryDataset(
            ImageArrays(train.images, train.labels),
            ImageArrays(val.images, val.labels),
            classes=train.classes,
            fingerprint=combined([train.digest, val.digest]),
            mean=mean,
            std=std,
            minival=self.minival,
            split_seed=self.split_seed,
            augment=self.augment,
            backend=train.backend,
        )


class Parquet(PackedSet):
    """Image classification from parquet files, small enough for memory: train*.parquet, and val*.parquet or
    test*.parquet."""

    kind: Literal["parquet"] = "parquet"
    image_column: str | None = None
    """Column of encoded images (bytes, or a struct with bytes); null: image or img."""
    label_column: str | None = None
    """Column of labels (whole numbers or names); null: label, labels or fine_label."""
    size: Annotated[int, Field(ge=1)] | None = None
    """Resize the shorter side to this and cut the square centre; null: all images must have one size already."""
    interpolation: Interpolation = "bilinear"
    """Filter of that resizing."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for; ten classes, and CIFAR's 32 pixels where `size` is null."""
        side = self.size or 32
        return NominalShape(classes=10, channels=3, height=side, width=side)

    def build(self, cache: Path) -> InMemoryDataset:
        """Find, decode (the first time) and map the data set.

        Raises:
            DataError: see `read_files`; or the files are missing, or train and val do not fit together.
        """
        layout = "parquet files named train*.parquet and val*.parquet (or test*.parquet)"
        folder = find_root(self.root, default=None, fits=has_parquet, layout=layout, cache=cache)
        files = parquet_sources(folder)
        columns = Columns(self.image_column, self.label_column, self.size, self.interpolation)
        train, val = (read_files(files[source], cache, columns) for source in PATTERNS)
        if train.images.shape[1:] != val.images.shape[1:] or train.classes != val.classes:
            raise DataError(
                "Train and val must have the same image size and the same classes",
                found=f"{train.images.shape[1:]} and {val.images.shape[1:]}, "
                f"{len(train.classes)} and {len(val.classes)} classes",
                do="set data.size, or correct the files",
            )
        return self.assemble(train, val)


def has_parquet(folder: Path) -> bool:
    """Tell whether a folder holds parquet files of both sources."""
    return all(parquet_sources(folder).values())


def parquet_sources(folder: Path) -> dict[Source, list[Path]]:
    """Return the parquet files of each source, those of the first pattern that has any, in the order of their names."""
    return {
        source: next((found for pattern in patterns if (found := sorted(folder.glob(pattern)))), [])
        for source, patterns in PATTERNS.items()
    }
