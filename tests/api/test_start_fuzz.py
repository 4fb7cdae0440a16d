"""`start` on folders that are spoilt at random: a recipe whose data can be read, or words on what is wrong."""

from __future__ import annotations

import shutil
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.formats.samples import SAMPLES, sample
from tests.data.formats.test_fuzz import spoil, write_table

from ablata.api.start import proposing
from ablata.base.errors import AblataError


def _image(path: Path, number: int, size: tuple[int, int] = (20, 24)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def _classes(root: Path) -> None:
    for number in range(12):
        _image(root / ("train", "val")[number % 3 // 2] / ("dark", "light")[number % 2] / f"{number}.png", number)


def _masks(root: Path) -> None:
    for number in range(6):
        split = ("train", "val")[number % 3 // 2]
        _image(root / "images" / split / f"{number}.png", number)
        mask = np.random.default_rng(number).integers(0, 3, (5, 6)).repeat(4, 0).repeat(4, 1)
        (root / "masks" / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8)).save(root / "masks" / split / f"{number}.png")
    (root / "classes.txt").write_text("0 sky\n1 road\n2 car\n")


def _persons(root: Path) -> None:
    for number in range(16):
        _image(root / f"{number // 4:04}_c{number % 2 + 1}s1_{number:06}.jpg", number, (32, 16))


_KINDS: dict[str, Callable[[Path], object]] = {
    **{name: lambda root, name=name: sample(name, root) for name in SAMPLES},
    "table": lambda root: write_table(root, np.random.default_rng(1)),
    "classes": _classes,
    "masks": _masks,
    "persons": _persons,
}  # fmt: skip


def _tried(place: Path, kind: str, seed: int) -> str:
    root, random = place / "set", np.random.default_rng(seed)
    _KINDS[kind](root)
    spoil(root, random)
    try:
        made = proposing.propose(str(root), weights=False, output=place / "recipe.py", say=lambda _: None)
    except AblataError as error:
        return "refused" if error.must else str(error)
    if not made.choices:
        return "wrong" if made.wrong else "neither a recipe nor what is wrong"
    made.recipe().data.build(place / "cache")
    return "proposed"


def _several(place: Path, seeds: range) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        kind = list(_KINDS)[seed % len(_KINDS)]
        (place / str(seed)).mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                outcomes[_tried(place / str(seed), kind, seed)] += 1
            except Exception as error:
                raise AssertionError(f"{kind}, seed {seed}: {error!r}") from error
        shutil.rmtree(place / str(seed))
    assert set(outcomes) <= {"proposed", "refused", "wrong"}
    return outcomes


@pytest.fixture(autouse=True)
def _unmeasured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(proposing, "sized", lambda made, cache, say: made)


def test_spoilt_folders_are_proposed_for_or_told(tmp_path: Path) -> None:
    assert len(_several(tmp_path, range(13))) > 1


@pytest.mark.slow
def test_spoilt_folders_of_a_minute_are_proposed_for_or_told(tmp_path: Path) -> None:
    end, seed = time.monotonic() + 60, 1000
    while time.monotonic() < end:
        _several(tmp_path, range(seed, seed + 20))
        seed += 20
