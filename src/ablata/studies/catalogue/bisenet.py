"""Which step of the way from a plain FCN to BiSeNet brings how much, small enough for two cores and an hour?"""

from __future__ import annotations

from itertools import accumulate

from ablata.recipes.index import load_recipe
from ablata.stats import Mode
from ablata.studies.study import Study

_AUX = '{"stride": %d, "head": {"width": 256, "dropout": 0.1}}'
_RUNGS = {
    "upsample_first": ("model.context.stride=8",),
    "fcn_head": ("model.head.width=256", "model.head.dropout=0.1", f"model.aux=[{_AUX % 16}]"),
    "u_shape": (
        "model.context.levels=[16]",
        "model.context.merge_kernel=3",
        f"model.aux=[{_AUX % 16}, {_AUX % 32}]",
    ),
    "spatial_path": ("model.spatial=convs", "model.spatial.widths=[32, 128, 512]", "model.spatial.width=512"),
    "ffm": ("model.fusion=ffm", "model.fusion.width=1024"),
    "arm": ("model.context.refine.gate=conv", "model.context.refine.gate_first=true"),
    "average": (
        "model.context.average=globalcontext",
        "model.context.average.form=conv_sigmoid",
        "model.context.average.join=multiply",
        "model.context.average.position=features",
    ),
}
"""What each rung adds to the one below it."""


def bisenet_ladder() -> Study:
    """CamVid at half its size: from an FCN, each step of the ladder to BiSeNet with all that came before it.

    Every arm is compared with the FCN; two neighbours, by the difference of their contrasts. Three seeds let only the
    large steps be seen, so the study screens. 24 runs of 315 steps; a run took 1 min 39 s (FCN) to
    4 min 15 s (all of it) of one core of a Xeon with AMX, which made 36 minutes on two.
    """
    steps = accumulate(_RUNGS.values(), lambda below, more: below + more)
    return Study(
        name="bisenet_ladder",
        question="How much does each step from a plain FCN to BiSeNet bring?",
        control=load_recipe("fcn_camvid", ("compute.threads=1",)),
        arms=dict(zip(_RUNGS, steps, strict=True)),
        seeds=3,
        margin=1.0,
        mode=Mode.SCREEN,
    )
