"""BiSeNet: a semantic segmentation network of a spatial path and a context path.

Source: Yu et al. 2018, arXiv 1808.00897. Every part is a setting; published.py holds the sets
that were published. The defaults are those of the public re-implementation (CoinCheung/BiSeNet).

Shapes: B batch, C channels of the image, H and W its sides, P, D' as in the paths' files, F width of the fusion, u
its stride over 1/8 (1 or 2), K classes. A side at stride s is ceil(H / s): a size that 32 does not divide is handled.

    input      [B, C, H, W]               fused    [B, F, H/8u, W/8u]
    spatial    [B, P, H/8, W/8]           logits   [B, K, H/8u, W/8u]   at the head's own stride, see `full_size`
    context    [B, D', H/8, W/8]          aux<s>   [B, K, H/s, W/s]     in training only

The backbone's outputs (stem, stage1 to stage4) and those of the context path are returned by name too.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import model_validator
from torch import Tensor, nn

from ablata.base.parts import NamedPart
from ablata.models.backbones.any import AnyBackbone
from ablata.models.backbones.base import BackboneModule, BackboneUser
from ablata.models.backbones.resnet import ResNet
from ablata.models.segmentation.base import AuxiliaryHead, DenseHead, Init, Segmenter, SegmenterSettings, init_weights
from ablata.models.segmentation.bisenet.context_path import ContextPath, ContextPathModule, Merge
from ablata.models.segmentation.bisenet.feature_fusion import AnyFusion, FeatureFusion
from ablata.models.segmentation.bisenet.spatial_path import STAGES, AnySpatial, SpatialPath
from ablata.nn.conv_norm_act import NormName
from ablata.nn.upsampling import Bilinear, Nearest, Upsampling


class BiSeNet(BackboneUser, SegmenterSettings):
    """BiSeNet, or any step of the ladder that leads to it."""

    kind: Literal["bisenet"] = "bisenet"
    backbone: AnyBackbone = ResNet(depth=18)
    """Network of the context path; its own weights come from `model.backbone.weights`."""
    train_backbone_norm: bool = True
    """Whether the backbone's normalisation learns; if not, its statistics and weights stay as they were loaded."""
    spatial: AnySpatial | None = SpatialPath()
    """Path for detail; null: the head sees the context path alone."""
    context: ContextPath = ContextPath()
    """Path for context."""
    merge: Merge = "sum"
    """How the context path's levels join what comes from below."""
    upsample: Upsampling = Nearest()
    """How the context path's maps get to the next level that joins."""
    end_upsample: Upsampling | None = None
    """How its map gets from the last level to the path's end; null: as `upsample` says."""
    fusion: AnyFusion = FeatureFusion()
    """How both paths become one map; not used without a spatial path."""
    head: DenseHead = DenseHead()
    """Layers from the map to logits."""
    aux: tuple[AuxiliaryHead, ...] = (
        AuxiliaryHead(stride=8, source="merged", head=DenseHead(width=64)),
        AuxiliaryHead(stride=16, source="merged", head=DenseHead(width=64)),
    )
    """Heads there in training alone, at most one a stride."""
    logits_upsample: Upsampling = Bilinear()
    """How logits get to the image's size, those of an auxiliary head unless it says so itself."""
    norm: NormName | NamedPart = "batch"
    """Normalisation outside the backbone."""
    pooled_norm: NormName | NamedPart = "batch"
    """Normalisation of means over the image; batch refuses a batch of one image in training, the others take it."""
    init: Init = "kaiming"
    """Distribution of initial weights outside the backbone."""

    @model_validator(mode="after")
    def _fits_together(self) -> BiSeNet:
        if isinstance(self.backbone, ResNet) and self.backbone.last_stage != "stride":
            raise ValueError("backbone.last_stage must be stride: the context path counts on 1/32")
        if isinstance(self.backbone, ResNet) and self.backbone.stem_stride != 4:
            raise ValueError("backbone.stem must be 7x7, deep or 3x3_s2_pool: the context path counts on 1/32")
        ends = self.context.stride not in (32, *self.context.levels)
        if self.end_upsample is not None and (self.context.merge_at == "end" or not ends):
            raise ValueError("end_upsample needs context.merge_at=levels and a last level deeper than context.stride")
        if self.spatial is not None and self.context.stride != 8:
            raise ValueError("context.stride must be 8 where there is a spatial path, which ends there")
        if self.merge == "sum":
            self.context.refuse_sum()
        strides = [head.stride for head in self.aux]
        if len(set(strides)) < len(strides):
            raise ValueError("aux: at most one head a stride")
        levels = (32, *self.context.levels)
        for head in self.aux:
            if head.source == "refined" and head.stride not in levels:
                raise ValueError(f"aux: source=refined has strides {levels}, found {head.stride}")
            on_the_way = self.context.levels if self.context.merge_at == "levels" else ()
            merged = set(on_the_way) | ({self.context.stride} - {32})
            if head.source == "merged" and head.stride not in merged:
                raise ValueError(f"aux: source=merged has strides {sorted(merged)}, found {head.stride}")
        return self

    def build(self, classes: int, channels: int = 3) -> BiSeNetModel:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return BiSeNetModel(self, classes, channels)

    def published_name(self, name: str) -> str | None:
        """Translate a name of the public re-implementation's states, with either fusion module, to ours."""
        inner = re.sub(r"^cp\.resnet\.", "", name)
        if inner != name:
            return self.backbone.published_name(inner)
        for pattern, ours in _PUBLISHED:
            name = re.sub(pattern, ours, name)
        return name

    def new_layers(self) -> tuple[str, ...]:
        """Return patterns of the parameters that the published code trains at ten times the rate: fusion and heads.

        Each fits a parameter, and none fits two; for `ParameterGroups.multipliers`, with no decay of norm and bias.
        """
        fusion = ("fusion.*",) if self.spatial is not None and isinstance(self.fusion, FeatureFusion) else ()
        return (*fusion, "head.*", *(("aux.*",) if self.aux else ()))


_PUBLISHED = (
    (r"^sp\.conv(\d)\.", lambda found: f"spatial.{int(found[1]) - 1}."),
    (r"^sp\.conv_out\.", "spatial.3."),
    (r"^cp\.arm(\d+)\.conv_atten\.", r"context.refine.\1.gate.layers.0."),
    (r"^cp\.arm(\d+)\.bn_atten\.", r"context.refine.\1.gate.layers.1."),
    (r"^cp\.arm(\d+)\.", r"context.refine.\1."),
    (r"^cp\.conv_head32\.", "context.after.16."),
    (r"^cp\.conv_head16\.", "context.after.8."),
    (r"^cp\.conv_avg\.conv\.", "context.average.layers.0."),
    (r"^cp\.conv_avg\.bn\.", "context.average.layers.1."),
    (r"^ffm\.convblk\.", "fusion.conv."),
    (r"^ffm\.conv1?\.", "fusion.gate.layers.0."),
    (r"^ffm\.bn\.", "fusion.gate.layers.1."),
    (r"^ffm\.conv2\.", "fusion.gate.layers.2."),
    (r"^(conv_out\d*)\.conv\.", r"\1.hidden."),
    (r"^(conv_out\d*)\.conv_out\.", r"\1.classifier."),
    (r"^conv_out\.", "head."),
    (r"^conv_out16\.", "aux.aux8."),
    (r"^conv_out32\.", "aux.aux16."),
    (r"\.bn\.", ".norm."),
)
"""Applied in this order; the re-implementation calls its heads at 1/8 and 1/16 16 and 32."""


class BiSeNetModel(Segmenter):
    """The network; see the head of the file for its shapes.

    Args:
        settings: parts and variants.
        classes: K.
        channels: C.
    """

    def __init__(self, settings: BiSeNet, classes: int, channels: int) -> None:
        super().__init__()
        self.backbone: BackboneModule = settings.backbone.build_backbone(channels)
        self.learns_norm = settings.train_backbone_norm
        norms = (settings.norm, settings.pooled_norm)
        upsample = (settings.upsample, settings.end_upsample or settings.upsample)
        self.stages = self._stages(settings)
        widths = {**self.backbone.widths, **{stage: self.backbone.widths[name] for stage, name in self.stages.items()}}
        self.context = ContextPathModule(settings.context, widths, norms, settings.merge, upsample)
        init_weights(self.context, settings.init)
        spatial = settings.spatial
        self.from_stage = None if spatial is None or isinstance(spatial, SpatialPath) else STAGES[spatial.stride]
        self.spatial: nn.Module | None = None
        self.embedded = "context" if spatial is None else "fused"
        self.fusion: nn.Module | None = None
        width, stride = self.context.outputs, int(settings.context.stride)
        if spatial is not None:
            self.spatial = spatial.build(channels, widths, norms[0])
            inputs = (spatial.outputs(widths), width)
            self.fusion = settings.fusion.build(inputs, norms)
            width, stride = settings.fusion.outputs(inputs), stride * settings.fusion.step()
            init_weights(self.spatial, settings.init)
            init_weights(self.fusion, settings.init)
        self.head = settings.head.build(width, classes, norms[0], settings.logits_upsample, stride)
        init_weights(self.head, settings.init)
        self.aux = nn.ModuleDict()
        self.sources: dict[str, str] = {}
        widths |= self.context.widths
        for extra in settings.aux:
            source = STAGES[extra.stride] if extra.source == "features" else f"{extra.source}{extra.stride}"
            name = f"aux{extra.stride}"
            self.sources[name] = source
            enlarged = extra.upsample or settings.logits_upsample
            self.aux[name] = extra.head.build(widths[source], classes, norms[0], enlarged, extra.stride)
        init_weights(self.aux, settings.init)
        if not self.learns_norm:
            for module in self._backbone_norms():
                module.requires_grad_(False)
        self.train()

    def _stages(self, settings: BiSeNet) -> dict[str, str]:
        """Return the backbone's maps by stage1 to stage4, of those strides that are used.

        Raises:
            SettingsError: the backbone has no map of such a stride.
        """
        strides: set[int] = {32, settings.context.stride, *settings.context.levels}
        strides |= {extra.stride for extra in settings.aux if extra.source == "features"}
        if settings.spatial is not None and not isinstance(settings.spatial, SpatialPath):
            strides.add(settings.spatial.stride)
        return {STAGES[stride]: self.backbone.at_stride(stride) for stride in sorted(strides)}

    def train(self, mode: bool = True) -> BiSeNetModel:
        """Switch between training and evaluation; a backbone normalisation that does not learn stays in evaluation."""
        super().train(mode)
        if not self.learns_norm:
            for module in self._backbone_norms():
                module.eval()
        return self

    def _backbone_norms(self) -> list[nn.Module]:
        return [module for module in self.backbone.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, W] to the named outputs.

        Raises:
            SettingsError: in training, one image with pooled_norm=batch.
        """
        size = (images.shape[2], images.shape[3])
        outputs: dict[str, Tensor] = dict(self.backbone(images))
        outputs |= {stage: outputs[name] for stage, name in self.stages.items()}
        outputs.update(self.context(outputs))
        fused = outputs["context"]
        if self.spatial is not None and self.fusion is not None:
            seen = images if self.from_stage is None else outputs[self.from_stage]
            outputs["spatial"] = self.spatial(seen)
            fused = outputs["fused"] = self.fusion(outputs["spatial"], fused)
        outputs["logits"] = self.head(fused, size)
        self._add_for_training(outputs, {name: outputs[source] for name, source in self.sources.items()}, size)
        return outputs
