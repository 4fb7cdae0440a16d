"""Regions: proposed, sampled, matched and scored, compared with torchvision's own losses."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.ops import box_iou

from ablata.models.detection.roi_heads import (
    CascadeStage,
    RoiPredictor,
    RoiSamples,
    RoiSampling,
    StageOutput,
    clip_boxes,
    match_rois,
    pad_rois,
    sample_rois,
    unpad_rois,
)
from ablata.models.detection.rpn import Rpn
from ablata.structures.detection import Objects, no_objects

from .detectors import SIDE, truth

LEVELS = {"one": (((8, 16),), [16]), "three": (((8,), (16,), (32,)), [16, 8, 4])}


@pytest.mark.parametrize("form", LEVELS)
def test_losses_of_levels_add_to_those_of_torchvision(form: str) -> None:
    sizes, sides = LEVELS[form]
    torch.manual_seed(0)
    module = Rpn(sizes=sizes, batch_size_per_image=32).build(4)
    maps = [torch.randn(2, 4, side, side) for side in sides]
    images, objects = torch.zeros(2, 3, SIDE, SIDE), (truth(3), truth(2, seed=1))
    torch.manual_seed(1)
    _, terms = module(images, [(SIDE, SIDE)] * 2, maps, objects)
    torch.manual_seed(1)
    targets = [{"boxes": one.boxes, "labels": one.labels} for one in objects]
    _, expected = module.network(ImageList(images, [(SIDE, SIDE)] * 2), dict(enumerate(maps)), targets)
    assert len(terms) == 2 * len(sides)
    for name, theirs in (("objectness", "loss_objectness"), ("proposal_box", "loss_rpn_box_reg")):
        ours = torch.stack([term for title, term in terms.items() if title.startswith(name)]).sum()
        torch.testing.assert_close(ours, expected[theirs])
        assert ours > 0


def test_proposals_are_in_their_image_likeliest_first_and_apart() -> None:
    torch.manual_seed(0)
    module = Rpn(sizes=((8, 16),), post_nms_top_n_test=20, nms_threshold=0.5).build(4).eval()
    found, terms = module(torch.zeros(2, 3, SIDE, SIDE), [(SIDE, 32), (40, SIDE)], [torch.randn(2, 4, 16, 16)], None)
    assert terms == {}
    for boxes, (height, width) in zip(found, ((SIDE, 32), (40, SIDE)), strict=True):
        assert 0 < len(boxes) <= 20
        assert bool((boxes >= 0).all() & (boxes <= torch.tensor([width, height, width, height])).all())
        overlaps = box_iou(boxes, boxes).fill_diagonal_(0)
        assert float(overlaps.max()) <= 0.5 + 1e-6


def test_a_background_above_the_foreground_is_refused() -> None:
    with pytest.raises(ValueError, match=r"bg_iou_threshold must not exceed fg_iou_threshold, got 0\.8 and 0\.7"):
        Rpn(bg_iou_threshold=0.8)


def boxes_near(objects: Objects, count: int) -> torch.Tensor:
    torch.manual_seed(2)
    chosen = objects.boxes[torch.randint(0, len(objects), (count,))]
    return clip_boxes(chosen + torch.randn(count, 4) * 6, (SIDE, SIDE))


def test_a_region_shows_the_object_that_it_overlaps_most() -> None:
    objects = truth(4)
    boxes = boxes_near(objects, 50)
    labels, found = match_rois(boxes, objects, 0.5)
    overlaps = box_iou(boxes, objects.boxes)
    for row in range(50):
        best = int(overlaps[row].argmax())
        if overlaps[row, best] >= 0.5:
            assert int(labels[row]) == int(objects.labels[best]) + 1
            assert int(found[row]) == best
        else:
            assert labels[row] == 0
    assert 0 < int((labels > 0).sum()) < 50


def test_sampled_regions_keep_their_share_and_order_with_the_truth_behind() -> None:
    objects, settings = truth(4), RoiSampling(batch_size_per_image=12, positive_fraction=0.25)
    proposed = boxes_near(objects, 60)
    found = sample_rois([proposed, proposed], [objects, no_objects()], 0.5, settings)
    assert found.counts == [12, 12]
    assert int((found.labels[0] > 0).sum()) == 3
    assert not found.labels[1].any()
    for boxes, added in zip(found.boxes, found.added, strict=True):
        rows = [int((proposed == box).all(1).nonzero()[0]) for box in boxes[~added]]
        assert rows == sorted(rows)
        assert not added[: len(rows)].any()
    assert not found.added[1].any()
    few = sample_rois([proposed[:0]], [objects], 0.5, settings)
    assert few.counts == [3]
    assert few.added[0].all()


def stage(agnostic: bool, **changes: float) -> tuple[RoiPredictor, StageOutput, list[Objects]]:
    torch.manual_seed(0)
    objects = [truth(3), truth(2, seed=1)]
    rois = sample_rois([boxes_near(one, 40) for one in objects], objects, 0.5, RoiSampling(batch_size_per_image=16))
    head = RoiPredictor(CascadeStage.model_validate(changes), 5, 4, agnostic)
    torch.nn.init.normal_(head.classifier.weight)
    torch.nn.init.normal_(head.regressor.weight, std=0.3)
    return head, StageOutput(rois, *head(torch.randn(sum(rois.counts), 5))), objects


def test_losses_of_a_stage_are_those_of_torchvision() -> None:
    head, scored, objects = stage(agnostic=False)
    rois = scored.rois
    targets = [
        head.coder.encode_single(one.boxes[rows], boxes)
        for one, rows, boxes in zip(objects, rois.matches, rois.boxes, strict=True)
    ]
    classified, moved = fastrcnn_loss(scored.logits, scored.deltas, rois.labels, targets)
    found = head.loss(scored, objects, "")
    torch.testing.assert_close(found["class"], classified)
    torch.testing.assert_close(found["box"], moved)
    assert moved > 0


@pytest.mark.parametrize("agnostic", [True, False])
def test_weights_of_a_stage_multiply_its_losses(agnostic: bool) -> None:
    plain, weighted = (stage(agnostic, **one) for one in ({}, {"weight": 0.5, "class_weight": 0.2}))
    before, after = (head.loss(scored, objects, "_2") for head, scored, objects in (plain, weighted))
    torch.testing.assert_close(after["class_2"], 0.1 * before["class_2"])
    torch.testing.assert_close(after["box_2"], 0.5 * before["box_2"])


@pytest.mark.parametrize("agnostic", [True, False])
def test_decoding_undoes_the_coding_of_what_is_learned(agnostic: bool) -> None:
    head, scored, objects = stage(agnostic, bbox_reg_std=(0.05, 0.05, 0.1, 0.1))
    boxes, wanted = scored.rois.boxes[0], objects[0].boxes[scored.rois.matches[0]]
    deltas = head.coder.encode_single(wanted, boxes)
    found = head.decode_boxes(boxes, deltas if agnostic else deltas.repeat(1, 4))
    torch.testing.assert_close(found if agnostic else found[:, 2], wanted, rtol=1e-4, atol=1e-3)


def test_clipped_boxes_have_an_area_wherever_they_were() -> None:
    wild = torch.tensor([[-20.0, -20, -5, -5], [90, 10, 120, 20], [5, 5, 5, 5], [30, 20, 10, 10], [2, 3, 12, 9]])
    found = clip_boxes(wild, (40, 60))
    assert bool((found[:, :2] >= 0).all() & (found[:, 2:] <= torch.tensor([60, 40])).all())
    assert bool((found[:, 2:] - found[:, :2] >= 1).all())
    assert torch.equal(found[4], wild[4])


def test_filling_up_is_undone() -> None:
    features = torch.randn(9, 3)
    full = pad_rois(features, [4, 0, 5])
    assert full.shape == (3, 5, 3)
    assert not full[0, 4:].any()
    assert torch.equal(unpad_rois(full, [4, 0, 5]), features)


def test_an_empty_batch_of_regions_has_no_loss_that_is_not_a_number() -> None:
    head = RoiPredictor(CascadeStage(), 5, 4, agnostic=True)
    none = torch.zeros(0, dtype=torch.int64)
    rois = RoiSamples(
        [torch.zeros(1, 4)],
        [torch.zeros(1, dtype=torch.bool)],
        [torch.zeros(1, dtype=torch.int64)],
        [none.new_zeros(1)],
    )
    found = head.loss(StageOutput(rois, *head(torch.randn(1, 5))), [no_objects()], "")
    assert found["box"] == 0
    assert torch.isfinite(found["class"])
