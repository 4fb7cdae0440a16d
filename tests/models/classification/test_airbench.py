"""The airbench network: size, whitening, what is frozen, how it starts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ablata.models.classification.airbench import Airbench, AirbenchModel, whitening_filters


def smooth_images(count: int = 64) -> Tensor:
    """Images whose neighbouring pixels and channels are correlated, as in photographs."""
    noise = torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    return (noise + 0.8 * noise.mean(1, keepdim=True) + 2 * noise.roll(1, -1) + 2 * noise.roll(1, -2))[..., 1:, 1:]


def patches_of(images: Tensor, kernel: int) -> Tensor:
    """Cut [N, C k k] patches one by one."""
    side = images.shape[-1] - kernel + 1
    places = [(y, x) for y in range(side) for x in range(side)]
    return torch.cat([images[:, :, y : y + kernel, x : x + kernel].flatten(1) for y, x in places])


def test_it_has_the_parameters_of_the_public_network() -> None:
    model = Airbench().build(10)
    # 24 filters of 2x2x3 and biases; six convolutions; six norms of weight and bias; classifier without bias.
    convolutions = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    expected = 24 * 12 + 24 + convolutions + 2 * (2 * 64 + 4 * 256) + 2560
    assert sum(value.numel() for value in model.parameters()) == expected == 1_972_792


def test_shapes_are_those_of_the_legend() -> None:
    outputs = Airbench(widths=(4, 6, 8)).build(10)(torch.randn(2, 3, 32, 32))
    assert {name: tuple(value.shape[1:]) for name, value in outputs.items()} == {
        "stem": (24, 31, 31),
        "stage1": (4, 15, 15),
        "stage2": (6, 7, 7),
        "stage3": (8, 3, 3),
        "features": (8,),
        "logits": (10,),
    }


@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_whitened_patches_are_uncorrelated_and_of_unit_power(kernel: int) -> None:
    images = smooth_images()
    filters = whitening_filters(images, kernel, 1e-9)
    found = patches_of(images, kernel) @ filters.flatten(1).T
    torch.testing.assert_close(found.T @ found / len(found), torch.eye(3 * kernel**2), atol=2e-4, rtol=0)


def test_weak_directions_are_held_back_by_eps() -> None:
    images, eps = smooth_images(), 0.3
    patches = patches_of(images, 2).double()
    power = torch.linalg.eigvalsh(patches.T @ patches / len(patches)).flip(0)
    found = patches @ whitening_filters(images, 2, eps).flatten(1).T.double()
    torch.testing.assert_close(found.square().mean(0), power / (power + eps), atol=1e-4, rtol=0)


def test_the_first_layer_starts_with_both_signs_of_the_whitening_filters_and_stays() -> None:
    model = Airbench(widths=(4, 4, 4)).build(10)
    assert model.init_images == 5000
    model.init_from_images(smooth_images())
    positive, negative = model.whiten.weight.chunk(2)
    assert torch.equal(positive, -negative)
    assert torch.equal(positive, whitening_filters(smooth_images(), 2, 5e-4))
    assert not model.whiten.weight.requires_grad
    assert model.whiten.bias.requires_grad


def test_without_whitening_the_first_layer_is_trained_and_asks_for_no_images() -> None:
    model = Airbench(whitening=False).build(10)
    assert model.init_images == 0
    assert model.whiten.weight.requires_grad


def test_norms_train_a_bias_and_a_weight_only_where_asked() -> None:
    def trained(model: AirbenchModel) -> set[str]:
        return {name for name, value in model.named_parameters() if ".norm" in name and value.requires_grad}

    biases = {f"stage{stage}.norm{norm}.bias" for stage in (1, 2, 3) for norm in (1, 2)}
    assert trained(Airbench().build(10)) == biases
    assert trained(Airbench(norm_weight=True).build(10)) == biases | {name[:-4] + "weight" for name in biases}


def test_convolutions_start_by_handing_their_channels_on() -> None:
    stage = Airbench(widths=(32, 8, 8)).build(10).stage1
    images = torch.randn(2, 24, 8, 8)
    torch.testing.assert_close(stage.conv1(images)[:, :24], images)
    assert not torch.equal(stage.conv1.weight[24:], torch.zeros_like(stage.conv1.weight[24:]))
    plain = Airbench(widths=(32, 8, 8), dirac=False).build(10).stage1
    assert plain.conv1.weight[0].count_nonzero() == 24 * 9


def test_scales_of_classifier_and_logits() -> None:
    settings = Airbench(widths=(4, 4, 64), head_std=1.0, logit_scale=0.5)
    model = settings.build(10)
    assert model.head.weight.std().item() == pytest.approx(1)
    outputs = model(torch.randn(2, 3, 32, 32))
    torch.testing.assert_close(outputs["logits"], 0.5 * outputs["features"] @ model.head.weight.T)
