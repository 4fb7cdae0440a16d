"""Detectors of every form: what they learn from and give, alone and in batches, with and without objects."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.engine.hardware.complexity import count
from ablata.models.detection.base import ImageDetections, paste_masks
from ablata.models.detection.mask_rcnn import MaskRcnnNetwork
from ablata.models.detection.relations.spatial_relation import SpatialRelation
from ablata.models.detection.relations.stage import Relations
from ablata.models.detection.roi_heads import CascadeStage, RoiSampling
from ablata.models.detection.rpn import Rpn
from ablata.structures.detection import no_objects

from .detectors import CLASSES, FORMS, REFINED, SIDE, SPATIAL, inputs, network, settings, truth


def losses(model: MaskRcnnNetwork, images: Tensor, *objects: Any) -> dict[str, Tensor]:
    terms = model(images, None, objects)
    assert isinstance(terms, dict)
    return terms


def detected(model: MaskRcnnNetwork, images: Tensor, **asked: Any) -> list[ImageDetections]:
    with torch.no_grad():
        found = model.eval()(images, **asked)
    assert isinstance(found, list)
    return found


def test_every_weight_that_is_trained_gets_a_gradient(subtests: pytest.Subtests) -> None:
    for form in FORMS:
        with subtests.test(form=form):
            model = network(form)
            terms = losses(model, inputs(), truth(3), truth(2, seed=1))
            torch.stack(list(terms.values())).sum().backward()
            for name, parameter in model.named_parameters():
                assert (parameter.grad is not None) == parameter.requires_grad, name
            assert all(torch.isfinite(term) for term in terms.values())


@pytest.mark.parametrize(
    ("form", "levels", "stages"),
    [("plain", [""], [""]), ("cascade", [""], ["_1", "_2"]), ("pyramid", [f"_{level}" for level in range(5)], [""])],
)
def test_there_is_a_term_for_each_level_and_stage(form: str, levels: list[str], stages: list[str]) -> None:
    expected = {f"{name}{level}" for name in ("objectness", "proposal_box") for level in levels}
    expected |= {f"{name}{stage}" for name in ("class", "box") for stage in stages} | {"mask"}
    assert losses(network(form), inputs(), truth(3), truth(2)).keys() == expected


def test_images_without_objects_teach_the_background_alone(subtests: pytest.Subtests) -> None:
    for form in FORMS:
        with subtests.test(form=form):
            model = network(form)
            nothing = truth(0)
            terms = losses(model, inputs(), nothing, nothing)
            assert all(torch.isfinite(term) for term in terms.values())
            assert all(bool(term == 0) for name, term in terms.items() if not name.startswith(("objectness", "class")))
            assert sum(term.item() for name, term in terms.items() if name.startswith("objectness")) > 0
            assert all(bool(term > 0) for name, term in terms.items() if name.startswith("class"))
            torch.stack(list(terms.values())).sum().backward()
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    assert parameter.grad is not None, name
                    assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("form", ["plain", "pyramid, cascade, both", "c4"])
def test_an_image_with_objects_learns_beside_one_without(form: str) -> None:
    terms = losses(network(form), inputs(), truth(3), truth(0))
    assert all(torch.isfinite(term) for term in terms.values())
    assert terms["mask"] > 0


def test_an_image_gives_the_same_alone_and_beside_another(subtests: pytest.Subtests) -> None:
    for form in FORMS:
        with subtests.test(form=form):
            model, images = network(form, score_threshold=0.0), inputs()
            together = detected(model, images)
            for row, expected in enumerate(together):
                (alone,) = detected(model, images[row : row + 1])
                assert len(alone.labels) > 0
                assert alone.labels.tolist() == expected.labels.tolist()
                for name in ("boxes", "scores", *(("masks",) if model.settings.masks else ())):
                    torch.testing.assert_close(getattr(alone, name), getattr(expected, name), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("form", ["plain", "cascade, both", "pyramid"])
def test_an_image_shown_twice_teaches_what_it_teaches_once(form: str) -> None:
    # Nothing is left to chance where every anchor and every region teaches.
    every = {"roi_sampling": RoiSampling(batch_size_per_image=4000, positive_fraction=1.0)}
    model = network(form, **every).eval()
    model.proposals.network.fg_bg_sampler.batch_size_per_image = 100_000
    model.proposals.network.fg_bg_sampler.positive_fraction = 1.0
    images, objects = inputs(1), truth(3)
    once = losses(model, images, objects)
    twice = losses(model, images.repeat(2, 1, 1, 1), objects, objects)
    for name, term in once.items():
        torch.testing.assert_close(twice[name], term, rtol=1e-3, atol=1e-4, msg=name)


def test_detections_lie_in_their_image_and_are_ordered(subtests: pytest.Subtests) -> None:
    for form in FORMS:
        with subtests.test(form=form):
            sizes = [(SIDE, 40), (50, SIDE)]
            for one, (height, width) in zip(
                detected(network(form, score_threshold=0.0), inputs(), sizes=sizes), sizes, strict=True
            ):
                assert 0 < len(one.labels) <= 8
                assert bool((one.boxes >= 0).all())
                assert bool((one.boxes <= torch.tensor([width, height, width, height])).all())
                assert bool((one.boxes[:, 2:] > one.boxes[:, :2]).all())
                assert one.scores.tolist() == sorted(one.scores.tolist(), reverse=True)
                assert 0 <= int(one.labels.min()) <= int(one.labels.max()) < CLASSES
                if one.masks is not None:
                    assert one.masks.shape[0] == len(one.labels)
                    assert 0 <= float(one.masks.min()) <= float(one.masks.max()) <= 1


@pytest.mark.parametrize("form", ["plain", "c4", "pyramid, cascade, both"])
def test_a_detector_that_is_sure_of_nothing_gives_nothing(form: str) -> None:
    for one in detected(network(form, score_threshold=0.99), inputs()):
        assert one.boxes.shape == (0, 4)
        assert one.masks is not None
        assert len(one.masks) == len(one.labels) == 0


def test_as_many_boxes_are_proposed_in_testing_as_asked_for() -> None:
    model, counts = network("plain").eval(), []
    model.stages.register_forward_hook(lambda module, inputs, output: counts.append(inputs[3].counts))
    for most in (None, 5, 40):
        detected(model, inputs(), most=most)
    assert counts[0] == [12, 12]
    assert counts[1] == [5, 5]
    assert all(12 < count <= 40 for count in counts[2])
    model.train()
    losses(model, inputs(), truth(1), truth(1))
    assert all(count <= 16 for count in counts[3])


def test_later_stages_score_the_boxes_that_earlier_ones_made() -> None:
    model, seen = network("cascade").eval(), []
    model.stages.register_forward_hook(lambda module, inputs, output: seen.append(output))
    detected(model, inputs())
    first, second = seen[0]
    head = model.stages.heads[0]
    moved = head.decode_boxes(torch.cat(first.rois.boxes), first.deltas).clamp(0, SIDE)
    boxes = torch.cat(second.rois.boxes)
    wide = ((moved[:, 2:] - moved[:, :2]) > 1).all(1)
    torch.testing.assert_close(boxes[wide], moved[wide])
    assert bool(wide.any())
    assert not torch.allclose(boxes, torch.cat(first.rois.boxes))


@pytest.mark.parametrize("form", ["c4", "pyramid"])
def test_frozen_parts_stay_as_they_are(form: str) -> None:
    backbone = settings(form).backbone.model_copy(update={"frozen_stages": 2, "norm": "frozen"})
    model = network(form, backbone=backbone)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    torch.stack(list(losses(model, inputs(), truth(3), truth(2)).values())).sum().backward()
    optimiser.step()
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    statistics = {name for name, _ in model.named_buffers() if "running" in name}
    assert any("layer1" in name or "stages.0" in name for name in frozen)
    assert not any("layer2" in name or "stages.1" in name for name in frozen)
    after = model.state_dict()
    for name, tensor in before.items():
        if name in frozen | statistics:
            assert torch.equal(after[name], tensor), name
    assert any(not torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_detector_is_counted_without_values(subtests: pytest.Subtests) -> None:
    for form in FORMS:
        with subtests.test(form=form):
            model = network(form)
            found = count(model, torch.empty(1, 3, SIDE, SIDE))
            assert found.parameters == sum(parameter.numel() for parameter in model.parameters())
            assert found.flops > 0


def test_more_proposals_cost_more_and_masks_too() -> None:
    def flops(**changes: Any) -> int:
        return count(network("plain", **changes), torch.empty(1, 3, SIDE, SIDE)).flops

    fewer = settings("plain").rpn.model_copy(update={"post_nms_top_n_test": 6})
    assert flops(rpn=fewer) < flops()
    assert flops(masks=None) < flops()


def test_a_mask_of_a_whole_box_fills_it() -> None:
    boxes = torch.tensor([[3.0, 5, 13, 9], [0, 0, 20, 16]])
    pad_rois = paste_masks(torch.ones(2, 28, 28), boxes, 16, 20)
    assert pad_rois[1].all()
    expected = torch.zeros(16, 20, dtype=torch.bool)
    expected[5:9, 3:13] = True
    assert torch.equal(pad_rois[0], expected)
    half = torch.zeros(1, 8, 8)
    half[:, :, :4] = 1
    assert paste_masks(half, boxes[:1], 16, 20)[0].nonzero()[:, 1].unique().tolist() == [3, 4, 5, 6, 7]


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "nothing to refine": ("plain", {"stages": (REFINED,), "class_agnostic": True}, "no boxes to refine"),
    "a box for each class": ("plain", {"stages": (CascadeStage(), REFINED)}, "class_agnostic=true"),
    "one stage": ("plain", {"relations": Relations()}, "two entries"),
    "features that differ": ("cascade, own heads", {"relations": Relations()}, "shared_head=true"),
    "no linear layers": (
        "c4", {"relations": Relations(classes=None, spatial=SPATIAL, spatial_position="head")}, "use stage"
    ),
    "anchors of one level": ("pyramid", {"rpn": Rpn(sizes=((8,),))}, "1 for 5 levels"),
    "heads": (
        "classes", {"relations": Relations(spatial=SpatialRelation(heads=7, width=14)), "head_width": 16},
        "heads",
    ),
}  # fmt: skip


def test_settings_that_do_not_go_together_are_refused(subtests: pytest.Subtests) -> None:
    for fault in WRONG:
        with subtests.test(fault=fault):
            form, changes, said = WRONG[fault]
            with pytest.raises((ValidationError, SettingsError), match=said):
                network(form, **changes)


def test_terms_without_weight_are_named() -> None:
    silent = settings("cascade", stages=(CascadeStage(weight=0), REFINED.model_copy(update={"class_weight": 0.0})))
    assert silent.silent_terms() == {"class_1", "box_1", "class_2"}
    assert settings("plain", stages=(CascadeStage(class_weight=0),)).silent_terms() == {"class"}
    assert settings("plain").silent_terms() == set()


def test_no_objects_have_the_form_that_training_expects() -> None:
    assert losses(network("boxes alone"), inputs(1), no_objects())["class"] > 0
