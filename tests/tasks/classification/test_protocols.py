"""Scoring protocols against their definition, view by view."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.v2.functional import ten_crop

from ablata.data.io.eval_crop import DEFAULT, EvalCrop
from ablata.tasks.classification.protocols import PROTOCOLS, eval_crop, predict


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 7, 5))


def inputs() -> Tensor:
    return torch.randn(6, 3, 8, 9, generator=torch.Generator().manual_seed(1))


def test_plain_is_the_network_itself() -> None:
    net = network()
    assert torch.equal(predict(net, inputs(), "plain"), net(inputs()))


def test_mirror_does_not_tell_an_image_from_its_mirror_image() -> None:
    net, images = network(), inputs()
    torch.testing.assert_close(predict(net, images, "mirror"), predict(net, images.flip(-1), "mirror"))
    torch.testing.assert_close(predict(net, images, "mirror"), (net(images) + net(images.flip(-1))) / 2)


def test_mirror_translate_weighs_six_views() -> None:
    net, images = network(), inputs()
    padded = functional.pad(images, (1, 1, 1, 1), "reflect")
    views = {(1, 1): 0.5, (0, 0): 0.25, (2, 2): 0.25}
    expected = sum(
        share * (net(view) + net(view.flip(-1))) / 2
        for (top, left), share in views.items()
        for view in [padded[..., top : top + 8, left : left + 9]]
    )
    torch.testing.assert_close(predict(net, images, "mirror_translate"), expected)


def test_ten_crop_is_the_mean_probability_over_the_ten_views_of_torchvision() -> None:
    net, images = network(), torch.randn(6, 3, 12, 13, generator=torch.Generator().manual_seed(2))
    views = ten_crop(images, [8, 9])
    expected = torch.stack([net(view).softmax(1) for view in views]).mean(0)
    torch.testing.assert_close(predict(net, images, "ten_crop", (8, 9)).exp(), expected)


def test_ten_crop_of_certain_and_wrong_views_stays_finite() -> None:
    logits = torch.tensor([[500.0, -500.0]])
    assert (
        predict(lambda view: logits.expand(len(view), 2), torch.zeros(1, 3, 4, 4), "ten_crop", (2, 2)).isfinite().all()
    )


def test_each_protocol_looks_at_its_own_part_of_the_image() -> None:
    parts = {protocol: eval_crop(protocol) for protocol in PROTOCOLS}
    assert {protocol for protocol, part in parts.items() if part == DEFAULT} == {"plain", "mirror", "mirror_translate"}
    assert parts["center_0.95"] == EvalCrop(ratio=0.95)
    assert len(set(parts.values())) == len(PROTOCOLS) - 2


@pytest.mark.parametrize("protocol", ["plain", "mirror", "mirror_translate"])
def test_shares_add_up_to_one(protocol: str) -> None:
    constant = predict(lambda images: torch.full((len(images), 5), 3.0), inputs(), protocol)
    torch.testing.assert_close(constant, torch.full((6, 5), 3.0))
