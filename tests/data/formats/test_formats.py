"""Every annotation tool's export is recognized and read, and its objects are where they were drawn."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tests.data.formats.samples import BOX, SAMPLES, SQUARE, sample

from ablata.data.detection.rle import decode
from ablata.data.formats.all import FORMATS, FormatName
from ablata.data.formats.boxes import BoxSet
from ablata.data.formats.description import Reading
from ablata.data.formats.recognize import recognize


def test_every_format_has_a_name_that_settings_take_and_a_sample() -> None:
    assert [one.name for one in FORMATS] == list(SAMPLES)
    assert set(get_args(FormatName)) == set(SAMPLES)


def test_the_page_of_formats_lists_them_all() -> None:
    page = (Path(__file__).parents[3] / "docs/howto/formats.md").read_text()
    rows = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| `")]
    assert rows[1:] == [[f"| `{one.name}`", one.words] for one in FORMATS]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_recognized_and_read(name: str, tmp_path: Path) -> None:
    root = sample(name, tmp_path / "set")
    assert next(one.name for one in FORMATS if one.fits(root)) == name
    found = recognize(str(root), tmp_path / "cache", ("detect",))[0]
    one_class = name in ("mask_files", "instance_numbers")
    classes = ("object",) if one_class else ("cat", "dog")
    assert (found.format, found.kind, found.classes) == (name, "boxes", classes)
    data = BoxSet(root=str(root), format=found.format, classes=classes).build(tmp_path / "cache")
    assert data.classes == classes
    assert (len(data.entries("train")), len(data.entries("val"))) == (3, 1)
    for entry in (*data.entries("train"), *data.entries("val")):
        drawn = sorted(zip(entry.objects.labels.tolist(), entry.objects.boxes.tolist(), strict=True))
        wanted = [(0, list(BOX)), (0 if one_class else 1, list(SQUARE))]
        assert np.allclose([box for _, box in drawn], [box for _, box in wanted], atol=1e-4), (name, drawn)
        assert [label for label, _ in drawn] == [label for label, _ in wanted]


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "voc"])
def test_masks_are_the_pixels_that_were_drawn(name: str, tmp_path: Path) -> None:
    root = sample(name, tmp_path / "set")
    read = next(one for one in FORMATS if one.name == name).read
    written = read(root, Reading(keep_written=True)).images[0].entry.written
    dog = next(one for one in written if one.corners.tolist()[0] > 60)
    assert dog.mask is not None
    pixels = decode([dog.mask], *dog.mask.size)[0].numpy()
    assert pixels[30:80, 64:104].all()
    assert pixels.sum() == 40 * 50
