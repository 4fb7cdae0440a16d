"""Segmentation with a contrast of pixels beside the cross-entropy (Wang et al. 2021, arXiv 2101.11939)."""

from __future__ import annotations

from ablata.data.scene_masks import SceneMasks
from ablata.engine.optimisers import Sgd
from ablata.engine.parameter_groups import ParameterGroups
from ablata.engine.recipe import Compute, Train
from ablata.engine.schedules import Poly, Warmup
from ablata.losses.pixel_contrast import PixelContrast
from ablata.models.hrnet import HRNet
from ablata.nn.projection import Projection
from ablata.tasks.segment import Segment
from ablata.tasks.windows import Windows

NO_DECAY = ParameterGroups(no_decay_norm_and_bias=True)


def contrast_scenes() -> Segment:
    """A small HRNet with a contrast of pixels, on generated street scenes of 64x64 pixels.

    Command: ablata train contrast_scenes
    Expected: not measured
    Time: not measured
    Source: none; the loss of Wang et al. 2021, arXiv 2101.11939, to try the lab without data files
    """
    return Segment(
        data=SceneMasks(),
        model=HRNet(width=8, exchanges=(1, 1, 1), blocks=1),
        loss=PixelContrast(views=16, projection=Projection(width=64)),
        train=Train(epochs=2, batch=32, evaluate_batch=64),
        optim=Sgd(lr=0.05, momentum=0.9, weight_decay=5e-4, groups=NO_DECAY),
        schedule=Poly(warmup=Warmup(form="linear", length=0.1, unit="share")),
        windows=Windows(crop=48),
        compute=Compute(threads=1),
    )
