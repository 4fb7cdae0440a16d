"""Cross-entropy and Lovasz-softmax together."""

from __future__ import annotations

import torch

from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.losses.segmentation.lovasz import CrossEntropyLovasz, Lovasz


def test_it_is_the_weighted_sum_of_both_in_value_and_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    labels = torch.randint(3, (2, 8, 10), generator=generator)
    labels[0, :2] = 255
    parts = PixelCrossEntropy(weights=(1.0, 2.0, 3.0)), Lovasz(classes="all")
    joint = CrossEntropyLovasz(cross_entropy=parts[0], lovasz=parts[1], cross_entropy_weight=0.5, lovasz_weight=2.0)
    expected = 0.5 * parts[0].build()(logits, labels) + 2 * parts[1].build()(logits, labels)
    found = joint.build()(logits, labels)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, logits)[0], torch.autograd.grad(expected, logits)[0])
    assert CrossEntropyLovasz().build()(logits, torch.full_like(labels, 255)).item() == 0
