"""The second part: ResNet-20 in CIFAR's own form, until the wrong crop was found (lines 49 to 114)."""

from __future__ import annotations

from ablata.replications.trial import Conclusion, Question, Trial

WRONG_CROP = "data.augment.pad=0 data.augment.resize.side=40"
_TRAINING = "optim.lr=0.2 train.batch=256 train.epochs=200 schedule.warmup=warmup schedule.warmup.length=10"
_BASE = (
    f"{_TRAINING} {WRONG_CROP} optim.weight_decay=5e-4 schedule.floor=1e-5 loss.smoothing=0.1 model.zero_gamma=true "
    "model.shortcut=conv"
)
_PLAIN = Trial(name="baseline", change="as before, ResNet-20", settings="", lines=(49, 52, 56, 61), scores=(87.79,))
_ROUNDS = "top-1 after each round, round 0 first"

ORDER = Question(
    name="order",
    title="Pre-activation or not, in ResNet-20?",
    base=_BASE,
    control=_PLAIN,
    trials=(
        Trial(
            name="preact",
            change="pre-activation",
            settings="model.preactivation=true model.zero_gamma=false",
            lines=(51,),
            scores=(87.79,),
            note="With zero gammas it could not have learned (line 45), so they are taken to be off.",
        ),
    ),
    conclusions=(Conclusion(text="Both about the same; go on without.", lines=(53,), claims={"preact": "same"}),),
)

DECAY = Question(
    name="weight-decay",
    title="How much weight decay?",
    base=_BASE,
    control=_PLAIN,
    trials=(
        Trial(
            name="wd1e-4", change="weight decay 1e-4", settings="optim.weight_decay=1e-4", lines=(55,), scores=(85.61,)
        ),
    ),
    conclusions=(Conclusion(text="Larger is better; it seems to overfit.", lines=(57,), claims={"wd1e-4": "worse"}),),
)

FLOOR = Question(
    name="cosine-floor",
    title="Where should the cosine end?",
    base=_BASE,
    control=_PLAIN,
    trials=(
        Trial(name="floor0", change="at 0", settings="schedule.floor=0", lines=(59,), scores=(87.52,)),
        Trial(name="floor1e-6", change="at 1e-6", settings="schedule.floor=1e-6", lines=(60,), scores=(87.32,)),
        Trial(name="floor1e-4", change="at 1e-4", settings="schedule.floor=1e-4", lines=(62,), scores=(87.70,)),
    ),
    conclusions=(
        Conclusion(
            text="All about the same, as long as it is not too small.",
            lines=(63,),
            claims={"floor0": "same", "floor1e-6": "same", "floor1e-4": "same"},
        ),
    ),
)

REFINERY = Question(
    name="refinery",
    title="Does label refinery help?",
    base=f"{_BASE} schedule.floor=1e-4",
    control=Trial(name="baseline", change="labels alone", settings="", lines=(62,), scores=(87.70,)),
    trials=(
        Trial(
            name="four-rounds",
            change="four dynamic rounds",
            settings="refine=refinement refine.rounds=4 refine.teacher=dynamic",
            lines=(64, 65),
            scores=(87.70, 88.70, 88.17, 88.98, 89.47),
        ),
    ),
    conclusions=(Conclusion(text="It does help, by about a point.", lines=(66,), claims={"four-rounds": "better"}),),
    meaning=_ROUNDS,
)

PARTS = Question(
    name="parts",
    title="Depth, label smoothing, dropout in the residual?",
    base=_BASE,
    control=_PLAIN,
    trials=(
        Trial(name="depth56", change="56 layers", settings="model.depth=56", lines=(67, 68), scores=(89.84,)),
        Trial(
            name="no-smoothing",
            change="no label smoothing",
            settings="loss.smoothing=0",
            lines=(69, 70),
            scores=(87.10,),
        ),
        Trial(
            name="dropout",
            change="dropout in the residual",
            settings="model.dropout=0.1",
            lines=(83, 84),
            scores=(88.06,),
            note="The share is not named; 0.1 is a guess.",
        ),
        Trial(
            name="dropout-preact",
            change="dropout in the residual, pre-activation",
            settings="model.dropout=0.1 model.preactivation=true model.zero_gamma=false",
            lines=(85,),
            scores=(87.88, 88.24),
            judged=0,
            note="Two figures without a word on what tells them apart; taken for repetitions.",
        ),
    ),
    conclusions=(
        Conclusion(text="Label smoothing is of use.", lines=(71,), claims={"no-smoothing": "worse"}),
        Conclusion(
            text="With dropout about the same; adding it makes no difference.",
            lines=(86,),
            claims={"dropout": "same", "dropout-preact": "same"},
        ),
    ),
)

WARMUP = Question(
    name="warmup",
    title="How long a warm-up, and of which form?",
    base=_BASE,
    control=Trial(name="warmup10", change="10 epochs", settings="", lines=(76,), scores=(87.96,)),
    trials=(
        Trial(name="warmup1", change="1 epoch", settings="schedule.warmup.length=1", lines=(73,), scores=(87.79,)),
        Trial(name="warmup2", change="2 epochs", settings="schedule.warmup.length=2", lines=(74,), scores=(87.92,)),
        Trial(name="warmup5", change="5 epochs", settings="schedule.warmup.length=5", lines=(75,), scores=(87.75,)),
    ),
    conclusions=(
        Conclusion(
            text="For this network the length of the warm-up makes no difference.",
            lines=(77,),
            claims={"warmup1": "same", "warmup2": "same", "warmup5": "same"},
        ),
    ),
)

WARMUP_FORM = Question(
    name="warmup-form",
    title="An exponential or a linear warm-up?",
    base=_BASE,
    control=Trial(name="linear", change="linear", settings="", lines=(99,), scores=(87.50,)),
    trials=(
        Trial(
            name="exponential",
            change="exponential",
            settings="schedule.warmup.form=exponential",
            lines=(98, 100),
            scores=(87.25,),
        ),
    ),
    conclusions=(Conclusion(text="About the same; linear it is.", lines=(101,), claims={"exponential": "same"}),),
)

MOMENTUM = Question(
    name="norm-momentum",
    title="Which momentum for the running statistics of batch normalisation?",
    base=_BASE,
    control=Trial(
        name="default",
        change="0.1, torch's default",
        settings="",
        lines=(80,),
        scores=(87.28,),
    ),
    trials=(
        Trial(
            name="unset",
            change="none given",
            settings="train.bn_momentum=cumulative",
            lines=(78, 79),
            scores=(88.44,),
            note="Taken for torch's momentum=None, the mean over all batches.",
        ),
        Trial(name="0.01", change="0.01", settings="train.bn_momentum=0.01", lines=(81,), scores=(87.34,)),
        Trial(
            name="inverse-square",
            change="1 / batch^2",
            settings="train.bn_momentum=inverse_square",
            lines=(82,),
            scores=(87.64,),
        ),
    ),
)

_DROP2 = "data.augment.channel_drop=2"
_FADING = "refine=refinement refine.rounds=7 refine.teacher=dynamic"

CHANNEL_DROP = Question(
    name="channel-drop",
    title="Does dropping colour channels help, and refinery after it?",
    base=_BASE,
    control=_PLAIN,
    trials=(
        Trial(
            name="two-200", change="at most two channels, 200 epochs", settings=_DROP2, lines=(88, 89), scores=(84.65,)
        ),
        Trial(
            name="two-400",
            change="at most two channels, 400 epochs",
            settings=f"{_DROP2} train.epochs=400",
            lines=(90,),
            scores=(84.66,),
        ),
        Trial(
            name="rounds-50-200",
            change="at most two channels, a first round of 50 epochs, then seven of 200",
            settings=f"{_DROP2} {_FADING} refine.epochs=[50,200]",
            lines=(91,),
            scores=(82.65, 81.36, 80.32, 79.43, 77.79, 77.46, 76.17, 76.44),
        ),
        Trial(
            name="rounds-50",
            change="at most two channels, eight rounds of 50 epochs",
            settings=f"{_DROP2} {_FADING} refine.epochs=[50]",
            lines=(92,),
            scores=(82.65, 80.54, 78.86, 77.72, 75.96, 75.51, 74.93, 94.15),
            judged=-2,
            note="The last figure, 94.15, stands as it was written; a slip, probably for 74.15, so the one before is "
            "compared.",
        ),
        Trial(
            name="one-200",
            change="at most one channel, 200 epochs",
            settings="data.augment.channel_drop=1",
            lines=(96, 97),
            scores=(86.60,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="200 epochs are enough; more gives the same.",
            lines=(94,),
            claims={"two-400": "same"},
        ),
        Conclusion(
            text="Refinery needs a first network that has converged without much overfitting; else it gets worse and "
            "worse.",
            lines=(95,),
            claims={"rounds-50-200": "worse", "rounds-50": "worse"},
        ),
    ),
    meaning=_ROUNDS,
)

CROP = Question(
    name="crop",
    title="Pad and crop, or resize and crop?",
    base=_BASE,
    control=_PLAIN,
    trials=(
        Trial(
            name="pad4",
            change="pad by 4 pixels, then crop",
            settings="data.augment.resize=null data.augment.pad=4",
            lines=(103, 104),
            scores=(92.31,),
        ),
        Trial(
            name="opencv",
            change="resize by OpenCV",
            settings="data.augment.resize.backend=opencv",
            lines=(102,),
            note="Given up: the data set's own reader knew PIL alone.",
        ),
    ),
    conclusions=(
        Conclusion(text="The preprocessing had been wrong all along.", lines=(105,), claims={"pad4": "better"}),
    ),
)

RIGHT_CROP = (
    f"{_TRAINING} optim.weight_decay=5e-4 schedule.floor=1e-5 loss.smoothing=0.1 model.zero_gamma=true "
    "model.shortcut=conv"
)
"""The training once the crop was right."""

AFTER_CROP = Question(
    name="after-crop",
    title="With the right crop: which constants, and channel drop again?",
    base=f"{RIGHT_CROP} data.normalization=imagenet",
    control=Trial(
        name="imagenet-constants",
        change="ImageNet's constants",
        settings="",
        lines=(104, 114),
        scores=(92.31,),
        note="That the constants were ImageNet's until here is a guess.",
    ),
    trials=(
        Trial(
            name="cifar-constants",
            change="CIFAR's own constants",
            settings="data.normalization=own",
            lines=(106, 107),
            scores=(92.17,),
        ),
        Trial(
            name="channel-drop",
            change="channel drop again",
            settings="data.augment.channel_drop=1",
            lines=(110, 111),
            scores=(90.16,),
            note="At most one channel or two is not said.",
        ),
    ),
    conclusions=(
        Conclusion(text="About the same.", lines=(108,), claims={"cifar-constants": "same"}),
        Conclusion(text="It does harm; leave it.", lines=(112,), claims={"channel-drop": "worse"}),
    ),
)

RESNET20 = (
    ORDER,
    DECAY,
    FLOOR,
    REFINERY,
    PARTS,
    WARMUP,
    MOMENTUM,
    CHANNEL_DROP,
    WARMUP_FORM,
    CROP,
    AFTER_CROP,
)
