"""timm's networks by name: its own logits, names of the outputs, refusals in words."""

from __future__ import annotations

import pytest
import timm
import torch

from ablata.base.errors import SettingsError
from ablata.models.classification.timm_model import TimmModel, _stage_names
from ablata.recipes.index import load_recipe


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit", "test_byobnet"])
def test_logits_are_timms(name: str) -> None:
    torch.manual_seed(0)
    model = TimmModel(name=name).build(5).eval()
    x = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        outputs = model(x)
        torch.testing.assert_close(outputs["logits"], model.backbone(x))
    assert outputs["features"].ndim == 2


def test_stages_of_a_pyramid_are_named_by_their_stride() -> None:
    outputs = TimmModel(name="test_resnet").build(5)(torch.randn(2, 3, 64, 64))
    sides = {name: value.shape[-1] for name, value in outputs.items() if value.ndim == 4}
    assert sides == {"stem": 32, "stage1": 16, "stage2": 8, "stage3": 4, "stage4": 2}


@pytest.mark.parametrize(
    ("reductions", "names"),
    [
        ([2, 4, 8, 16, 32], ["stem", "stage1", "stage2", "stage3", "stage4"]),
        ([4, 8, 16, 32], ["stage1", "stage2", "stage3", "stage4"]),
        ([1, 2, 4, 8], ["", "stem", "stage1", "stage2"]),
        ([16, 32, 64], ["stage3", "stage4", "stage5"]),
        ([16, 16, 16], ["stage1", "stage2", "stage3"]),
        ([], []),
    ],
)
def test_names_follow_the_reductions(reductions: list[int], names: list[str]) -> None:
    assert _stage_names(reductions) == names


def test_channels_and_classes_are_the_datas() -> None:
    model = TimmModel(name="test_resnet").build(7, channels=1)
    assert model(torch.randn(2, 1, 32, 32))["logits"].shape == (2, 7)


def test_dropout_and_drop_path_reach_the_network() -> None:
    plain, changed = TimmModel(name="test_vit"), TimmModel(name="test_vit", dropout=0.2, drop_path=0.3)
    assert changed.build(5).backbone.head_drop.p == 0.2
    assert type(plain.build(5).backbone.blocks[-1].drop_path1) is torch.nn.Identity
    assert changed.build(5).backbone.blocks[-1].drop_path1.drop_prob == pytest.approx(0.3)


def test_weights_of_timm_have_its_own_names() -> None:
    settings = TimmModel(name="test_resnet")
    names = settings.build(5).state_dict().keys()
    reference = timm.create_model("test_resnet", num_classes=5).state_dict()
    assert {settings.published_name(name) for name in reference} == set(names)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean resnet18") as caught:
        TimmModel(name="resnet19").build(5)
    assert "model.name=resnet19" in str(caught.value)


def test_a_setting_that_a_network_does_not_take_is_refused() -> None:
    with pytest.raises(SettingsError, match="must take the settings"):
        TimmModel(name="test_resnet", image_size=64).build(5)


def test_a_network_of_timm_asked_for_by_reference_is_told_its_built_in_kind() -> None:
    with pytest.raises(SettingsError) as told:
        load_recipe("digits", ["model=timm:resnet18"])
    assert "model=timm model.name=resnet18" in str(told.value)
    assert "nothing public" not in str(told.value)
