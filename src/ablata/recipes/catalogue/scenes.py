"""Generated street scenes: images that need no download, with structure that is known because it was planted."""

from __future__ import annotations

from ablata.data.synthetic.scenes import Scenes
from ablata.engine.optim.optimisers import Sgd
from ablata.engine.optim.schedules import Cosine, Warmup
from ablata.engine.recipe import Train
from ablata.models.classification.small_resnet import CifarResNet
from ablata.tasks.classification.task import Classify


def resnet8_scenes() -> Classify:
    """A ResNet of 8 layers that names the kind of place in generated street scenes of 64x64 pixels.

    Command: ablata train resnet8_scenes
    Expected: 99.3 +- 0.7 top-1 on val (seeds 0 to 2; 98.5 to 99.7)
    Time: 13 s of training on two cores of a Xeon with AMX
    Source: none; a network in the form of He et al. 2016, arXiv 1512.03385, to try the lab without data files
    """
    return Classify(
        data=Scenes(),
        model=CifarResNet(depth=8),
        train=Train(epochs=2, batch=64),
        optim=Sgd(lr=0.1, momentum=0.9, weight_decay=5e-4),
        schedule=Cosine(warmup=Warmup(form="linear", length=0.5, unit="epoch")),
    )
