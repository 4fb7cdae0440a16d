"""Maps of the likeliest class: those of the scores, without scores of the image's size."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.models.segmentation.base import DenseHead, Segmenter
from ablata.nn.upsampling import Bilinear, Nearest, Transposed, Upsampling
from ablata.tasks.segmentation import argmax as class_maps
from ablata.tasks.segmentation.argmax import argmax_upsampled, predict_labels
from ablata.tasks.segmentation.protocols import protocol_settings
from ablata.tasks.segmentation.sliding_window import score

CORNERS = Bilinear(align_corners=True)


class Toy(Segmenter):
    """Five logits of each 8x8 pixels of two channels."""

    least = 16

    def __init__(self, upsampling: Upsampling, upsample_at: str = "after") -> None:
        super().__init__()
        torch.manual_seed(0)
        head = DenseHead(width=None, upsample_at=upsample_at)  # type: ignore[arg-type]
        self.head = head.build(2, 5, "batch", upsampling, 8)
        self.aux = nn.ModuleDict()
        self.eval()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        size = (images.shape[2], images.shape[3])
        return {"logits": self.head(F.avg_pool2d(images, 8, ceil_mode=True), size)}


def inputs(height: int = 40, width: int = 56) -> Tensor:
    return 8 * torch.randn(2, 2, height, width, generator=torch.Generator().manual_seed(1))


def scores(network: Segmenter, images: Tensor, name: str) -> Tensor:
    def logits(views: Tensor) -> Tensor:
        return network.full_size(network(views), (views.shape[-2], views.shape[-1]))["logits"]

    return score(logits, images, protocol_settings(name))


def test_a_map_is_the_largest_of_the_scores(monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests) -> None:
    names = ["ss", "ss+multiple=1", "ss+scales=[0.5]", "ss+size=[48,32]", "msf", "ss+mirror=true"]
    upsamplings = [Bilinear(), CORNERS, Nearest(), Transposed(init="bilinear")]
    for name, upsampling, rows in itertools.product(names, upsamplings, [1, 7, 1000]):
        with subtests.test(name=name, upsampling=str(upsampling), rows=rows):
            monkeypatch.setattr(class_maps, "rows_per_chunk", lambda *_, rows=rows: rows)
            network, images = Toy(upsampling), inputs()
            found = predict_labels(network, images, protocol_settings(name), 5)
            expected = scores(network, images, name)
            assert found.dtype == torch.uint8
            assert len(found.unique()) > 2
            # Where two scores are equal but for rounding, either may be named.
            torch.testing.assert_close(
                expected.gather(1, found[:, None].long())[:, 0], expected.amax(1), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("upsample_at", ["before_classifier", "before_head"])
def test_logits_that_the_head_enlarges_are_taken_as_they_are(upsample_at: str) -> None:
    network, images = Toy(Bilinear(), upsample_at), inputs()
    assert network.head.resize is None
    found = predict_labels(network, images, protocol_settings("ss+multiple=1"), 5)
    assert torch.equal(found.long(), scores(network, images, "ss+multiple=1").argmax(1))


def test_a_class_that_is_not_predicted_is_left_out() -> None:
    network, images = Toy(Bilinear()), inputs()
    with torch.no_grad():
        assert network.head.classifier.bias is not None
        network.head.classifier.bias[4] += 20
    for name in ("ss", "msf"):
        assert set(predict_labels(network, images, protocol_settings(name), 5).unique().tolist()) == {4}
        found = predict_labels(network, images, protocol_settings(name), 4).long()
        assert torch.equal(found, scores(network, images, name)[:, :4].argmax(1))


def test_short_floats_are_enlarged_in_float32_under_autocast_too() -> None:
    logits = torch.randn(1, 5, 6, 7, generator=torch.Generator().manual_seed(2)).bfloat16()
    steps = [(Bilinear().build(5, 8), (48, 56))]
    expected = F.interpolate(logits.float(), (48, 56), mode="bilinear").argmax(1)
    assert torch.equal(argmax_upsampled(logits, steps).long(), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(argmax_upsampled(logits, steps).long(), expected)


def test_the_first_of_equal_logits_is_named() -> None:
    assert not argmax_upsampled(torch.ones(1, 3, 2, 2), [(Nearest().build(3, 2), (4, 4))]).any()


def test_more_classes_than_a_byte_holds_are_named_too() -> None:
    logits = torch.zeros(1, 300, 1, 1)
    logits[0, 299] = 1
    assert argmax_upsampled(logits, [(Nearest().build(300, 8), (8, 8))]).unique().tolist() == [299]


def test_a_view_smaller_than_the_network_takes_is_refused() -> None:
    with pytest.raises(SettingsError, match="12x56"):
        predict_labels(Toy(Bilinear()), inputs(12), protocol_settings("ss+multiple=1"), 5)
