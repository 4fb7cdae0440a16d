"""ResNet-50: regularisation, data loaders, long trainings, forms of its blocks (lines 137 to 152, 184 to 234)."""

from __future__ import annotations

from ablata.replications.imagenet.start import MEANING
from ablata.replications.trial import Conclusion, Question, Trial

_EMA = "ema=ema ema.decay=0.9999"
_PLAIN = "train.epochs=100 loss.smoothing=0 data.augment.lighting=0"


def rand(probability: float, magnitude: int = 9) -> str:
    """Return RandAugment with two operations as overrides."""
    return (
        "data.augment.policy=rand_augment "
        f"data.augment.policy.magnitude={magnitude} data.augment.policy.probability={probability:g}"
    )


REGULARISED = Question(
    name="regularised",
    title="ResNet-50: RandAugment, averages, label smoothing?",
    recipe="resnet50_imagenet",
    base=_PLAIN,
    control=Trial("none", "no regularisation", "", (137, 138), (76.53, 93.41)),
    trials=(
        Trial("rand0.5", "RandAugment with probability 0.5", rand(0.5), (139, 140), (77.72, 93.85)),
        Trial("rand1", "RandAugment always", rand(1), (141,), (77.37, 93.66)),
        Trial("rand0.1", "RandAugment with probability 0.1", rand(0.1), (142,)),
        Trial(
            "average-copied-buffers",
            "an average of the weights, running statistics copied",
            f"{_EMA} ema.buffers=copy",
            (144, 145, 147),
            note="Recorded as not stable when made before or behind the distributed wrapper.",
        ),
        Trial(
            "average",
            "an average of the bare model, running statistics too",
            _EMA,
            (146, 148),
            note="Recorded as stable for the model alone.",
        ),
        Trial("smoothing", "label smoothing", "loss.smoothing=0.1", (151, 152), (77.71, 93.72)),
    ),
    conclusions=(
        Conclusion(
            text="There is something wrong in how the average is made.",
            lines=(149,),
            claims={"average-copied-buffers": "failed"},
        ),
    ),
    meaning=MEANING,
    judged=0,
)

_MIX = "data.augment.mix=mixup data.augment.mix.alpha=0.4"
_CUT = "data.augment.mix=cutmix"

MIXUP = Question(
    name="mixup",
    title="ResNet-50: mixup and cutmix, with what?",
    recipe="resnet50_imagenet",
    base=_PLAIN,
    control=Trial("none", "no regularisation, the old schedule", "", (184, 187), (76.57, 93.32, 76.85, 93.46)),
    trials=(
        Trial(
            "new-schedule",
            "another schedule",
            "schedule=exponential",
            (185,),
            (63.0, 85.26, 73.93, 91.61),
            note="How the schedule differed is not said.",
        ),
        Trial(
            "new-schedule-fp16",
            "and torch's cross-entropy in fp16",
            "schedule=exponential compute.precision=fp16",
            (186,),
            (60.73, 83.52, 73.83, 91.76),
        ),
        Trial("mixup", "mixup 0.4", _MIX, (188,), (77.49, 93.86, 77.55, 93.93)),
        Trial(
            "mixup-smooth", "and label smoothing", f"{_MIX} loss.smoothing=0.1", (189,), (77.64, 93.91, 77.72, 93.96)
        ),
        Trial(
            "mixup-smooth-rand",
            "and RandAugment",
            f"{_MIX} loss.smoothing=0.1 {rand(0.5)}",
            (190,),
            (77.46, 93.84, 77.51, 93.80),
        ),
        Trial(
            "cutmix-larger",
            "cutmix, the larger weight",
            f"{_CUT} data.augment.mix.larger=true",
            (192,),
            (77.4, 93.68, 77.45, 93.73),
        ),
        Trial("cutmix", "cutmix, the weight as drawn", _CUT, (193,), (77.67, 93.88, 77.77, 93.93)),
        Trial(
            "cutmix-300",
            "cutmix, 300 epochs",
            f"{_CUT} train.epochs=300",
            (194,),
            (78.84, 94.35, 78.96, 94.39),
        ),
        Trial(
            "cutmix-corners-300",
            "cutmix with any box, 300 epochs",
            f"{_CUT} data.augment.mix.box=corners train.epochs=300",
            (195,),
            (78.66, 94.3, 78.82, 94.39),
        ),
    ),
    meaning=MEANING,
    judged=0,
)

LOADER = Question(
    name="loader",
    title="The own data loader: does it give the same, with RandAugment and lighting noise?",
    recipe="resnet50_imagenet",
    base=f"{_PLAIN} data.backend=opencv",
    control=Trial("baseline", "the own loader", "", (196, 201, 202), (76.55, 93.21, 77.0, 93.37)),
    trials=(
        Trial("rand", "RandAugment", rand(0.5), (203,), (77.45, 93.66, 77.44, 93.67)),
        Trial(
            "rand-lighting",
            "and lighting noise",
            f"{rand(0.5)} data.augment.lighting=0.1",
            (204,),
            (77.44, 93.62, 77.49, 93.67),
        ),
        Trial(
            "refactor1",
            "cutmix, once more after tidying",
            _CUT,
            (198,),
            (77.73, 93.87, 77.78, 93.94),
        ),
        Trial(
            "refactor2",
            "cutmix, tidied again",
            f"{_CUT} data.augment.mix.mix_target=losses",
            (199,),
            (77.61, 93.9, 77.79, 93.91),
            note="What changed is not said; here by mixing losses.",
        ),
        Trial(
            "one-hot-on-device",
            "the old loader, targets spread out on the device",
            "data.backend=pil",
            (207, 208),
            (76.64, 93.27, 76.97, 93.47),
            note="Targets are always spread out on the device here.",
        ),
        Trial(
            "native-reader",
            "a native image reader",
            "data.decoder=pil",
            (209,),
            note="Recorded as right but too slow; the other decoder stands for it.",
        ),
    ),
    meaning=MEANING,
    judged=0,
)

LONG = Question(
    name="long",
    title="ResNet-50 for 300 and 500 epochs: which of mixup, cutmix and RandAugment?",
    recipe="resnet50_imagenet_300",
    base="data.augment.mix=null loss.smoothing=0.1",
    control=Trial("rand", "RandAugment", rand(0.5), (211, 214), (78.14, 93.96, 78.27, 94.01)),
    trials=(
        Trial(
            "mixup-cutmix-rand",
            "mixup, cutmix and RandAugment",
            f"{rand(0.5)} data.augment.mix=both",
            (212,),
            (78.09, 94.06, 78.14, 94.04),
        ),
        Trial(
            "cutmix-rand",
            "cutmix and RandAugment",
            f"{rand(0.5)} {_CUT}",
            (213,),
            (78.83, 94.36, 78.84, 94.35),
        ),
        Trial("cutmix", "cutmix", _CUT, (215,), (78.58, 94.30, 78.77, 94.37)),
        Trial(
            "cutmix-rand-500",
            "cutmix and RandAugment, 500 epochs",
            f"{rand(0.5)} {_CUT} train.epochs=500",
            (218,),
            (79.11, 94.47, 79.09, 94.47),
        ),
        Trial(
            "mixup-cutmix-rand-500",
            "mixup, cutmix and RandAugment, 500 epochs",
            f"{rand(0.5)} data.augment.mix=both train.epochs=500",
            (219,),
            (78.48, 94.21, 78.53, 94.25),
        ),
        Trial("smooth-200", "label smoothing alone, 200 epochs", "train.epochs=200", (221,)),
        Trial("rand-200", "RandAugment, 200 epochs", f"{rand(0.5)} train.epochs=200", (222,)),
        Trial("mixup-200", "mixup, 200 epochs", "data.augment.mix=mixup train.epochs=200", (223,)),
        Trial("cutmix-200", "cutmix, 200 epochs", f"{_CUT} train.epochs=200", (224,)),
    ),
    conclusions=(
        Conclusion(text="cutmix and RandAugment do the same work.", lines=(270,), claims={"cutmix": "same"}),
        Conclusion(
            text="cutmix together with mixup is worse.",
            lines=(271,),
            claims={"mixup-cutmix-rand": "worse", "mixup-cutmix-rand-500": "worse"},
        ),
    ),
    meaning=MEANING,
    judged=0,
)

ORDER = Question(
    name="relu-before-norm",
    title="ReLU before normalisation: does it train, and what memory does it take?",
    recipe="resnet50_imagenet",
    base="loss.smoothing=0 data.augment.lighting=0",
    control=Trial("norm-relu", "normalisation, then ReLU", "", (396, 246), (77.19, 93.66, 76.72, 93.49)),
    trials=(
        Trial("relu-norm", "ReLU, then normalisation", "model.order=act_norm", (227,), (77.05, 93.40, 77.06, 93.43)),
        Trial(
            "add-relu-norm",
            "branches added, ReLU, normalisation; none in the shortcut",
            "model.order=add_act_norm model.shortcut_norm=false",
            (228,),
            note="Recorded as not converging; 6,529 MB.",
        ),
        Trial(
            "add-relu-norm-shortcut",
            "the same with normalisation in the shortcut",
            "model.order=add_act_norm model.shortcut_norm=true",
            (229,),
            note="Recorded as not converging; 7,121 MB.",
        ),
        Trial(
            "relu-add-norm",
            "ReLU on both branches, added, normalisation",
            "model.order=act_add_norm",
            (230,),
            note="Recorded as not converging; 8,733 MB.",
        ),
        Trial(
            "relu-norm-add",
            "ReLU and normalisation on both, then added",
            "model.order=act_norm model.shortcut_norm=false",
            (231,),
            note="Recorded as not needed; told apart from relu-norm by a shortcut without normalisation.",
        ),
        Trial(
            "stem",
            "the stem too: ReLU, pooling, then normalisation",
            "model.order=act_norm model.stem_order=act_pool_norm",
            (232,),
            note="Only its memory is recorded: 7,013 MB.",
        ),
        Trial(
            "no-last-activation",
            "no convolution in shortcuts, no activation at a block's end",
            "model.preactivation=true",
            (233,),
            note="A question in the notebook; pre-activation is the published form of it.",
        ),
    ),
    conclusions=(
        Conclusion(
            text="Forms that add before the activation do not converge.",
            lines=(228, 229, 230),
            claims={"add-relu-norm": "failed", "add-relu-norm-shortcut": "failed", "relu-add-norm": "failed"},
        ),
    ),
    meaning=MEANING,
    judged=0,
)

RESNET = (REGULARISED, MIXUP, LOADER, LONG, ORDER)
