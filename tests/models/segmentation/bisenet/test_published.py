"""The published forms: their sizes and costs, and the ladder's steps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest
import torch

from ablata.base.settings import diff
from ablata.engine.hardware.complexity import Complexity, count
from ablata.models.backbones.resnet import ResNet
from ablata.models.backbones.xception39 import Xception39
from ablata.models.segmentation.bisenet.published import Rung, compat, ladder, paper

MIB = 2**20


def cost(settings: Any, height: int = 360, width: int = 640) -> Complexity:
    """Count the model that remains in use: without auxiliary heads."""
    with torch.device("meta"):
        return count(settings.model_copy(update={"aux": ()}).build(19), torch.empty(1, 3, height, width))


def cbr(kernel: int, inputs: int, outputs: int) -> int:
    return kernel * kernel * inputs * outputs + 2 * outputs


def test_parameters_of_the_public_re_implementation_add_up() -> None:
    resnet18 = 11_176_512
    spatial = cbr(7, 3, 64) + 2 * cbr(3, 64, 64) + cbr(1, 64, 128)
    refined = cbr(3, 512, 128) + cbr(3, 256, 128) + 2 * cbr(1, 128, 128)
    context = refined + cbr(1, 512, 128) + 2 * cbr(3, 128, 128)
    fusion = cbr(1, 256, 256) + cbr(1, 256, 256)
    heads = cbr(3, 256, 256) + 257 * 19 + 2 * (cbr(3, 128, 64) + 65 * 19)
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in compat().build(19).parameters())
    assert parameters == resnet18 + spatial + context + fusion + heads == 13_425_721


def test_the_two_fusion_modules_cannot_read_each_other() -> None:
    with torch.device("meta"):
        new, old = compat().build(19), compat("two_layers").build(19)
    keys = {name for name in new.state_dict() if name.startswith("fusion.gate")}
    assert keys != {name for name in old.state_dict() if name.startswith("fusion.gate")}
    assert not any(name.endswith("classifier.bias") for name in old.state_dict())
    with pytest.raises(RuntimeError, match=r"fusion\.gate"):
        new.load_state_dict(old.state_dict(), assign=True)


@pytest.mark.parametrize(
    ("settings", "mebibytes", "flops"),
    [
        (ladder("fcn", Xception39()), 1.2, 185.5e6),
        (ladder("fcn", ResNet(depth=18)), 42.7, 8.3e9),
        (paper(Xception39()), 5.8, 2.9e9),
        (paper(ResNet(depth=18)), 49.0, 10.8e9),
    ],
    ids=["Xception39", "Res18", "BiSeNet1", "BiSeNet2"],
)
def test_sizes_and_costs_are_near_the_papers(settings: Any, mebibytes: float, flops: float) -> None:
    """The paper's "parameters" are mebibytes of single precision: 42.7 is ResNet-18 with its 11.2 million."""
    found = cost(settings)
    assert found.parameters * 4 / MIB == pytest.approx(mebibytes, rel=0.02)
    assert found.flops == pytest.approx(flops, rel=0.08)


def test_every_rung_changes_the_one_before_and_costs_no_less() -> None:
    rungs = [ladder(rung) for rung in get_args(Rung)]
    for before, after in pairwise(rungs):
        assert diff(before, after)
        assert cost(after, 128, 256).flops >= cost(before, 128, 256).flops


def test_the_ladder_ends_where_its_notes_say() -> None:
    with torch.device("meta"):
        outputs = {rung: ladder(rung).build(19)(torch.empty(2, 3, 128, 256)) for rung in get_args(Rung)}
    strides = {rung: 128 // found["logits"].shape[2] for rung, found in outputs.items()}
    assert strides == dict.fromkeys(get_args(Rung), 8) | {"fcn": 32}
    assert [rung for rung in outputs if "spatial" in outputs[rung]] == ["spatial_path", "ffm", "arm", "average"]
    assert [rung for rung in outputs if "aux32" in outputs[rung]] == list(get_args(Rung))[3:]
    assert outputs["ffm"]["fused"].shape[1] == 1024
    assert outputs["u_shape"]["context"].shape[1] == 512
