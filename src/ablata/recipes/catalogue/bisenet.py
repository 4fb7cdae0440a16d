"""BiSeNet (Yu et al. 2018, arXiv 1808.00897): a path for detail and a path for context, a class for every pixel."""

from __future__ import annotations

from ablata.data.scene_masks import SceneMasks
from ablata.engine.optimisers import Sgd
from ablata.engine.parameter_groups import ParameterGroups
from ablata.engine.recipe import Compute, Train
from ablata.engine.schedules import Poly, Warmup
from ablata.models.bisenet import BiSeNet
from ablata.models.xception39 import Xception39
from ablata.tasks.segment import Segment
from ablata.tasks.windows import Windows

NO_DECAY = ParameterGroups(no_decay_norm_and_bias=True)


def bisenet_scenes() -> Segment:
    """A small BiSeNet that names the class of every pixel of generated street scenes of 64x64 pixels.

    Command: ablata train bisenet_scenes
    Expected: not measured
    Time: not measured
    Source: none; the network of Yu et al. 2018, arXiv 1808.00897, with its small backbone, to try the lab without data
        files
    """
    return Segment(
        data=SceneMasks(),
        model=BiSeNet(backbone=Xception39()),
        train=Train(epochs=2, batch=32, evaluate_batch=64),
        optim=Sgd(lr=0.05, momentum=0.9, weight_decay=5e-4, groups=NO_DECAY),
        schedule=Poly(warmup=Warmup(form="linear", length=0.1, unit="share")),
        windows=Windows(crop=48),
        compute=Compute(threads=1),
    )
