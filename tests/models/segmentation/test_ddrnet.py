"""DDRNet: published parameter counts, shapes, names of the authors' states, one image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ablata.base.errors import SettingsError
from ablata.engine.optim.parameter_groups import Multiplier, ParameterGroups
from ablata.models.segmentation.base import DenseHead
from ablata.models.segmentation.ddrnet import DDRNet

FULL = DDRNet(width=64, head=DenseHead(width=128), aux=DenseHead(width=128))
SMALL = DDRNet(width=4, pool_width=4, head=DenseHead(width=4), aux=DenseHead(width=4))


def test_parameters_are_those_of_the_authors_code() -> None:
    # Counted of DualResNet with 19 classes in ydhongHIT/DDRNet, with `augment` and without.
    published = {DDRNet(): (5_734_342, 5_695_987), FULL: (20_299_366, 20_148_947)}
    with torch.device("meta"):
        for settings, counts in published.items():
            models = (settings.build(19), settings.model_copy(update={"aux": None}).build(19))
            assert tuple(sum(p.numel() for p in model.parameters()) for model in models) == counts


def test_every_parameter_is_trained_at_sizes_that_64_does_not_divide() -> None:
    torch.manual_seed(0)
    model = SMALL.build(5, channels=4)
    outputs = model(torch.randn(2, 4, 75, 130))
    shapes = {name: tuple(outputs[name].shape[1:]) for name in ("detail5", "context", "fused", "aux8")}
    assert shapes == {"detail5": (8, 10, 17), "context": (16, 2, 3), "fused": (16, 10, 17), "aux8": (5, 10, 17)}
    full = model.full_size(outputs, (75, 130))
    assert {name: tuple(logits.shape) for name, logits in full.items()} == dict.fromkeys(
        ("logits", "aux8"), (2, 5, 75, 130)
    )
    sum(logits.square().mean() for logits in full.values()).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert "aux8" not in model.eval()(torch.randn(1, 4, 20, 30))


def test_a_batch_of_one_image_needs_another_norm_of_means() -> None:
    with pytest.raises(SettingsError, match="two images a batch"):
        SMALL.build(3)(torch.randn(1, 3, 128, 128))
    with pytest.raises(SettingsError, match="more than 64 pixels"):
        SMALL.build(3)(torch.randn(1, 3, 64, 64))
    for height, width in ((32, 32), (32, 480)):
        with pytest.raises(SettingsError, match=rf"more than 32 pixels high and wide.*\n.*{height}x{width}"):
            SMALL.build(3)(torch.randn(8, 3, height, width))
    SMALL.model_copy(update={"pooled_norm": "none"}).build(3)(torch.randn(1, 3, 128, 128))


NAMES = {
    "conv1.3.weight": "stem.3.weight",
    "layer1.0.conv2.weight": "stage1.0.branch.1.conv.weight",
    "layer5.0.bn3.bias": "stage5.0.branch.2.norm.bias",
    "layer4_.1.bn1.weight": "detail4.1.branch.0.norm.weight",
    "layer5_.0.downsample.1.running_mean": "detail5.0.shortcut.1.running_mean",
    "compression3.0.weight": "to_detail3.0.weight",
    "down4.3.weight": "to_context4.3.weight",
    "spp.scale0.2.weight": "pool.reduce.0.2.weight",
    "spp.scale4.3.weight": "pool.reduce.4.3.weight",
    "spp.process1.2.weight": "pool.refine.0.2.weight",
    "spp.compression.0.weight": "pool.compression.0.weight",
    "final_layer.bn1.weight": "head_norm.weight",
    "final_layer.conv1.weight": "head.hidden.conv.weight",
    "final_layer.bn2.bias": "head.hidden.norm.bias",
    "final_layer.conv2.bias": "head.classifier.bias",
    "seghead_extra.bn1.weight": "aux_norm.weight",
    "seghead_extra.conv2.weight": "aux.aux8.classifier.weight",
    "model.layer2.0.downsample.0.weight": "stage2.0.shortcut.0.weight",
}


def test_names_of_the_authors_states_are_translated() -> None:
    own = SMALL.build(3).state_dict()
    for theirs, ours in NAMES.items():
        assert (SMALL.published_name(theirs), ours in own) == (ours, True), theirs


def test_weights_of_a_classifier_of_images_fill_all_but_pooling_and_heads(tmp_path: Path) -> None:
    source = SMALL.build(3)
    state = {name: tensor for name, tensor in source.state_dict().items() if SMALL.is_of_backbone(name, source)}
    torch.save(state | {"linear.weight": torch.zeros(1000, 8)}, tmp_path / "imagenet.pth")
    settings = SMALL.model_copy(update={"weights": str(tmp_path / "imagenet.pth")})
    model = settings.build(5)
    settings.load_into(model)
    assert torch.equal(model.detail5[0].branch[0].conv.weight, source.detail5[0].branch[0].conv.weight)  # type: ignore[union-attr,index]
    assert not torch.equal(model.pool.compression[2].weight, source.pool.compression[2].weight)


def test_the_groups_hold_every_parameter_once() -> None:
    model = SMALL.build(3)
    multipliers = tuple(Multiplier(pattern=pattern, lr=10) for pattern in SMALL.new_layers())
    groups = ParameterGroups(no_decay_norm_and_bias=True, multipliers=multipliers).build(model, 5e-4)
    names = {name: group["lr_scale"] for group in groups for name, _ in group["params"]}
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    assert {name.partition(".")[0] for name in names if names[name] == 10} == {
        *("pool", "head", "head_norm", "aux", "aux_norm")
    }
