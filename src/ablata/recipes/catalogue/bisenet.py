"""BiSeNet (Yu et al. 2018, arXiv 1808.00897; version 2 2020, arXiv 2004.02147), and DDRNet (Hong et al. 2021, arXiv
2101.06085) beside it: the class of every pixel, fast.

The recipes for Cityscapes begin with a backbone trained on ImageNet where they are given its file:
`model.backbone.weights=FILE model.backbone.weights_part=backbone`. Without it they train from nothing, and score less.
"""

from __future__ import annotations

from ablata.data.segmentation.camvid import CamVid
from ablata.data.segmentation.cityscapes import Cityscapes
from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.data.transforms.color_jitter import ColorJitter
from ablata.data.transforms.normalization import IMAGENET_MEAN, IMAGENET_STD
from ablata.data.transforms.segmentation import Crop, JointAugment, ScaleList, ScaleRange
from ablata.engine.optim.optimisers import AdamW, Sgd
from ablata.engine.optim.parameter_groups import ParameterGroups
from ablata.engine.optim.schedules import Poly, Warmup
from ablata.engine.recipe import Compute, Train
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.losses.segmentation.ohem import Ohem
from ablata.models.backbones.resnet import ResNet
from ablata.models.segmentation.base import DenseHead
from ablata.models.segmentation.bisenet.context_path import ContextPath
from ablata.models.segmentation.bisenet.feature_fusion import FeatureFusion
from ablata.models.segmentation.bisenet.model import BiSeNet
from ablata.models.segmentation.bisenet.published import compat, ladder, paper
from ablata.models.segmentation.bisenet.spatial_path import SpatialPath
from ablata.models.segmentation.bisenet_v2 import BiSeNetV2
from ablata.models.segmentation.ddrnet import DDRNet
from ablata.nn.upsampling import Bilinear
from ablata.tasks.segmentation.sliding_window import SlidingWindow
from ablata.tasks.segmentation.task import Segment

_NO_DECAY = ParameterGroups(no_decay_norm_and_bias=True)
_WARMUP = Warmup(form="exponential", length=1000, unit="step", start=0.1)


def bisenet_cityscapes() -> Segment:
    """BiSeNet of ResNet-18 on Cityscapes as the notes trained it to their best score, 78.90 under mscf.

    Command: ablata train bisenet_cityscapes data.root=FOLDER model.backbone.weights=FILE
        model.backbone.weights_part=backbone
    Expected: not measured; the notes have 78.90 and, of trainings that differ little, 78.13 to 78.63
    Time: not measured; made for GPUs
    Source: the notes for rate, decay, length, warm-up, mining, groups and the crop of 960; its strengths of jitter, its
        scales and its first form of the network (bias-free heads, corners aligned) from CoinCheung/BiSeNet, old/
    """
    corners = Bilinear(align_corners=True)
    jitter = ColorJitter(brightness=0.5, contrast=0.5, saturation=0.5)
    scales = ScaleList(values=(0.75, 1.0, 1.25, 1.5, 1.75, 2.0))
    return Segment(
        data=Cityscapes(
            augment=JointAugment(
                flip=True, scale=scales, crop=Crop(height=960, width=960), border="zero", color_jitter=jitter
            ),
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
        ),
        model=compat("two_layers").model_copy(update={"upsample": corners}),
        loss=Ohem(definition="count_all"),
        new_layers_lr=10,
        train=Train(steps=80_000, batch=16, evaluate_every=54, evaluate_batch=1),
        optim=Sgd(lr=1e-2, momentum=0.9, weight_decay=5e-4, groups=_NO_DECAY),
        schedule=Poly(warmup=Warmup(form="exponential", length=1000, unit="step", start=1e-5, start_unit="lr")),
        protocols=("mscf", "ss"),
        sliding_window=SlidingWindow(stride=5 / 6),
    )


def bisenet_cityscapes_paper() -> Segment:
    """BiSeNet of ResNet-18 on Cityscapes as its paper trains it, where the paper says how.

    Command: ablata train bisenet_cityscapes_paper data.root=FOLDER model.backbone.weights=FILE
        model.backbone.weights_part=backbone
    Expected: not measured; the paper has 74.7 on the test set, single scale
    Time: not measured; made for GPUs
    Source: Yu et al. 2018, arXiv 1808.00897, section 4.1: batch, rate, decay, scales, crop; the length, which it leaves
        open, is 80,000 steps as in its authors' code
    """
    scales = ScaleList(values=(0.75, 1.0, 1.5, 1.75, 2.0))
    return Segment(
        data=Cityscapes(
            augment=JointAugment(flip=True, scale=scales, crop=Crop(height=1024, width=1024)),
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
        ),
        model=paper(),
        loss=PixelCrossEntropy(),
        train=Train(steps=80_000, batch=16, evaluate_every=54, evaluate_batch=1),
        optim=Sgd(lr=2.5e-2, momentum=0.9, weight_decay=1e-4),
        schedule=Poly(),
        protocols=("ss",),
    )


def bisenet_cityscapes_compat() -> Segment:
    """BiSeNet of ResNet-18 on Cityscapes as the public re-implementation trains it today.

    Command: ablata train bisenet_cityscapes_compat data.root=FOLDER model.backbone.weights=FILE
        model.backbone.weights_part=backbone
    Expected: not measured; its page has 75.44 ss, 76.94 ssc, 77.45 msf, 78.86 mscf, and warns of a large variance
    Time: not measured; made for GPUs
    Source: CoinCheung/BiSeNet, configs/bisenetv1_city.py
    """
    return Segment(
        data=Cityscapes(augment=_public_augment(0.75, Crop(height=1024, width=1024))),
        model=compat("conv"),
        loss=Ohem(),
        new_layers_lr=10,
        train=Train(steps=80_000, batch=16, evaluate_every=54, evaluate_batch=1),
        optim=Sgd(lr=1e-2, momentum=0.9, weight_decay=5e-4, groups=_NO_DECAY),
        schedule=Poly(warmup=_WARMUP),
        compute=Compute(sync_batch_norm=False),
        protocols=("ss", "ssc", "msf", "mscf"),
    )


def bisenetv2_cityscapes() -> Segment:
    """BiSeNetV2 on Cityscapes, from nothing, as the public re-implementation trains it.

    Command: ablata train bisenetv2_cityscapes data.root=FOLDER
    Expected: not measured; its page has 74.95 ss, 75.58 ssc, 76.53 msf, 77.08 mscf, and 73.1 to 75.1 ss over trainings
    Time: not measured; made for GPUs
    Source: CoinCheung/BiSeNet, configs/bisenetv2_city.py, for the network of Yu et al. 2020, arXiv 2004.02147
    """
    return Segment(
        data=Cityscapes(augment=_public_augment(0.25, Crop(height=512, width=1024))),
        model=BiSeNetV2(),
        loss=Ohem(),
        new_layers_lr=10,
        train=Train(steps=150_000, batch=16, evaluate_every=54, evaluate_batch=1),
        optim=Sgd(lr=5e-3, momentum=0.9, weight_decay=5e-4, groups=_NO_DECAY),
        schedule=Poly(warmup=_WARMUP),
        protocols=("ss", "ssc", "msf", "mscf"),
    )


def bisenet_camvid() -> Segment:
    """BiSeNet of ResNet-18 on CamVid at its stored size, from nothing.

    Command: ablata train bisenet_camvid data.root=FOLDER
    Expected: 65.1 +- 2 mIoU under ss on val (seed 0 alone; its last three evaluations span 63.4 to 66.2)
    Time: 62 minutes on two cores of a Xeon with AMX
    Source: Yu et al. 2018, arXiv 1808.00897, and CoinCheung/BiSeNet for the network; how it is trained is ours
    """
    return Segment(
        data=CamVid(augment=_public_augment(0.75, Crop(height=360, width=480))),
        model=BiSeNet(),
        loss=PixelCrossEntropy(),
        train=Train(epochs=82, batch=8, evaluate_every=10, evaluate_batch=8),
        optim=AdamW(lr=1e-3, weight_decay=0.02, groups=_NO_DECAY),
        schedule=Poly(warmup=Warmup(form="exponential", length=0.02, unit="fraction", start=0.1)),
        protocols=("ss",),
        sliding_window=SlidingWindow(size=360),
    )


def ddrnet_camvid() -> Segment:
    """DDRNet-23-slim on CamVid at its stored size, from nothing, trained as `bisenet_camvid` is.

    Command: ablata train ddrnet_camvid data.root=FOLDER
    Expected: not measured
    Time: not measured
    Source: Hong et al. 2021, arXiv 2101.06085, for the network and the weight of its auxiliary loss; how it is trained
        is ours
    """
    return Segment(
        data=CamVid(augment=_public_augment(0.75, Crop(height=360, width=480))),
        model=DDRNet(),
        loss=PixelCrossEntropy(),
        aux_weight=0.4,
        train=Train(epochs=82, batch=8, evaluate_every=10, evaluate_batch=8),
        optim=AdamW(lr=1e-3, weight_decay=0.02, groups=_NO_DECAY),
        schedule=Poly(warmup=Warmup(form="exponential", length=0.02, unit="fraction", start=0.1)),
        protocols=("ss",),
        sliding_window=SlidingWindow(size=360),
    )


def fcn_camvid() -> Segment:
    """A plain FCN of ResNet-18 on CamVid at half its size, where the ladder to BiSeNet begins.

    Command: ablata train fcn_camvid data.root=FOLDER
    Expected: not measured
    Time: not measured
    Source: the ladder's first network (logits from 1/32, enlarged 32 times) is that of the notes; size, length and rate
        are ours, for two cores
    """
    scales = ScaleRange(low=0.375, high=1.0)
    return Segment(
        data=CamVid(augment=JointAugment(flip=True, scale=scales, crop=Crop(height=176, width=240))),
        model=ladder("fcn"),
        loss=PixelCrossEntropy(),
        train=Train(epochs=7, batch=8, evaluate_every=0, evaluate_batch=8),
        optim=Sgd(lr=0.05, momentum=0.9, weight_decay=5e-4, groups=_NO_DECAY),
        schedule=Poly(warmup=Warmup(form="linear", length=0.1, unit="fraction")),
        protocols=("ss+scales=[0.5]",),
        sliding_window=SlidingWindow(size=176),
    )


def bisenet_scenes() -> Segment:
    """A small BiSeNet that names the class of every pixel of generated street scenes of 64x64 pixels.

    Command: ablata train bisenet_scenes
    Expected: 54.3 +- 0.3 mIoU under ss on val (seeds 0 to 2; 54.0 to 54.6)
    Time: 12 s of training on one core of a Xeon with AMX
    Source: none; the network of Yu et al. 2018, arXiv 1808.00897, with a narrow backbone, to try the lab without data
        files
    """
    return Segment(
        data=SceneMasks(),
        model=BiSeNet(
            backbone=ResNet(depth=18, width=16),
            spatial=SpatialPath(widths=(16, 32, 64), first="3x3", width=64),
            context=ContextPath(width=64),
            fusion=FeatureFusion(width=128),
            head=DenseHead(width=64),
        ),
        loss=Ohem(),
        train=Train(epochs=4, batch=32, evaluate_every=2, evaluate_batch=64),
        optim=Sgd(lr=0.05, momentum=0.9, weight_decay=5e-4, groups=_NO_DECAY),
        schedule=Poly(warmup=Warmup(form="linear", length=0.1, unit="fraction")),
        sliding_window=SlidingWindow(size=48),
        compute=Compute(threads=1),
    )


def ddrnet_scenes() -> Segment:
    """A narrow DDRNet that names the class of every pixel of generated street scenes of 64x64 pixels.

    Command: ablata train ddrnet_scenes
    Expected: 41.0 +- 1.2 mIoU under ss on val (seeds 0 to 2; 39.6 to 41.7)
    Time: 1 min 26 s on one core of an AMD EPYC whose other programs took most of it
    Source: none; the network of Hong et al. 2021, arXiv 2101.06085, to try it without data files
    """
    return Segment(
        data=SceneMasks(),
        model=DDRNet(width=16, pool_width=32, head=DenseHead(width=32), aux=DenseHead(width=32)),
        loss=Ohem(),
        aux_weight=0.4,
        train=Train(epochs=4, batch=32, evaluate_every=2, evaluate_batch=64),
        optim=Sgd(lr=0.05, momentum=0.9, weight_decay=5e-4, groups=_NO_DECAY),
        schedule=Poly(warmup=Warmup(form="linear", length=0.1, unit="fraction")),
        sliding_window=SlidingWindow(size=48),
        compute=Compute(threads=1),
    )


def _public_augment(low: float, crop: Crop) -> JointAugment:
    jitter = ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, contrast_pivot="constant")
    return JointAugment(flip=True, scale=ScaleRange(low=low, high=2.0), crop=crop, border="zero", color_jitter=jitter)
