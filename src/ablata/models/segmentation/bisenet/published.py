"""BiSeNet as it was published, and the ladder that leads to it, as settings.

Sources: Yu et al. 2018, arXiv 1808.00897, with its authors' code (TorchSeg); the public re-implementation
CoinCheung/BiSeNet, before and after its fusion module changed; the ladder is that of the table of its notes.

No tensor passes here, so there are no shapes; those are in model.py.
"""

from __future__ import annotations

from typing import Literal, get_args

from ablata.models.backbones.resnet import ResNet
from ablata.models.backbones.xception39 import Xception39
from ablata.models.segmentation.base import AuxiliaryHead, DenseHead
from ablata.models.segmentation.bisenet.context_path import AttentionRefinement, ContextPath, GlobalContext
from ablata.models.segmentation.bisenet.feature_fusion import FeatureFusion, SumFusion
from ablata.models.segmentation.bisenet.model import BiSeNet
from ablata.models.segmentation.bisenet.spatial_path import SpatialPath
from ablata.nn.pooled_gates import TwoLayerGate
from ablata.nn.upsampling import Bilinear

Rung = Literal["fcn", "upsample_first", "fcn_head", "u_shape", "spatial_path", "ffm", "arm", "average"]
"""Steps of the ladder, each with all that came before."""


def paper(backbone: ResNet | Xception39 | None = None) -> BiSeNet:
    """Return the form of the paper's authors: bilinear merging with aligned corners, two-layer gate in the fusion.

    Args:
        backbone: network of the context path; None: ResNet-18.
    """
    corners = Bilinear(align_corners=True)
    return BiSeNet(
        backbone=backbone or ResNet(depth=18),
        upsample=corners,
        fusion=FeatureFusion(gate=TwoLayerGate(reduction=1, norm=True)),
        head=DenseHead(width=64),
        aux=(
            AuxiliaryHead(stride=8, source="merged", head=DenseHead(width=256)),
            AuxiliaryHead(stride=16, source="merged", head=DenseHead(width=256)),
        ),
        logits_upsample=corners,
        init="kaiming_relu",
    )


def compat(ffm: Literal["conv", "two_layers"] = "conv") -> BiSeNet:
    """Return the form of the public re-implementation.

    Args:
        ffm: gate of the fusion module; conv: the present code; two_layers: the first, whose heads have no biases
            and whose logits are enlarged with aligned corners.
    """
    if ffm == "conv":
        return BiSeNet()
    aux = tuple(
        head.model_copy(update={"head": DenseHead(width=64, bias=False)})
        for head in BiSeNet.model_fields["aux"].default
    )
    return BiSeNet(
        fusion=FeatureFusion(gate=TwoLayerGate()),
        head=DenseHead(bias=False),
        aux=aux,
        logits_upsample=Bilinear(align_corners=True),
    )


def ladder(rung: Rung, backbone: ResNet | Xception39 | None = None) -> BiSeNet:
    """Return a step of the ladder; each step changes one part of the one before.

    fcn: logits from 1/32 by one convolution; upsample_first: the map at 1/8 first; fcn_head: a 3x3 convolution, dropout
    and a classifier; u_shape: 1/16 joins by concatenation and a convolution to 512 channels; spatial_path: added;
    ffm: the fusion module instead of the sum; arm: a gate on each stage; average: the image's mean.

    Args:
        rung: how far.
        backbone: network of the context path; None: ResNet-18.
    """
    height = get_args(Rung).index(rung)

    def from_rung(name: Rung) -> bool:
        return height >= get_args(Rung).index(name)

    u_shape = from_rung("u_shape")
    fcn_head = DenseHead(width=256, dropout=0.1)
    gate = AttentionRefinement().gate if from_rung("arm") else None
    average = GlobalContext(form="conv_sigmoid", join="multiply", position="features")
    context = ContextPath(
        width=512,
        levels=(16,) if u_shape else (),
        stride=8 if from_rung("upsample_first") else 32,
        refine=AttentionRefinement(kernel=0, gate=gate, gate_first=gate is not None),
        average=average if from_rung("average") else None,
        after_upsample=0,
        merge_kernel=3 if u_shape else 0,
    )
    strides: tuple[Literal[16, 32], ...] = (16, 32) if u_shape else (16,) if from_rung("fcn_head") else ()
    return BiSeNet(
        backbone=backbone or ResNet(depth=18),
        spatial=SpatialPath(widths=(32, 128, 512), width=512) if from_rung("spatial_path") else None,
        context=context,
        merge="concat",
        fusion=FeatureFusion(width=1024) if from_rung("ffm") else SumFusion(),
        head=fcn_head if from_rung("fcn_head") else DenseHead(width=None),
        aux=tuple(AuxiliaryHead(stride=stride, head=fcn_head) for stride in strides),
    )
