"""Seven changes of the digits at once: what a factorial study is, on real images in about two minutes."""

from __future__ import annotations

from ablata.recipes.index import load_recipe
from ablata.studies.study import Study


def digits_factors() -> Study:
    """Handwritten digits: seven changes switched on and off together, each judged averaged over the others.

    16 of the 128 combinations run with every seed, so that each run tells about all seven changes.
    """
    return Study(
        name="digits_factors",
        question="Which of seven changes matter for how well digits are read?",
        control=load_recipe("digits", ("model.depth=1",)),
        factors={
            "deeper": ("model.depth=2",),
            "wider": ("model.width=32",),
            "mirrored": ("data.augment.flip=true",),
            "unpadded": ("data.augment.pad=0",),
            "half-lr": ("optim.lr=0.05",),
            "no-decay": ("optim.weight_decay=0",),
            "silu": ("model.activation=silu",),
        },
        seeds=3,
    )
