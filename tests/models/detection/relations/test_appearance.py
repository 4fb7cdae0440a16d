"""What regions look at, read while a detector runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ablata.models.detection.relations.spatial_relation import (
    GaussianWeights,
    SpatialRelation,
    SpatialRelationModule,
    record_attention,
)

BOXES = torch.tensor([[[0.0, 0, 40, 40], [4, 4, 14, 16], [60, 50, 90, 80], [62, 54, 70, 60], [0, 0, 0, 0]]])
KEYS = torch.tensor([[True, True, True, False, False]])


def module_of(**settings: object) -> SpatialRelationModule:
    torch.manual_seed(0)
    made = SpatialRelation(**{"heads": 2, "width": 8, **settings}).build(8)  # type: ignore[arg-type]
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("weights", [{}, {"weights": GaussianWeights()}, {"boxes_test": 2}, {"include_self": False}])
def test_rows_add_up_to_one_and_what_may_not_be_looked_at_has_nothing(weights: dict[str, object]) -> None:
    features = torch.randn(1, 5, 8)
    found = module_of(**weights).attention(features, BOXES, KEYS)
    assert found.shape == (1, 5, 5)
    torch.testing.assert_close(found.sum(2), torch.ones(1, 5))
    assert float(found[:, :, 3:].abs().max()) == 0
    if "itself" in weights:
        assert float(found[0].diagonal().abs().max()) == 0


def test_with_one_head_the_weights_are_those_by_which_values_are_summed() -> None:
    module, features = module_of(heads=1), torch.randn(1, 5, 8)
    values = module.relations[0].project(features)[..., -8:]  # type: ignore[operator]
    expected = module.attention(features, BOXES, KEYS) @ values  # type: ignore[operator]
    torch.testing.assert_close(module(features, BOXES, KEYS), expected)


def test_two_kinds_of_pairs_give_their_mean_and_parts_alone_look_at_parts() -> None:
    module, features = module_of(pairs="both"), torch.randn(1, 5, 8)
    first, second = (
        module_of(pairs=kind).attention(features, BOXES, KEYS) for kind in ("objects", "parts")
    )  # the kinds have weights of their own, so only the pattern is compared
    both = module.attention(features, BOXES, KEYS)
    assert torch.equal((first > 0) | (second > 0), both > 0)
    assert second[0, 0].nonzero().flatten().tolist() == [1]


def test_only_the_last_relation_is_watched_and_only_inside() -> None:
    layers = nn.ModuleList([module_of(), module_of(boxes_test=1)])
    features = torch.randn(1, 5, 8)
    with record_attention(layers) as looks:
        for layer in layers:
            layer(features, BOXES, KEYS)
    layers[1](features, BOXES, KEYS)
    assert len(looks) == 1
    torch.testing.assert_close(looks[0].weights, layers[1].attention(features, BOXES, KEYS))  # type: ignore[operator]
    assert torch.equal(looks[0].boxes, BOXES)


def test_a_model_without_relations_gives_no_looks() -> None:
    with record_attention(nn.Linear(2, 2)) as looks:
        assert looks == []
