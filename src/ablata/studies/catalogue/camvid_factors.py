"""Four changes of a small BiSeNet on CamVid at once, in half an hour to an hour of one core."""

from __future__ import annotations

from ablata.recipes.index import load_recipe
from ablata.studies.study import Study

_SMALL = (
    "model.backbone.width=16",
    "model.spatial.widths=[16, 32, 64]",
    "model.spatial.width=64",
    "model.context.width=64",
    "model.fusion.width=128",
    "model.head.width=64",
)
_HALF_SIZE = (
    "data.augment.scale.low=0.375",
    "data.augment.scale.high=1.0",
    "data.augment.crop.height=176",
    "data.augment.crop.width=240",
    'protocols=["ss+scales=[0.5]"]',
    "sliding_window.size=176",
)
_SHORT = ("train.epochs=4", "train.evaluate_every=0", "compute.threads=1")


def camvid_factors() -> Study:
    """CamVid at half its size, BiSeNet at a quarter of its width: stem, color jitter, loss and schedule, all 16 ways.

    Each change is judged averaged over the other three. 48 runs of 180 steps at the most, each about 35 s of a core.
    """
    return Study(
        name="camvid_factors",
        question="Which of stem, color jitter, hard pixels and schedule matter in a short training on CamVid?",
        control=load_recipe("bisenet_camvid", (*_SMALL, *_HALF_SIZE, *_SHORT)),
        factors={
            "deep-stem": ("model.backbone.stem=deep",),
            "no-jitter": ("data.augment.color_jitter=null",),
            "ohem": ("loss=ohem",),
            "cosine": ("schedule=cosine",),
        },
        seeds=3,
    )
