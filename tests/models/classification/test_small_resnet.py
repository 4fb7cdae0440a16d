"""The network for small images: stems, where the classifier drops and normalises, initial weights."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from ablata.models.classification.small_resnet import BasicBlock, PreactivationBlock, SmallResNet, SmallResNetSettings


def build(preactivation: bool = False, width: int = 4, classes: int = 5, **fields: object) -> SmallResNet:
    torch.manual_seed(0)
    settings = SmallResNetSettings(kind="test", **fields)  # type: ignore[arg-type]
    return SmallResNet(settings, (width, width, 2 * width, 4 * width), 1, preactivation, classes, 3)


def inputs(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_a_stem_has_the_kernel_and_the_stride_of_its_name(subtests: pytest.Subtests) -> None:
    for preactivation, (stem, kernel, stride) in itertools.product(
        [False, True], [("3x3", 3, 1), ("3x3_s2", 3, 2), ("3x3_s2_pool", 3, 4), ("7x7_s2_pool", 7, 4)]
    ):
        with subtests.test(stem=stem, kernel=kernel, stride=stride, preactivation=preactivation):
            model = build(preactivation, stem=stem)
            outputs = model(inputs())
            assert model.stem.weight.shape == (4, 3, kernel, kernel)
            assert outputs["stem"].shape == (4, 4, 32 // stride, 32 // stride)
            assert outputs["stage3"].shape == (4, 16, 8 // stride, 8 // stride)


def test_imagenets_stem_is_torchvisions() -> None:
    from torchvision.models import resnet18

    theirs = resnet18(weights=None)
    ours = build(width=64, stem="7x7_s2_pool")
    ours.stem.load_state_dict(theirs.conv1.state_dict())
    x = inputs()
    expected = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
    torch.testing.assert_close(ours(x)["stem"], expected)


@pytest.mark.parametrize("preactivation", [False, True])
def test_zero_gamma_starts_the_last_norm_of_every_block_at_zero(preactivation: bool) -> None:
    blocks = [
        module
        for module in build(preactivation, zero_init_residual=True).modules()
        if isinstance(module, BasicBlock | PreactivationBlock)
    ]
    assert len(blocks) == 3
    assert not any(block.norm2.weight.any() for block in blocks)
    assert all((block.norm1.weight == 1).all() for block in blocks)


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.5])
def test_weights_start_with_the_variance_of_he_for_the_given_slope(slope: float) -> None:
    weight = build(width=64, init_slope=slope).stage3[0].conv2.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / ((1 + slope**2) * 9 * 256)), rel=0.01)
    assert abs(weight.mean().item()) < 1e-3


def test_normalised_logits_have_mean_zero_and_deviation_one_over_the_batch() -> None:
    model = build(logit_norm=True)
    logits = model(inputs(16))["logits"]
    torch.testing.assert_close(logits.mean(0), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(logits.var(0, unbiased=False), torch.ones(5), atol=1e-2, rtol=0)
    assert model.classifier.bias is None


def test_dropout_before_and_behind_the_classifier_acts_on_features_and_on_logits() -> None:
    before, behind = build(features_dropout=0.5), build(logits_dropout=0.5)
    for model, place in ((before, "features_dropout"), (behind, "logits_dropout")):
        seen: list[Tensor] = []
        getattr(model, place).register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output))
        outputs = model(inputs())
        (dropped,) = seen
        assert (dropped == 0).double().mean().item() == pytest.approx(0.5, abs=0.3)
        assert dropped.shape == (outputs["features"] if place == "features_dropout" else outputs["logits"]).shape
        assert not torch.equal(model(inputs())["logits"], outputs["logits"])
        assert torch.equal(model.eval()(inputs())["logits"], model(inputs())["logits"])
    assert torch.equal(outputs["logits"], dropped)


def test_the_final_norm_is_there_with_preactivation_alone() -> None:
    kinds = [
        type(build(pre, final_norm=final).final_norm) for pre, final in ((True, True), (True, False), (False, True))
    ]
    assert kinds == [nn.BatchNorm2d, nn.Identity, nn.Identity]
