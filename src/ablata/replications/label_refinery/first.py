"""The first part: a residual network of ImageNet's form, its stem changed step by step (lines 1 to 46)."""

from __future__ import annotations

from ablata.replications.trial import Conclusion, Question, Trial

_NETWORK = "model=resnet model.depth=18 data.augment.pad=0 data.augment.resize.side=40 schedule.floor=1e-5"
_WARM = "schedule.warmup=warmup schedule.warmup.length=20"
_START = f"{_NETWORK} {_WARM} optim.lr=1e-2 optim.weight_decay=1e-4 train.batch=64"
_DEPTH = "The notebook does not name the depth; 18 is a guess."

LENGTH = Question(
    name="length",
    title="Is 120 epochs enough?",
    base=f"{_START} train.epochs=120",
    control=Trial(
        name="120epochs",
        change="120 epochs, 20 of them warm-up",
        settings="",
        lines=(2, 3),
        scores=(82.82,),
        note=_DEPTH,
    ),
    trials=(
        Trial(name="200epochs", change="200 epochs", settings="train.epochs=200", lines=(6, 7), scores=(84.95,)),
        Trial(
            name="dynamic",
            change="200 epochs, then one round taught by that network, which labels each crop",
            settings="train.epochs=200 refine=refinement refine.teacher=dynamic",
            lines=(9, 10),
        ),
    ),
    conclusions=(
        Conclusion(
            text="120 epochs have not converged: the loss is still falling.", lines=(4,), claims={"200epochs": "better"}
        ),
    ),
)

_BIG = f"{_NETWORK} {_WARM} optim.lr=2e-1 train.batch=256 train.epochs=200"

NAIVE = Question(
    name="naive",
    title="Does one round of refinement help a network at a large batch?",
    base=f"{_BIG} optim.weight_decay=1e-4",
    control=Trial(
        name="naive",
        change="batch 256, rate 0.2, labels alone",
        settings="",
        lines=(14, 15),
        scores=(84.06, 85.18, 83.32),
        judged=0,
        note="Three figures without a word on what tells them apart; taken for repetitions.",
    ),
    trials=(
        Trial(
            name="dynamic",
            change="one round, the teacher labels each crop",
            settings="refine=refinement refine.teacher=dynamic",
            lines=(17,),
            scores=(83.06,),
        ),
        Trial(
            name="online",
            change="the network's own average labels while it learns",
            settings="refine=refinement refine.teacher=online refine.loss.label_weight=0.5",
            lines=(19,),
        ),
    ),
)

_S2 = "model.stem=3x3_s2_pool"
_NO_POOL = "model.stem=3x3_s2"
_S1 = "model.stem=3x3"
_SMOOTH = f"{_S1} loss.smoothing=0.1"
_DECAY = f"{_SMOOTH} optim.weight_decay=5e-4"
_TAUGHT = "refine=refinement refine.teacher=dynamic"

STEM = Question(
    name="stem",
    title="Which stem fits images of 32 pixels?",
    base=f"{_BIG} optim.weight_decay=1e-4",
    control=Trial(
        name="imagenet-stem",
        change="7x7 convolution of stride 2, then max-pooling",
        settings="",
        lines=(22, 23, 25),
        scores=(83.54,),
        note="The heading says weight decay 5e-4 already, and line 30 changes to it again; 1e-4 until there.",
    ),
    trials=(
        Trial(name="3x3-s2", change="3x3 convolution of stride 2", settings=_S2, lines=(26,), scores=(84.23,)),
        Trial(name="no-pool", change="and no max-pooling", settings=_NO_POOL, lines=(27,), scores=(88.73,)),
        Trial(
            name="no-pool-dynamic",
            change="and one dynamic round",
            settings=f"{_NO_POOL} {_TAUGHT}",
            lines=(27,),
            scores=(89.06,),
        ),
        Trial(name="3x3-s1", change="3x3 convolution of stride 1", settings=_S1, lines=(28,), scores=(90.52,)),
        Trial(name="smoothing", change="and label smoothing", settings=_SMOOTH, lines=(29,), scores=(90.77,)),
        Trial(name="wd5e-4", change="and weight decay 5e-4", settings=_DECAY, lines=(30,), scores=(91.86,)),
        Trial(
            name="wd5e-4-dynamic",
            change="and one dynamic round",
            settings=f"{_DECAY} {_TAUGHT}",
            lines=(30,),
            scores=(92.22,),
        ),
    ),
)

_REFACTORED = f"{_BIG} {_DECAY}"

BLOCKS = Question(
    name="blocks",
    title="Zero gammas, shorter warm-ups, 3x3 shortcuts, a cosine to nothing?",
    base=_REFACTORED,
    control=Trial(name="refactored", change="all of the stem's gains", settings="", lines=(33,), scores=(92.06,)),
    trials=(
        Trial(
            name="zero-gamma",
            change="the last gamma of each block starts at 0",
            settings="model.zero_gamma=true",
            lines=(35,),
            scores=(92.17,),
        ),
        Trial(
            name="warmup10",
            change="and a warm-up of 10 epochs",
            settings="model.zero_gamma=true schedule.warmup.length=10",
            lines=(36,),
            scores=(92.10,),
        ),
        Trial(
            name="warmup5",
            change="and a warm-up of 5 epochs",
            settings="model.zero_gamma=true schedule.warmup.length=5",
            lines=(37,),
            scores=(91.87,),
        ),
        Trial(
            name="shortcut3x3",
            change="and 3x3 convolutions in the shortcuts",
            settings="model.zero_gamma=true schedule.warmup.length=5 model.shortcut=conv3x3",
            lines=(38,),
            scores=(91.54,),
        ),
        Trial(
            name="cosine-to-0",
            change="and a cosine down to 0",
            settings="model.zero_gamma=true schedule.warmup.length=5 schedule.floor=0",
            lines=(39,),
            scores=(91.80,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Back to a warm-up of 10, 1x1 shortcuts and a floor of 1e-5.",
            lines=(42,),
            claims={"warmup5": "worse", "shortcut3x3": "worse", "cosine-to-0": "worse"},
        ),
    ),
)

PREACTIVATION = Question(
    name="preactivation",
    title="Does pre-activation help?",
    base=f"{_REFACTORED} schedule.warmup.length=10 model.zero_gamma=true",
    control=Trial(
        name="after-convolution",
        change="activation after each convolution, last gammas zero",
        settings="",
        lines=(36, 42),
        scores=(92.10,),
    ),
    trials=(
        Trial(
            name="preact-zero-gamma",
            change="pre-activation, last gammas zero",
            settings="model.preactivation=true",
            lines=(45,),
            scores=(54.29,),
            note="Such a block cannot learn: its last normalisation lies before a ReLU, whose gradient at 0 is 0.",
        ),
        Trial(
            name="preact",
            change="pre-activation, gammas one",
            settings="model.preactivation=true model.zero_gamma=false",
            lines=(46,),
            scores=(91.58,),
        ),
    ),
)

FIRST = (LENGTH, NAIVE, STEM, BLOCKS, PREACTIVATION)
