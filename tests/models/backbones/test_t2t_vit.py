"""T2T-ViT: published sizes, the performer against the softmax it stands for, positions, tokens of any image."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ablata.engine.hardware.complexity import count
from ablata.models.backbones.t2t_vit import Performer, T2TViT, TokenTransformer, sinusoidal_positions


def tiny(**changes: object) -> T2TViT:
    return T2TViT(**{"size": 7, "depth": 2, "width": 64, "token_width": 16, **changes})


def test_sizes_are_those_of_the_authors_table(subtests: pytest.Subtests) -> None:
    for size, tokens, millions, billions in [
        (7, "performer", 4.3, 1.1),
        (10, "performer", 5.9, 1.5),
        (12, "performer", 6.9, 1.8),
        (14, "performer", 21.5, 4.8),
        (19, "performer", 39.2, 8.5),
        (14, "transformer", 21.5, 6.1),
        (19, "transformer", 39.2, 9.8),
    ]:
        with subtests.test(size=size, tokens=tokens, millions=millions, billions=billions):
            with torch.device("meta"):
                model = T2TViT(size=size, tokens=tokens).build(1000)
                found = count(model, torch.empty(1, 3, 224, 224))
            # The authors count what is fixed too: 197 positions and, in each performer, 32 directions of 64 values.
            fixed = 197 * model.classifier.in_features + (2 * 32 * 64 if tokens == "performer" else 0)
            assert round((found.parameters + fixed) / 1e6, 1) == millions
            assert round(found.flops / 1e9, 1) == billions


def test_parameters_are_those_of_the_arithmetic() -> None:
    width, depth = 384, 14
    layer = 4 * width + 3 * width**2 + width**2 + width + 2 * 3 * width**2 + 3 * width + width

    def performer(inputs: int) -> int:
        return 2 * inputs + (inputs + 1) * 192 + 2 * 64 + 3 * (64 * 64 + 64)

    project = (576 + 1) * width
    total = performer(147) + performer(576) + project + width + depth * layer + 2 * width + (width + 1) * 1000
    with torch.device("meta"):
        assert sum(value.numel() for value in T2TViT(size=14).build(1000).parameters()) == total == 21_465_806


def test_many_directions_make_the_performers_attention_exact() -> None:
    torch.manual_seed(0)
    performer = Performer(tiny(token_width=4), 16)
    performer.directions = torch.randn(400_000, 4)
    queries, keys, values = (0.5 * torch.randn(1, 5, 4) for _ in range(3))
    exact = (queries @ keys.transpose(1, 2)).softmax(-1) @ values
    torch.testing.assert_close(performer.attend(queries, keys, values), exact, atol=0.02, rtol=0)
    assert (exact - values.mean(1)).abs().max() > 0.1


def test_directions_are_orthogonal_with_the_length_of_the_authors() -> None:
    directions = Performer(tiny(), 16).directions
    torch.testing.assert_close(directions @ directions.T, 8 * torch.eye(8), atol=1e-4, rtol=0)
    assert not any(name.endswith("directions") for name, _ in tiny().build(5).named_parameters())
    assert "backbone.tokens1.directions" in tiny().build(5).state_dict()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_features_of_long_tokens_stay_finite_under_autocast(dtype: torch.dtype) -> None:
    performer = Performer(tiny(), 16).eval()
    nn.init.normal_(performer.kqv.weight, std=3)
    with torch.autocast("cpu", dtype), torch.no_grad():
        assert torch.isfinite(performer(torch.randn(2, 9, 16))).all()


def test_the_token_transformer_skips_by_its_values() -> None:
    torch.manual_seed(0)
    layer, x = TokenTransformer(tiny(), 24), torch.randn(2, 7, 24)
    queries, keys, values = layer.qkv(layer.norm1(x)).chunk(3, -1)
    attended = (queries @ keys.transpose(1, 2) / math.sqrt(24)).softmax(-1) @ values
    middle = values + layer.proj(attended)
    torch.testing.assert_close(layer(x), middle + layer.mlp(layer.norm2(middle)))


def test_positions_are_sines_and_cosines_of_falling_frequency() -> None:
    found = sinusoidal_positions(5, 8, torch.device("cpu"))[0]
    for place in range(5):
        for column in range(8):
            angle = place / 10_000 ** (2 * (column // 2) / 8)
            expected = math.sin(angle) if column % 2 == 0 else math.cos(angle)
            assert found[place, column].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", [(64, 64), (70, 50), (33, 96)])
def test_images_of_any_size_become_maps_of_tokens(shape: tuple[int, int]) -> None:
    outputs = tiny().build(5)(torch.randn(2, 3, *shape))
    for before, after in (("stage1", "stage2"), ("stage2", "stage3")):
        assert [-(-side // 2) for side in outputs[before].shape[2:]] == list(outputs[after].shape[2:])
    assert outputs["features"].shape == (2, 64)


def test_the_scale_of_published_weights_can_be_chosen() -> None:
    scales = [tiny(width=128, scale=scale).build(5).backbone.blocks[0].attn.scale for scale in ("head", "width")]
    assert scales == pytest.approx([64**-0.5, 128**-0.5])


def test_published_names_become_ours() -> None:
    settings, names = tiny(), tiny().build(5).state_dict()
    theirs = [
        "cls_token", "tokens_to_token.attention1.w", "tokens_to_token.attention2.kqv.bias",
        "tokens_to_token.attention1.mlp.2.weight", "tokens_to_token.project.weight", "blocks.1.attn.qkv.weight",
        "blocks.0.mlp.fc2.bias", "norm.weight", "head.bias",
    ]  # fmt: skip
    assert {settings.published_name(name) for name in theirs} <= names.keys()
    exact = tiny(tokens="transformer")
    assert exact.published_name("tokens_to_token.attention1.attn.qkv.weight") in exact.build(5).state_dict()
    assert settings.published_name("pos_embed") is None
