"""The fifth part: dropout again, activations, normalised logits, averages of weights (lines 267 to 330)."""

from __future__ import annotations

from ablata.replications.label_refinery.mixup import NON_PREACT
from ablata.replications.trial import Conclusion, Question, Trial

_MIXED = f"{NON_PREACT} data.augment.mix=mixup data.augment.mix.alpha=0.3"
_PLAIN_BLOCKS = "model.zero_gamma=false"
_PREACT = "model.preactivation=true model.zero_gamma=false"
_BASELINE = Trial(name="baseline", change="mixup 0.3, no dropout", settings="", lines=(255,), scores=(93.06,))

DROPOUT = Question(
    name="dropout-again",
    title="Dropout beside mixup: where, and how much?",
    base=f"{_MIXED} {_PLAIN_BLOCKS}",
    control=_BASELINE,
    trials=(
        *(
            Trial(
                name=f"residual{share}",
                change=f"{share} in the residual",
                settings=f"model.dropout={share}",
                lines=(268, line),
                scores=(score,),
            )
            for share, line, score in (("0.05", 269, 92.59), ("0.1", 270, 93.03), ("0.2", 271, 92.29))
        ),
        *(
            Trial(
                name=f"behind{share}",
                change=f"{share} behind the classifier",
                settings=f"model.logits_dropout={share}",
                lines=(272, line),
                scores=(score,),
            )
            for share, line, score in (("0.1", 273, 92.60), ("0.01", 274, 92.85))
        ),
        *(
            Trial(
                name=f"before{share}",
                change=f"{share} before the classifier",
                settings=f"model.features_dropout={share}",
                lines=(275, line),
                scores=(score,),
            )
            for share, line, score in (("0.2", 276, 92.75), ("0.1", 277, 93.12), ("0.01", 278, 92.99))
        ),
    ),
)

DROPOUT_PREACT = Question(
    name="dropout-between",
    title="Pre-activation: dropout in the middle of the residual, and the last normalisation?",
    base=f"{_MIXED} {_PREACT}",
    control=Trial(
        name="baseline",
        change="no dropout, with the last normalisation",
        settings="",
        lines=(280, 281),
        scores=(92.87,),
    ),
    trials=(
        Trial(
            name="no-norm-0.1",
            change="0.1, without the last normalisation",
            settings="model.dropout=0.1 model.dropout_place=between model.final_norm=false",
            lines=(282,),
            scores=(92.75,),
        ),
        Trial(
            name="0.1",
            change="0.1",
            settings="model.dropout=0.1 model.dropout_place=between",
            lines=(283,),
            scores=(92.93,),
        ),
        Trial(
            name="0.2",
            change="0.2",
            settings="model.dropout=0.2 model.dropout_place=between",
            lines=(284,),
            scores=(92.36,),
        ),
    ),
)

LAST_GAMMA = Question(
    name="last-gamma",
    title="Do zero gammas help?",
    base=f"{_MIXED} {_PLAIN_BLOCKS}",
    control=Trial(name="ones", change="gammas one", settings="", lines=(287, 288, 289), scores=(92.98,)),
    trials=(
        Trial(
            name="zeros",
            change="the last gamma of each block zero",
            settings="model.zero_gamma=true",
            lines=(290,),
            scores=(93.23,),
        ),
    ),
    conclusions=(Conclusion(text="Zero gammas are of use.", lines=(291,), claims={"zeros": "better"}),),
)

LEAKY = Question(
    name="leaky-relu",
    title="Does a leaky ReLU help?",
    base=_MIXED,
    control=Trial(name="relu", change="ReLU", settings="", lines=(290,), scores=(93.23,)),
    trials=(
        Trial(
            name="leaky",
            change="slope 0.01, weights drawn for slope 0",
            settings="model.activation=leaky model.slope=0.01",
            lines=(294, 295, 296),
            scores=(92.92,),
        ),
        Trial(
            name="leaky-drawn",
            change="slope 0.01, weights drawn for it",
            settings="model.activation=leaky model.slope=0.01 model.init_slope=0.01",
            lines=(297,),
            scores=(92.98,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="A leaky ReLU does not do, whichever way.",
            lines=(303,),
            claims={"leaky": "worse", "leaky-drawn": "worse"},
        ),
    ),
)

LEAKY_PREACT = Question(
    name="leaky-relu-preact",
    title="Does a leaky ReLU help with pre-activation?",
    base=f"{_MIXED} {_PREACT}",
    control=Trial(name="relu", change="ReLU", settings="", lines=(298, 301), scores=(92.93,)),
    trials=(
        Trial(
            name="leaky",
            change="slope 0.01, weights drawn for slope 0",
            settings="model.activation=leaky model.slope=0.01",
            lines=(299,),
            scores=(92.95,),
        ),
        Trial(
            name="leaky-drawn",
            change="slope 0.01, weights drawn for it",
            settings="model.activation=leaky model.slope=0.01 model.init_slope=0.01",
            lines=(300,),
            scores=(92.65,),
        ),
        Trial(
            name="drawn-alone",
            change="ReLU, weights drawn for slope 0.01",
            settings="model.init_slope=0.01",
            lines=(302,),
            scores=(92.58,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="A leaky ReLU does not do, whichever way.",
            lines=(303,),
            claims={"leaky": "worse", "leaky-drawn": "worse", "drawn-alone": "worse"},
        ),
    ),
)

LAST_NORM = Question(
    name="norm-before-loss",
    title="Does normalising the logits help, and dropout with it; does swish?",
    base=_MIXED,
    control=Trial(
        name="baseline",
        change="logits as they are",
        settings="",
        lines=(255, 290),
        scores=(93.06,),
        note="The figure before it is 93.06 in one place (255) and 93.23 in another (290).",
    ),
    trials=(
        Trial(
            name="logit-norm",
            change="batch normalisation of the logits",
            settings="model.logit_norm=true",
            lines=(306, 307, 317, 318),
            scores=(93.23,),
        ),
        Trial(
            name="logit-norm-dropout",
            change="and dropout before the classifier",
            settings="model.logit_norm=true model.features_dropout=0.1",
            lines=(310, 311),
            scores=(93.09,),
            note="The share is not named; 0.1 is a guess.",
        ),
        Trial(
            name="swish",
            change="and swish",
            settings="model.logit_norm=true model.activation=swish",
            lines=(315, 316),
            scores=(92.82,),
        ),
    ),
    conclusions=(
        Conclusion(text="Clearly higher: it is of use.", lines=(308,), claims={"logit-norm": "better"}),
        Conclusion(
            text="A little lower than without dropout, which is at odds with batch normalisation.",
            lines=(312,),
            claims={"logit-norm-dropout": "worse"},
        ),
        Conclusion(text="Back to ReLU, nothing else does.", lines=(317,), claims={"swish": "worse"}),
    ),
)

_NO_SCHEDULE = "schedule=constant schedule.warmup=null"

AVERAGE = Question(
    name="weight-average",
    title="Does a moving average of the weights help, or replace the schedule?",
    base=f"{_MIXED} model.logit_norm=true",
    control=Trial(name="none", change="no average", settings="", lines=(318,), scores=(93.23,)),
    trials=(
        Trial(
            name="decay-in-optimiser",
            change="decay 0.9, weight decay in the optimiser",
            settings="ema=ema ema.decay=0.9 ema.warmup=none",
            lines=(321, 322),
            scores=(93.17,),
        ),
        Trial(
            name="decay-in-average",
            change="decay 0.9, weight decay in the average alone",
            settings="ema=ema ema.decay=0.9 ema.warmup=none ema.weight_decay=5e-4 optim.weight_decay=0",
            lines=(323,),
            scores=(91.50,),
        ),
        Trial(
            name="decay-in-both",
            change="decay 0.9, weight decay in both",
            settings="ema=ema ema.decay=0.9 ema.warmup=none ema.weight_decay=5e-4",
            lines=(324,),
            scores=(93.17,),
        ),
        Trial(
            name="no-schedule",
            change="the average in place of cosine and warm-up",
            settings=f"{_NO_SCHEDULE} ema=ema ema.decay=0.9 ema.warmup=none",
            lines=(325,),
            scores=(88.24,),
        ),
        Trial(
            name="from-average",
            change="each step goes on from the average",
            settings="optim.lookahead=lookahead optim.lookahead.steps=1 optim.lookahead.alpha=0.1",
            lines=(326,),
        ),
        Trial(
            name="other-way-round",
            change="0.9 for the new weights",
            settings="ema=ema ema.decay=0.1 ema.warmup=none",
            lines=(327,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="The average makes it steadier and faster, not better, though never much worse.",
            lines=(329,),
            claims={"decay-in-optimiser": "same", "decay-in-both": "same"},
        ),
        Conclusion(
            text="It cannot replace the schedule.",
            lines=(330,),
            claims={"no-schedule": "worse"},
        ),
    ),
)

PARTS = (DROPOUT, DROPOUT_PREACT, LAST_GAMMA, LEAKY, LEAKY_PREACT, LAST_NORM, AVERAGE)
