"""Mixup and CutMix against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from ablata.data.transforms.mixup_cutmix import Cutmix, MixPlan, Mixup, MixupOrCutmix, apply_plan, draw_plan
from ablata.structures.batch import ImageBatch, Rows

SIZE = (10, 13)


def _batch(rows: int = 8) -> ImageBatch:
    index = torch.arange(rows)
    images = torch.rand(rows, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    return ImageBatch(images, index % 5, index, Rows(0, rows))


def _plan(mix: Mixup | Cutmix | MixupOrCutmix, seed: int = 0, rows: int = 8, epoch: int = 0) -> MixPlan:
    plan = draw_plan(seed, mix, rows, SIZE, epoch)
    assert plan is not None
    return plan


def test_mixup_equals_its_definition() -> None:
    for pairing in ("permutation", "reversed"):
        for weight in ("batch", "sample"):
            batch, plan = _batch(), _plan(Mixup(alpha=1.0, lam=weight, pairing=pairing))  # type: ignore[arg-type]
            mixed = apply_plan(batch, plan)
            assert mixed.mixing is not None
            for row in range(8):
                own, partner = plan.lam[row], plan.partner[row]
                expected = own * batch.images[row] + (1 - own) * batch.images[partner]
                assert torch.allclose(mixed.images[row], expected, atol=1e-6)
                assert mixed.mixing.labels_b[row] == batch.labels[partner]
            assert len(plan.lam.unique()) == (1 if weight == "batch" else 8)
            if pairing == "reversed":
                assert plan.partner.tolist() == list(range(7, -1, -1))
            else:
                assert sorted(plan.partner.tolist()) == list(range(8))


def test_the_weight_of_cutmix_is_the_share_of_own_pixels() -> None:
    for weight in ("batch", "sample"):
        for box in ("centered", "corners"):
            index = torch.arange(8)
            marked = index.float().view(-1, 1, 1, 1).expand(-1, 3, *SIZE)
            for seed in range(40):
                plan = _plan(Cutmix(lam=weight, box=box, pairing="reversed"), seed)  # type: ignore[arg-type]
                mixed = apply_plan(ImageBatch(marked, index, index, Rows(0, 8)), plan)
                own = (mixed.images == marked).float().mean(dim=(1, 2, 3))
                assert torch.allclose(own, plan.lam, atol=1e-6)
                pasted = mixed.images != marked
                assert torch.equal(mixed.images[pasted], marked.flip(0)[pasted])


def test_boxes_lie_inside_the_image_and_reach_its_borders() -> None:
    boxes = _plan(Cutmix(lam="sample"), rows=4000).box
    assert boxes is not None
    top, left, bottom, right = boxes.unbind(1)
    assert int(top.min()) == int(left.min()) == 0
    assert int(bottom.max()) == SIZE[0]
    assert int(right.max()) == SIZE[1]
    assert torch.all(bottom >= top)
    assert torch.all(right >= left)


def test_weights_follow_the_beta_distribution() -> None:
    for alpha in (0.2, 1.0, 2.0):
        weights = _plan(Mixup(alpha=alpha, lam="sample"), rows=4000).lam.double().numpy()
        assert stats.kstest(weights, stats.beta(alpha, alpha).cdf).pvalue > 0.001


def test_the_own_image_can_have_the_larger_weight() -> None:
    weights = _plan(Mixup(alpha=0.4, lam="sample", larger=True), rows=500).lam
    assert torch.all(weights >= 0.5)


def test_mixing_stops_at_its_epoch() -> None:
    mix = Mixup(until_epoch=3)
    assert draw_plan(0, mix, 8, SIZE, 2) is not None
    assert draw_plan(0, mix, 8, SIZE, 3) is None
    assert not MixupOrCutmix(mixup=mix, cutmix=Cutmix(until_epoch=2)).active(3)


def test_both_switches_with_its_probability() -> None:
    pasted = [_plan(MixupOrCutmix(switch=0.3), seed).box is not None for seed in range(2000)]
    assert float(np.mean(pasted)) == pytest.approx(0.3, abs=0.035)


def test_a_share_of_the_batches_is_mixed() -> None:
    mixed = [draw_plan(seed, Mixup(probability=0.6), 8, SIZE, 0) is not None for seed in range(2000)]
    assert float(np.mean(mixed)) == pytest.approx(0.6, abs=0.035)


def test_a_weight_of_one_changes_nothing() -> None:
    batch = _batch()
    plan = MixPlan(torch.arange(8).flip(0), torch.ones(8), None, "losses")
    mixed = apply_plan(batch, plan)
    assert torch.equal(mixed.images, batch.images)
    assert mixed.mixing is not None
    assert mixed.mixing.mix_target == "losses"


def test_mixing_a_part_of_the_global_batch_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="all 8 rows"):
        apply_plan(_batch(4), _plan(Mixup()))
