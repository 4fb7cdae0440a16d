"""Turning label files into files of contiguous ids by a label map, and back; sources are only ever read.

What is written: images/SPLIT and labels/SPLIT (8-bit PNG, lossless), and the map of what the ids are. The new folder
appears whole or not at all.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ablata.base.errors import DataError, listing
from ablata.base.files import write_text
from ablata.base.quantities import counted
from ablata.data.io.decode import RULES, ImageRules, open_image
from ablata.data.io.headers import orientation_of, turned
from ablata.data.io.masks import load_mask, open_mask
from ablata.data.io.walk import copy_file
from ablata.data.label_tools.accidents import divided
from ablata.data.label_tools.scan import Tell, mapped, value_counts
from ablata.data.label_tools.survey import name_of
from ablata.data.labels.layout import LabeledFolder, Sample, propose_suffixes
from ablata.data.labels.map import MAP_FILE, LabelMap, split_color
from ablata.data.labels.mask_files import Leniency, Palettes, palette_of, raw_values, read_mask
from ablata.data.labels.table import TRANSPARENT, translate
from ablata.data.loading.cache import build_once, require_space
from ablata.data.loading.divide import divide
from ablata.data.loading.new_folder import refuse_place

_SHOWN = 5


@dataclass(frozen=True)
class Conversion:
    """How a folder is converted.

    Attributes:
        label_map: what the values are.
        reverse: from ids back to raw values.
        nearest: values that the map has not become the nearest one that it has; lossy files are read.
        divide: values are class * this + object, of which the class is taken; None: they are classes.
        palette: for maps of values, whether a palette file's indices are taken, or the grey of their colours; None: the
            indices, where all palettes agree.
        rules: whether files are turned as the camera noted; the images are copied as they are, with that note.
        paired_only: leave out what has no partner.
        val: fraction of the images for validation, drawn anew; None: the splits there are, 0.2 where there are none.
        seed: of that draw.
    """

    label_map: LabelMap
    reverse: bool = False
    nearest: bool = False
    divide: int | None = None
    palette: str | None = None
    rules: ImageRules = RULES
    paired_only: bool = False
    val: float | None = None
    seed: int = 0

    @property
    def leniency(self) -> Leniency:
        """Return what else than training accepts is read."""
        return Leniency(lossy=self.nearest, grey=True, palette="grey" if self.palette == "grey" else "index")


@dataclass
class Converted:
    """What was written: pairs by split, pixels of each id, pixels moved to the nearest value and the greatest distance,
    and whatever else is worth knowing."""

    pairs: Counter[str] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)
    moved: int = 0
    furthest: float = 0.0
    notices: list[str] = field(default_factory=list)


def convert(
    labelled: LabeledFolder, how: Conversion, output: Path, *, workers: int | None = None, tell: Tell | None = None
) -> Converted:
    """Write a converted folder.

    Args:
        labelled: the files.
        how: see `Conversion`.
        output: the folder to make.
        workers: number of processes; None: one a core, and none for a few files.
        tell: is told about progress.

    Raises:
        SettingsError: `output` is there, or lies in the source or around it.
        DataError: a file cannot be read or holds a value that the map has not, something has no partner, palettes
            differ, two files would get one name, or the disk has no room.
    """
    refuse_place(labelled.root, output)
    samples = _paired(labelled, how)
    done = Converted()
    done.notices += labelled.notices()
    if len(samples) < len(labelled.samples):
        done.notices.append(f"left out: {counted(len(labelled.samples) - len(samples), 'file')} without a partner")
    if how.reverse and not how.label_map.exact:
        done.notices.append("several values of the label map have one id: the first of these values is written")
    build_once(output, lambda draft: _write(labelled.root, samples, how, draft, done, workers, tell))
    return done


def _write(
    root: Path, samples: Sequence[Sample], how: Conversion, draft: Path, done: Converted, workers: int | None,
    tell: Tell | None,
) -> None:  # fmt: skip
    _refuse_full_disk(samples, draft)
    unsorted = draft / "unsorted"
    jobs = [(sample.label, unsorted / sample.split / f"{sample.name}.png", sample.image) for sample in samples]
    holds, palettes = np.zeros((len(samples), 256), dtype=bool), Palettes()
    for row, converted in enumerate(mapped(partial(_convert_file, root, how), jobs, workers)):
        done.pixels.update(dict(zip(converted.ids, converted.counts, strict=True)))
        done.moved, done.furthest = done.moved + converted.moved, max(done.furthest, converted.furthest)
        holds[row, converted.ids] = True
        if how.palette is None:
            palettes.add(converted.palette, name_of(samples[row].label, root))
            palettes.refuse(str(root))
        if tell is not None:
            tell(row + 1, len(jobs))
    splits = _splits(samples, holds[:, : len(how.label_map.names)], how, done)
    names = _targets(samples, splits)
    for sample, name, (_, written, _), split in zip(samples, names, jobs, splits, strict=True):
        assert sample.image is not None
        for kind, source in (("images", sample.image), ("labels", written)):
            target = draft / kind / split / f"{name}{source.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_file(source, target) if kind == "images" else source.rename(target)
        done.pairs[split] += 1
    shutil.rmtree(unsorted)
    label_map = how.label_map if how.reverse else how.label_map.converted()
    write_text(draft / MAP_FILE, label_map.as_text())


@dataclass(frozen=True)
class _File:
    """A converted label file: its ids, their pixels, how many pixels were moved, how far at most, and the palette."""

    ids: list[int]
    counts: list[int]
    moved: int = 0
    furthest: float = 0.0
    palette: dict[int, int] = field(default_factory=dict)


def _convert_file(root: Path, how: Conversion, job: tuple[Path, Path, Path]) -> _File:
    """Convert one label file."""
    file, target, image = job
    where = name_of(file, root)
    target.parent.mkdir(parents=True, exist_ok=True)
    moved, furthest, palette = 0, 0.0, dict[int, int]()
    if how.reverse:
        ids = read_mask(file, "ids", rules=how.rules).astype(np.int64)
        if ids.size and (ids.min() < 0 or ids.max() > 255):
            raise DataError(
                "A label file of ids must hold values from 0 to 255",
                found=f"{where}: {ids.min()} to {ids.max()}",
                do="give --reverse a folder of ids that `ablata data convert` wrote",
            )
        ids = ids.astype(np.uint8)
        made = _raw_image(how.label_map.decode(ids, where), how.label_map)
    else:
        mask = load_mask(open_mask(file, how.leniency.lossy, how.rules.max_pixels), file, how.rules)
        raw = raw_values(mask, file, how.label_map.form, how.leniency)
        if mask.mode == "P" and how.label_map.form == "ids":
            palette = palette_of(mask, value_counts(raw)[0])
        raw = raw if how.divide is None else divided(raw, how.divide)
        raw, moved, furthest = nearest_values(raw, how.label_map) if how.nearest else (raw, 0, 0.0)
        ids = how.label_map.encode(raw, where)
        made = Image.fromarray(ids)
    if how.rules.orientation == "ignored":
        # The image is copied with its note, and will be turned: so is what lies over it as it is stored.
        with open_image(image, str(image), how.rules.max_pixels) as opened:
            made = turned(made, orientation_of(opened))
    made.save(target)
    values, counts, _ = value_counts(ids)
    return _File(values.tolist(), counts.tolist(), moved, furthest, palette)


def _raw_image(raw: np.ndarray, label_map: LabelMap) -> Image.Image:
    """Return raw values as an image without loss: colours as RGB, with alpha where nothing is drawn, values in 8 or 16
    bits."""
    if label_map.form == "colors":
        pixels = np.stack([raw >> 16, raw >> 8 & 255, raw & 255], axis=-1).astype(np.uint8)
        if label_map.find(TRANSPARENT) is not None:
            pixels = np.dstack([pixels, np.where(raw == TRANSPARENT, 0, 255).astype(np.uint8)])
    elif raw.min() >= 0 and raw.max() <= 65535:
        wide = max(label.value for label in label_map.labels) > 255
        pixels = raw.astype(np.uint16 if wide else np.uint8)
    else:
        raise DataError("Values must be 0 to 65535 to be written as images", found=f"{label_map.source}: {raw.min()}",
                        do="give that value an id that no image holds, or change it")  # fmt: skip
    return Image.fromarray(pixels)


def nearest_values(raw: np.ndarray, label_map: LabelMap) -> tuple[np.ndarray, int, float]:
    """Replace values that a map has not by the nearest that it has: colours by distance in RGB, others as numbers.

    Pixels on which nothing is drawn are near to no value.

    Args:
        raw: whole numbers [H, W].
        label_map: the map.

    Returns:
        Raw values, all of the map; how many pixels were changed; the greatest distance.
    """
    known = np.array([label.value for label in label_map.labels if label.value != TRANSPARENT], dtype=np.int64)
    if not len(known):
        return raw, 0, 0.0
    _, strange = translate(raw, known.tolist(), [0] * len(known))
    strange &= raw != TRANSPARENT
    if not strange.any():
        return raw, 0, 0.0
    values, which = np.unique(raw[strange], return_inverse=True)
    if label_map.form == "colors":
        apart = np.linalg.norm(_channels(values)[:, None] - _channels(known)[None], axis=-1)
    else:
        apart = np.abs(values[:, None] - known[None]).astype(np.float64)
    fixed = raw.copy()
    fixed[strange] = known[apart.argmin(axis=1)][which]
    return fixed, int(strange.sum()), float(apart.min(axis=1).max())


def _channels(codes: np.ndarray) -> np.ndarray:
    return np.array([split_color(int(code)) for code in codes], dtype=np.float64).reshape(-1, 3)


def _paired(labelled: LabeledFolder, how: Conversion) -> list[Sample]:
    pairs = [sample for sample in labelled.samples if sample.image and sample.label]
    alone = [
        name_of(sample.image or sample.label, labelled.root)
        for sample in labelled.samples
        if not (sample.image and sample.label) and not (sample.split == "test" and sample.image)
    ]
    do = " ".join(f"--set {setting}" for setting in propose_suffixes(labelled).settings) or None
    advice = "--paired-only leaves them out" if pairs else "call each label file like its image"
    if alone and not how.paired_only:
        more = f" ({len(alone)} such files)" if len(alone) > _SHOWN else ""
        raise DataError("Every image must have a label file, and every label file an image",
                        found=f"{listing(alone[:_SHOWN])}{more}",
                        do=do or advice)  # fmt: skip
    if not pairs:
        raise DataError("There must be images with label files to convert", found=f"{labelled.root}: none",
                        do=do or "put a label file of the same name beside each image")  # fmt: skip
    return pairs


def _targets(samples: Sequence[Sample], splits: Sequence[str]) -> list[str]:
    """Return each pair's name in the new folder; its old split stands before it where names would clash."""
    names = [sample.name for sample in samples]
    if len(set(zip(splits, names, strict=True))) == len(names):
        return names
    return [f"{sample.split}/{sample.name}" if sample.split else sample.name for sample in samples]


def _splits(samples: Sequence[Sample], holds: np.ndarray, how: Conversion, done: Converted) -> list[str]:
    splits = [sample.split for sample in samples]
    if any(splits) and how.val is None:
        lacking = [split for split in ("train", "val") if split not in splits]
        if lacking:
            done.notices.append(
                f"no {' and no '.join(lacking)}: training needs both; --val 0.2 draws them from all but images of test"
            )
        return splits
    fraction = 0.2 if how.val is None else how.val
    rows = [row for row, split in enumerate(splits) if split != "test"]
    if not rows:
        raise DataError(
            "There must be images outside the test split to draw train and val from",
            found="only images of test",
            do="add images for training, or divide them yourself into folders train and val",
        )
    folders = [f"{samples[row].split}/{samples[row].folder}" for row in rows]
    held = divide(holds[rows], folders, fraction, how.seed)
    done.notices.append(f"train and val drawn with seed {how.seed}: every class that two images hold is in both")
    for row, is_val in zip(rows, held.tolist(), strict=True):
        splits[row] = "val" if is_val else "train"
    return splits


def _refuse_full_disk(samples: Sequence[Sample], draft: Path) -> None:
    files = [file for sample in samples for file in (sample.image, sample.label) if file is not None]
    # A file that cannot be looked at is refused by its name where it is read.
    needed = sum(file.stat().st_size for file in files if file.is_file())
    require_space(draft, needed, what="the new folder", do="choose an --output on another disk")
