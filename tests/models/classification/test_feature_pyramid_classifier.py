"""The classifier over three stages: each way of merging by hand, and whose weights are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors.torch import save_file

from ablata.models.backbones.resnet import ResNet
from ablata.models.classification.feature_pyramid_classifier import PyramidClassifier, PyramidModel

BACKBONE = ResNet(depth=18, width=4)


def built(**changes: Any) -> PyramidModel:
    torch.manual_seed(0)
    return PyramidClassifier(backbone=BACKBONE, width=6, **changes).build(5).eval()


def levels(model: PyramidModel) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    outputs = model(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    return outputs, [outputs[name] for name in ("stage2", "stage3", "stage4")]


@torch.no_grad()
def test_pool_sum_adds_the_means_of_the_projected_levels() -> None:
    model = built()
    outputs, maps = levels(model)
    expected = sum(level(x).mean((2, 3)) for level, x in zip(model.neck.levels, maps, strict=True))
    torch.testing.assert_close(outputs["features"], expected)


@torch.no_grad()
@pytest.mark.parametrize("kernel", [1, 3])
def test_nearest_sum_and_concat_work_at_the_largest_level(kernel: int) -> None:
    for merge in ("nearest_sum", "nearest_concat"):
        model = built(merge=merge, kernel=kernel)
        outputs, maps = levels(model)
        placed = [F.interpolate(level(x), size=(8, 8)) for level, x in zip(model.neck.levels, maps, strict=True)]
        merged = torch.cat(placed, 1) if merge == "nearest_concat" else sum(placed)
        assert model.neck.last.conv.kernel_size == (kernel, kernel)
        torch.testing.assert_close(outputs["features"], model.neck.last(merged).mean((2, 3)))


@torch.no_grad()
def test_down_sum_shrinks_the_larger_levels_step_by_step() -> None:
    model = built(merge="down_sum")
    assert [len(down) for down in model.neck.downs] == [2, 1, 0]
    outputs, maps = levels(model)
    parts = zip(model.neck.downs, model.neck.levels, maps, strict=True)
    shrunk = [down(level(x)) for down, level, x in parts]
    assert {part.shape[2:] for part in shrunk} == {torch.Size((2, 2))}
    torch.testing.assert_close(outputs["features"], model.neck.last(sum(shrunk)).mean((2, 3)))


@pytest.mark.parametrize(("heads", "channels"), [(True, 3 * 6), (False, 8 + 16 + 32)])
def test_joined_levels_have_the_channels_of_heads_or_stages(heads: bool, channels: int) -> None:
    assert built(merge="nearest_concat", level_heads=heads).neck.last.conv.in_channels == channels


def test_the_backbone_alone_can_come_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(7)
    other = BACKBONE.build(9)
    save_file(other.state_dict(), tmp_path / "resnet.safetensors")
    backbone = BACKBONE.model_copy(update={"weights": str(tmp_path / "resnet.safetensors"), "weights_part": "backbone"})
    settings = PyramidClassifier(backbone=backbone, width=6)
    model = settings.build(5)
    settings.load_into(model)
    state = other.backbone.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.backbone.state_dict().items())


def test_a_backbones_classifier_is_refused() -> None:
    with pytest.raises(ValidationError, match="weights_part must be auto or backbone"):
        PyramidClassifier(backbone=ResNet(weights="some.safetensors", weights_part="full"))
