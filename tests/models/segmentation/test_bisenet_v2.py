"""BiSeNetV2: shapes, parameters by arithmetic, groups, one image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.base.settings import expand, restore
from ablata.engine.optim.parameter_groups import Multiplier, ParameterGroups
from ablata.models.segmentation.base import DenseHead
from ablata.models.segmentation.bisenet_v2 import BiSeNetV2
from ablata.nn.upsampling import Bilinear, Transposed

VARIANTS = [
    BiSeNetV2(width=0.125, head=DenseHead(width=8), aux=DenseHead(width=4)),
    BiSeNetV2(width=0.25, expansion=2, head=DenseHead(width=None), aux=None, upsample=Bilinear()),
    BiSeNetV2(width=0.125, head=DenseHead(width=8), logits_upsample=Transposed(), init="torch"),
]


def inputs(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 45, 70, generator=torch.Generator().manual_seed(1))


def test_nineteen_classes_at_1024_are_five_full_logits_in_training_and_one_in_evaluation() -> None:
    with torch.device("meta"):
        model, x = BiSeNetV2().build(19), torch.empty(2, 3, 1024, 1024)
        outputs = model(x)
        full = model.full_size(outputs, (1024, 1024))
        assert {name: tuple(logits.shape) for name, logits in full.items()} == dict.fromkeys(
            ("logits", "aux4", "aux8", "aux16", "aux32"), (2, 19, 1024, 1024)
        )
        strides = {name: 1024 // outputs[name].shape[2] for name in full}
        assert strides == {"logits": 8, "aux4": 2, "aux8": 4, "aux16": 8, "aux32": 16}
        assert set(model.eval().full_size(model(x), (1024, 1024))) == {"logits"}


def cbr(kernel: int, inputs: int, outputs: int) -> int:
    return kernel * kernel * inputs * outputs + 2 * outputs


def depthwise(inputs: int, outputs: int) -> int:
    return 9 * outputs + 2 * outputs


def gather(inputs: int, outputs: int, stride: int) -> int:
    middle = 6 * inputs
    branch = cbr(3, inputs, inputs) + depthwise(inputs, middle) + cbr(1, middle, outputs)
    if stride == 1:
        return branch
    return branch + depthwise(middle, middle) + depthwise(inputs, inputs) + cbr(1, inputs, outputs)


def test_parameters_add_up() -> None:
    detail = cbr(3, 3, 64) + 4 * cbr(3, 64, 64) + cbr(3, 64, 128) + 2 * cbr(3, 128, 128)
    stem = cbr(3, 3, 16) + cbr(1, 16, 8) + cbr(3, 8, 16) + cbr(3, 32, 16)
    stages = gather(16, 32, 2) + gather(32, 32, 1) + gather(32, 64, 2) + gather(64, 64, 1)
    stages += gather(64, 128, 2) + 3 * gather(128, 128, 1)
    context = 2 * 128 + cbr(1, 128, 128) + cbr(3, 128, 128)
    keep = depthwise(128, 128) + 128 * 128
    fusion = 2 * keep + 3 * cbr(3, 128, 128)
    head = cbr(3, 128, 1024) + 1025 * 19
    aux = sum(
        cbr(3, width, 128) + cbr(3, 128, stride**2) + (stride**2 + 1) * 19
        for width, stride in ((16, 4), (32, 8), (64, 16), (128, 32))
    )
    with torch.device("meta"):
        model = BiSeNetV2().build(19)
    assert sum(p.numel() for p in model.parameters()) == detail + stem + stages + context + fusion + head + aux


@pytest.mark.parametrize("settings", VARIANTS)
def test_every_variant_trains_every_parameter_at_any_size(settings: BiSeNetV2) -> None:
    torch.manual_seed(0)
    model = settings.build(5)
    full = model.full_size(model(inputs()), (45, 70))
    assert {tuple(logits.shape) for logits in full.values()} == {(2, 5, 45, 70)}
    torch.stack([logits.square().sum() for logits in full.values()]).sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert restore(BiSeNetV2, expand(settings), source="a test") == settings


@pytest.mark.parametrize("settings", VARIANTS)
def test_the_published_groups_hold_every_parameter_once(settings: BiSeNetV2) -> None:
    model = settings.build(5)
    multipliers = tuple(Multiplier(pattern=pattern, lr=10) for pattern in settings.new_layers())
    groups = ParameterGroups(no_decay_norm_and_bias=True, multipliers=multipliers).build(model, 5e-4)
    names = [name for group in groups for name, _ in group["params"]]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    for group in groups:
        for name, parameter in group["params"]:
            assert (group["weight_decay"] == 5e-4) == (parameter.ndim > 1), name
            assert (group["lr_scale"] == 10) == (name.partition(".")[0] in ("head", "aux")), name


def test_one_image_is_refused_in_training_unless_the_norm_takes_it() -> None:
    small: dict[str, Any] = {"width": 0.125, "head": DenseHead(width=8)}
    with pytest.raises(SettingsError, match="pooled_norm=group"):
        BiSeNetV2(**small).build(5)(inputs(1))
    assert BiSeNetV2(**small, pooled_norm="group").build(5)(inputs(1))["logits"].isfinite().all()
    assert BiSeNetV2(**small).build(5).eval()(inputs(1))["logits"].isfinite().all()


def test_the_groups_have_the_published_codes_sizes() -> None:
    """Parameters that its `get_params` returns (CoinCheung/BiSeNet at 6b4b67a, 19 classes)."""
    with torch.device("meta"):
        model = BiSeNetV2().build(19)
    multipliers = tuple(Multiplier(pattern=pattern, lr=10) for pattern in BiSeNetV2().new_layers())
    sizes: dict[tuple[bool, bool], int] = {}
    for group in ParameterGroups(no_decay_norm_and_bias=True, multipliers=multipliers).build(model, 5e-4):
        key = (group["lr_scale"] == 10, group["weight_decay"] > 0)
        sizes[key] = sizes.get(key, 0) + sum(parameter.numel() for _, parameter in group["params"])
    assert sizes == {(False, True): 2_142_176, (False, False): 15_280, (True, True): 3_068_144, (True, False): 5_887}
