"""A classifier over three levels of EfficientNet, brought together in many ways (lines 404 to 448)."""

from __future__ import annotations

from ablata.replications.imagenet.start import MEANING
from ablata.replications.trial import Conclusion, Question, Trial

_PYRAMID = "data.augment.policy=null model=pyramid model.backbone=efficientnet"

PYRAMID = Question(
    name="pyramid",
    title="A classifier over three levels: how are they brought together?",
    base=_PYRAMID,
    control=Trial(
        "means-half-rate",
        "means of the levels, added; half the rate",
        "model.merge=pool_sum optim.lr=0.008",
        (404, 405, 406, 408),
        (72.66, 90.7, 73.25, 91.01),
    ),
    trials=(
        Trial(
            "means",
            "means of the levels, added; the full rate",
            "model.merge=pool_sum",
            (407,),
            note="Recorded as nan after five epochs.",
        ),
        Trial(
            "nearest",
            "all resized to the largest, added, mean",
            "model.merge=nearest_sum optim.lr=0.008 model.width=512",
            (410, 411),
            note="Recorded as nan. A convolution always follows here; its width is a guess.",
        ),
        Trial(
            "nearest-3x3-256",
            "a 3x3 convolution to 256 behind it",
            "model.merge=nearest_sum optim.lr=0.008 model.kernel=3 model.width=256",
            (412,),
            (72.53, 90.47, 0.1, 0.4),
        ),
        Trial(
            "nearest-3x3-1024",
            "a 3x3 convolution to 1024 behind it",
            "model.merge=nearest_sum optim.lr=0.008 model.kernel=3",
            (413,),
            (73.51, 91.32, 0.1, 0.6),
        ),
        Trial(
            "nearest-1x1-1024",
            "a 1x1 convolution to 1024 behind it",
            "model.merge=nearest_sum optim.lr=0.008",
            (414,),
            (73.66, 91.28, 0.1, 0.6),
        ),
        Trial(
            "joined-3x3-256",
            "all resized to the largest, joined, a 3x3 convolution to 256",
            "model.merge=nearest_concat optim.lr=0.008 model.kernel=3 model.width=256",
            (416, 417),
            (72.66, 90.65, 0.1, 0.5),
        ),
        Trial(
            "joined-3x3-1024",
            "joined, a 3x3 convolution to 1024",
            "model.merge=nearest_concat optim.lr=0.008 model.kernel=3",
            (418,),
            (73.89, 91.26, 0.1, 0.5),
        ),
        Trial(
            "joined-1x1-1024",
            "joined, a 1x1 convolution to 1024",
            "model.merge=nearest_concat optim.lr=0.008",
            (419,),
            note="Recorded as given up.",
        ),
        Trial(
            "level-heads",
            "a convolution of four times the width on each level first",
            "model.merge=nearest_sum optim.lr=0.008 model.kernel=3 model.level_heads=true",
            (421, 422),
            note="Recorded as an average that falls to 0.1.",
        ),
        Trial(
            "largest-alone",
            "the largest level alone",
            "model.merge=nearest_sum optim.lr=0.008 model.kernel=3 model.width=320",
            (423,),
            note="Recorded as an average that falls to 0.1. All levels are used here; the width is a guess.",
        ),
        Trial(
            "means-linear",
            "means of the levels, added, classified",
            "model.merge=pool_sum optim.lr=0.008 model.level_heads=true",
            (424,),
            note="Recorded as an average that falls to 0.1.",
        ),
    ),
    conclusions=(
        Conclusion(
            text="The average of the weights falls to 0.1 percent again and again.",
            lines=(422, 423, 424),
            claims={"level-heads": "failed", "largest-alone": "failed", "means-linear": "failed"},
        ),
    ),
    meaning=MEANING,
    judged=0,
)

_SGD = (
    "optim=sgd optim.momentum=0.9 optim.nesterov=true optim.weight_decay=5e-5 schedule=cosine "
    "schedule.warmup=warmup schedule.warmup.length=5"
)

PYRAMID_SGD = Question(
    name="pyramid-sgd",
    title="The pyramid with SGD and a cosine?",
    base=f"{_PYRAMID} {_SGD} train.epochs=150",
    control=Trial(
        "means",
        "means of the levels, added",
        "model.merge=pool_sum optim.scaling=none optim.lr=1.6e-2",
        (426, 427, 428),
        (70.46, 89.28, 70.54, 89.35),
    ),
    trials=(
        Trial(
            "level-heads",
            "convolutions on each level first",
            "model.merge=pool_sum model.level_heads=true optim.scaling=none optim.lr=1.6e-2",
            (429, 430),
            (71.46, 89.75, 71.48, 89.77),
        ),
        Trial(
            "level-heads-rate",
            "and ten times the rate",
            "model.merge=pool_sum model.level_heads=true optim.scaling=none optim.lr=1.6e-1",
            (431, 432),
            (74.5, 91.88, 0.0, 0.4),
        ),
    ),
    meaning=MEANING,
    judged=0,
)

_PLAIN = f"{_PYRAMID} {_SGD} train.epochs=100 optim.lr=0.2 optim.reference_batch=128 loss.smoothing=0"

PYRAMID_DOWN = Question(
    name="pyramid-plain",
    title="The pyramid with settings of machine 618, without regularisation?",
    base=_PLAIN,
    control=Trial(
        "down-convolved",
        "levels shrunk, added, convolved, mean",
        "model.merge=down_sum model.kernel=3",
        (434, 435, 436),
        (73.97, 91.7, 74.48, 91.92),
    ),
    trials=(
        Trial(
            "down",
            "levels shrunk, added, without the further convolution",
            "model.merge=down_sum",
            (437, 438, 440),
            (73.92, 91.66, 74.24, 91.89),
        ),
        Trial(
            "nearest",
            "resized to the largest, added",
            "model.merge=nearest_sum",
            (441,),
            (74.23, 91.87, 74.52, 92.08),
        ),
        Trial(
            "joined",
            "resized to the largest, joined",
            "model.merge=nearest_concat",
            (442,),
            (74.12, 91.77, 74.43, 91.95),
        ),
        Trial("nearest-3x3", "resized, 3x3 convolution, added", "model.merge=nearest_sum model.kernel=3", (444,)),
        Trial(
            "wider",
            "a last convolution to four times the channels",
            "model.merge=nearest_sum model.width=1280",
            (448,),
        ),
    ),
    meaning=MEANING,
    judged=0,
)

PYRAMIDS = (PYRAMID, PYRAMID_SGD, PYRAMID_DOWN)
