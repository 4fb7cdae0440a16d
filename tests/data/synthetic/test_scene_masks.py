"""Synthetic streets as a segmentation set hold the samples' own pixels and classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.data.synthetic.scenes import Streets


def test_every_image_has_its_own_mask(tmp_path: Path) -> None:
    streets = Streets(height=32, width=48)
    settings = SceneMasks(train=8, val=3, streets=streets, minival=2)
    data = settings.build(tmp_path)
    assert data.sizes == {"train": 6, "val": 3, "minival": 2}
    for batch in data.train_loader(0, 6).batches(0, 1):
        for image, labels, row in zip(batch.images, batch.labels, batch.index.tolist(), strict=True):
            sample = streets.sample("train", row)
            assert np.array_equal(image.permute(1, 2, 0).numpy(), sample.image)
            assert np.array_equal(labels.numpy(), sample.semantic)
    assert data.image_size == (settings.nominal_shape().height, settings.nominal_shape().width)
    other = SceneMasks(train=8, val=3, streets=Streets(height=32, width=48, scene_seed=1)).build(tmp_path)
    assert other.fingerprint != data.fingerprint
