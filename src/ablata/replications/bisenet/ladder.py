"""The ladder: from logits of 1/32 to both paths with gates and average (lines 276 to 374)."""

from __future__ import annotations

from ablata.replications.bisenet.networks import (
    AUX_OF_REFINED,
    FCN_HEAD,
    LADDER,
    ONE_AUX,
    U_SHAPE,
    detail,
)
from ablata.replications.trial import Conclusion, Question, Trial

FCN = Question(
    name="fcn",
    title="From a plain FCN to a U?",
    base=LADDER,
    control=Trial("fcn", "logits from 1/32", "", (277, 278), (56.54,)),
    trials=(
        Trial("enlarged-first", "1/32 enlarged to 1/8 first", "model.context.stride=8", (279,), (61.13,)),
        Trial(
            "fcn-head",
            "and a head of conv-bn-relu to 256, dropout, 1x1, on 1/16 as auxiliary loss too",
            f"{FCN_HEAD} {ONE_AUX}",
            (280, 282, 283, 284),
            (61.25,),
        ),
        Trial(
            "u-shape",
            "1/32 enlarged to 1/16, side by side, a convolution to 512, enlarged to 1/8; two auxiliary heads",
            U_SHAPE,
            (287, 288, 289, 290),
            (68.08,),
        ),
    ),
)

_U = f"{LADDER} {U_SHAPE}"
_SUM = "model.fusion=sum"

SPATIAL_SUM = Question(
    name="spatial-sum",
    title="A spatial path added to the U: how wide?",
    base=_U,
    control=Trial("u-shape", "a U, no spatial path", "", (287, 290), (68.08,)),
    trials=(
        Trial("64-128-512", "64, 128, 512", f"{detail(64, 128)} {_SUM}", (294, 295), (68.76,)),
        Trial("64-256-512", "64, 256, 512", f"{detail(64, 256)} {_SUM}", (296,), (68.79,)),
        Trial("32-128-512", "32, 128, 512", f"{detail(32, 128)} {_SUM}", (297,), (68.59,)),
        Trial("32-512-512", "32, 512, 512", f"{detail(32, 512)} {_SUM}", (298,), (68.76,)),
        Trial("64-512-512", "64, 512, 512", f"{detail(64, 512)} {_SUM}", (299,), (68.83,)),
        Trial("128-512-512", "128, 512, 512", f"{detail(128, 512)} {_SUM}", (300,), (68.88,)),
        Trial("128-256-512", "128, 256, 512", f"{detail(128, 256)} {_SUM}", (301,), (68.72,)),
        Trial("512-512-512", "512, 512, 512", f"{detail(512, 512)} {_SUM}", (302,), note="Recorded as out of memory."),
    ),
    conclusions=(
        Conclusion(text="Out of memory.", lines=(302,), claims={"512-512-512": "failed"}),
        Conclusion(text="The sum should bring 0.8 points over the U: what the paper has, not a finding.", lines=(304,)),
    ),
)

FUSION = Question(
    name="fusion",
    title="The fusion module in place of the sum: how wide, and how wide the spatial path?",
    base=f"{_U} {detail(32, 128)}",
    control=Trial("sum", "the sum, a spatial path of 32, 128, 512", _SUM, (297,), (68.59,)),
    trials=(
        Trial("ffm-1024", "both side by side, a convolution to 1024", "model.fusion.width=1024", (307, 308), (69.25,)),
        Trial(
            "ffm-512",
            "a convolution to 512",
            "model.fusion.width=512",
            (309, 320, 321),
            (69.13, 69.127),
            note="Line 321 calls it final, with one digit more.",
        ),
        Trial(
            "64-256-512",
            "to 1024, a spatial path of 64, 256, 512",
            f"model.fusion.width=1024 {detail(64, 256)}",
            (311, 312),
            (69.10,),
        ),
        Trial("64-512-512", "of 64, 512, 512", f"model.fusion.width=1024 {detail(64, 512)}", (313,)),
        Trial("128-512-512", "of 128, 512, 512", f"model.fusion.width=1024 {detail(128, 512)}", (314,)),
        Trial("256-512-512", "of 256, 512, 512", f"model.fusion.width=1024 {detail(256, 512)}", (315,)),
    ),
    conclusions=(
        Conclusion(
            text="The module should bring 1.4 points over the U: what the paper has, not a finding.", lines=(318,)
        ),
    ),
)

_FINAL = f"{_U} {detail(32, 128)} model.fusion.width=512"
_ARM = "model.context.refine.gate=conv model.context.refine.gate_first=true"
_RESIDUAL = f"{_ARM} model.context.refine.residual=true"

ARM = Question(
    name="arm",
    title="Gates on the stages, without the average: where, which form, seen by the auxiliary heads?",
    base=_FINAL,
    control=Trial("none", "no gates, no average", "", (320, 321), (69.127,)),
    trials=(
        Trial("unseen", "gates, not seen by the auxiliary heads", _ARM, (324, 325, 326, 327), (68.98,)),
        Trial("seen", "gates, seen by the auxiliary heads", f"{_ARM} {AUX_OF_REFINED}", (328, 329), (68.02,)),
        Trial(
            "residual-seen",
            "gates as residuals, seen by the auxiliary heads",
            f"{_RESIDUAL} {AUX_OF_REFINED}",
            (331, 332, 333),
            (68.28,),
        ),
        Trial(
            "own-resnet",
            "the same with a ResNet of the author's",
            f"{_RESIDUAL} {AUX_OF_REFINED} model.backbone.init=torch",
            (334, 335),
            (68.30,),
            note="How it differs is not said; told apart here by how its convolutions are drawn.",
        ),
        Trial("residual-unseen", "gates as residuals, not seen by them", _RESIDUAL, (337, 338), (68.91,)),
        Trial(
            "in-blocks",
            "gates inside the backbone's blocks, as in SE-ResNet",
            "model.backbone.attention=conv",
            (340, 341),
            (67.84,),
        ),
        Trial(
            "in-blocks-no-norm",
            "without normalisation",
            "model.backbone.attention=conv model.backbone.attention.norm=false",
            (343, 344),
            (67.62,),
        ),
        Trial(
            "in-blocks-se",
            "as conv-relu-conv-sigmoid",
            "model.backbone.attention=two_layers",
            (346, 347),
            (67.40,),
        ),
        Trial(
            "relu",
            "conv-bn-relu in place of conv-bn-sigmoid",
            f"{_ARM} model.context.refine.gate.activation=relu",
            (372,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Gates should bring 1.3 points over the fusion module: what the paper has, not a finding.",
            lines=(349,),
        ),
    ),
)

_AVERAGE = "model.context.average=average model.context.average.place=features"
_GATE = f"{_AVERAGE} model.context.average.form=conv_sigmoid"

AVERAGE_ALONE = Question(
    name="average-alone",
    title="The average without gates: added or multiplied, as it is or as a gate?",
    base=_FINAL,
    control=Trial("none", "no gates, no average", "", (320, 321), (69.127,)),
    trials=(
        Trial(
            "added",
            "the plain average, added to 1/32",
            f"{_AVERAGE} model.context.average.form=mean",
            (352, 354),
            (68.68,),
        ),
        Trial(
            "gate-multiplied",
            "as a gate, multiplied",
            f"{_GATE} model.context.average.join=multiply",
            (355, 356),
            (68.81,),
        ),
        Trial("gate-added", "as a gate, added", _GATE, (358, 359), (68.73,)),
        Trial("conv-added", "1x1 and normalisation, added", f"{_AVERAGE} model.context.average.form=conv", (370,)),
    ),
    conclusions=(
        Conclusion(
            text="The average should bring a point over the fusion module: what the paper has, not a finding.",
            lines=(353,),
        ),
    ),
)

SHORTER = Question(
    name="shorter",
    title="40,000 or 70,000 steps, with gates?",
    base=_FINAL,
    control=Trial("40k", "40,000 steps, no gates, no average", "train.steps=40000", (361, 362), (66.95,)),
    trials=(
        Trial("40k-arm", "40,000 steps, gates behind the stages", f"train.steps=40000 {_ARM}", (363,), (67.01,)),
        Trial("70k-arm", "70,000 steps, gates behind the stages", f"train.steps=70000 {_ARM}", (365, 366), (68.64,)),
    ),
)

INPUT = Question(
    name="input",
    title="Plans: other scales, no warm-up, Xception?",
    base=_FINAL,
    control=Trial("none", "no gates, no average", "", (320, 321), (69.127,)),
    trials=(
        Trial(
            "scales",
            "scales as mended",
            "data.augment.scale=range data.augment.scale.low=0.5 data.augment.scale.high=2.0",
            (368,),
            note="How is not said; any scale from 0.5 to 2 is a guess.",
        ),
        Trial(
            "xception",
            "no warm-up, no scaling, Xception",
            "schedule.warmup=null data.augment.scale=null model.backbone=xception39",
            (374,),
            note="The Xception of BiSeNet's paper, 39 layers deep.",
        ),
    ),
)

LADDERS = (FCN, SPATIAL_SUM, FUSION, ARM, AVERAGE_ALONE, SHORTER, INPUT)
