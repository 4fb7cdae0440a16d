"""Malformed folders at random: whatever lies in them, they are read or refused in words, and nothing is half done."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.classification.report import check_files
from ablata.data.label_tools.convert import Conversion, convert
from ablata.data.label_tools.propose_map import propose
from ablata.data.labels.class_lists import find_list, read_list
from ablata.data.labels.layout import list_labelled
from ablata.data.segmentation.mask_folder import MaskFolder

from ..label_sets import SIZE, blocks, checked, image, write

LISTS = {
    "label_map.yaml": 'labels:\n- {value: 0, id: 0, name: sky}\n- {value: 1, id: 1, name: "road: wide"}\n'
    "- {value: 2, id: 255, name: void, ignore: true}\n",
    "classes.txt": "0 sky\n1 road\n2 car\n",
    "classes.json": json.dumps(
        {"classes": [{"title": "sky", "color": "#000000"}, {"title": "car", "color": "#010101"}]}
    ),
    "labelmap.txt": "# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:1,1,1::\n",
    "label_colors.txt": "0 0 0 sky\n1 1 1 road\n",
}
ODD = (
    "", "\0", "\ufeff", "- ", "{", "}", "[", "&a [*a, *a]", "*a", "!!python/object:os.system", "...", "---", "-1",
    "99999999999999999999", "256", "#12345", "#GGGGGG", "transparent", "nan", "null", "true", "ignore: maybe", ": :",
    "\t", "\n\n", "name: sky", "id: 0", "\x1b[31m", "é", "\ud7ff", "x" * 300, "1 1", "0,0", "300,0,0", "\r", "'", "1e9",
)  # fmt: skip
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I", "I;16", "F")
SUFFIXES = (".png", ".tif", ".gif", ".webp", ".bmp", ".jpg")


def _spoilt(content: bytes, random: np.random.Generator) -> bytes:
    """Return bytes with a piece cut out, repeated, or replaced."""
    start = int(random.integers(len(content) + 1))
    stop = min(len(content), start + int(random.integers(1, 60)))
    odd = ODD[int(random.integers(len(ODD)))].encode()
    piece = (b"", content[start:stop] * 2, random.bytes(stop - start), odd)[int(random.integers(4))]
    return content[:start] + piece + content[stop:]


def _recoded(random: np.random.Generator) -> Image.Image:
    """Return a small image of any kind of pixels, with an orientation or without."""
    kind, size = str(random.choice(MODES)), SIZE if random.random() < 0.7 else (SIZE[1], SIZE[0])
    values = blocks([0, 1, 2], int(random.integers(16)), size)
    if random.random() < 0.3:
        values = random.integers(0, 256, size).astype(np.uint8)
    found = Image.fromarray(values).convert("I" if kind == "I;16" else kind)
    return Image.fromarray(np.asarray(found).astype(np.uint16)) if kind == "I;16" else found


def _rewrite(file: Path, random: np.random.Generator) -> None:
    """Write an image of another kind under its name, or one with another ending."""
    exif = Image.Exif()
    exif[0x0112] = int(random.integers(0, 12))
    target = file.with_suffix(str(random.choice(SUFFIXES)))
    file.unlink()
    try:
        _recoded(random).save(target, **({"exif": exif} if random.random() < 0.3 else {}))
    except (OSError, ValueError, KeyError):
        target.write_bytes(b"")


def _damage(file: Path, random: np.random.Generator) -> None:
    file.write_bytes(_spoilt(file.read_bytes(), random))


def _rename(file: Path, random: np.random.Generator) -> None:
    names = (file.stem.upper(), f"{file.stem}_mask", f"{file.name}", "a b", "ö", ".hidden", "new\nline")
    file.rename(file.with_name(f"{random.choice(names)}{file.suffix}"))


def _remove(file: Path, random: np.random.Generator) -> None:
    file.unlink()
    if random.random() < 0.3:
        file.mkdir()
    elif random.random() < 0.3:
        file.symlink_to(file.name)


def _move(file: Path, random: np.random.Generator) -> None:
    target = file.parent / str(random.choice(["..", "sub", "../test", "../extra", "../val"]))
    target.mkdir(exist_ok=True)
    file.replace(target / file.name)


CHANGES: tuple[Callable[[Path, np.random.Generator], None], ...] = (_damage, *[_rewrite] * 5, _rename, _remove, _move)


def spoil(root: Path, random: np.random.Generator) -> None:
    """Change some files of a folder, its list among them."""
    for _ in range(int(random.integers(1, 3))):
        files = sorted(file for file in root.rglob("*") if file.is_file() and not file.is_symlink())
        file = files[int(random.integers(len(files)))]
        if file.parent == root or random.random() < 0.3:
            lists = [file for file in files if file.parent == root]
            for file in lists[:1]:
                _damage(file, random)
            continue
        change = CHANGES[int(random.integers(len(CHANGES)))]
        everywhere = random.random() < 0.2
        for one in [one for one in files if one.parent.parent == file.parent.parent] if everywhere else [file]:
            change(one, random)


def labelled(root: Path, random: np.random.Generator) -> Path:
    """Write a sound folder of images and masks with a list of some form."""
    name = str(random.choice([*LISTS, "classes.txt"]))
    for number in range(5):
        mask = blocks([0, 1, 2] if name in ("label_map.yaml", "classes.txt") else [0, 1], number)
        file = write(root, "train" if number < 3 else "val", f"p{number}", mask, number)
        if name not in ("label_map.yaml", "classes.txt"):
            Image.fromarray(np.dstack([mask] * 3)).save(file)
    (root / name).write_text(LISTS[name])
    return root


def _words(run: Callable[[], object]) -> str:
    """Return the words in which something is refused; nothing where it is done. Anything else is a fault."""
    try:
        run()
    except DataError as error:
        return f"{error.must}{error}"
    return ""


def tried(place: Path, seed: int) -> str:
    """Spoil a folder, and train, check, propose and convert; return `refused` or `read`."""
    random, root = np.random.default_rng(seed), place / "set"
    labelled(root, random)
    spoil(root, random)
    refused = _words(lambda: MaskFolder(root=str(root)).build(place / "cache"))
    problems: list[object] = []

    def check() -> None:
        report = checked(root, workers=0)
        problems.extend(report.problems)
        json.dumps(report.as_dict())
        label_map, text = propose(report.survey, report.label_map)
        assert text.startswith("#")
        convert(list_labelled(root), Conversion(label_map, nearest=True, paired_only=True), place / "proposed")

    said = _words(check)
    assert not refused or problems or said, f"training refuses, check is content: {refused}"
    known = find_list(root)
    if known is not None and _words(
        lambda: convert(list_labelled(root), Conversion(read_list(known)), place / "converted")
    ):
        assert not (place / "converted").exists()
    for made in (place / "proposed", place / "converted"):
        if made.exists():
            assert _words(lambda made=made: checked(made, workers=0)) == ""  # type: ignore[misc]
    assert {file.name for file in place.iterdir()} <= {"set", "cache", "proposed", "converted"}
    return "refused" if refused else "read"


def tried_classes(place: Path, seed: int) -> str:
    """Spoil a folder of images by class, and train and check; return `refused` or `read`."""
    random, root = np.random.default_rng(seed), place / "set"
    for number in range(8):
        file = root / ("train" if number < 5 else "val") / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image(number).save(file)
    (root / "classes.txt").write_text("a ant\nb bee\n")
    spoil(root, random)
    settings = ImageFolder(root=str(root), size=8, resize=8, workers=0)
    refused = _words(lambda: settings.build(place / "cache"))
    problems: list[object] = []
    said = _words(lambda: problems.extend(check_files(settings.listed(place / "cache"), 8).problems))
    assert not refused or problems or said, f"training refuses, check is content: {refused}"
    return "refused" if refused else "read"


def _several(place: Path, seeds: range) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        for kind, run in (("masks", tried), ("classes", tried_classes)):
            folder = place / f"{kind}{seed}"
            folder.mkdir()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    outcomes[f"{kind} {run(folder, seed)}"] += 1
                except Exception as error:
                    raise AssertionError(f"{kind}, seed {seed}: {error!r}") from error
            shutil.rmtree(folder)
    return outcomes


def test_spoilt_folders_are_read_or_refused_in_words(tmp_path: Path) -> None:
    outcomes = _several(tmp_path, range(24))
    assert min(outcomes[f"{kind} {way}"] for kind in ("masks", "classes") for way in ("read", "refused")) > 0


@pytest.mark.slow
def test_spoilt_folders_of_a_minute_are_read_or_refused_in_words(tmp_path: Path) -> None:
    end, seed = time.monotonic() + 60, 1000
    while time.monotonic() < end:
        _several(tmp_path, range(seed, seed + 20))
        seed += 20
