"""EfficientNets once the input was right, the collection of weights, plans (lines 155 to 182, 235 to 347)."""

from __future__ import annotations

from ablata.replications.imagenet.resnet import rand
from ablata.replications.imagenet.start import MEANING
from ablata.replications.trial import Conclusion, Question, Trial

B0 = Question(
    name="b0-randaugment",
    title="EfficientNet-B0: RandAugment of which strength and probability?",
    recipe="efficientnet_b0_rand_imagenet",
    base=rand(0.5, 10),
    control=Trial("baseline", "RandAugment, as it was", "", (155, 156), (75.98, 92.83, 76.93, 93.26)),
    trials=(
        Trial("none", "no RandAugment", "data.augment.policy=null", (157,), (75.70, 92.70, 76.89, 93.29)),
        Trial(
            "tidied",
            "after tidying",
            "data.augment.policy.deviation=0",
            (158,),
            (75.59, 92.65, 76.76, 93.20),
            note="What changed is not said; here the spread of the magnitude.",
        ),
        Trial(
            "tidied-10",
            "tidied, two operations of magnitude 10, always",
            "data.augment.policy.probability=1",
            (159,),
            (75.63, 92.54, 76.83, 93.17),
        ),
        Trial(
            "p0.1",
            "magnitude 9, probability 0.1",
            "data.augment.policy.magnitude=9 data.augment.policy.probability=0.1",
            (160,),
            (75.93, 92.87, 77.00, 93.51),
        ),
        Trial(
            "p0.5",
            "magnitude 9, probability 0.5",
            "data.augment.policy.magnitude=9",
            (161, 162),
            (76.27, 92.99, 77.18, 93.47),
            note="Line 161 has the same settings with 76.02/92.78/77.25/93.44.",
        ),
        Trial(
            "p1",
            "magnitude 9, always",
            "data.augment.policy.magnitude=9 data.augment.policy.probability=1",
            (163,),
            (75.96, 92.76, 76.99, 93.29),
        ),
    ),
    conclusions=(Conclusion(text="Probability 0.5 it is.", lines=(164,), claims={"p0.5": "better"}),),
    meaning=MEANING,
    judged=0,
)

_MIXED = "data.augment.policy=null data.augment.mix=mixup data.augment.mix.alpha=0.2"

B1 = Question(
    name="b1",
    title="EfficientNet-B1: RandAugment, swish with a lean backward pass, mixup; what do label smoothing forms cost?",
    recipe="efficientnet_b1_imagenet",
    base=f"{rand(0.5)} loss.implementation=autograd",
    control=Trial(
        "rand-mended",
        "RandAugment, the middle crop mended",
        "",
        (165, 168, 174),
        (78.21, 94.09, 79.27, 94.53),
        note="An epoch takes 142 s.",
    ),
    trials=(
        Trial(
            "rand",
            "RandAugment, the middle crop not mended",
            "data.resize=240 data.size=240",
            (166,),
            (77.26, 93.42, 78.1, 93.79),
            note="What was wrong with the crop is not said; here the shorter side is cut at 240 pixels.",
        ),
        Trial(
            "none",
            "no RandAugment, the middle crop not mended",
            "data.resize=240 data.size=240 data.augment.policy=null",
            (167,),
            (76.79, 92.93, 77.53, 93.45),
        ),
        Trial(
            "lean-swish",
            "swish with a lean backward pass",
            "model.activation=swish_lean",
            (170,),
            (78.17, 94.14, 78.99, 94.51),
        ),
        Trial(
            "smoothing-custom",
            "label smoothing with a backward pass by hand",
            "loss.implementation=custom",
            (172, 173, 175),
            note="An epoch takes 153 s.",
        ),
        Trial(
            "smoothing-fused",
            "label smoothing by the fused form",
            "loss.implementation=fused",
            (176,),
            note="An epoch takes 136 s.",
        ),
        Trial(
            "lighting",
            "lighting noise, made faster",
            "data.augment.lighting=0.1",
            (178, 179, 180),
            note="An epoch takes 131 s, 139 s before.",
        ),
        Trial(
            "mixup",
            "mixup 0.2 and label smoothing",
            _MIXED,
            (182, 183),
            (76.09, 93.03, 77.10, 93.54),
        ),
    ),
    conclusions=(Conclusion(text="About the same; it jumps a little.", lines=(170,), claims={"lean-swish": "same"}),),
    meaning=MEANING,
    judged=0,
)

_PYCLS = "train.epochs=100"

ZOO_EFFICIENT = Question(
    name="collection-efficientnet",
    title="The collection of weights: which EfficientNet is how good?",
    base="train.epochs=100 data.augment.policy=null",
    control=Trial("b0", "B0", "", (235, 236, 237), (76.03, 92.84, 75.96, 92.78)),
    trials=(
        Trial(
            "b0-no-norm-decay",
            "B0, no weight decay on normalisation",
            "optim.groups.no_decay_norm_and_bias=false",
            (238,),
            (76.02, 92.95, 75.75, 92.83),
            note="`bn0` is not explained; here it is the opposite of the control's rule.",
        ),
        Trial(
            "b0-rand-200",
            "B0, RandAugment, 200 epochs",
            f"train.epochs=200 {rand(0.5)}",
            (239,),
            (76.84, 93.34, 76.91, 93.34),
        ),
        Trial("b2", "B2", "model.variant=b2 data.size=260 data.resize=292", (240,), (78.66, 94.41, 78.69, 94.38)),
        Trial(
            "b2-lite",
            "B2 lite",
            "model=efficientnet_lite model.variant=lite2 data.size=260 data.resize=292",
            (241,),
            (77.69, 93.86, 77.65, 93.85),
        ),
        Trial(
            "b2-again",
            "B2 once more",
            "model.variant=b2 data.size=260 data.resize=292 optim.groups.no_decay_norm_and_bias=false",
            (242,),
            (78.79, 94.26, 78.77, 94.28),
            note="What changed is not said; here it is told apart by the decay of normalisation.",
        ),
        Trial("b0-lite", "B0 lite", "model=efficientnet_lite", (243,), (74.64, 92.08, 74.62, 92.07)),
        Trial("b4", "B4", "model.variant=b4 data.size=380 data.resize=412", (244,), (81.04, 95.57, 81.08, 95.59)),
        Trial("b6", "B6", "model.variant=b6 data.size=528 data.resize=560", (245,)),
    ),
    conclusions=(Conclusion(text="B2 once more is about the same.", lines=(242,), claims={}),),
    meaning=MEANING,
    judged=0,
)

_SE = "model.attention=se"

ZOO_RESNET = Question(
    name="collection-resnet",
    title="The collection of weights: which ResNet is how good?",
    recipe="resnet50_imagenet",
    base=_PYCLS,
    control=Trial("r50", "ResNet-50", "", (246,), (77.19, 93.66, 76.72, 93.49)),
    trials=(
        Trial("r101", "ResNet-101", "model.depth=101", (247,), (78.50, 94.33, 78.43, 94.42)),
        Trial(
            "r101-frelu",
            "ResNet-101, FReLU",
            "model.depth=101 model.activation=frelu",
            (248,),
            (78.88, 94.35, 79.06, 94.54),
        ),
        Trial("pa-r50", "ResNet-50, pre-activation", "model.preactivation=true", (249,), (76.93, 93.47, 76.69, 93.43)),
        Trial(
            "pa-r101",
            "ResNet-101, pre-activation",
            "model.depth=101 model.preactivation=true",
            (250,),
            (78.37, 94.11, 78.04, 94.11),
        ),
        Trial("se-r50", "ResNet-50, squeeze and excitation", _SE, (251,)),
        Trial("se-r101", "ResNet-101, squeeze and excitation", f"model.depth=101 {_SE}", (252,)),
        Trial(
            "pa-se-r50", "ResNet-50, pre-activation, squeeze and excitation", f"model.preactivation=true {_SE}", (253,)
        ),
        Trial(
            "pa-se-r101",
            "ResNet-101, pre-activation, squeeze and excitation",
            f"model.depth=101 model.preactivation=true {_SE}",
            (254,),
        ),
        Trial("dynamic", "ResNet-50, dynamic convolution", "model.conv=dynamic", (255,)),
        Trial(
            "aligned-r50",
            "ResNet-50, aligned weights",
            "model.conv=weight_aligned",
            (261,),
            note="Recorded as given up.",
        ),
        Trial(
            "aligned-r101",
            "ResNet-101, aligned weights",
            "model.depth=101 model.conv=weight_aligned",
            (262,),
            note="Recorded as 70 after 80 epochs, then nan.",
        ),
        Trial(
            "hierarchical",
            "ResNet-50, hierarchical splits, 300 epochs",
            "model.split=hierarchical train.epochs=300",
            (263, 264),
        ),
    ),
    conclusions=(
        Conclusion(text="With aligned weights the loss becomes nan.", lines=(262,), claims={"aligned-r101": "failed"}),
    ),
    meaning=MEANING,
    judged=0,
)

_MIX = "data.augment.mix=mixup"

PLANNED_RESNET = Question(
    name="plans-resnet",
    title="Plans for ResNet-50: mixing, losses, batches, clipping?",
    recipe="resnet50_imagenet",
    base="",
    control=Trial("r50", "as it stands", "", (246,), (77.19, 93.66, 76.72, 93.49)),
    trials=(
        Trial("mix-losses", "mixup that mixes losses", f"{_MIX} data.augment.mix.mix_target=losses", (277,)),
        Trial("clip", "gradients clipped", "train.clip=1", (282,), note="The norm is not named; 1 is a guess."),
        Trial("logit-penalty", "a penalty on the logits", "loss=logit_penalty", (290,)),
        Trial("big-batch", "a large batch", "train.batch=4096", (292,), note="How large is not said."),
        Trial("bootstrap", "a bootstrapped loss", "loss=bootstrap", (294,)),
        Trial(
            "as-efficientnet",
            "EfficientNet's optimiser",
            "optim=rmsprop_tf optim.lr=0.016 optim.weight_decay=1e-5 schedule=exponential",
            (296,),
        ),
        Trial(
            "se-temperature",
            "squeeze and excitation with a temperature from 30 down to 1",
            f"{_SE} model.attention.temperature=30",
            (301,),
        ),
        Trial("mix-same", "mixup within the batch", _MIX, (304,)),
        Trial("mix-other", "mixup with another batch", f"{_MIX} data.augment.mix.pairing=other", (304, 347)),
        Trial("mix-larger", "mixup, the larger weight", f"{_MIX} data.augment.mix.larger=true", (304,)),
        Trial("mix-binary", "mixup with sigmoids", f"{_MIX} loss=binary_cross_entropy", (304,)),
        Trial("cutmix", "cutmix", "data.augment.mix=cutmix", (305,)),
        Trial("both", "mixup and cutmix", "data.augment.mix=both", (306,)),
        Trial(
            "mix-sample",
            "mixup with a weight for each image, the larger one",
            f"{_MIX} data.augment.mix.lam=sample data.augment.mix.larger=true",
            (347,),
        ),
        Trial(
            "mix-reversed",
            "mixup with the batch reversed",
            f"{_MIX} data.augment.mix.pairing=reversed",
            (348,),
        ),
        Trial("centre-crop", "another middle crop", 'protocols=["centre_0.875"]', (310,)),
        Trial("crop-first", "crop first, then resize", 'protocols=["crop_resize"]', (314,)),
        Trial("warmup3", "a warm-up of 3 epochs", "schedule.warmup.length=3", (312,)),
        Trial("sqrt-lr", "rate that goes with the root of the batch", "optim.scaling=sqrt", (327,)),
        Trial("fp16", "torch's own fp16", "compute.precision=fp16", (280,)),
    ),
    meaning=MEANING,
    judged=0,
)

_SGD = "optim=sgd optim.lr=0.1 optim.reference_batch=128 schedule=cosine"

PLANNED_EFFICIENT = Question(
    name="plans-efficientnet",
    title="Plans for EfficientNet: normalisation, drop connect, optimiser, where weight decay works?",
    base="data.augment.policy=null",
    control=Trial("b0", "as it stands", "", (237,), (76.03, 92.84, 75.96, 92.78)),
    trials=(
        Trial("head-outside", "the last convolution out of the backbone", "model.head=backbone", (273,)),
        Trial("standardised", "standardised weights", "model.conv=weight_standardised optim=sgd optim.lr=0.1", (274,)),
        Trial("last-norm", "a last normalisation", "model.last_norm=true", (284,)),
        Trial("relu", "ReLU", "model.activation=relu", (285,)),
        Trial("drop0.3", "drop connect rising to 0.3", "model.drop_connect=0.3", (287,)),
        Trial(
            "drop0.3-fixed",
            "drop connect 0.3 everywhere",
            "model.drop_connect=0.3 model.drop_connect_form=fixed",
            (288,),
        ),
        Trial("sgd", "SGD", _SGD, (299, 320)),
        Trial(
            "sgd-exponential", "SGD, warm-up beside the schedule", f"{_SGD} schedule.warmup.placement=on_top", (321,)
        ),
        Trial("sgd-init", "SGD, torch's initial weights", f"{_SGD} model.init=torch", (322, 341)),
        Trial("sgd-decay", "SGD, weight decay directly", f"{_SGD} optim.decay=decoupled", (323,)),
        Trial("sgd-floor", "SGD, a cosine with a floor", f"{_SGD} schedule.floor=1e-5", (324,)),
        Trial("cross-entropy", "plain cross-entropy", "loss.smoothing=0", (325,)),
        Trial(
            "l2-all",
            "decay in the gradient, on all parameters",
            "optim.groups.no_decay_norm_and_bias=false",
            (334, 343),
        ),
        Trial("decoupled", "decay apart from the gradient", "optim.decay=decoupled", (336, 338)),
        Trial(
            "decoupled-all",
            "decay apart from the gradient, on all parameters",
            "optim.decay=decoupled optim.groups.no_decay_norm_and_bias=false",
            (337,),
            note="Line 337 wants the loss's own L2 term, which for this optimiser is decay in the gradient.",
        ),
        Trial(
            "decay-times-rate",
            "decay times the rate",
            "optim.decay=decoupled optim.weight_decay=1e-4",
            (339,),
            note="Decoupled decay is times the rate here.",
        ),
    ),
    meaning=MEANING,
    judged=0,
)

EFFICIENT = (B0, B1, ZOO_EFFICIENT, ZOO_RESNET, PLANNED_RESNET, PLANNED_EFFICIENT)
