"""Every backbone of the family serves every network that stands on one, or is refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.models.backbones.base import Backbone
from ablata.models.backbones.efficientnet import EfficientNet, EfficientNetLite
from ablata.models.backbones.hrnet import HRNetFeatures
from ablata.models.backbones.regnet import RegNet
from ablata.models.backbones.resnet import ResNet
from ablata.models.backbones.t2t_vit import T2TViT
from ablata.models.backbones.timm_features import TimmFeatures
from ablata.models.backbones.xception39 import Xception39
from ablata.models.classification.feature_pyramid_classifier import PyramidClassifier
from ablata.models.detection.backbones import C4, BackboneFpn, Fpn, SmallCnn
from ablata.models.detection.mask_rcnn import MaskRcnn
from ablata.models.segmentation.bisenet.context_path import ContextPath
from ablata.models.segmentation.bisenet.model import BiSeNet
from ablata.models.segmentation.deeplab import Aspp, DeepLab
from ablata.models.segmentation.feature_segmenter import FeatureSegmenter

FAMILY: list[Backbone] = [
    ResNet(depth=18, width=4),
    ResNet(depth=18, width=4, last_stage="two_dilated"),
    ResNet(depth=18, width=4, stem="3x3"),
    Xception39(width=4, blocks=(1, 1, 1)),
    EfficientNet(width=0.1, depth=0.1),
    EfficientNetLite(width=0.1, depth=0.1),
    RegNet(size="x_200mf", attention=None),
    T2TViT(size=7, depth=1, width=64, token_width=8),
    HRNetFeatures(width=4, blocks=1, exchanges=(1, 1, 1)),
    TimmFeatures(name="test_resnet"),
]
NETWORKS: dict[str, Any] = {
    "bisenet": lambda backbone: BiSeNet(backbone=backbone, aux=()),
    "bisenet without levels": lambda backbone: BiSeNet(
        backbone=backbone, spatial=None, context=ContextPath(levels=()), aux=()
    ),
    "features": lambda backbone: FeatureSegmenter(backbone=backbone, width=6),
    "deeplab": lambda backbone: DeepLab(backbone=backbone, pyramid=Aspp(width=8, rates=(2,))),
}


def test_maps_have_the_widths_and_strides_that_a_backbone_states() -> None:
    for settings in FAMILY:
        module = settings.build_backbone(3).eval()
        with torch.no_grad():
            outputs = module(torch.randn(1, 3, 64, 96))
        for name, width in module.widths.items():
            stride = module.strides[name]
            assert outputs[name].shape == (1, width, 64 // stride, 96 // stride), (settings.kind, name)


def test_every_backbone_serves_every_segmentation_network_or_is_refused_by_its_strides() -> None:
    refused = []
    for name, make in NETWORKS.items():
        for backbone in FAMILY:
            try:
                model = make(backbone).build(5, 3).eval()
            except (SettingsError, ValueError) as error:
                refused.append((name, backbone.kind, "1/32" in str(error) or "feature map of stride" in str(error)))
                continue
            with torch.no_grad():
                outputs = model(torch.randn(1, 3, 64, 96))
            assert model.full_size(outputs, (64, 96))["logits"].shape == (1, 5, 64, 96), (name, backbone.kind)
    # Only BiSeNet counts on strides of its own.
    assert all(name.startswith("bisenet") and told for name, _, told in refused), refused


def test_bisenet_takes_the_backbones_of_stride_32() -> None:
    taken = []
    for backbone in FAMILY:
        try:
            BiSeNet(backbone=backbone).build(5, 3)
        except (SettingsError, ValueError):
            continue
        taken.append(backbone.kind)
    assert taken == ["resnet", "xception39", "efficientnet", "efficientnet_lite", "regnet", "hrnet", "timm"]


@pytest.mark.parametrize("merge", ["pool_sum", "nearest_concat"])
def test_a_pyramid_classifier_takes_every_backbone(merge: Any) -> None:
    for backbone in FAMILY:
        model = PyramidClassifier(backbone=backbone, width=8, merge=merge).build(5, 3).eval()
        with torch.no_grad():
            assert model(torch.randn(1, 3, 64, 64))["logits"].shape == (1, 5), backbone.kind


def test_a_detectors_pyramid_stands_on_the_backbones_of_four_strides() -> None:
    taken = []
    for backbone in FAMILY:
        try:
            module = BackboneFpn(backbone=backbone, channels=8, norm="frozen").build().eval()
        except SettingsError:
            continue
        with torch.no_grad():
            levels = module(torch.randn(1, 3, 64, 96))
        assert [level.shape[1:] for level in levels] == [
            (8, 64 // stride, 96 // stride) for stride in (4, 8, 16, 32)
        ] + [(8, 1, 2)], backbone.kind
        taken.append(backbone.kind)
    assert taken == ["resnet", "xception39", "efficientnet", "efficientnet_lite", "regnet", "hrnet", "timm"]


PLAIN = """
from torch import nn


class Steps(nn.Module):
    def __init__(self, in_channels: int, width: int = 4) -> None:
        super().__init__()
        inputs = (in_channels, width, width, width, width)
        self.layers = nn.ModuleList(nn.Conv2d(count, width, 3, 2, 1) for count in inputs)

    def forward(self, images):
        maps = [images]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return maps[2:]
"""


def test_a_detector_takes_a_plain_backbone_below_its_pyramid(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(PLAIN)
    settings = override(MaskRcnn(), [f"backbone={tmp_path}/steps.py:Steps", "backbone.width=6"])
    with torch.no_grad():
        levels = settings.backbone.build().eval()(torch.randn(1, 3, 64, 96))
    assert [level.shape[1:] for level in levels] == [(256, 16, 24), (256, 8, 12), (256, 4, 6), (256, 2, 3), (256, 1, 2)]
    assert settings.reduced().backbone == settings.backbone


def test_a_detectors_small_form_has_a_backbone_without_weights_and_frozen_parts() -> None:
    settings = MaskRcnn(backbone=BackboneFpn(backbone=ResNet(weights="file", weights_part="backbone"), norm="frozen"))
    assert settings.reduced().backbone == BackboneFpn(backbone=ResNet(weights_part="backbone"))


def test_a_backbone_named_where_a_detectors_pyramid_goes_is_told_where_it_goes() -> None:
    with pytest.raises(SettingsError) as caught:
        override(MaskRcnn(), ["backbone=resnet"])
    assert caught.value.do == "backbone=backbone_fpn backbone.backbone=resnet"


def test_a_network_without_a_pyramid_is_refused_below_one_with_its_strides() -> None:
    with pytest.raises(SettingsError, match="A feature pyramid needs") as caught:
        Fpn(name="test_vit").build()
    assert caught.value.found == "strides 16, 16, 16, 16"


def test_detectors_backbones_take_images_of_any_bands() -> None:
    images = torch.randn(1, 5, 64, 64)
    for settings in (Fpn(name="test_efficientnet", channels=8), C4(depth=18), SmallCnn(width=4)):
        assert settings.build(5).eval()(images)[0].shape[0] == 1
