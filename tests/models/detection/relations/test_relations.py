"""Relations between classes and between regions: values worked out by hand, and properties that must hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ablata.models.detection.relations.class_relation import ClassRelation, ClassRelationModule
from ablata.models.detection.relations.spatial_relation import SpatialRelation, embed, find_parts, geometry

B, R, C, D, F = 2, 7, 5, 12, 6
SPATIAL = {
    "relu": {"weights": {"kind": "relu"}},
    "gaussian": {"weights": {"kind": "gaussian"}},
    "gaussian alone": {"weights": {"kind": "gaussian", "form": "normalized"}},
    "parts": {"pairs": "parts"},
    "both, shared": {"pairs": "both", "own_weights": False},
    "both, own": {"pairs": "both"},
    "extra": {"extra_fc": True},
    "without itself": {"include_self": False},
}


def class_module(graph: Tensor, **changes: object) -> ClassRelationModule:
    torch.manual_seed(0)
    settings = ClassRelation.model_validate({"width": 9, "attention_width": 4, **changes})
    return settings.build(D, F, graph)


def class_inputs(seed: int = 0) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
    torch.manual_seed(seed)
    maps = [torch.randn(B, 2, side, side) for side in (8, 4, 2)]
    return torch.randn(B, R, C).softmax(2), torch.randn(C, D + 1), maps, torch.tensor([[1.0, 1.0], [0.5, 0.75]])


CLASS_FORMS: list[dict[str, object]] = [
    {},
    {"attention": False},
    {"attention_position": "before", "attention_pool": "max", "attention_scale": 10.0},
    {"propagate": False},
    {"reduce": "linear", "reduce_position": "after"},
    {"combine": "add", "gradient": "through", "attention_relu": False},
]


def spatial_module(name: str, **changes: object):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    made = SpatialRelation.model_validate({"heads": 3, "width": 6, **SPATIAL[name], **changes}).build(D)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def regions(seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    corners = torch.rand(B, R, 2) * 60
    boxes = torch.cat([corners, corners + 5 + torch.rand(B, R, 2) * 60], dim=2)
    return torch.randn(B, R, D), boxes, torch.ones(B, R, dtype=torch.bool)


def test_geometry_is_as_in_the_paper() -> None:
    boxes = torch.tensor([[[10.0, 10, 30, 50]]])
    near = torch.tensor([[[40.0, 20, 80, 40]]])
    found = geometry(boxes, near).log_ratios()[:, :, 0, 0]
    assert found[0].tolist() == pytest.approx([0.693147, -6.907755, -0.693147, 0.693147], abs=1e-6)
    terms = embed(found, 64)[0]
    assert terms.shape == (64,)
    assert terms[:4].tolist() == pytest.approx([0.19836, -0.81657, -0.23797, -0.88445], abs=5e-5)


def test_embedding_is_sines_and_cosines_of_each_number() -> None:
    values = np.array([0.3, -1.2, 0.0, 2.0])
    rates = 100 / 1000 ** (8 * np.arange(2) / 16)
    expected = np.concatenate([[*np.sin(value * rates), *np.cos(value * rates)] for value in values])
    found = embed(torch.tensor(values, dtype=torch.float32)[None], 16)
    np.testing.assert_allclose(found, expected[None], atol=2e-5)


def test_relations_are_those_of_the_paper_written_out() -> None:
    module = spatial_module("relu")
    features, boxes, keys = regions()
    layer = module.relations[0]
    places = geometry(boxes, boxes).log_ratios()
    weight, bias = layer.project.weight.split([6, 6, D]), layer.project.bias.split([6, 6, D])
    heads, size = 3, D // 3
    total = torch.zeros(B, R, D)
    for b in range(B):
        for h in range(heads):
            rows = slice(2 * h, 2 * h + 2)
            query = features[b] @ weight[0][rows].T + bias[0][rows]
            key = features[b] @ weight[1][rows].T + bias[1][rows]
            sine_cosine = embed(places, 64)[b].movedim(0, -1)
            near = (sine_cosine @ layer.place.weight[h] + layer.place.bias[h]).clamp(min=0).clamp(min=1e-6)
            weights = near * (query @ key.T / 2**0.5).exp()
            weights = weights / weights.sum(1, keepdim=True)
            out = slice(size * h, size * (h + 1))
            # The paper averages raw features first and projects each head's average after it.
            total[b, :, out] = (weights @ features[b]) @ weight[2][out].T + bias[2][out]
    torch.testing.assert_close(module(features, boxes, keys), total, rtol=1e-4, atol=1e-4)


def test_moving_and_scaling_all_boxes_together_changes_nothing(subtests: pytest.Subtests) -> None:
    for name in SPATIAL:
        with subtests.test(name=name):
            module = spatial_module(name)
            features, boxes, keys = regions()
            before = module(features, boxes, keys)
            torch.testing.assert_close(module(features, boxes + 37, keys), before, rtol=1e-3, atol=2e-3)
            torch.testing.assert_close(module(features, boxes * 4, keys), before, rtol=1e-3, atol=2e-3)
            moved = boxes.clone()
            moved[:, 0] += torch.tensor([25.0, -10, 25, -10])
            assert not torch.allclose(module(features, moved, keys), before, atol=1e-2)


def test_permuted_regions_give_permuted_relations(subtests: pytest.Subtests) -> None:
    for name in SPATIAL:
        with subtests.test(name=name):
            module = spatial_module(name)
            features, boxes, keys = regions()
            order = torch.randperm(R)
            permuted = module(features[:, order], boxes[:, order], keys)
            torch.testing.assert_close(permuted, module(features, boxes, keys)[:, order], rtol=1e-4, atol=1e-4)


def test_rows_that_fill_up_are_never_looked_at_and_images_never_mix(subtests: pytest.Subtests) -> None:
    for name in SPATIAL:
        with subtests.test(name=name):
            module = spatial_module(name)
            features, boxes, keys = regions()
            alone = module(features[:1, :5], boxes[:1, :5], keys[:1, :5])
            keys[0, 5:] = False
            features[0, 5:], boxes[0, 5:] = 1e4, 0.0
            torch.testing.assert_close(module(features, boxes, keys)[:1, :5], alone, rtol=1e-5, atol=1e-5)


def test_an_image_without_anything_to_look_at_gains_nothing_infinite(subtests: pytest.Subtests) -> None:
    for name in SPATIAL:
        with subtests.test(name=name):
            module = spatial_module(name)
            features, boxes, keys = regions()
            out_features = module(features, boxes, torch.zeros_like(keys))
            assert torch.isfinite(out_features).all()
            if name != "extra":
                assert not out_features.any()


def test_outputs_change_with_the_regions_and_every_weight_gets_a_gradient(subtests: pytest.Subtests) -> None:
    for name in SPATIAL:
        with subtests.test(name=name):
            module = spatial_module(name)
            features, boxes, keys = regions()
            out_features = module(features, boxes, keys)
            assert out_features.abs().sum() > 0
            assert not torch.allclose(out_features[:, 0], out_features[:, 1])
            out_features.square().sum().backward()
            for title, parameter in module.named_parameters():
                assert parameter.grad is not None, title
                if not title.endswith("key.bias"):
                    # A key's bias moves all weights of a query alike, which the softmax takes back.
                    assert parameter.grad.abs().sum() > 0, title


def test_only_the_likeliest_regions_are_looked_at() -> None:
    features, boxes, keys = regions()
    module = spatial_module("relu", boxes_train=3, boxes_test=5)
    for training, most in ((True, 3), (False, 5)):
        module.train(training)
        fewer = keys.clone()
        fewer[:, most:] = False
        torch.testing.assert_close(module(features, boxes, keys), module(features, boxes, fewer))
    keys[:, 1] = False
    truth = features.clone()
    truth[:, 1] = 0
    torch.testing.assert_close(module(features, boxes, keys)[:, 0], module(truth, boxes, keys)[:, 0])


def test_background_is_not_looked_at_where_asked() -> None:
    features, boxes, keys = regions()
    module = spatial_module("relu", foreground_only=True)
    foreground = torch.arange(R)[None].expand(B, -1) % 2 == 0
    torch.testing.assert_close(module(features, boxes, keys, foreground), module(features, boxes, foreground))


def test_parts_are_smaller_boxes_that_lie_inside() -> None:
    boxes = torch.tensor([[[0.0, 0, 40, 40], [10, 10, 20, 20], [36, 0, 56, 10], [30, 30, 45, 40]]])
    assert find_parts(boxes, boxes)[0].int().tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("changes", CLASS_FORMS, ids=str)
def test_without_a_graph_all_regions_of_an_image_gain_the_same(changes: dict[str, object]) -> None:
    if changes.get("propagate") is False:
        pytest.skip("soft mapping alone has no graph")
    scores, weights, maps, valid_fraction = class_inputs()
    out_features = class_module(torch.zeros(C, C), **changes)(scores, weights, maps, valid_fraction)
    torch.testing.assert_close(out_features, out_features[:, :1].expand_as(out_features))


def test_with_the_identity_a_class_gives_its_own_meaning_alone() -> None:
    scores, weights, maps, valid_fraction = class_inputs()
    module = class_module(torch.eye(C), attention=False)
    sure = torch.eye(C)[None].expand(B, -1, -1)
    before = module(sure, weights, maps, valid_fraction)
    changed = weights.clone()
    changed[2] += 1
    differs = (module(sure, changed, maps, valid_fraction) - before).abs().sum((0, 2)) > 1e-6
    assert differs.tolist() == [False, False, True, False, False]
    alone = class_module(torch.rand(C, C), attention=False, propagate=False)(scores, weights, maps, valid_fraction)
    torch.testing.assert_close(alone, module(scores, weights, maps, valid_fraction))


def test_a_graph_carries_weights_from_column_to_row() -> None:
    _, weights, maps, valid_fraction = class_inputs()
    graph = torch.eye(C)
    graph[1, 3] = 0.5
    module = class_module(graph, attention=False)
    sure = torch.eye(C)[None].expand(B, -1, -1)
    expected = torch.relu(module.reduce(weights[1] + 0.5 * weights[3]))
    torch.testing.assert_close(module(sure, weights, maps, valid_fraction)[0, 1], expected)


@pytest.mark.parametrize("changes", CLASS_FORMS, ids=str)
def test_images_gain_by_themselves_whatever_else_is_in_the_batch(changes: dict[str, object]) -> None:
    scores, weights, maps, valid_fraction = class_inputs()
    module = class_module(torch.rand(C, C), **changes)
    whole = module(scores, weights, maps, valid_fraction)
    for row in range(B):
        alone = module(
            scores[row : row + 1], weights, [one[row : row + 1] for one in maps], valid_fraction[row : row + 1]
        )
        torch.testing.assert_close(whole[row : row + 1], alone)


@pytest.mark.parametrize("changes", CLASS_FORMS, ids=str)
def test_permuted_regions_give_permuted_semantics(changes: dict[str, object]) -> None:
    scores, weights, maps, valid_fraction = class_inputs()
    module, order = class_module(torch.rand(C, C), **changes), torch.randperm(R)
    torch.testing.assert_close(
        module(scores[:, order], weights, maps, valid_fraction), module(scores, weights, maps, valid_fraction)[:, order]
    )


@pytest.mark.parametrize("changes", CLASS_FORMS, ids=str)
def test_the_classifier_learns_through_the_graph_only_where_asked(changes: dict[str, object]) -> None:
    scores, weights, maps, valid_fraction = class_inputs()
    weights.requires_grad_()
    module = class_module(torch.rand(C, C) + 0.1, **changes)
    module(scores, weights, maps, valid_fraction).square().sum().backward()
    assert (weights.grad is not None) == (changes.get("gradient") == "through")
    for title, parameter in module.named_parameters():
        assert parameter.grad is not None, title
        assert parameter.grad.abs().sum() > 0, title


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_attention_does_not_see_what_lies_beside_an_image(pool: str) -> None:
    _, weights, maps, valid_fraction = class_inputs()
    module = class_module(torch.eye(C), attention_pool=pool)
    torch.nn.init.constant_(module.excite.bias, 0.5)
    before = module.attention(weights, maps, valid_fraction)
    wild = [one.clone() for one in maps]
    wild[0][1, :, -1, -1] = 100.0
    after = module.attention(weights, wild, valid_fraction)
    torch.testing.assert_close(after[1], before[1])
    torch.testing.assert_close(before.sum(1), torch.ones(B))


def test_one_small_object_changes_the_largest_value_of_a_map_far_more_than_its_mean() -> None:
    _, weights, _, _ = class_inputs()
    empty = torch.zeros(1, F, 64, 64)
    one = empty.clone()
    one[0, :, 20:22, 20:22] = 3.0
    changes = {}
    for pool in ("mean", "max"):
        module = class_module(torch.eye(C), attention_pool=pool)
        with torch.no_grad():
            seen, nothing = (module.attention(weights, [each], torch.ones(1, 2)) for each in (one, empty))
        changes[pool] = float((seen - nothing).abs().max())
    assert changes["max"] > 50 * changes["mean"] > 0
