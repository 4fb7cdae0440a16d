"""Checking a set of image files: every file is opened and decoded, and what is wrong is named by file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ablata.data.classification.file_list import Listing
from ablata.data.classification.inspection import examine, in_threads
from ablata.data.classification.problems import Finding
from ablata.data.classification.report import ImageStats, Report, Tally, image_stats
from ablata.data.io.file_slice import Member
from ablata.data.loading.splits import Source


def check_files(found: Listing, crop: int) -> Report:
    """Read every image of a listing, of folders or of tars.

    Args:
        found: all that lies there, usable or not.
        crop: side of the training crop in pixels; smaller images are named.
    """
    tally, counts = Tally(), {str(source): dict.fromkeys(found.ids, 0) for source in found.files}
    problems = list(found.findings)
    remarks = [Finding("no image", name, "ignored in training") for name in found.ignored]
    for source, files in found.files.items():
        labels = found.labels[source].tolist()
        for row, seen in enumerate(in_threads(partial(_seen, crop=crop), files)):
            where = found.where(source, row)
            problems += [replace(one, where=where) for one in seen.problems]
            remarks += [replace(one, where=where) for one in seen.remarks]
            if seen.look is not None:
                tally.add(seen.look, source, where)
                if labels[row] >= 0:
                    counts[source][found.ids[labels[row]]] += 1
    problems += _unreadable_classes(found, counts["train"])
    problems += tally.twins()
    return Report(counts, tally.sizes(), *tally.colours(), problems=tuple(problems), remarks=tuple(remarks))


@dataclass(frozen=True)
class _Seen:
    look: ImageStats | None
    problems: tuple[Finding, ...] = ()
    remarks: tuple[Finding, ...] = ()


def _seen(image: Path | Member, crop: int) -> _Seen:
    found = examine(image)
    if found.fault is not None or found.pixels is None:
        return _Seen(None, (Finding(found.fault or "unreadable", "", found.detail),))
    remarks = [Finding("grey", "", f"mode {found.mode}")] if _is_grey(found.mode, found.pixels) else []
    height, width = found.size
    if min(height, width) < crop:
        remarks.append(Finding("smaller than the crop", "", f"{height}x{width} (height x width), crop {crop}"))
    return _Seen(image_stats(found.pixels), (), tuple(remarks))


def _unreadable_classes(found: Listing, counts: dict[str, int]) -> list[Finding]:
    """Return the classes that have training files and none that can be used."""
    source: Source = "train"
    filed = np.bincount(found.labels[source][found.labels[source] >= 0], minlength=len(found.ids))
    empty = [name for name, files in zip(found.ids, filed, strict=True) if files and not counts[name]]
    return [Finding("empty class", f"train/{name}", "no image that can be used") for name in empty]


def _is_grey(mode: str, pixels: np.ndarray) -> bool:
    if mode in ("1", "L", "LA", "I", "I;16"):
        return True
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))
