"""The third part: pre-activation, label smoothing forms, dropout, restarts, floors (lines 116 to 168, 218 to 225)."""

from __future__ import annotations

from ablata.replications.label_refinery.resnet20 import RIGHT_CROP
from ablata.replications.trial import Conclusion, Question, Trial

PREACT = (
    f"{RIGHT_CROP} loss.smoothing=0 model.preactivation=true model.zero_gamma=false schedule.warmup.start=1e-5 "
    + ("schedule.warmup.start_unit=lr")
)
"""ResNet-20 with pre-activation, warm-up from a rate of 1e-5, no label smoothing."""

MULTIPLIED = Question(
    name="cosine-or-multiplied",
    title="A cosine, or a rate that is multiplied down?",
    base=PREACT,
    control=Trial(name="cosine", change="a cosine", settings="", lines=(117, 118, 120), scores=(92.28,)),
    trials=(
        Trial(
            name="multiplied",
            change="multiplied down by equal ratios",
            settings="schedule=exponential schedule.gamma=0.97 schedule.every=2.4",
            lines=(119,),
            scores=(91.31,),
            note="The factor is not named; 0.97 every 2.4 epochs is EfficientNet's.",
        ),
    ),
    conclusions=(Conclusion(text="The cosine is better.", lines=(121,), claims={"multiplied": "worse"}),),
)

SMOOTHING = Question(
    name="smoothing",
    title="Does label smoothing help with pre-activation?",
    base=PREACT,
    control=Trial(name="none", change="no label smoothing", settings="", lines=(117, 120), scores=(92.28,)),
    trials=(
        Trial(
            name="0.95",
            change="0.95 on the label, 5e-5 off it",
            settings="loss.on=0.95 loss.off=5e-5",
            lines=(123,),
            scores=(92.06,),
        ),
        Trial(
            name="0.9",
            change="0.9 on the label, 1e-4 off it",
            settings="loss.on=0.9 loss.off=1e-4",
            lines=(124,),
            scores=(92.18,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="It is rather worse; without label smoothing from here on.",
            lines=(125, 126),
            claims={"0.95": "worse", "0.9": "worse"},
        ),
    ),
)

DROPOUT = Question(
    name="dropout",
    title="Dropout at the classifier, or in the residual?",
    base=PREACT,
    control=Trial(name="none", change="no dropout", settings="schedule.floor=0", lines=(128, 129), scores=(92.46,)),
    trials=(
        Trial(
            name="before-classifier",
            change="before the classifier",
            settings="schedule.floor=0 model.features_dropout=0.1",
            lines=(131,),
            scores=(91.86, 92.35),
            judged=0,
            note="The share is not named; 0.1 is a guess. Two figures without a word on what tells them apart.",
        ),
        Trial(
            name="behind-classifier",
            change="behind the classifier",
            settings="schedule.floor=0 model.logits_dropout=0.1",
            lines=(132,),
            scores=(91.95, 92.38),
            judged=0,
            note="As before.",
        ),
        Trial(
            name="residual0.3",
            change="0.3 in the residual, before the last convolution",
            settings="schedule.floor=0 model.dropout=0.3",
            lines=(136, 137),
            scores=(92.28,),
        ),
        Trial(
            name="residual0.1",
            change="0.1 in the residual, before the last convolution",
            settings="schedule.floor=0 model.dropout=0.1",
            lines=(138,),
            scores=(92.32,),
        ),
        Trial(
            name="residual-after",
            change="0.1 in the residual, before the last convolution, without pre-activation",
            settings="schedule.floor=0 model.dropout=0.1 model.preactivation=false",
            lines=(139,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Before or behind the classifier is about the same, and both a little worse than none.",
            lines=(133, 134),
            claims={"before-classifier": "worse", "behind-classifier": "worse"},
        ),
        Conclusion(
            text="Dropout does not do; leave it.",
            lines=(140,),
            claims={"residual0.3": "worse", "residual0.1": "worse"},
        ),
    ),
)


def _restarts(first: float, multiplier: float, epochs: int, more: str = "") -> str:
    start = f"schedule=sgdr schedule.first={first:g} schedule.multiplier={multiplier:g} train.epochs={epochs}"
    warm = "schedule.warmup=warmup schedule.warmup.length=10 schedule.warmup.start=1e-5 schedule.warmup.start_unit=lr"
    return f"{start} {warm} schedule.floor=1e-5 {more or 'schedule.per=epoch'}"


_BY_STEP = "schedule.per=step"

RESTARTS = Question(
    name="restarts",
    title="Do warm restarts help?",
    base=PREACT,
    control=Trial(name="cosine", change="one cosine over 200 epochs", settings="", lines=(120,), scores=(92.28,)),
    trials=(
        Trial(
            name="10x2-200",
            change="first cycle 10 epochs, doubled, 200 epochs",
            settings=_restarts(10, 2, 200),
            lines=(142, 143),
            scores=(81.63,),
        ),
        Trial(
            name="10x2-160",
            change="first cycle 10 epochs, doubled, 160 epochs",
            settings=_restarts(10, 2, 160),
            lines=(144,),
            scores=(92.19,),
        ),
        Trial(
            name="150x1-160",
            change="cycles of 150 epochs, 160 epochs",
            settings=_restarts(150, 1, 160),
            lines=(145,),
            scores=(91.90,),
        ),
        Trial(
            name="38x1-200",
            change="cycles of 38 epochs, 200 epochs",
            settings=_restarts(38, 1, 200),
            lines=(146,),
            scores=(91.49,),
        ),
        Trial(
            name="10iter-200",
            change="first cycle 10 iterations, doubled, moved by iteration",
            settings=_restarts(10, 2, 200, f"{_BY_STEP} schedule.unit=step"),
            lines=(147,),
            scores=(90.89,),
        ),
        Trial(
            name="10x2-200-step",
            change="first cycle 10 epochs, doubled, 200 epochs, moved by iteration",
            settings=_restarts(10, 2, 200, _BY_STEP),
            lines=(148,),
            scores=(76.35,),
        ),
        Trial(
            name="10x2-160-step",
            change="first cycle 10 epochs, doubled, 160 epochs, moved by iteration",
            settings=_restarts(10, 2, 160, _BY_STEP),
            lines=(149,),
            scores=(91.94,),
        ),
        Trial(
            name="10x2-320",
            change="first cycle 10 epochs, doubled, 320 epochs",
            settings=_restarts(10, 2, 320),
            lines=(150,),
            scores=(91.95,),
        ),
        Trial(
            name="310x1-320",
            change="cycles of 310 epochs, 320 epochs",
            settings=_restarts(310, 1, 320),
            lines=(151,),
            scores=(92.50,),
        ),
        Trial(
            name="40x1.5-200",
            change="first cycle 40 epochs, then 1.5 times as long, 200 epochs",
            settings=_restarts(40, 1.5, 200),
            lines=(152,),
            scores=(92.05,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Moving by epoch is better than by iteration; ending with a whole cycle is better.",
            lines=(154,),
            claims={"10x2-200": "worse", "10x2-200-step": "worse"},
        ),
        Conclusion(
            text="At 160 epochs restarts are better, at 320 not; mostly a little worse than one cosine.",
            lines=(156,),
            claims={"10x2-320": "worse", "40x1.5-200": "worse"},
        ),
    ),
)

RESTART_DECAY = Question(
    name="restart-decay",
    title="Should each restart begin lower?",
    base=PREACT,
    control=Trial(name="cosine", change="one cosine over 200 epochs", settings="", lines=(190,), scores=(92.84,)),
    trials=(
        Trial(
            name="10x2-320",
            change="first cycle 10 epochs, doubled, 320 epochs, peaks as they are",
            settings=_restarts(10, 2, 320),
            lines=(159, 218, 219),
            scores=(91.57,),
        ),
        Trial(
            name="peaks1",
            change="first cycle 40 epochs, 1.5 times, peaks as they are",
            settings=_restarts(40, 1.5, 200),
            lines=(220,),
            scores=(92.05,),
        ),
        Trial(
            name="peaks0.7",
            change="each peak 0.7 of the last",
            settings=f"{_restarts(40, 1.5, 200)} schedule.peak_decay=0.7",
            lines=(221,),
            scores=(92.39,),
        ),
        Trial(
            name="peaks0.5",
            change="each peak 0.5 of the last",
            settings=f"{_restarts(40, 1.5, 200)} schedule.peak_decay=0.5",
            lines=(222,),
            scores=(92.23,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Restarts do not do; there is no telling how the paper came to its findings.",
            lines=(224, 250),
            claims={"10x2-320": "worse", "peaks1": "worse", "peaks0.7": "worse", "peaks0.5": "worse"},
        ),
    ),
)

FLOOR = Question(
    name="floor-preact",
    title="Where should the cosine end, with pre-activation?",
    base=PREACT,
    control=Trial(name="1e-5", change="at 1e-5", settings="", lines=(161, 163), scores=(92.28,)),
    trials=(
        Trial(name="0", change="at 0", settings="schedule.floor=0", lines=(162,), scores=(92.46,)),
        Trial(name="1e-4", change="at 1e-4", settings="schedule.floor=1e-4", lines=(164,), scores=(92.84,)),
        Trial(name="5e-4", change="at 5e-4", settings="schedule.floor=5e-4", lines=(165,), scores=(92.30,)),
    ),
    conclusions=(Conclusion(text="1e-4 is best.", lines=(166,), claims={"1e-4": "better"}),),
)

REFINERY = Question(
    name="refinery-preact",
    title="Refinery once more, with the right crop and floor?",
    base=f"{PREACT} schedule.floor=1e-4",
    control=Trial(name="baseline", change="labels alone", settings="", lines=(164,), scores=(92.84,)),
    trials=(
        Trial(
            name="three-rounds",
            change="three dynamic rounds",
            settings="refine=refinement refine.rounds=3 refine.teacher=dynamic",
            lines=(168,),
            scores=(92.76, 92.76, 93.19, 93.22),
        ),
    ),
    meaning="top-1 after each round, round 0 first",
)

SCHEDULES = (MULTIPLIED, SMOOTHING, DROPOUT, RESTARTS, FLOOR, REFINERY, RESTART_DECAY)
