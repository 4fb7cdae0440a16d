"""Backbones as segmenters: T2T-ViT, ResNet and networks of timm, sizes they take, maps they give."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from ablata.base.errors import SettingsError
from ablata.models.backbones.resnet import ResNet
from ablata.models.backbones.t2t_vit import T2TViT
from ablata.models.backbones.timm_features import TimmFeatures
from ablata.models.segmentation.feature_segmenter import FeatureSegmenter

T2T = T2TViT(size=7, depth=1, width=64, token_width=8)
CASES: list[tuple[Any, int]] = [
    (T2T, 4),
    (T2TViT(size=7, depth=1, width=64, token_width=8, tokens="transformer"), 4),
    (ResNet(depth=18, width=4), 4),
    (TimmFeatures(name="test_resnet"), 4),
    (TimmFeatures(name="test_vit"), 16),
    (TimmFeatures(name="test_convnext"), 4),
    (TimmFeatures(name="test_efficientnet"), 4),
]
every_backbone = pytest.mark.parametrize(("backbone", "stride"), CASES, ids=lambda case: getattr(case, "name", None))


def build(backbone: Any, **fields: Any) -> nn.Module:
    torch.manual_seed(0)
    return FeatureSegmenter(backbone=backbone, width=6, **fields).build(5)


@every_backbone
@pytest.mark.parametrize("maps", ["all", "last"])
def test_every_backbone_gives_logits_for_images_that_are_not_square(backbone: Any, stride: int, maps: Any) -> None:
    model, size = build(backbone, maps=maps), (64, 96)
    model.projection = nn.Conv2d(6, 7, 1)
    outputs = model.train()(torch.randn(2, 3, *size))
    if maps == "all":
        assert outputs["logits"].shape == (2, 5, 64 // stride, 96 // stride)
    assert outputs["features"].shape[2:] == outputs["embedding"].shape[2:] == outputs["logits"].shape[2:]
    assert model.full_size(outputs, size)["logits"].shape == (2, 5, *size)
    assert "embedding" not in model.eval()(torch.randn(1, 3, *size))


@every_backbone
def test_every_parameter_gets_a_gradient(backbone: Any, stride: int) -> None:
    model = build(backbone).train()
    model(torch.randn(2, 3, 64, 64))["logits"].square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_timms_maps_are_those_of_the_network_as_a_source_of_features() -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("test_resnet", features_only=True, out_indices=(1, 2, 3, 4)).eval()
    ours = TimmFeatures(name="test_resnet").build_backbone().eval()
    ours.network.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for found, expected in zip(ours(images).values(), theirs(images), strict=True):
            assert torch.equal(found, expected)


def test_networks_of_one_stride_give_four_maps_and_chosen_levels_are_taken() -> None:
    with torch.device("meta"):
        backbones = [TimmFeatures(name="vit_tiny_patch16_224", levels=given).build_backbone() for given in (None, (3,))]
    assert [backbone.indices for backbone in backbones] == [[2, 5, 8, 11], [3]]
    assert [len(backbone.widths) for backbone in backbones] == [4, 1]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (TimmFeatures(name="resnet81"), "must be a network of timm"),
        (TimmFeatures(name="test_resnet", levels=(7,)), "rising numbers from 0 to 4"),
        (TimmFeatures(name="test_resnet", levels=(2, 1)), "rising numbers"),
        (TimmFeatures(name="test_resnet", image_size=64), "must take the settings"),
    ],
)
def test_what_timm_does_not_have_is_refused(settings: TimmFeatures, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        settings.build_backbone()


def test_a_size_that_a_network_cannot_take_is_refused_with_what_to_set() -> None:
    with torch.device("meta"):
        model = build(TimmFeatures(name="vit_tiny_patch16_224", image_size=64))
        assert model(torch.randn(2, 3, 64, 64))["logits"].shape == (2, 5, 4, 4)
        with pytest.raises(SettingsError, match="a size that the network takes") as caught:
            model(torch.randn(2, 3, 96, 96))
    assert "96x96" in str(caught.value)
    assert "data.augment.crop.height=64 data.augment.crop.width=64 protocols=ssc sliding_window.size=64" in str(
        caught.value
    )
    assert "model.backbone.image_size" in str(caught.value)


def test_images_that_are_too_small_are_refused_in_words() -> None:
    with pytest.raises(SettingsError, match="at least 32 pixels"):
        build(T2T)(torch.randn(2, 3, 31, 64))


@pytest.mark.parametrize("backbone", [T2T, TimmFeatures(name="test_resnet")], ids=["t2t", "timm"])
def test_a_backbone_begins_with_the_weights_of_a_file(backbone: Any, tmp_path: Any) -> None:
    if isinstance(backbone, TimmFeatures):
        state = timm.create_model("test_resnet", num_classes=3).state_dict()
        first = "conv1.0.weight"
        ours = f"backbone.network.{first}"
    else:
        state = backbone.build(3).state_dict()
        first = ours = "backbone.project.weight"
    save_file(state, tmp_path / "weights.safetensors")
    given = backbone.model_copy(update={"weights": str(tmp_path / "weights.safetensors"), "weights_part": "backbone"})
    settings = FeatureSegmenter(backbone=given, width=6)
    model = settings.build(5)
    settings.load_into(model)
    assert torch.equal(model.state_dict()[ours], state[first])
    assert settings.weight_files() == (str(tmp_path / "weights.safetensors"),)
