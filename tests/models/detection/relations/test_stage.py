"""What relations give: added to a region's features or put beside them, in every order; scores before and behind it."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ablata.models.detection.relations.stage import RelationContext, Relations, RelationStage
from ablata.models.detection.roi_heads import CascadeStage, RoiPredictor

from ..detectors import CLASS, SPATIAL, inputs, network

B, R, C, D, F = 2, 5, 4, 8, 6
WAYS = [
    (order, classes, spatial)
    for order, classes, spatial in product(
        ("class_first", "spatial_first", "parallel"), ("add", "concat", None), ("add", "concat", None)
    )
    if (classes or spatial) and not (order == "spatial_first" and classes and spatial == "concat")
]


def relations(order: str, classes: str | None, spatial: str | None) -> Relations:
    return Relations.model_validate(
        {
            "order": order,
            "classes": classes and CLASS.model_copy(update={"combine": classes}).model_dump(),
            "spatial": spatial and SPATIAL.model_copy(update={"combine": spatial}).model_dump(),
        }
    )


def stage_inputs() -> tuple[Tensor, Tensor, nn.Linear, RelationContext]:
    torch.manual_seed(0)
    corners = torch.rand(B, R, 2) * 40
    boxes = torch.cat([corners, corners + 4 + torch.rand(B, R, 2) * 20], dim=2)
    maps = [torch.randn(B, F // 2, side, side) for side in (8, 4)]
    context = RelationContext(boxes, torch.ones(B, R, dtype=torch.bool), maps, torch.ones(B, 2))
    return torch.randn(B, R, D), torch.randn(B, R, C).softmax(2), nn.Linear(D, C), context


def test_enriched_features_are_as_wide_as_the_last_stage_expects(subtests: pytest.Subtests) -> None:
    for way in WAYS:
        with subtests.test(way=way):
            made = relations(*way)
            stage = RelationStage(made, D, F, torch.rand(C, C))
            features, scores, classifier, context = stage_inputs()
            enriched = stage(features, scores, classifier, context)
            assert enriched.shape == (B, R, made.features(D))
            assert (enriched.shape[2] == D) == ("concat" not in way)


@pytest.mark.parametrize("order", ["class_first", "parallel"])
def test_what_is_put_beside_the_features_leaves_them_as_they_were(order: str) -> None:
    stage = RelationStage(relations(order, "concat", "concat"), D, F, torch.rand(C, C))
    features, *others = stage_inputs()
    assert torch.equal(stage(features, *others)[:, :, :D], features)


def test_regions_look_with_what_classes_gave_unless_both_see_the_same() -> None:
    features, *others = stage_inputs()
    for order, follows in (("class_first", True), ("parallel", False)):
        torch.manual_seed(1)
        stage = RelationStage(relations(order, "add", "concat"), D, F, torch.rand(C, C))
        assert stage.spatial is not None
        for parameter in stage.spatial.parameters():
            nn.init.normal_(parameter, std=0.4)
        looked = stage(features, *others)[:, :, D:]
        stage.classes = None
        assert torch.allclose(looked, stage(features, *others)[:, :, D:]) != follows


def test_joining_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="order=spatial_first needs spatial"):
        relations("spatial_first", "concat", "concat")
    beside = SPATIAL.model_copy(update={"combine": "concat"}).model_dump()
    with pytest.raises(ValidationError, match="spatial_position=head needs"):
        Relations.model_validate({"classes": None, "spatial": beside, "spatial_position": "head"})


def test_features_are_dropped_in_training_alone() -> None:
    torch.manual_seed(0)
    head = RoiPredictor(CascadeStage(), D, C, True, dropout=0.5)
    features = torch.randn(64, D)
    whole = nn.functional.linear(features, head.classifier.weight, head.classifier.bias)
    assert torch.equal(head.eval()(features)[0], whole)
    torch.manual_seed(1)
    dropped = nn.functional.linear(nn.functional.dropout(features, 0.5), head.classifier.weight, head.classifier.bias)
    torch.manual_seed(1)
    assert torch.equal(head.train()(features)[0], dropped)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_stage_that_does_not_learn_says_nothing_of_detections(weight: float) -> None:
    made = network("plain", stages=(CascadeStage(weight=weight), CascadeStage()), score_threshold=0.0).eval()
    before = made(inputs())
    first = made.stages.heads[0]
    assert isinstance(first, RoiPredictor)
    with torch.no_grad():
        first.classifier.bias += torch.tensor([0.0, 3.0, 0.0, 0.0])
    after = made(inputs())
    same = all(torch.equal(one.scores, other.scores) for one, other in zip(before, after, strict=True))
    assert same == (weight == 0)
