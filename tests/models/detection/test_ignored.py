"""Boxes on ignored regions are neither positive nor negative, and without such regions nothing changes."""

from __future__ import annotations

from dataclasses import replace

import torch

from ablata.models.detection.ignored import IGNORED, ignore_covered
from ablata.models.detection.mask_rcnn import MaskRcnn
from ablata.models.detection.roi_heads import RoiSampling, match_rois, sample_rois
from ablata.structures.detection import Objects, no_objects

BOXES = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [14, 20, 24, 30], [0, 0, 100, 100], [40, 40, 50, 50]])


def objects(ignored: list[list[float]] | None) -> Objects:
    return Objects(
        torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([1]), None, torch.tensor([0]), torch.zeros(1, dtype=torch.bool),
        None if ignored is None else torch.tensor(ignored).view(-1, 4),
    )  # fmt: skip


def test_background_that_lies_for_half_on_a_region_is_ignored_and_objects_never_are() -> None:
    labels, _ = match_rois(BOXES, objects([[0, 0, 15, 15], [19, 19, 40, 40]]), 0.5)
    assert labels.tolist() == [2, IGNORED, IGNORED, 0, 0]
    assert match_rois(BOXES, objects(None), 0.5)[0].tolist() == [2, 0, 0, 0, 0]


def test_ignored_regions_are_not_sampled_and_an_image_of_nothing_else_gives_one_that_is_left_out() -> None:
    sampled = sample_rois([BOXES], [objects([[19, 19, 40, 40]])], 0.5, RoiSampling())
    assert IGNORED not in sampled.labels[0].tolist()
    everywhere = replace(no_objects(), ignored=torch.tensor([[0.0, 0, 200, 200]]))
    sampled = sample_rois([BOXES], [everywhere], 0.5, RoiSampling())
    assert sampled.labels[0].tolist() == [IGNORED]


def test_an_image_that_is_ignored_whole_gives_no_gradient_and_one_without_regions_the_same_loss_as_before() -> None:
    torch.manual_seed(0)
    settings = MaskRcnn.model_validate(
        {"backbone": {"kind": "small", "width": 4}, "rpn": {"sizes": ((16, 32),)}, "head_width": 16, "masks": None}
    )
    model = settings.build(3).train()
    images = torch.rand(1, 3, 64, 64)

    def losses(truth: Objects) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        return model(images, [(64, 64)], (truth,))  # type: ignore[no-any-return]

    whole = losses(replace(no_objects(), ignored=torch.tensor([[-999.0, -999, 999, 999]])))
    total = torch.stack(list(whole.values())).sum()
    assert float(total.detach()) == 0
    total.backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())
    plain, beside = losses(objects(None)), losses(objects([]))
    assert all(torch.equal(plain[name], beside[name]) for name in plain)


def test_labels_without_regions_are_returned_as_they_are() -> None:
    labels = torch.zeros(5)
    assert ignore_covered(labels, BOXES, objects(None)) is labels
