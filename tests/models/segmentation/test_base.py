"""Heads over maps: where the image's size comes, and how weights are drawn."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.models.segmentation.base import DenseHead, Init, Segmenter, init_weights
from ablata.nn.projection import Projection
from ablata.nn.upsampling import Bilinear, Nearest


def test_logits_have_the_maps_size_until_the_step_that_enlarges_them() -> None:
    head, x = DenseHead(width=8).build(4, 5, "batch", Bilinear(), 8), torch.randn(2, 4, 3, 4)
    logits = head(x, (24, 32))
    assert logits.shape == (2, 5, 3, 4)
    expected = F.interpolate(logits, (24, 32), mode="bilinear", align_corners=False)
    assert torch.equal(head.full_size(logits, (24, 32)), expected)


@pytest.mark.parametrize("where", ["before_classifier", "before_head"])
def test_a_head_that_enlarges_inside_leaves_nothing_to_do(where: Literal["before_classifier", "before_head"]) -> None:
    head, x = DenseHead(width=8, upsample_at=where).build(4, 5, "batch", Bilinear(), 8), torch.randn(2, 4, 3, 4)
    logits = head(x, (23, 31))
    assert logits.shape == (2, 5, 23, 31)
    assert head.full_size(logits, (23, 31)) is logits


def test_with_nearest_values_a_1x1_classifier_may_come_before_or_after() -> None:
    after = DenseHead(width=None).build(4, 5, "batch", Nearest(), 8)
    before = DenseHead(width=None, upsample_at="before_head").build(4, 5, "batch", Nearest(), 8)
    before.load_state_dict(after.state_dict())
    x = torch.randn(2, 4, 3, 4)
    torch.testing.assert_close(after.full_size(after(x, (24, 32)), (24, 32)), before(x, (24, 32)))


def test_width_null_leaves_the_classifier_alone() -> None:
    shapes = [tuple(p.shape) for p in DenseHead(width=None, kernel=3).build(4, 5, "none", Nearest(), 8).parameters()]
    assert shapes == [(5, 4, 3, 3), (5,)]


def test_the_hidden_convolution_can_be_1x1() -> None:
    head = DenseHead(width=6, hidden_kernel=1).build(4, 5, "batch", Nearest(), 8)
    assert next(head.parameters()).shape == (6, 4, 1, 1)


def test_a_doubled_head_convolves_at_twice_the_size() -> None:
    head, x = DenseHead(width=8, double=True).build(4, 5, "batch", Bilinear(), 16), torch.randn(2, 4, 3, 4)
    logits = head(x, (48, 64))
    assert logits.shape == (2, 5, 6, 8)
    assert head.classifier.in_channels == 16**2
    assert head.full_size(logits, (48, 64)).shape == (2, 5, 48, 64)


@pytest.mark.parametrize(
    ("init", "variance"), [("kaiming", 1 / 576), ("kaiming_relu", 2 / 576), ("kaiming_out", 2 / 1152)]
)
def test_weights_are_drawn_with_the_variance_of_their_name(init: Init, variance: float) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 128, 3)
    init_weights(conv, init)
    assert conv.weight.var().item() == pytest.approx(variance, rel=0.03)
    assert conv.bias is not None
    assert not conv.bias.any()


def test_torch_leaves_weights_as_they_are() -> None:
    conv = nn.Conv2d(4, 4, 3)
    before = conv.weight.clone()
    init_weights(conv, "torch")
    assert torch.equal(conv.weight, before)


def test_a_head_can_be_as_wide_as_what_comes_in_and_drop_whole_channels() -> None:
    torch.manual_seed(0)
    head = DenseHead(width="input", dropout=0.5, dropout_of="channels").build(6, 5, "batch", Bilinear(), 8)
    assert head.classifier.in_channels == 6
    dropped = head.train().dropout(torch.ones(4, 6, 3, 3))
    assert set(dropped.mean((2, 3)).flatten().tolist()) == {0.0, 2.0}


class Small(Segmenter):
    """A network of one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.least = nn.Conv2d(3, 4, 1), 8
        self.head = DenseHead(width=None).build(4, 5, "batch", Bilinear(), 1)
        self.aux = nn.ModuleDict()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        size = (images.shape[2], images.shape[3])
        self.refuse_small(size)
        outputs = {"features": self.conv(images)}
        outputs["logits"] = self.head(outputs["features"], size)
        self._add_for_training(outputs, {}, size)
        return outputs


def test_an_embedding_is_there_in_training_alone_and_changes_no_name_of_the_network() -> None:
    network, images = Small(), torch.randn(2, 3, 8, 8)
    before = set(network.state_dict())
    assert "embedding" not in network.train()(images)
    network.projection = Projection(width=6).build(4)
    assert network.train()(images)["embedding"].shape == (2, 6, 8, 8)
    assert "embedding" not in network.eval()(images)
    assert before == {name for name in network.state_dict() if not name.startswith("projection.")}


def test_images_below_the_smallest_size_are_refused_in_words() -> None:
    with pytest.raises(SettingsError, match="at least 8 pixels high and wide") as caught:
        Small()(torch.randn(1, 3, 9, 7))
    assert "9x7 (height x width)" in str(caught.value)
