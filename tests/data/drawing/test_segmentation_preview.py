"""Contact sheets of segmentation show the pixels and labels of a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ablata.data.drawing.segmentation import segmentation_sheet
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.data.transforms.segmentation import JointAugment


def test_image_label_and_blend_stand_side_by_side(tmp_path: Path) -> None:
    raw = np.array([[0, 0, 1, 9]] * 4, np.uint8)
    for split in ("train", "val"):
        for kind, pixels in (("images", np.full((4, 4, 3), 200, np.uint8)), ("labels", raw)):
            (tmp_path / "set" / kind / split).mkdir(parents=True)
            Image.fromarray(pixels).save(tmp_path / "set" / kind / split / "a.png")
    (tmp_path / "set" / "classes.txt").write_text("0 sky\n1 road\n9 other\n")
    settings = MaskFolder(root=str(tmp_path / "set"), ignored=("other",), augment=JointAugment())
    data = settings.build(tmp_path / "cache")
    loader = data.train_loader(0, 1)
    before = next(loader.batches(0, 1))
    sheet = np.asarray(segmentation_sheet(before, data, side=12))
    assert np.array_equal(np.asarray(segmentation_sheet(loader.augment(before, 0, 0), data, side=12)), sheet)
    row = sheet[6, 6:18].tolist()
    colors = [[128, 0, 0], [128, 0, 0], [0, 128, 0], [0, 0, 0]]
    assert row[:4] == [[200] * 3] * 4
    assert row[4:8] == colors
    assert row[8:] == [[(200 + value) // 2 for value in color] for color in colors]
