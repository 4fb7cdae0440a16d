"""The frame of convolutional classifiers: what is backbone, how initial weights are drawn."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ablata.models.backbones.base import BackboneModule, PooledClassifier, init_convolutions


class Flat(BackboneModule):
    """Hands its images on as stage 4."""

    def __init__(self) -> None:
        super().__init__()
        self.widths = {"stage4": 3}
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"stage4": self.scale * images}


def test_features_are_the_mean_of_the_head_and_logits_a_linear_map_of_them() -> None:
    head = nn.Conv2d(3, 6, 1)
    model, x = PooledClassifier(Flat(), 4, head, features=6), torch.randn(2, 3, 5, 5)
    outputs = model(x)
    assert list(outputs) == ["stage4", "features", "logits"]
    torch.testing.assert_close(outputs["features"], head(x).mean((2, 3)))
    torch.testing.assert_close(outputs["logits"], model.classifier(outputs["features"]))


def test_names_in_the_state_tell_the_backbone_from_the_rest() -> None:
    parts = {name.partition(".")[0] for name in PooledClassifier(Flat(), 4, nn.Conv2d(3, 6, 1), 6).state_dict()}
    assert parts == {"backbone", "head", "classifier"}


def test_dropout_acts_on_the_logits_in_training_and_leaves_the_features() -> None:
    torch.manual_seed(0)
    model, x = PooledClassifier(Flat(), 4, dropout=0.9), torch.randn(2, 3, 5, 5)
    first, second = model(x), model(x)
    assert torch.equal(first["features"], second["features"])
    assert not torch.equal(first["logits"], second["logits"])


@pytest.mark.parametrize("groups", [1, 8, 64])
def test_convolutions_have_hes_variance_of_their_fan_out_and_no_bias(groups: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 512, 3, groups=groups)
    init_convolutions(conv)
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 512 / groups)), rel=0.03)
    assert not conv.bias.any()
