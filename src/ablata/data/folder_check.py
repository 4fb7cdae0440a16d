"""Checking a folder of image files: every file is opened and decoded, and what is wrong is named by file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablata.base.errors import DataError
from ablata.data.checking import Finding, Look, Report, Tally, look_at
from ablata.data.decode import open_image, to_rgb
from ablata.data.folders import LAYOUT, SUFFIXES, has_layout
from ablata.data.roots import find_root

_THREADS = 4
_HUGE = 89_478_485
"""Pixels above which a picture is more likely a trap or a scan than a photograph; PIL's own limit."""
_VAL = ("val", "validation", "test")


def check_folder(root: str, cache: Path, crop: int) -> Report:
    """Read every file under train/ and val/.

    Args:
        root: the folder, a zip of it, or its name under ABLATA_DATA.
        cache: where zips are unpacked.
        crop: side of the training crop in pixels; smaller pictures are named.

    Raises:
        DataError: there is no such folder, or it has not the layout.
    """
    place = find_root(root, default=None, fits=has_layout, layout=LAYOUT, cache=cache)
    folders = {"train": place / "train", "val": next(place / name for name in _VAL if (place / name).is_dir())}
    names = {split: _classes(folder) for split, folder in folders.items()}
    tally, counts = Tally(), {split: dict.fromkeys(found, 0) for split, found in names.items()}
    problems, remarks = _differences(names), []
    jobs = [job for split, folder in folders.items() for job in _files(split, folder)]
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.simplefilter("ignore")
        for (split, name, file), seen in zip(jobs, pool.map(lambda job: _seen(job[2], crop), jobs), strict=True):
            where = file.relative_to(place).as_posix()
            problems += [Finding(one.kind, where, one.detail) for one in seen.problems]
            remarks += [Finding(one.kind, where, one.detail) for one in seen.remarks]
            if seen.look is not None:
                counts[split][name] += 1
                tally.add(seen.look, split, where)
    for name, count in counts["train"].items():
        if not count:
            problems.append(Finding("empty class", f"train/{name}", "no readable picture"))
    problems += tally.twins()
    return Report(counts, tally.sizes(), *tally.colours(), problems=tuple(problems), remarks=tuple(remarks))


@dataclass(frozen=True)
class _Seen:
    look: Look | None
    problems: tuple[Finding, ...] = ()
    remarks: tuple[Finding, ...] = ()


def _seen(file: Path, crop: int) -> _Seen:
    if file.suffix.lower() not in SUFFIXES or file.name.startswith("."):
        return _Seen(None, remarks=(Finding("no image", "", "ignored in training"),))
    try:
        header = open_image(file, file.name)
        with header:
            if header.width * header.height > _HUGE:
                return _Seen(None, (Finding("huge", "", f"{header.width}x{header.height} pixels"),))
            frames, mode = getattr(header, "n_frames", 1), header.mode
            pixels = np.asarray(to_rgb(header, file.name))
    except (DataError, OSError) as error:
        reason = (error.found or "") if isinstance(error, DataError) else str(error)
        return _Seen(None, (Finding("unreadable", "", reason.removeprefix(f"{file.name}: ")),))
    problems = (Finding("animated", "", f"{frames} frames"),) if frames > 1 else ()
    remarks = [Finding("grey", "", f"mode {mode}")] if _is_grey(mode, pixels) else []
    height, width = pixels.shape[:2]
    if min(height, width) < crop:
        remarks.append(Finding("smaller than the crop", "", f"{height}x{width} (height x width), crop {crop}"))
    return _Seen(look_at(pixels), problems, tuple(remarks))


def _is_grey(mode: str, pixels: np.ndarray) -> bool:
    if mode in ("1", "L", "LA", "I", "I;16"):
        return True
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))


def _classes(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _files(split: str, folder: Path) -> Iterator[tuple[str, str, Path]]:
    for name in _classes(folder):
        found = sorted(Path(where) / file for where, _, inside in os.walk(folder / name) for file in inside)
        yield from ((split, name, file) for file in found)


def _differences(names: dict[str, list[str]]) -> list[Finding]:
    train, val = set(names["train"]), set(names["val"])
    unknown = [Finding("unknown class", f"val/{name}", "not in train") for name in sorted(val - train)]
    return unknown + [Finding("empty class", f"val/{name}", "no such folder") for name in sorted(train - val)]
