"""ResNet-50 until it trains as published (lines 102 to 134)."""

from __future__ import annotations

from ablata.replications.imagenet.start import MEANING
from ablata.replications.trial import Conclusion, Question, Trial

_BEFORE = (
    "train.epochs=100 loss.smoothing=0 data.augment.lighting=0 data.interpolation=nearest model.zero_gamma=false "
    "optim.weight_decay=1e-4"
)
_EMA = "ema=ema ema.decay=0.9999"

REPEATING = Question(
    name="repeating-resnet",
    title="Why does ResNet-50 stay four points below its published score?",
    recipe="resnet50_imagenet",
    base=f"{_BEFORE} {_EMA}",
    control=Trial(
        "first",
        "ResNet-50 with an average of weights",
        "",
        (102, 103),
        (70.61, 89.42),
        note="The interpolation was PIL's default, and OpenCV's resize had height and width exchanged (lines 133 "
        "and 134): `nearest` stands for what cannot be repeated.",
    ),
    trials=(
        Trial(
            "again",
            "once more",
            "model.init=torch",
            (104,),
            (72.27, 90.77),
            note="What changed is not said; here torch's initial weights, which line 107 leaves behind.",
        ),
        Trial("no-average", "no average", "ema=null model.init=torch", (105,), (73.28, 91.36)),
        Trial(
            "own-resnet",
            "an own ResNet",
            "ema=null model.init=torch model.zero_gamma=true",
            (106,),
            (74.04, 91.66),
            note="How it differs is not said; here by zero gammas.",
        ),
        Trial("init", "and published initial weights", "ema=null model.zero_gamma=true", (107,), (74.09, 91.64)),
        Trial(
            "norm-eps",
            "and a larger eps in normalisation",
            "ema=null model.zero_gamma=true model.norm_eps=1e-3",
            (108,),
            (74.17, 91.74),
            note="Its value is not said; 1e-3 is a guess.",
        ),
        Trial(
            "no-warmup",
            "and no warm-up",
            "ema=null model.zero_gamma=true model.norm_eps=1e-3 schedule.warmup=null",
            (109,),
            (73.95, 91.74),
        ),
        Trial(
            "sync-norm",
            "and normalisation over all processes",
            "ema=null model.zero_gamma=true model.norm_eps=1e-3 schedule.warmup=null compute.sync_batch_norm=true "
            "train.batch=2048",
            (110,),
            note="Recorded as 21 after 40 epochs: placed wrongly. It is the default here; told apart by the batch.",
        ),
        Trial(
            "sync-norm-mended",
            "the same, placed rightly",
            "ema=null model.zero_gamma=true model.norm_eps=1e-3 schedule.warmup=null compute.sync_batch_norm=false",
            (111,),
            (73.88, 91.53),
            note="Told apart from no-warmup by normalisation within each process.",
        ),
        Trial(
            "pil",
            "images by PIL",
            "ema=null model.zero_gamma=true model.norm_eps=1e-3 data.backend=pil",
            (112,),
            (72.62, 91.12),
        ),
        Trial(
            "cubic",
            "bicubic interpolation",
            "ema=null model.zero_gamma=true model.norm_eps=1e-3 data.interpolation=bicubic",
            (113,),
        ),
        Trial(
            "pycls",
            "the optimiser's settings of pycls",
            "ema=null model.zero_gamma=true model.norm_eps=1e-3 optim.weight_decay=5e-5 optim.nesterov=true",
            (115,),
            (74.15, 91.76),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Synchronised normalisation had been put in the wrong place.",
            lines=(111,),
            claims={"sync-norm": "failed"},
        ),
    ),
    meaning=MEANING,
    judged=0,
)

OFFICIAL = Question(
    name="as-published",
    title="ResNet-50 as its authors trained it: rate, data loader, PIL or OpenCV?",
    recipe="resnet50_imagenet",
    base=(
        "train.epochs=90 loss.smoothing=0 data.augment.lighting=0 optim.weight_decay=1e-4 schedule.warmup=null "
        "optim.groups.no_decay_norm_and_bias=false model.zero_gamma=false data.aspect=log_uniform data.backend=pil "
        "optim.nesterov=false"
    ),
    control=Trial("example-loader", "the data loader of torch's example", "", (118, 119, 122, 124), (76.82, 93.44)),
    trials=(
        Trial(
            "fixed-lr",
            "rate 0.1 at a batch of 1024, the own loader",
            "optim.scaling=none optim.lr=0.1 data.interpolation=nearest",
            (120,),
            (71.66, 90.35),
        ),
        Trial(
            "scaled-lr",
            "rate that goes with the batch, the own loader",
            "data.interpolation=nearest",
            (121,),
            (74.18, 91.74),
            note="The own loader's fault (lines 133, 134) cannot be repeated; `nearest` stands for it.",
        ),
        Trial("opencv-256", "OpenCV, the side given as 256", "data.backend=opencv", (125, 126), (76.13,)),
        Trial(
            "opencv-linear",
            "OpenCV's resize alone, linear",
            "data.backend=opencv data.decoder=pil",
            (127, 128),
            (76.12,),
        ),
        Trial(
            "opencv-cubic",
            "OpenCV's resize alone, cubic",
            "data.backend=opencv data.decoder=pil data.interpolation=bicubic",
            (129,),
            (74.96,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="What was wrong: PIL's interpolation must be set to bilinear, and OpenCV's resize had height and "
            "width exchanged.",
            lines=(132, 133, 134),
            claims={"scaled-lr": "worse", "opencv-cubic": "worse"},
        ),
    ),
    meaning=MEANING,
    judged=0,
)

REPEATED = (REPEATING, OFFICIAL)
