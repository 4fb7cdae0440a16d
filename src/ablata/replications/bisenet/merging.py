"""An FPN, nearest values, the average, and levels side by side (lines 54 to 109)."""

from __future__ import annotations

from ablata.replications.bisenet.networks import (
    CHECKPOINTS,
    CLASSES_19,
    CLASSES_20,
    FPN,
    MERGED_FPN,
    PAPER_RATE,
    REFINED_FPN,
    SMALL_CROP,
)
from ablata.replications.trial import Conclusion, Question, Trial

_CONV = "model.context.end_kernel=3"
_DRAWN = f"{_CONV} model.init=kaiming"
_NEAREST_MERGE = f"{_DRAWN} model.upsample=nearest"
_CORNERS = "model.end_upsample=bilinear model.end_upsample.align_corners=true"
_UNSCALED = 'protocols=["ss+multiple=1"]'
_RESIZING = "Taken for the resizing to a multiple of 32, which does nothing to images of 2048x1024."

ENLARGING = Question(
    name="enlarging",
    title="19 classes, 51,000 steps: a 3x3 convolution, first weights, nearest values, 20 classes?",
    base=f"{SMALL_CROP} {PAPER_RATE} {FPN} train.steps=51000",
    control=Trial("19", "19 classes", CLASSES_19, (54, 55), (37.86, 41.61, 41.98, 44.29, 46.19)),
    trials=(
        Trial(
            "3x3",
            "a 3x3 convolution behind the enlargement to 1/8",
            f"{CLASSES_19} {_CONV}",
            (57, 58),
            (35.86, 40.52, 42.16, 44.25, 46.31),
        ),
        Trial(
            "kaiming",
            "and first weights from Kaiming's normal distribution",
            f"{CLASSES_19} {_DRAWN}",
            (60, 61),
            (46.22, 48.98, 50.08, 51.59, 52.09),
        ),
        Trial(
            "nearest-merge",
            "and nearest values in the FPN",
            f"{CLASSES_19} {_NEAREST_MERGE} {_CORNERS}",
            (63, 64, 65),
            (47.37, 49.41, 50.67, 52.48, 53.29),
        ),
        Trial(
            "not-resized",
            "and no interpolation in the evaluation",
            f"{CLASSES_19} {_NEAREST_MERGE} {_CORNERS} {_UNSCALED}",
            (66,),
            note=_RESIZING,
        ),
        Trial(
            "nearest",
            "and nearest values before the 3x3 convolution, with that interpolation",
            f"{CLASSES_19} {_NEAREST_MERGE}",
            (69, 70),
            (49.17, 49.33, 53.53, 54.38, 55.27),
        ),
        Trial(
            "20",
            "and 255 trained as a 20th class, without that interpolation",
            f"{CLASSES_20} {_NEAREST_MERGE} {_UNSCALED}",
            (72, 73),
            (50.48, 53.25, 55.78, 56.18, 57.91),
            note=_RESIZING,
        ),
    ),
    conclusions=(
        Conclusion(text="The 3x3 convolution helps.", lines=(58,), claims={"3x3": "better"}),
        Conclusion(text="Kaiming's first weights help plainly.", lines=(61,), claims={"kaiming": "better"}),
        Conclusion(text="Nearest values bring nearly a point.", lines=(65,), claims={"nearest-merge": "better"}),
        Conclusion(text="And much more before the convolution.", lines=(70,), claims={"nearest": "better"}),
        Conclusion(text="The 20th class seems right.", lines=(73,), claims={"20": "better"}),
    ),
    meaning=CHECKPOINTS,
)

AVERAGE = Question(
    name="average",
    title="The average: plain or through conv-bn-sigmoid, multiplied or added, where?",
    base=MERGED_FPN,
    control=Trial(
        "sigmoid-merged",
        "conv-bn-sigmoid of the average, times the FPN's result",
        "",
        (46, 73),
        (50.48, 53.25, 55.78, 56.18, 57.91),
    ),
    trials=(
        Trial(
            "mean-merged",
            "the plain average, times the FPN's result",
            "model.context.average.form=mean",
            (76, 77),
            (49.09, 48.90, 53.72, 55.80, 56.92),
        ),
        Trial(
            "sigmoid-added",
            "conv-bn-sigmoid, added to the map at 1/32",
            "model.context.average.join=add model.context.average.place=refined",
            (79, 80),
            (50.88, 53.48, 54.59, 56.45, 57.97),
        ),
        Trial(
            "mean-added",
            "the plain average, added to the map at 1/32",
            "model.context.average.form=mean model.context.average.join=add model.context.average.place=refined",
            (82, 83),
            (50.86, 51.83, 54.81, 56.16, 57.50),
        ),
    ),
    conclusions=(
        Conclusion(text="Conv-bn-sigmoid beats the average alone.", lines=(77,), claims={"mean-merged": "worse"}),
        Conclusion(text="A tiny bit better, about the same.", lines=(80,), claims={"sigmoid-added": "same"}),
        Conclusion(
            text="Still about the same; on the whole conv-bn-sigmoid beats the average alone.",
            lines=(83,),
            claims={"mean-added": "same"},
        ),
    ),
    meaning=CHECKPOINTS,
)

_SIDE = (
    "model.merge=concat model.context.refine.kernel=0 model.context.refine.gate_first=false "
    "model.context.merge_kernel=0"
)
_MEAN = "model.context.average.form=mean"
_TO_512 = "model.context.end_kernel=3 model.context.width=512"
_NO_CONV = "model.context.end_kernel=0"
_WIDER = "model.spatial.widths=[64,256,1024] model.spatial.width=1024"
_MERGED = "model.context.average.place=merged"

SIDE_BY_SIDE = Question(
    name="side-by-side",
    title="1/32 times the average, beside 1/16: which convolution behind the enlargement, which enlargement?",
    base=f"{REFINED_FPN} {_SIDE}",
    control=Trial(
        "3x3-1024",
        "a 3x3 convolution to 512, so that the fusion sees 1024",
        f"{_MEAN} {_TO_512}",
        (87, 90),
        (47.60, 51.41, 52.92, 54.22, 55.73),
    ),
    trials=(
        Trial("none", "none", f"{_MEAN} {_NO_CONV}", (88,), (42.88, 51.15, 51.14, 53.82, 54.98)),
        Trial(
            "3x3-1280",
            "a 3x3 convolution to 768, so that the fusion sees 1280",
            f"{_MEAN} model.context.end_kernel=3 model.context.width=768",
            (89,),
            (45.49, 51.30, 51.69, 53.56, 55.58),
        ),
        Trial(
            "1x1-1024",
            "a 1x1 convolution to 512",
            f"{_MEAN} model.context.end_kernel=1 model.context.width=512",
            (91,),
            (46.45, 50.23, 51.13, 53.65, 55.19),
        ),
        Trial(
            "3x3-1536",
            "a spatial path of 64, 256, 1024",
            f"{_MEAN} {_TO_512} {_WIDER}",
            (92,),
            (46.82, 46.12, 50.22, 53.66, 55.42),
        ),
        Trial(
            "bilinear",
            "bilinear",
            f"{_MEAN} {_TO_512} model.upsample=bilinear",
            (93,),
            (43.04, 48.96, 50.34, 51.71, 53.01),
        ),
        Trial("sigmoid", "conv-bn-sigmoid of the average", _TO_512, (95, 96), (49.68, 51.53, 53.75, 55.56, 56.33)),
    ),
    conclusions=(
        Conclusion(text="1x1 does not do.", lines=(91,), claims={"1x1-1024": "worse"}),
        Conclusion(text="About the same.", lines=(92,), claims={"3x3-1536": "same"}),
        Conclusion(text="Bilinear does not do.", lines=(93,), claims={"bilinear": "worse"}),
        Conclusion(text="Conv-bn-sigmoid is better.", lines=(96,), claims={"sigmoid": "better"}),
    ),
    meaning=CHECKPOINTS,
)

FPN_OR_SIDE = Question(
    name="fpn-or-side",
    title="An FPN's sums, or levels side by side?",
    base=REFINED_FPN,
    control=Trial(
        "fpn",
        "1/32 times the average's gate, an FPN, enlarged to 1/8, 3x3",
        "",
        (107, 108, 109),
        (50.63, 52.60, 55.09, 57.09, 57.98),
    ),
    trials=(
        Trial(
            "mean",
            "1/32 times the plain average, beside 1/16",
            f"{_SIDE} {_MEAN} {_TO_512}",
            (87, 90),
            (47.60, 51.41, 52.92, 54.22, 55.73),
        ),
        Trial(
            "sigmoid",
            "1/32 times the average's gate, beside 1/16",
            f"{_SIDE} {_TO_512}",
            (95, 96),
            (49.68, 51.53, 53.75, 55.56, 56.33),
        ),
        Trial(
            "both-1280",
            "side by side first, then times the gate, no convolution",
            f"{_SIDE} {_MERGED} {_NO_CONV}",
            (98, 99, 100),
            (48.95, 51.24, 52.39, 54.53, 55.07),
        ),
        Trial(
            "both-1792",
            "the same, a spatial path of 64, 256, 1024",
            f"{_SIDE} {_MERGED} {_NO_CONV} {_WIDER}",
            (98, 99, 101),
            (47.78, 48.28, 53.26, 53.94, 55.42),
        ),
        Trial(
            "both-3x3",
            "side by side first, then times the gate, a 3x3 convolution",
            f"{_SIDE} {_MERGED} {_TO_512}",
            (98, 99, 102),
            (45.89, 51.59, 52.57, 54.42, 55.27),
        ),
    ),
    conclusions=(
        Conclusion(
            text="The best result side by side is below the FPN's.",
            lines=(104,),
            claims={
                "mean": "worse",
                "sigmoid": "worse",
                "both-1280": "worse",
                "both-1792": "worse",
                "both-3x3": "worse",
            },
        ),
    ),
    meaning=CHECKPOINTS,
)

MERGING = (ENLARGING, AVERAGE, SIDE_BY_SIDE, FPN_OR_SIDE)
