"""Pre-activation, attention, activations, EfficientNet at RegNet's settings (lines 350 to 394, 450 to 478)."""

from __future__ import annotations

from ablata.replications.imagenet.resnet import rand
from ablata.replications.imagenet.start import MEANING
from ablata.replications.trial import Conclusion, Question, Trial

_PRE = "model.preactivation=true"

PREACTIVATION = Question(
    name="preactivation",
    title="ResNet-50 with pre-activation: which stem?",
    recipe="resnet50_imagenet",
    base=_PRE,
    control=Trial(
        "baseline",
        "pre-activation, ResNet-50's training",
        "model.stem_norm=false",
        (350, 351, 352, 353, 354),
        (76.76, 93.32, 77.07, 93.57),
        note="6,600 MB, 120 s an epoch.",
    ),
    trials=(
        Trial(
            "input-norm",
            "a normalisation of the image",
            "model.stem_norm=false model.input_norm=true",
            (357, 358, 359),
            (76.75, 93.31, 77.15, 93.61),
            note="6,600 MB, 125 s an epoch.",
        ),
        Trial(
            "full-stem",
            "convolution, normalisation, ReLU, pooling first; the cosine mended",
            "",
            (361, 362, 363, 364),
            (76.92, 93.50, 76.70, 93.39),
            note="6,621 MB, 122 s an epoch.",
        ),
        Trial(
            "cosine-mended",
            "the baseline, the cosine mended",
            "model.stem_norm=false schedule.warmup.placement=in schedule.floor=1e-6",
            (366, 367),
            (76.97, 93.56, 76.79, 93.49),
            note="6,645 MB, 120 s an epoch. What was wrong with the cosine is not said; told apart by its floor.",
        ),
        Trial(
            "cosine-mended-input-norm",
            "and a normalisation of the image",
            "model.stem_norm=false model.input_norm=true schedule.floor=1e-6",
            (368, 369),
            (77.16, 93.64, 76.69, 93.46),
        ),
    ),
    conclusions=(
        Conclusion(text="It jumps: 77 at epoch 95, and then down again in the last five.", lines=(355,), claims={}),
    ),
    meaning=MEANING,
    judged=0,
)

DILATED = Question(
    name="dilated",
    title="ResNet-50 whose last stage is spread in place of strided?",
    recipe="resnet50_imagenet",
    base="",
    control=Trial("r50", "ResNet-50", "", (246,), (77.19, 93.66, 76.72, 93.49)),
    trials=(
        Trial(
            "dilated",
            "the last stage spread",
            "model.last_stage=dilated",
            (371, 372),
            (76.99, 93.53, 76.80, 93.43),
            note="7,917 MB, 119 s an epoch.",
        ),
        Trial(
            "dilated-input-norm",
            "and a normalisation of the image",
            "model.last_stage=dilated model.input_norm=true",
            (373, 374),
            (77.2, 93.55, 76.76, 93.51),
        ),
    ),
    meaning=MEANING,
    judged=0,
)

_SE = "model.attention=se"

ATTENTION = Question(
    name="attention",
    title="Attention in ResNet-50 and 101: squeeze and excitation, AFF, pooled shortcuts?",
    recipe="resnet50_imagenet",
    base="",
    control=Trial("r50", "ResNet-50", "", (246,), (77.19, 93.66, 76.72, 93.49)),
    trials=(
        Trial("se", "squeeze and excitation", _SE, (376, 377), (78.11, 94.05, 78.46, 94.24)),
        Trial("se-last-norm", "with a last normalisation", f"{_SE} model.attention.last_norm=true", (378,)),
        Trial("pa-se", "pre-activation, squeeze and excitation", f"{_PRE} {_SE}", (380,), (78.27, 94.16, 78.11, 94.17)),
        Trial("pa-r101", "ResNet-101, pre-activation", f"model.depth=101 {_PRE}", (382,), (78.05, 94.07, 77.91, 94.13)),
        Trial("r101", "ResNet-101", "model.depth=101", (384,), (78.51, 94.29, 78.21, 94.14)),
        Trial(
            "pa-se-r101", "ResNet-101, pre-activation, squeeze and excitation", f"model.depth=101 {_PRE} {_SE}", (386,)
        ),
        Trial("aff", "attentional fusion of the branches", "model.fusion=aff", (391,), (78.75, 94.37, 78.62, 94.46)),
        Trial("pooled-shortcut", "shortcuts by a mean", "model.shortcut=pool_conv", (394,)),
    ),
    meaning=MEANING,
    judged=0,
)

SE_618 = Question(
    name="se-618",
    title="Machine 618: squeeze and excitation too?",
    recipe="efficientnet_b0_regnet_imagenet",
    base="model.attention=null",
    control=Trial("none", "no attention", "", (470, 388), note="No figure of the same training without it."),
    trials=(Trial("se", "squeeze and excitation", _SE, (388,), (77.15, 93.72, 77.13, 93.67)),),
    meaning=MEANING,
    judged=0,
)

ACTIVATIONS = Question(
    name="activations-618",
    title="A backbone to start from: which activation?",
    base=f"train.epochs=150 schedule=cosine {rand(0.5)}",
    control=Trial("swish", "swish", "", (450, 451, 452, 453), (75.72, 92.62, 75.64, 92.64)),
    trials=(
        Trial("hswish", "hswish", "model.activation=hswish", (454,), (75.88, 92.66, 75.97, 92.60)),
        Trial("relu", "ReLU", "model.activation=relu", (455,), (75.88, 92.68, 75.87, 92.62)),
        Trial(
            "relu-adjusted",
            "ReLU, adjusted",
            "model.activation=relu model.head=backbone",
            (456, 457),
            (75.86, 92.71, 75.81, 92.71),
            note="What was adjusted is not said; here the place of the last convolution.",
        ),
        Trial(
            "standardised",
            "ReLU, standardised weights",
            "model.activation=relu model.conv=weight_standardised",
            (458, 459, 460),
            note="Recorded as an average, or the weights, falling to 0.",
        ),
    ),
    conclusions=(
        Conclusion(
            text="RMSprop and standardised weights are at odds.", lines=(462,), claims={"standardised": "failed"}
        ),
    ),
    meaning=MEANING,
    judged=0,
)

_REGNET = "data.augment.policy=null loss.smoothing=0 data.augment.lighting=0.1"
_OLD_SGD = (
    "optim=sgd optim.momentum=0.9 schedule=cosine optim.weight_decay=1e-5 optim.scaling=linear optim.lr=0.016 "
    "optim.reference_batch=256"
)

REGNET = Question(
    name="regnet-settings",
    title="EfficientNet-B0 trained as RegNets are: standardised weights, regularisation, length?",
    recipe="efficientnet_b0_regnet_imagenet",
    base=_REGNET,
    control=Trial(
        "swish",
        "swish, no RandAugment, no label smoothing",
        "model.activation=swish",
        (473,),
        (75.46, 92.46, 75.50, 92.53),
        note="Above the 75.1 of pycls.",
    ),
    trials=(
        Trial(
            "sgd-standardised",
            "SGD, a cosine, standardised weights",
            f"model.conv=weight_standardised model.activation=relu {_OLD_SGD}",
            (461,),
            (65.79, 86.49, 65.82, 86.51),
        ),
        Trial(
            "sgd-plain",
            "SGD, a cosine, plain convolutions",
            f"model.activation=relu {_OLD_SGD}",
            (463,),
            (65.72, 86.57, 65.75, 86.58),
        ),
        Trial(
            "rate-as-regnet",
            "rate 0.1 for 128 images, weight decay 5e-5",
            "model.activation=relu optim.lr=0.1 optim.reference_batch=128 optim.weight_decay=5e-5 "
            "model.conv=weight_standardised train.epochs=150",
            (465, 466, 467),
            (72.18, 90.62),
            judged=0,
            note="The average is recorded as 1/5.",
        ),
        Trial(
            "100epochs",
            "100 epochs",
            "model.activation=relu optim.lr=0.1 optim.reference_batch=128 optim.weight_decay=5e-5 "
            "model.conv=weight_standardised train.epochs=100",
            (468, 469),
            (70.23, 89.47, 70.23, 89.37),
        ),
        Trial(
            "100epochs-plain",
            "and plain convolutions",
            "model.activation=relu optim.lr=0.1 optim.reference_batch=128 optim.weight_decay=5e-5 train.epochs=100",
            (470,),
            (73.38, 91.37, 73.41, 91.37),
        ),
        Trial(
            "swish-regularised",
            "swish, RandAugment, label smoothing",
            f"model.activation=swish {rand(0.5)} loss.smoothing=0.1",
            (472,),
            (74.96, 92.07, 74.86, 92.0),
        ),
        Trial("hswish", "hswish", "model.activation=hswish", (474,), (75.28, 92.46, 75.45, 92.52)),
        Trial(
            "hswish-200",
            "hswish, RandAugment, label smoothing, 200 epochs",
            f"model.activation=hswish {rand(0.5)} loss.smoothing=0.1 train.epochs=200",
            (476,),
            (76.29, 92.87, 76.27, 92.88),
        ),
        Trial(
            "hswish-cutmix-400",
            "and cutmix, 400 epochs",
            f"model.activation=hswish {rand(0.5)} loss.smoothing=0.1 data.augment.mix=cutmix train.epochs=400",
            (477,),
            (73.71, 91.81, 73.64, 91.8),
        ),
        Trial(
            "hswish-cutmix-200",
            "and cutmix, 200 epochs",
            f"model.activation=hswish {rand(0.5)} loss.smoothing=0.1 data.augment.mix=cutmix train.epochs=200",
            (478,),
        ),
    ),
    meaning=MEANING,
    judged=0,
)

FORMS = (PREACTIVATION, DILATED, ATTENTION, SE_618, ACTIVATIONS, REGNET)
