"""Frozen parameters: they stay bit for bit, their normalisation too; later epochs let them learn, resumed exactly."""

from __future__ import annotations

import pytest
import torch

from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.engine.freezing import Frozen
from ablata.engine.optim.parameter_groups import ParameterGroups, layer_depths
from ablata.models.backbones.resnet import ResNet
from ablata.recipes.index import load_recipe


def test_what_is_frozen_stays_in_evaluation_mode_and_learns_later() -> None:
    model = ResNet(depth=18, width=4).build(3)
    frozen = Frozen(model, ["backbone"], 2)
    frozen.at(0)
    model.train()
    frozen.keep_still()
    assert not model.backbone.training
    assert model.classifier.training
    assert {name for name, one in model.named_parameters() if one.requires_grad} == {
        "classifier.weight",
        "classifier.bias",
    }
    frozen.at(2)
    assert model.backbone.stage1.training
    assert all(one.requires_grad for one in model.parameters())


def test_patterns_that_fit_nothing_or_everything_are_refused() -> None:
    model = ResNet(depth=18, width=4).build(3)
    with pytest.raises(SettingsError, match="'backbon' fits none"):
        Frozen(model, ["backbon"], None)
    with pytest.raises(SettingsError, match="leave something to learn"):
        Frozen(model, ["*"], None)
    with pytest.raises(SettingsError, match="freeze_epochs needs freeze"):
        override(load_recipe("digits"), ["freeze_epochs=1"])


def test_layers_learn_the_slower_the_nearer_they_are_to_the_image() -> None:
    model = ResNet(depth=18, width=4).build(3)
    depths = layer_depths(model)
    assert depths["backbone.stage4.1.units.1.conv.weight"] == 1
    assert depths["backbone.stage4.0.units.1.conv.weight"] == 2
    assert depths["backbone.stage1.0.units.1.conv.weight"] == 8
    assert max(depths.values()) == depths["backbone.stem.convs.0.weight"]
    assert "classifier.weight" not in depths
    groups = ParameterGroups(layer_decay=0.5).build(model, 0.1)
    scales = {name: group["lr_scale"] for group in groups for name, _ in group["params"]}
    assert scales["classifier.weight"] == 1
    assert scales["backbone.stage4.0.units.1.conv.weight"] == 0.25
    assert torch.isclose(torch.tensor(scales["backbone.stage1.0.units.1.conv.weight"]), torch.tensor(0.5**8))
