"""Malformed sets at random: whatever stands in the files, a set is read or refused in words, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.spoiling import spoilt, spoilt_bytes

from ablata.base.errors import DataError
from ablata.data.detection.coco import Coco
from ablata.data.detection.dataset import DetectionDataset
from ablata.data.detection.report import check_detection
from ablata.data.detection.voc import Voc

from .sets import HEIGHT, WIDTH, coco_tree, voc_object, voc_text, write_coco, write_voc

XML = (
    "",
    "0",
    "-3",
    "nan",
    "1e400",
    "10,5",
    "1_0",
    "٣",
    "<a/>",
    "&amp;",
    "&x;",
    "]]>",
    "<object/>",
    "\x01",
    "<!-- -->",
)


def read(settings: Coco | Voc, cache: Path) -> DetectionDataset | None:
    """Return the set; None: it was refused in words. What stands is sound, and a check says what training does."""
    try:
        data = settings.build(cache)
    except DataError as error:
        if error.must and error.found:
            return None
        raise
    for split in data.splits:
        for entry in data.entries(split):
            objects, (height, width) = entry.objects, entry.size
            assert bool((objects.boxes[:, 2:] > objects.boxes[:, :2]).all())
            assert bool((objects.boxes >= 0).all())
            assert bool((objects.boxes[:, 2] <= width).all() and (objects.boxes[:, 3] <= height).all())
            assert bool(((objects.labels >= 0) & (objects.labels < len(data.classes))).all())
            assert len(set(objects.ids.tolist())) == len(objects)
    next(data.train_loader(seed=0, batch_size=1).batches(0, 1))
    return data


def coco_cases(root: Path, seed: int, count: int) -> Iterator[Coco]:
    random = np.random.default_rng(seed)
    settings, tree = write_coco(root), coco_tree(1)
    for _ in range(count):
        text = json.dumps(spoilt(tree, random)).encode("utf-8", "surrogatepass")
        text = spoilt_bytes(text, random) if random.random() < 0.15 else text
        (root / "train.json").write_bytes(text)
        yield settings.model_copy(update={"on_invalid": "refuse"} if random.random() < 0.2 else {})


def voc_cases(root: Path, seed: int, count: int) -> Iterator[Voc]:
    random = np.random.default_rng(seed)
    settings = write_voc(root)

    def odd(usual: object) -> object:
        return XML[int(random.integers(len(XML)))] if random.random() < 0.2 else usual

    for _ in range(count):
        borders = [odd(side) for side in (5, 6, 30, 40)]
        text = voc_text(voc_object(*borders, difficult=odd(0)) + voc_object(1, 1, 9, 9), odd(WIDTH), odd(HEIGHT))
        content = text.encode()
        content = spoilt_bytes(content, random) if random.random() < 0.4 else content
        (root / "Annotations" / "one.xml").write_bytes(content)
        lists = b"one\ntwo\nthree\n"
        (root / "ImageSets/Main/train.txt").write_bytes(spoilt_bytes(lists, random) if random.random() < 0.2 else lists)
        yield settings


def tried(root: Path, seed: int, count: int) -> tuple[int, int]:
    """Return how many spoilt sets were read, and how many refused."""
    found = [read(settings, root / "cache") for settings in coco_cases(root / "coco", seed, count)]
    found += [read(settings, root / "cache") for settings in voc_cases(root / "voc", seed, count)]
    taken = sum(data is not None for data in found)
    return taken, len(found) - taken


def test_spoilt_sets_are_read_or_refused_in_words(tmp_path: Path) -> None:
    taken, refused = tried(tmp_path, 0, 100)
    assert taken > 10
    assert refused > 50


def test_a_check_of_a_spoilt_set_finds_what_training_refuses(tmp_path: Path) -> None:
    for settings in coco_cases(tmp_path, 1, 60):
        refused = read(settings, tmp_path / "cache") is None
        try:
            problems = check_detection(settings, tmp_path / "cache").problems
        except DataError:
            assert refused
            continue
        assert not refused or any(not one.repaired for one in problems)


@pytest.mark.slow
def test_spoilt_sets_of_a_minute_are_read_or_refused_in_words(tmp_path: Path) -> None:
    end, seed = time.monotonic() + 60, 2
    while time.monotonic() < end:
        tried(tmp_path / str(seed), seed, 100)
        seed += 1
