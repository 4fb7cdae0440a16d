"""Exports of annotation tools, spoilt at random: each is read or refused in words, and what stands is sound."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.formats.samples import SAMPLES, sample
from tests.spoiling import ODD, spoilt, spoilt_bytes

from ablata.base.errors import AblataError, DataError
from ablata.data.classification.report import check_files
from ablata.data.detection.report import check_detection
from ablata.data.formats.boxes import BoxSet
from ablata.data.formats.image_list import ImageList
from ablata.data.formats.recognize import recognize
from ablata.data.formats.shapes import Shapes

_TEXTS = (".json", ".xml", ".txt", ".yaml", ".csv")
_LINES = ("", "0", "-1 0 0 1 1", "0 nan 0 1 1", "0 0.5 0.5 1e400 1", "1 0.1 0.1 0.9", "cat", "names: [a, a]", "nc: 9",
          "path: /", "train: ../..", "names: {0: x}", "x" * 300, "\x00", "\x1b[31m", "&a [*a]", "- *a", "{", "train:",
          "1 0 0 1 1 0 0 1 1 0 0", "0 5 5 1 1", "é\ud7ff", "val: 3", "0.0 .5 .5 .5 .5", "a,b,c", '"', "0.jpg,",
          ",cat")  # fmt: skip
_VALUES = ('""', '"-1"', '"nan"', '"1e400"', '"1,2"', '"0"', '"a b"', '"9999999999999"', '"&#1;"', '"../x"', '"1;2"')


def _spoil_text(file: Path, random: np.random.Generator) -> bytes:
    """Return the content of a file, one of its values, lines or bytes spoilt."""
    content = file.read_bytes()
    if random.random() < 0.15:
        return spoilt_bytes(content, random)
    if file.suffix == ".json":
        return json.dumps(spoilt(json.loads(content), random)).encode("utf-8", "surrogatepass")
    text = content.decode()
    if file.suffix == ".xml":
        pieces = text.split('"') if '"' in text else text.split(">")
        place = int(random.integers(len(pieces)))
        odd = str(random.choice(_VALUES)).strip('"') if random.random() < 0.8 else str(ODD[int(random.integers(30))])
        pieces[place] = odd
        return ('"' if '"' in text else ">").join(pieces).encode("utf-8", "surrogatepass")
    lines = text.splitlines()
    place = int(random.integers(len(lines)))
    if random.random() < 0.5:
        lines[place] = str(random.choice(_LINES))
    else:
        words = lines[place].split(" ")
        words[int(random.integers(len(words)))] = str(ODD[int(random.integers(32))])
        lines[place] = " ".join(words)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def spoil(root: Path, random: np.random.Generator) -> None:
    """Change one or two files of a set: mostly those that say what is on the images."""
    for _ in range(int(random.integers(1, 3))):
        files = sorted(file for file in root.rglob("*") if file.is_file() and not file.is_symlink())
        texts = [file for file in files if file.suffix in _TEXTS]
        chosen = texts if texts and random.random() < 0.85 else files
        file = chosen[int(random.integers(len(chosen)))]
        kind = random.random()
        if file.suffix in _TEXTS and file.stat().st_size and kind < 0.9:
            try:
                file.write_bytes(_spoil_text(file, random))
            except (ValueError, RecursionError):  # spoilt before, and no text any more
                file.write_bytes(spoilt_bytes(file.read_bytes(), random))
        elif kind < 0.93:
            file.write_bytes(spoilt_bytes(file.read_bytes(), random) if file.stat().st_size else b"")
        elif kind < 0.95:
            file.write_bytes(b"")
        elif kind < 0.97:
            file.unlink()
            file.symlink_to(file.name)
        else:
            file.rename(file.with_name(f"{random.choice(['a b', 'é', 'new', '.x'])!s}{file.suffix}"))


def _words(error: AblataError) -> str:
    assert error.must, error
    return str(error)


def _tried_boxes(root: Path, cache: Path, name: str, random: np.random.Generator) -> str:
    known = random.random() < 0.5
    rule = {"on_invalid": "refuse"} if random.random() < 0.2 else {}
    settings = BoxSet.model_validate({"root": str(root), "format": name if known else None, **rule})
    said = problems = ""
    try:
        data = settings.build(cache)
        for split in data.splits:
            for entry in data.entries(split):
                boxes, (height, width) = entry.objects.boxes, entry.size
                assert bool((boxes[:, 2:] > boxes[:, :2]).all() and (boxes >= 0).all())
                assert bool((boxes[:, 2] <= width).all() and (boxes[:, 3] <= height).all())
        next(data.train_loader(seed=0, batch_size=1).batches(0, 1))
    except DataError as error:
        said = _words(error)
    try:
        report = check_detection(settings, cache)
        json.dumps(report.as_dict())
        problems = str([one for one in report.problems if not one.repaired])
    except DataError as error:
        problems = _words(error)
    assert not said or problems not in ("", "[]"), f"training refuses, check is content: {said}"
    return "refused" if said else "read"


def _tried_masks(root: Path, cache: Path, name: str) -> None:
    try:
        data = Shapes.model_validate({"root": str(root), "format": name, "rectangles": "fill"}).build(cache)
        next(iter(data.eval_loader("val", 1)))
    except DataError as error:
        _words(error)


def tried(place: Path, name: str, seed: int) -> str:
    """Spoil an export, recognize, train and check it; return `refused` or `read`."""
    random, root = np.random.default_rng(seed), place / "set"
    sample(name, root)
    spoil(root, random)
    try:
        for way in recognize(str(root), place / "cache"):
            assert way.overrides
    except DataError as error:
        _words(error)
    outcome = _tried_boxes(root, place / "cache", name, random)
    _tried_masks(root, place / "cache", name)
    return outcome


def write_table(root: Path, random: np.random.Generator) -> None:
    root.mkdir(parents=True)
    pixels = np.random.default_rng(0)
    names = [f"{number}.jpg" for number in range(8)]
    for name in names:
        Image.fromarray(pixels.integers(0, 255, (12, 12, 3), dtype=np.uint8)).save(root / name)
    lines = ["filename,label"] + [f"{name},{'ab'[place % 2]}" for place, name in enumerate(names)]
    if random.random() < 0.5:
        lines = ["filename, a, b"] + [f"{name},{place % 2},{1 - place % 2}" for place, name in enumerate(names)]
    (root / "_classes.csv").write_text("\n".join(lines))


def tried_table(place: Path, seed: int) -> str:
    """Spoil a table of images and labels, recognize, train and check it; return `refused` or `read`."""
    random, root = np.random.default_rng(seed), place / "set"
    write_table(root, random)
    spoil(root, random)
    settings = ImageList(root=str(root), size=8, resize=8, workers=0)
    said = problems = ""
    try:
        recognize(str(root), place / "cache")
        settings.build(place / "cache")
    except DataError as error:
        said = _words(error)
    try:
        problems = str(list(check_files(settings.listed(place / "cache"), 8).problems))
    except DataError as error:
        problems = _words(error)
    assert not said or problems not in ("", "[]"), f"training refuses, check is content: {said}"
    return "refused" if said else "read"


def several(place: Path, seeds: range) -> Counter[str]:
    """Try spoilt exports, of another format each, and tables; return how many were read and refused."""
    outcomes: Counter[str] = Counter()
    names = [*SAMPLES, "table"]
    for seed in seeds:
        name, folder = names[seed % len(names)], place / str(seed)
        folder.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                outcomes[tried_table(folder, seed) if name == "table" else tried(folder, name, seed)] += 1
            except Exception as error:
                raise AssertionError(f"{name}, seed {seed}: {error!r}") from error
        shutil.rmtree(folder)
    return outcomes


def test_spoilt_exports_are_read_or_refused_in_words(tmp_path: Path) -> None:
    outcomes = several(tmp_path, range(40))
    assert min(outcomes["read"], outcomes["refused"]) > 3


@pytest.mark.slow
def test_spoilt_exports_of_a_minute_are_read_or_refused_in_words(tmp_path: Path) -> None:
    end, seed = time.monotonic() + 60, 1000
    while time.monotonic() < end:
        several(tmp_path, range(seed, seed + 20))
        seed += 20
