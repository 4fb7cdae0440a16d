"""Reading every label file of a folder once, in worker processes: what is kept of each is a handful of numbers."""

from __future__ import annotations

import hashlib
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from ablata.base.cores import worker_count
from ablata.base.errors import DataError
from ablata.data.io.decode import RULES, ImageFacts, ImageRules, decode_rgb, open_image
from ablata.data.io.headers import lossy_format, orientation_of, page_count
from ablata.data.io.masks import Fault, MaskError, load_mask, open_mask
from ablata.data.labels.layout import Sample
from ablata.data.labels.map import LabelMap
from ablata.data.labels.mask_files import Leniency, palette_of, raw_values
from ablata.data.labels.table import Form
from ablata.data.loading.shared_images import pixel_digest

_CHUNK = 16
_FEW = 128
"""Up to this many files are read in this process: starting others would take longer."""
_MOST_VALUES = 1024
"""Of a file with more different values (a photograph, instance numbers), only the most frequent are kept."""
_HEADERS = 64
_FEW_VALUES = 4

LENIENT = Leniency(lossy=True)
"""What a scan reads: files of lossy formats too, so that their values can be told."""
J = TypeVar("J")
R = TypeVar("R")
Tell = Callable[[int, int], None]
"""Is told how many files are done, and of how many."""


@dataclass(frozen=True)
class ReadOptions:
    """How files are read: what label files hold, what else than training accepts may be read of them, and how images
    become 8-bit RGB."""

    form: Form
    leniency: Leniency = LENIENT
    rules: ImageRules = RULES


@dataclass(frozen=True)
class ImageScan:
    """What was found of an image: height and width as training reads it, facts, why it cannot be used, with what to do
    about it, and a digest of its pixels."""

    size: tuple[int, int]
    facts: ImageFacts | None
    problem: str = ""
    do: str = ""
    digest: str = ""


@dataclass(frozen=True)
class LabelFileScan:
    """What one label file holds, and its image; of an image without one, the image alone.

    Attributes:
        row: which sample.
        fault: why it cannot be trained on as it is, or None; values of lossy files, and of colour files that hold ids
            in three equal channels, are there all the same.
        detail: the fault in words.
        mode: PIL's mode: `L`, `RGB`, `P`, `I;16`; "" if unreadable.
        size: height and width as training reads it, (0, 0) if unreadable.
        orientation: as the camera noted it in the label file, 1 (upright) to 8.
        image: of the image; None where there is none.
        values: int64 [k], raw values, ascending.
        counts: int64 [k], pixels of each.
        solid: bool [k], whether a value fills a square of 3 by 3 pixels somewhere; all are where there are few.
        more: values left out because there are too many.
        digest: of size and values' places; equal for equal label files.
        palette: colours (0xRRGGBB) that the indices of a palette file stand for.
        pages: of the label file.
    """

    row: int
    fault: Fault | None
    detail: str
    mode: str
    size: tuple[int, int]
    orientation: int
    image: ImageScan | None
    values: np.ndarray
    counts: np.ndarray
    solid: np.ndarray
    more: int
    digest: bytes
    palette: dict[int, int]
    pages: int = 1

    @property
    def pixels(self) -> int:
        """Return height times width."""
        return self.size[0] * self.size[1]


_NOTHING = np.zeros(0, dtype=np.int64)


def scan(
    samples: Sequence[Sample], reading: ReadOptions, workers: int | None = None, tell: Tell | None = None
) -> Iterator[LabelFileScan]:
    """Yield what each sample's image and label file hold, in their order.

    Args:
        samples: the files.
        reading: how they are read.
        workers: number of processes; None: one a core, and none for a few files.
        tell: is told about progress.
    """
    jobs = [(row, sample.label, sample.image) for row, sample in enumerate(samples)]
    look = partial(_look, reading)
    for done, seen in enumerate(mapped(look, jobs, workers), start=1):
        if tell is not None:
            tell(done, len(jobs))
        yield seen


def mapped(work: Callable[[J], R], jobs: Sequence[J], workers: int | None) -> Iterator[R]:
    """Yield `work` of each job in order, in worker processes where there are many; both must be picklable."""
    count = workers if workers is not None else (0 if len(jobs) <= _FEW else worker_count(None))
    if count == 0:
        yield from map(work, jobs)
        return
    pool = ProcessPoolExecutor(count, initializer=_deaf)
    try:
        yield from pool.map(work, jobs, chunksize=_CHUNK)
    finally:
        pool.shutdown(cancel_futures=True)


def _deaf() -> None:
    """Leave interrupts to the process that reads the results: it ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def guess_form(samples: Sequence[Sample], known: LabelMap | None = None) -> Form:
    """Return what the label files hold by the headers of some of them: what most of them do; palettes are either, and
    follow the others, or the class list where there are no others."""
    files = [sample.label for sample in samples if sample.label is not None]
    step = max(len(files) // _HEADERS, 1)
    modes: Counter[str] = Counter()
    for file in files[::step]:
        try:
            modes[open_mask(file, lossy=True).mode] += 1
        except DataError:
            continue
    colors, others = modes["RGB"] + modes["RGBA"] + modes["PA"], sum(modes.values()) - modes["P"]
    if not others and known is not None:
        return known.form
    return "colors" if 2 * colors > others else "ids"


def _look(reading: ReadOptions, job: tuple[int, Path | None, Path | None]) -> LabelFileScan:
    row, file, image = job
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = None if image is None else _scan_image(image, reading.rules)
        seen = LabelFileScan(row, None, "", "", (0, 0), 1, found, _NOTHING, _NOTHING, _NOTHING, 0, b"", {})
        if file is None:
            return seen
        try:
            opened = open_mask(file, reading.leniency.lossy, reading.rules.max_pixels)
            orientation, kind, pages = orientation_of(opened), lossy_format(opened), page_count(opened)
            mask = load_mask(opened, file, reading.rules)
        except MaskError as error:
            return replace(seen, fault=error.fault, detail=(error.found or "").removeprefix(f"{file}: "))
        seen = replace(seen, mode=mask.mode, size=(mask.height, mask.width), orientation=orientation, pages=pages)
        try:
            raw = raw_values(mask, file, reading.form, replace(reading.leniency, lossy=bool(kind)))
        except MaskError as error:
            detail = mask.mode if error.fault == "mode" else (error.found or "").removeprefix(f"{file}: ")
            seen = replace(seen, fault=error.fault, detail=detail)
            try:
                raw = raw_values(mask, file, reading.form, replace(reading.leniency, grey=True))
            except MaskError:
                return seen
    starts = run_starts(raw)
    values, counts, more = value_counts(raw, starts)
    palette = palette_of(mask, values) if reading.form == "ids" else {}
    seen = replace(seen, values=values, counts=counts, solid=solid(raw, values), more=more, palette=palette)
    # Where the runs start and what they are says as much as all pixels, in a tenth of the bytes.
    content = hashlib.blake2b(f"{raw.shape}".encode(), digest_size=12)
    content.update(starts.tobytes())
    content.update(raw.ravel()[starts].tobytes())
    seen = replace(seen, digest=content.digest())
    return replace(seen, fault="lossy", detail=kind) if kind and seen.fault is None else seen


def _scan_image(file: Path, rules: ImageRules) -> ImageScan:
    """Decode an image as training does."""
    try:
        rgb, facts = decode_rgb(open_image(file.read_bytes(), str(file), rules.max_pixels), str(file), rules)
    except DataError as error:
        problem, do = (error.found or "").removeprefix(f"{file}: "), error.do or ""
        return ImageScan((0, 0), None, problem or error.must, do.partition(" (ablata data check")[0])
    except OSError as error:
        return ImageScan((0, 0), None, error.strerror or str(error), "repair or remove it")
    return ImageScan((rgb.height, rgb.width), facts, digest=pixel_digest(np.asarray(rgb)))


def solid(raw: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return bool [k], whether each of the values fills a square of 3 by 3 pixels in raw values [H, W].

    Drawn classes do; what interpolation leaves at their edges does not. Files of few values are not looked at: all are.
    """
    if len(values) <= _FEW_VALUES or min(raw.shape) < 3:
        return np.ones(len(values), dtype=bool)
    across = (raw[:, :-2] == raw[:, 1:-1]) & (raw[:, 1:-1] == raw[:, 2:])
    rows = raw[:, 1:-1]
    same = across[:-2] & across[1:-1] & across[2:] & (rows[:-2] == rows[1:-1]) & (rows[1:-1] == rows[2:])
    return np.isin(values, rows[1:-1][same])


def run_starts(raw: np.ndarray) -> np.ndarray:
    """Return int64 [runs], where in the flattened values [H, W] another value begins, the first place among them."""
    flat = raw.ravel()
    return np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1]) if flat.size else _NOTHING


def value_counts(raw: np.ndarray, starts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, int]:
    """Count values by their runs: label files are flat, and a run is counted at once.

    Args:
        raw: whole numbers [H, W].
        starts: `run_starts` of it, where that is known.

    Returns:
        Different values, int64 [k] ascending; pixels of each, int64 [k]; how many values were left out beyond
        1,024, the rarest.
    """
    flat = raw.ravel()
    if not flat.size:
        return _NOTHING, _NOTHING, 0
    starts = run_starts(raw) if starts is None else starts
    lengths = np.diff(starts, append=flat.size)
    values, which = np.unique(flat[starts], return_inverse=True)
    counts = np.bincount(which, weights=lengths, minlength=len(values)).astype(np.int64)
    more = max(len(values) - _MOST_VALUES, 0)
    if more:
        kept = np.sort(np.argsort(-counts, kind="stable")[:_MOST_VALUES])
        values, counts = values[kept], counts[kept]
    return values.astype(np.int64), counts, more
