"""Do class weights, Lovasz or a contrast of pixels help a segmenter, at a size that two cores answer in an hour?"""

from __future__ import annotations

from ablata.recipes.index import load_recipe
from ablata.stats import Mode
from ablata.studies.study import Study

_CONTRAST = ("loss=contrast", "loss.weight_schedule=warm_up")


def contrast_ablation() -> Study:
    """CamVid at half its size, a small HRNet: cross-entropy against weights, Lovasz and the contrast of pixels.

    The contrast comes with 16, 32 and 100 views, and with a memory. Three seeds let only large effects be seen, so the
    study screens. 21 runs of 270 steps; a step took 0.6 (cross-entropy) to 1.4 s (Lovasz, memory) of one core of a Xeon
    with AMX, which makes about 45 minutes on two.
    """
    return Study(
        name="contrast_ablation",
        question="Do class weights, Lovasz-softmax or a contrast of pixels beside cross-entropy help?",
        control=load_recipe(
            "contrast_camvid",
            (
                "loss=cross_entropy",
                "model.exchanges=[1,1,1]",
                "model.blocks=2",
                "data.augment.crop.height=176",
                "data.augment.crop.width=240",
                "train.epochs=6",
                "train.evaluate_every=0",
                "compute.threads=1",
            ),
        ),
        arms={
            "weighted": ("loss.weights=median",),
            "lovasz": ("loss=cross_entropy_lovasz",),
            "views16": (*_CONTRAST, "loss.max_views=16"),
            "views32": (*_CONTRAST, "loss.max_views=32"),
            "views100": (*_CONTRAST, "loss.max_views=100"),
            "memory": (*_CONTRAST, "loss.max_views=16", "loss.memory=true"),
        },
        seeds=3,
        margin=1.0,
        mode=Mode.SCREEN,
    )
