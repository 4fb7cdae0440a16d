"""The network for digits learns them."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ablata.models.classification.digits_net import DigitsNet


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_the_defaults_learn_the_handwritten_digits(norm: str) -> None:
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(digits.target)
    train, test = (torch.tensor(part) for part in train_test_split(range(1797), stratify=labels, random_state=0))
    torch.manual_seed(0)
    model = DigitsNet(norm=norm).build(10)
    steps = 15 * (len(train) // 64)
    optimiser = torch.optim.SGD(model.parameters(), 0.1, 0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        picked = train[torch.randint(len(train), (64,))]
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(images[picked])["logits"], labels[picked]).backward()
        optimiser.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(images[test])["logits"].argmax(1) == labels[test]).double().mean().item()
    assert accuracy > 0.96
