"""Weights of other implementations: names that are translated, and those that follow order and shape."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from ablata.base.errors import CheckpointError
from ablata.models.backbones.timm_features import TimmFeatures
from ablata.models.classification.small_resnet import CifarResNet, WideResNet
from ablata.models.classification.timm_model import TimmModel
from ablata.models.detection.backbones import Fpn
from ablata.models.segmentation.bisenet.model import BiSeNet
from ablata.models.segmentation.feature_segmenter import FeatureSegmenter
from ablata.models.weights.files import read_state
from ablata.nn.loaded_weights import loaded_weights

Named = dict[str, Tensor]


def renamed(state: Named, rule: Callable[[str], str]) -> Named:
    return {rule(name): value for name, value in state.items()}


@pytest.fixture(scope="module")
def resnet() -> Named:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=5).state_dict()


def test_a_resnet_is_taken_whatever_stands_before_its_names(resnet: Named, tmp_path: Path) -> None:
    model = TimmModel(name="test_resnet").build(5)
    for number, (prefix, wrapped) in enumerate(
        [("", None), ("module.", "state_dict"), ("backbone.", "state_dict"), ("module.backbone.body.", "model")]
    ):
        state = renamed(resnet, lambda name, prefix=prefix: prefix + name)
        path = tmp_path / f"{number}.pth"
        torch.save({wrapped: state, "args": argparse.Namespace(lr=0.1)} if wrapped else state, path)
        settings = TimmModel(name="test_resnet", weights=str(path))
        settings.load_into(model)
        told = loaded_weights(model)[-1]
        assert (told.left, told.new) == ((), ()), prefix
        torch.testing.assert_close(model.backbone.conv1[0].weight.detach(), resnet["conv1.0.weight"])


def test_averaged_weights_are_taken_before_others_and_said(resnet: Named, tmp_path: Path) -> None:
    zero = {name: torch.zeros_like(value) for name, value in resnet.items()}
    torch.save({"state_dict": zero, "state_dict_ema": resnet}, tmp_path / "w.pth")
    settings = TimmModel(name="test_resnet", weights=str(tmp_path))
    model = settings.build(5)
    settings.load_into(model)
    assert model.backbone.fc.weight.any()
    assert loaded_weights(model)[0].averaged


def test_another_network_is_refused_with_the_layer_at_which_they_part(tmp_path: Path) -> None:
    narrow = torchvision.models.mobilenet_v2(num_classes=7, width_mult=0.25)
    torch.save(narrow.state_dict(), tmp_path / "w.pth")
    settings = TimmModel(name="mobilenetv2_100", weights=str(tmp_path / "w.pth"))
    words = r"layer 1 is features.0.0.weight \[8, 3, 3, 3\] there, backbone.conv_stem.weight \[32, 3, 3, 3\] here"
    with pytest.raises(CheckpointError, match=words):
        settings.load_into(settings.build(7))


def test_a_whole_published_mobilenet_gives_the_same_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    reference = torchvision.models.mobilenet_v2(num_classes=7).eval()
    torch.save(reference.state_dict(), tmp_path / "w.pth")
    settings = TimmModel(name="mobilenetv2_100", weights=str(tmp_path / "w.pth"))
    model, x = settings.build(7).eval(), torch.randn(1, 3, 64, 64)
    settings.load_into(model)
    (told,) = loaded_weights(model)
    assert (told.how, told.left, told.new) == ("by order and shape", (), ())
    with torch.no_grad():
        torch.testing.assert_close(model(x)["logits"], reference(x), rtol=1e-4, atol=1e-5)
    save_file(reference.state_dict(), tmp_path / "w.safetensors")
    unordered = settings.model_copy(update={"weights": str(tmp_path / "w.safetensors")})
    with pytest.raises(CheckpointError, match="keep no order"):
        unordered.load_into(unordered.build(7))


def test_segmenters_and_detectors_stand_on_any_classifiers_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    reference = torchvision.models.mobilenet_v2().state_dict()
    torch.save(reference, tmp_path / "w.pth")
    backbone = TimmFeatures(name="mobilenetv2_100", weights=str(tmp_path / "w.pth"))
    for settings in (
        FeatureSegmenter(backbone=backbone, width=8),
        BiSeNet(backbone=backbone),
    ):
        model = settings.build(4)
        settings.load_into(model)
        (told,) = loaded_weights(model)
        assert "backbone" not in " ".join(told.new)
        assert told.left[-2:] == ("classifier.1.weight", "classifier.1.bias")
        torch.testing.assert_close(model.backbone.network.conv_stem.weight, reference["features.0.0.weight"])
        assert float(model.head.classifier.weight.detach().std()) < 0.02
    pyramid = Fpn(name="mobilenetv2_100", channels=8, weights=str(tmp_path / "w.pth"), frozen_stages=2).build()
    assert loaded_weights(pyramid)[0].taken
    frozen = {name for name, parameter in pyramid.backbone.named_parameters() if not parameter.requires_grad}
    assert {"network.conv_stem.weight", "network.blocks.0.0.conv_dw.weight"} <= frozen


def kuangliu(shortcut: bool) -> nn.Module:
    """A ResNet-8 for small images under the names of public code for CIFAR."""

    def block(inputs: int, outputs: int) -> nn.Module:
        made = nn.Module()
        made.conv1, made.bn1 = nn.Conv2d(inputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs)
        made.conv2, made.bn2 = nn.Conv2d(outputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs)
        if shortcut and inputs != outputs:
            made.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        return made

    whole = nn.Module()
    whole.conv1, whole.bn1 = nn.Conv2d(3, 16, 3, bias=False), nn.BatchNorm2d(16)
    for number, (inputs, outputs) in enumerate([(16, 16), (16, 32), (32, 64)], 1):
        whole.add_module(f"layer{number}", nn.Sequential(block(inputs, outputs)))
    whole.linear = nn.Linear(64, 10)
    return whole


@pytest.mark.parametrize("shortcut", [False, True])
def test_small_resnets_take_weights_of_public_code(shortcut: bool, tmp_path: Path) -> None:
    state = kuangliu(shortcut).state_dict()
    torch.save({"state_dict": renamed(state, lambda name: f"module.{name}"), "best_prec1": 91.7}, tmp_path / "w.th")
    settings = CifarResNet(depth=8, shortcut="conv" if shortcut else "pad", weights=str(tmp_path / "w.th"))
    for classes in (10, 3):
        model = settings.build(classes)
        settings.load_into(model)
        (told,) = loaded_weights(model)
        torch.testing.assert_close(model.stage3[0].conv2.weight, state["layer3.0.conv2.weight"])
        assert told.new == (() if classes == 10 else ("classifier.weight", "classifier.bias"))
    other = CifarResNet(depth=14, weights=str(tmp_path / "w.th"))
    with pytest.raises(CheckpointError, match="build the network that the file was made with"):
        other.load_into(other.build(10))


def test_a_classifier_without_a_backbone_of_that_name_has_one_all_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = WideResNet(depth=10, factor=1)
    trained = source.build(4)
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    settings = source.model_copy(update={"weights": str(tmp_path / "w.safetensors"), "weights_part": "backbone"})
    model = settings.build(4)
    settings.load_into(model)
    assert set(loaded_weights(model)[0].new) == {"classifier.weight", "classifier.bias"}
    torch.testing.assert_close(model.final_norm.weight, trained.final_norm.weight)


def test_a_file_without_weights_by_name_is_refused_in_words(tmp_path: Path) -> None:
    value = torch.ones(2, 3)
    around: dict[str, object] = {"weight": value}
    around["model"] = around
    for content, told in (
        ({0: value}, "must hold tensors by name"), ({None: value, ("a", 1): value}, "must hold tensors by name"),
        ([value], "it holds a list"), (around, "it holds a dict"),
        ({"weight": value * torch.nan}, "6 of its 6 values are no numbers"),
        ({"weight": value[:1, :1].expand(10**6, 10**6)}, "it stores fewer values"),
    ):  # fmt: skip
        torch.save(content, tmp_path / "weights.pth")
        with pytest.raises(CheckpointError, match=told):
            read_state(tmp_path / "weights.pth")


def test_a_first_convolution_is_fitted_to_the_bands_of_the_images_and_that_is_said(
    resnet: Named, tmp_path: Path
) -> None:
    torch.save(resnet, tmp_path / "w.pth")
    published = resnet["conv1.0.weight"]
    for bands in (1, 5):
        settings = TimmModel(name="test_resnet", weights=str(tmp_path / "w.pth"))
        model = settings.build(5, bands)
        settings.load_into(model)
        fitted = model.backbone.conv1[0].weight.detach()
        torch.testing.assert_close(fitted, adapt_input_conv(bands, published))
        (told,) = loaded_weights(model)
        assert any("conv1.0.weight" in note and f"{bands} band" in note for note in told.notes), told.notes
        assert (told.left, told.new) == ((), ())
