"""Masks with one number an object, whose numbers are not that alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ablata.data.detection.number_masks import NumberMasks
from ablata.data.detection.problems import Findings
from ablata.data.io.object_codes import object_code, told_classes


def test_numbers_are_a_code_of_classes_or_plain() -> None:
    for values, told in (
        ((24000, 24001, 26000, 7), (1000, [7, 24, 26])),
        ((2001, 3002), (1000, [2, 3])),
        ((256, 257, 512), (256, [1, 2])),
        ((1 << 16, 1 << 16 | 1, 3 << 16), (65536, [1, 3])),
        ((26000, 26001), None),  # one class
        (range(1, 1500), None),
        (range(1, 300), None),
        ((7, 300), None),
        ((1, 81, 161, 241, 321), None),
        ((12, 1443, 20311), None),
        ((1, 2, 3), None),
        ((), None),
    ):
        assert told_classes({0, *values}) == told, values
    assert object_code([26000, 26001]) == 1000


def test_masks_without_background_with_void_and_photographs_are_told() -> None:
    masks, findings, random = NumberMasks(Path("set")), Findings("repair"), np.random.default_rng(0)
    usual = np.zeros((20, 20), np.uint8)
    usual[2:9, 3:9] = 1
    masks.add("usual.png", usual, [1.0], findings)
    masks.note(findings)
    assert (list(findings.all()), findings.remarks) == ([], [])
    bordered = usual.copy()
    bordered[1] = 255
    masks.add("bordered.png", bordered, [1.0, 1.0], findings)
    masks.add("bare.png", usual + 1, [1.0, 1.0], findings)
    masks.add("photograph.png", random.integers(0, 256, (20, 20), dtype=np.uint8), [0.01] * 200, findings)
    masks.note(findings)
    (fault,) = findings.all()
    assert str(fault).startswith("Each number of a mask must be one object: photograph.png: 200 numbers")
    assert [note.partition(";")[0].partition(",")[0] for note in findings.remarks] == [
        "255 in 1 mask (bordered.png) is taken for an object like other numbers",
        "1 mask has no 0 (bare.png)",
    ]
