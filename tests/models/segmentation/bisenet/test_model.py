"""BiSeNet: shapes, names, the operations of the public re-implementation, parameter groups, refusals."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from ablata.base.errors import CheckpointError, SettingsError
from ablata.base.settings import expand, restore
from ablata.engine.optim.parameter_groups import Multiplier, ParameterGroups
from ablata.models.backbones.resnet import ResNet
from ablata.models.backbones.xception39 import Xception39
from ablata.models.segmentation.base import AuxiliaryHead, DenseHead
from ablata.models.segmentation.bisenet.context_path import AttentionRefinement, ContextPath, GlobalContext, Merge
from ablata.models.segmentation.bisenet.feature_fusion import ConcatFusion, FeatureFusion, SumFusion
from ablata.models.segmentation.bisenet.model import BiSeNet, BiSeNetModel
from ablata.models.segmentation.bisenet.published import compat
from ablata.models.segmentation.bisenet.spatial_path import SpatialPath, StagePath
from ablata.nn.pooled_gates import ConvGate, TwoLayerGate
from ablata.nn.upsampling import Bilinear, Nearest, Transposed

TINY = ResNet(depth=18, width=4)
SMALL = SpatialPath(widths=(4, 6, 8), width=8)
HEAD = DenseHead(width=6)
AUX = (
    AuxiliaryHead(stride=8, source="merged", head=HEAD),
    AuxiliaryHead(stride=16, source="merged", head=HEAD),
)


def tiny(**changes: Any) -> BiSeNet:
    parts = {"backbone": TINY, "spatial": SMALL, "context": ContextPath(width=8), "head": HEAD, "aux": AUX}
    return BiSeNet(**{**parts, "fusion": FeatureFusion(width=12), **changes})


def context(**changes: Any) -> dict[str, Any]:
    return {"context": ContextPath(**{"width": 8, **changes})}


VARIANTS: dict[str, BiSeNet] = {
    "default": tiny(),
    "xception": tiny(backbone=Xception39(width=4, blocks=(1, 1, 1))),
    "bottlenecks": tiny(backbone=ResNet(depth=50, width=2)),
    "three 3x3": tiny(spatial=SpatialPath(widths=(4, 6, 8), first="three_3x3", second=5, third=5, last=0)),
    "last 3x3": tiny(spatial=SpatialPath(widths=(4, 6, 8), first="3x3", last=3, width=8)),
    "no spatial path": tiny(spatial=None),
    "stage at 8": tiny(spatial=StagePath()),
    "stage at 8, own width": tiny(spatial=StagePath(width=5)),
    "res2": tiny(spatial=StagePath(stride=4)),
    "sum": tiny(fusion=SumFusion()),
    "concat": tiny(fusion=ConcatFusion()),
    "ffm of stride 2": tiny(fusion=FeatureFusion(width=None, stride=2, kernel=3, project=7)),
    "ffm of two layers": tiny(fusion=FeatureFusion(width=12, gate=TwoLayerGate())),
    "fpn": tiny(**context(levels=(16, 8), refine=AttentionRefinement(kernel=1, gate=None), merge_kernel=3)),
    "fcn skips": tiny(**context(levels=(16, 8), refine=AttentionRefinement(kernel=3, gate=None), after_upsample=0)),
    "concatenation": tiny(merge="concat", **context(after_upsample=0, refine=AttentionRefinement(kernel=0))),
    "concatenation of three": tiny(merge="concat", **context(levels=(16, 8), merge_kernel=1, merge_width=9)),
    "down to 16": tiny(spatial=None, aux=(), **context(stride=16)),
    "straight from 32": tiny(aux=(), **context(levels=())),
    "stays at 32": tiny(spatial=None, aux=(), **context(levels=(), stride=32)),
    "only 8 joins": tiny(aux=(), **context(levels=(8,))),
    "all join at the end": tiny(aux=AUX[:1], **context(merge_at="end")),
    "16 and 32 side by side at 8": tiny(
        aux=(), merge="concat", **context(merge_at="end", after_upsample=0, refine=AttentionRefinement(kernel=0))
    ),
    "three join at the end": tiny(aux=(), **context(merge_at="end", levels=(16, 8), merge_kernel=3, merge_width=9)),
    "a convolution at the end": tiny(**context(after_upsample=0, end_kernel=3)),
    "the end enlarged in its own way": tiny(end_upsample=Bilinear()),
    "bilinear": tiny(upsample=Bilinear()),
    "auxiliary head enlarged in its own way": tiny(
        aux=(AuxiliaryHead(stride=32, head=HEAD, upsample=Transposed(rest=8)),)
    ),
    "hidden 1x1": tiny(head=DenseHead(width=6, hidden_kernel=1)),
    "gates in blocks": tiny(backbone=ResNet(depth=18, width=4, attention=ConvGate())),
    "transposed": tiny(upsample=Transposed(), logits_upsample=Transposed(steps="doubling")),
    "no average": tiny(**context(average=None)),
    "mean alone": tiny(**context(average=GlobalContext(form="mean"))),
    "mean of features": tiny(**context(average=GlobalContext(form="mean", position="features"))),
    "average times features": tiny(
        **context(average=GlobalContext(form="conv_sigmoid", join="multiply", position="features"))
    ),
    "average behind the merge": tiny(**context(average=GlobalContext(form="conv", position="merged"))),
    "average as a level": tiny(**context(average=GlobalContext(position="level"))),
    "gate with relu": tiny(**context(refine=AttentionRefinement(gate=ConvGate(activation="relu")))),
    "gate without norm": tiny(**context(refine=AttentionRefinement(gate=ConvGate(norm=False)))),
    "gate first, as residual": tiny(**context(refine=AttentionRefinement(gate_first=True, residual=True))),
    "refined seen": tiny(
        aux=(AuxiliaryHead(stride=16, source="refined", head=HEAD), AuxiliaryHead(stride=32, head=HEAD))
    ),
    "classify at full size": tiny(head=DenseHead(width=6, dropout=0.1, upsample_at="before_classifier")),
    "head at full size": tiny(head=DenseHead(width=None, kernel=3, upsample_at="before_head")),
    "doubled head": tiny(head=DenseHead(width=6, double=True)),
    "doubled head, enlarged inside": tiny(head=DenseHead(width=6, double=True, upsample_at="before_classifier")),
    "group": tiny(norm="group", pooled_norm="none"),
    "kept norm": tiny(train_backbone_norm=False),
}


def make(settings: BiSeNet, classes: int = 5) -> BiSeNetModel:
    torch.manual_seed(0)
    return settings.build(classes)


def inputs(height: int = 64, width: int = 96, count: int = 2) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_nineteen_classes_at_1024_are_three_full_logits_in_training_and_one_in_evaluation() -> None:
    with torch.device("meta"):
        model, x = BiSeNet().build(19), torch.empty(2, 3, 1024, 1024)
        full = model.full_size(model(x), (1024, 1024))
        assert {name: tuple(logits.shape) for name, logits in full.items()} == dict.fromkeys(
            ("logits", "aux8", "aux16"), (2, 19, 1024, 1024)
        )
        full = model.eval().full_size(model(x), (1024, 1024))
        assert {name: tuple(logits.shape) for name, logits in full.items()} == {"logits": (2, 19, 1024, 1024)}


def test_logits_stay_at_the_strides_of_their_heads() -> None:
    with torch.device("meta"):
        outputs = BiSeNet().build(19)(torch.empty(2, 3, 1024, 512))
    strides = {"logits": 8, "aux8": 8, "aux16": 16, "spatial": 8, "refined32": 32, "refined16": 16, "merged16": 16}
    for name, stride in (strides | {"stage1": 4}).items():
        assert outputs[name].shape[2:] == (1024 // stride, 512 // stride), name
    assert outputs["average"].shape == (2, 128, 1, 1)


def test_every_variant_trains_every_parameter_at_any_size(subtests: pytest.Subtests) -> None:
    for variant, settings in VARIANTS.items():
        with subtests.test(variant=variant):
            model, x = make(settings), inputs(45, 70)
            full = model.full_size(model(x), (45, 70))
            assert set(full) == {"logits"} | {f"aux{head.stride}" for head in settings.aux}
            assert {tuple(logits.shape) for logits in full.values()} == {(2, 5, 45, 70)}
            torch.stack([(logits * torch.randn_like(logits)).sum() for logits in full.values()]).sum().backward()
            for name, parameter in model.named_parameters():
                assert (parameter.grad is not None) == parameter.requires_grad, name


def test_settings_survive_being_written_down(subtests: pytest.Subtests) -> None:
    for variant, settings in VARIANTS.items():
        with subtests.test(variant=variant):
            assert restore(BiSeNet, expand(settings), source="a test") == settings


def test_the_published_groups_hold_every_parameter_once(subtests: pytest.Subtests) -> None:
    for variant, settings in VARIANTS.items():
        with subtests.test(variant=variant):
            model = make(settings)
            multipliers = tuple(Multiplier(pattern=pattern, lr=10) for pattern in settings.new_layers())
            groups = ParameterGroups(no_decay_norm_and_bias=True, multipliers=multipliers).build(model, 5e-4)
            names = [name for group in groups for name, _ in group["params"]]
            assert sorted(names) == sorted(name for name, p in model.named_parameters() if p.requires_grad)
            for group in groups:
                for name, parameter in group["params"]:
                    assert (group["weight_decay"] == 5e-4) == (parameter.ndim > 1 and not name.endswith("bias")), name
                    assert (group["lr_scale"] == 10) == (name.partition(".")[0] in ("fusion", "head", "aux")), name


def test_every_variant_differs_from_the_default() -> None:
    shapes, x = {}, inputs()
    for name, settings in VARIANTS.items():
        if name != "kept norm":
            with torch.no_grad():
                shapes[name] = make(settings).eval()(x)["logits"]
    default = shapes.pop("default")
    same = [name for name, logits in shapes.items() if logits.shape == default.shape and torch.equal(logits, default)]
    assert set(same) == {"refined seen", "auxiliary head enlarged in its own way"}, "which differ in training alone"


class Reference:
    """The published operations, written from their description, on the weights of our model."""

    def __init__(self, model: nn.Module) -> None:
        self.state = dict(model.state_dict())

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), stride, weight.shape[-1] // 2)

    def norm(self, x: Tensor, name: str) -> Tensor:
        parts = [self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *parts)

    def cbr(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        return self.norm(self.conv(x, f"{name}.conv", stride), f"{name}.norm").relu()

    def pooled(self, x: Tensor, name: str) -> Tensor:
        return self.norm(self.conv(x.mean((2, 3), keepdim=True), f"{name}.0"), f"{name}.1")

    def refined(self, x: Tensor, name: str) -> Tensor:
        x = self.cbr(x, f"{name}.conv")
        return x * self.pooled(x, f"{name}.gate.layers").sigmoid()

    def head(self, x: Tensor, name: str, size: tuple[int, int]) -> Tensor:
        logits = self.conv(self.cbr(x, f"{name}.hidden"), f"{name}.classifier")
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)

    def __call__(self, x: Tensor, stages: dict[str, Tensor]) -> dict[str, Tensor]:
        size = (x.shape[2], x.shape[3])
        for index, stride in enumerate((2, 2, 2, 1)):
            x = self.cbr(x, f"spatial.{index}", stride)
        deepest = stages["stage4"]
        up = self.refined(deepest, "context.refine.32") + self.pooled(deepest, "context.average.layers").relu()
        cp16 = self.cbr(F.interpolate(up, scale_factor=2), "context.after.16")
        up = self.refined(stages["stage3"], "context.refine.16") + cp16
        cp8 = self.cbr(F.interpolate(up, scale_factor=2), "context.after.8")
        fused = self.cbr(torch.cat([x, cp8], 1), "fusion.conv")
        fused = fused * self.pooled(fused, "fusion.gate.layers").sigmoid() + fused
        return {
            "logits": self.head(fused, "head", size),
            "aux8": self.head(cp8, "aux.aux8", size),
            "aux16": self.head(cp16, "aux.aux16", size),
        }


def test_the_default_form_does_the_published_operations() -> None:
    model, x = make(tiny(), 7), inputs()
    with torch.no_grad():
        for _ in range(3):
            model(x)
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                # Training mode for the auxiliary heads' sake, all normalisation as in evaluation.
                module.eval()
        outputs = model(x)
        torch.testing.assert_close(model.full_size(outputs, (64, 96)), Reference(model)(x, outputs))


def test_one_image_is_refused_in_training_and_taken_in_evaluation() -> None:
    model, x = make(tiny()), inputs(count=1)
    with pytest.raises(SettingsError, match="pooled_norm=group"):
        model(x)
    assert set(model.eval()(x)) >= {"logits"}


@pytest.mark.parametrize("pooled_norm", ["group", "none"])
def test_one_image_trains_with_another_pooled_norm(pooled_norm: str) -> None:
    assert make(tiny(pooled_norm=pooled_norm))(inputs(count=1))["logits"].isfinite().all()


def test_a_kept_normalisation_neither_learns_nor_counts() -> None:
    model = make(tiny(train_backbone_norm=False)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(inputs())
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not any(name.startswith("backbone.") for name in changed)


def test_pretrained_weights_of_the_backbone_alone_are_taken(tmp_path: Any) -> None:
    donor = TINY.build(10)
    torch.save(donor.state_dict(), tmp_path / "donor.pt")
    backbone = ResNet(depth=18, width=4, weights=str(tmp_path / "donor.pt"), weights_part="backbone")
    settings = tiny(backbone=backbone)
    model = make(settings)
    settings.load_into(model)
    for name, value in donor.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], value), name


def test_weights_of_the_whole_network_are_taken_and_of_other_classes_refused(tmp_path: Any) -> None:
    donor = make(tiny(), classes=10)
    torch.save(donor.state_dict(), tmp_path / "donor.pt")
    settings = tiny(weights=str(tmp_path / "donor.pt"))
    model = make(settings, classes=10)
    settings.load_into(model)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in donor.state_dict().items())
    with pytest.raises(CheckpointError, match=r"10 classes in .*donor\.pt.*, 7 in the data"):
        settings.model_copy(update={"weights_part": "full"}).load_into(make(settings, classes=7))


def published_names(ffm: str) -> set[str]:
    """Return the names of the public re-implementation's state, its ResNet apart."""
    units = [f"sp.{name}" for name in ("conv1", "conv2", "conv3", "conv_out")]
    units += [f"cp.{name}" for name in ("arm16.conv", "arm32.conv", "conv_head32", "conv_head16", "conv_avg")]
    units += ["ffm.convblk", "conv_out.conv", "conv_out16.conv", "conv_out32.conv"]
    norms = [f"{unit}.bn" for unit in units] + ["cp.arm16.bn_atten", "cp.arm32.bn_atten"]
    names = {f"{unit}.conv.weight" for unit in units} | {f"cp.arm{stride}.conv_atten.weight" for stride in (16, 32)}
    names |= {f"{head}.conv_out.weight" for head in ("conv_out", "conv_out16", "conv_out32")}
    if ffm == "conv":
        norms.append("ffm.bn")
        names |= {"ffm.conv.weight", *(f"{head}.conv_out.bias" for head in ("conv_out", "conv_out16", "conv_out32"))}
    else:
        names |= {"ffm.conv1.weight", "ffm.conv2.weight"}
    parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return names | {f"{norm}.{part}" for norm in norms for part in parts}


@pytest.mark.parametrize("ffm", ["conv", "two_layers"])
def test_names_of_the_public_re_implementation_are_understood(ffm: Literal["conv", "two_layers"]) -> None:
    settings = compat(ffm)
    with torch.device("meta"):
        own = set(settings.build(19).state_dict())
    translated = [settings.published_name(name) for name in published_names(ffm)]
    assert sorted(str(name) for name in translated) == sorted(n for n in own if not n.startswith("backbone."))
    assert settings.published_name("cp.resnet.layer2.0.downsample.0.weight") in own


def test_parts_that_do_not_fit_are_refused_in_words(subtests: pytest.Subtests) -> None:
    for change, words in [
        (lambda: tiny(**context(stride=16)), "context.stride must be 8"),
        (lambda: tiny(backbone=ResNet(last_stage="dilated")), "last_stage must be stride"),
        (lambda: tiny(aux=AUX[:1] * 2), "at most one head a stride"),
        (lambda: tiny(aux=(AuxiliaryHead(stride=4, source="merged"),)), r"strides \[8, 16\], found 4"),
        (lambda: tiny(aux=(AuxiliaryHead(stride=8, source="refined"),)), "found 8"),
        (lambda: tiny(backbone=ResNet(weights="a.pt", weights_part="full")), "must be auto or backbone"),
        (lambda: ContextPath(levels=(8, 16)), "levels must go up"),
        (lambda: ContextPath(levels=(16, 8), stride=16), "at most that of the last level"),
        (lambda: ContextPath(levels=(), merge_at="end"), "merge_at=end needs levels"),
        (lambda: tiny(end_upsample=Nearest(), **context(levels=(16, 8))), "end_upsample needs"),
        (lambda: tiny(end_upsample=Nearest(), aux=(), **context(merge_at="end")), "end_upsample needs"),
        (lambda: tiny(**context(merge_at="end")), r"strides \[8\], found 16"),
        (lambda: tiny(**context(refine=AttentionRefinement(kernel=0))), "merge=sum needs equal widths"),
        (lambda: ContextPath(average=GlobalContext(form="mean", position="level")), "needs a convolution"),
        (lambda: ContextPath(merge_width=64), "needs merge_kernel"),
        (lambda: DenseHead(double=True, upsample_at="before_head"), "double needs"),
        (lambda: SpatialPath(widths=(0, 1, 1)), "at least 1"),
    ]:
        with subtests.test(change=change, words=words), pytest.raises(ValidationError, match=words):
            change()


def test_a_sum_of_unequal_paths_is_refused_with_both_widths() -> None:
    with pytest.raises(SettingsError, match="8 channels of detail, 16 of context"):
        make(tiny(fusion=SumFusion(), **context(width=16)))


def test_nearest_merging_and_bilinear_merging_have_the_same_weights() -> None:
    states = [make(tiny(upsample=way)).state_dict() for way in (Nearest(), Bilinear())]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


@pytest.mark.parametrize("merge", ["sum", "concat"])
def test_levels_that_join_at_the_end_come_there_straight(merge: Merge) -> None:
    settings = context(merge_at="end", after_upsample=0, average=None)
    model, x = make(tiny(merge=merge, aux=(), **settings)).eval(), inputs()
    with torch.no_grad():
        outputs = model(x)
    maps = [F.interpolate(outputs[f"refined{stride}"], (8, 12)) for stride in (32, 16)]
    assert torch.equal(outputs["merged8"], maps[0])
    assert torch.equal(outputs["context"], maps[0] + maps[1] if merge == "sum" else torch.cat(maps, 1))


def test_with_nearest_values_and_no_convolutions_it_does_not_matter_where_levels_join() -> None:
    stepwise, straight = (
        make(tiny(aux=(), **context(merge_at=where, after_upsample=0))).eval() for where in ("levels", "end")
    )
    with torch.no_grad():
        torch.testing.assert_close(stepwise(inputs())["context"], straight(inputs())["context"])


def test_the_average_multiplies_before_the_convolution_that_ends_the_path() -> None:
    average = GlobalContext(form="mean", join="multiply", position="merged")
    model, x = make(tiny(aux=(), **context(after_upsample=0, average=average, end_kernel=3))).eval(), inputs()
    with torch.no_grad():
        outputs = model(x)
        merged = outputs["merged8"]
        torch.testing.assert_close(
            outputs["context"], model.context.end(merged * merged.mean((2, 3), keepdim=True)), rtol=1e-5, atol=1e-6
        )


def test_the_groups_have_the_published_codes_sizes() -> None:
    """Parameters that its `get_params` returns (CoinCheung/BiSeNet at 6b4b67a, 19 classes)."""
    with torch.device("meta"):
        model = BiSeNet().build(19)
    multipliers = tuple(Multiplier(pattern=pattern, lr=10) for pattern in BiSeNet().new_layers())
    sizes: dict[tuple[bool, bool], int] = {}
    for group in ParameterGroups(no_decay_norm_and_bias=True, multipliers=multipliers).build(model, 5e-4):
        key = (group["lr_scale"] == 10, group["weight_decay"] > 0)
        sizes[key] = sizes.get(key, 0) + sum(parameter.numel() for _, parameter in group["params"])
    assert sizes == {(False, True): 12_536_192, (False, False): 12_032, (True, True): 875_648, (True, False): 1_849}
