"""The fourth part: mixup, alone and with refinery (lines 170 to 264)."""

from __future__ import annotations

from ablata.replications.label_refinery.schedules import PREACT
from ablata.replications.trial import Conclusion, Question, Trial

_MIX = "data.augment.mix=mixup"
_ROUNDS = "top-1 after each round, round 0 first"
_TAUGHT = "refine=refinement refine.teacher=dynamic refine.rounds=4"


def _mixed(alpha: float, floor: str, more: str = "") -> str:
    return f"{_MIX} data.augment.mix.alpha={alpha:g} schedule.floor={floor} {more}".strip()


FIRST = Question(
    name="mixup-first",
    title="Does mixup help, with which alpha and floor?",
    base=PREACT,
    control=Trial(
        name="none", change="no mixup, floor 1e-4", settings="schedule.floor=1e-4", lines=(164,), scores=(92.84,)
    ),
    trials=(
        Trial(name="a1-1e-6", change="alpha 1, floor 1e-6", settings=_mixed(1, "1e-6"), lines=(172,), scores=(91.92,)),
        Trial(name="a1-1e-5", change="alpha 1, floor 1e-5", settings=_mixed(1, "1e-5"), lines=(173,), scores=(92.24,)),
        Trial(name="a1-1e-4", change="alpha 1, floor 1e-4", settings=_mixed(1, "1e-4"), lines=(174,), scores=(91.63,)),
        Trial(
            name="a0.9-1e-5",
            change="alpha 0.9, floor 1e-5",
            settings=_mixed(0.9, "1e-5"),
            lines=(176,),
            scores=(92.20,),
        ),
        Trial(
            name="a0.8-1e-5",
            change="alpha 0.8, floor 1e-5",
            settings=_mixed(0.8, "1e-5"),
            lines=(177,),
            scores=(92.47,),
        ),
        Trial(
            name="a0.5-1e-5",
            change="alpha 0.5, floor 1e-5",
            settings=_mixed(0.5, "1e-5"),
            lines=(178,),
            scores=(92.47,),
        ),
        Trial(
            name="a0.2-1e-5",
            change="alpha 0.2, floor 1e-5",
            settings=_mixed(0.2, "1e-5"),
            lines=(179,),
            scores=(92.30,),
        ),
        Trial(
            name="smoothed",
            change="alpha 1, floor 1e-5, and label smoothing",
            settings=_mixed(1, "1e-5", "loss.smoothing=0.1"),
            lines=(183, 184),
            note="Alpha and floor are not named.",
        ),
        Trial(
            name="kl-a1",
            change="alpha 1, floor 1e-5, KL to the mixed target",
            settings=_mixed(1, "1e-5", "loss.divergence=kl"),
            lines=(185, 186),
        ),
        Trial(
            name="320epochs",
            change="alpha 1, floor 1e-5, 320 epochs",
            settings=_mixed(1, "1e-5", "train.epochs=320"),
            lines=(187,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Different methods seem to want different floors: 1e-4 as a rule, 1e-5 with mixup.",
            lines=(181,),
            claims={"a1-1e-4": "worse"},
        ),
    ),
)

ONE_HOT = Question(
    name="mixup-one-hot",
    title="Does mixup help, with a cross-entropy that takes distributions?",
    base=f"{PREACT} schedule.floor=1e-4",
    control=Trial(
        name="none",
        change="no mixup; the loss written for one-hot targets",
        settings="",
        lines=(189, 190),
        scores=(92.84,),
        note="One-hot targets and looked-up labels give the same numbers here.",
    ),
    trials=(
        Trial(
            name="a0.5-1e-5",
            change="alpha 0.5, floor 1e-5",
            settings=_mixed(0.5, "1e-5"),
            lines=(192, 193),
            scores=(92.79,),
        ),
        Trial(name="a1", change="alpha 1", settings=_mixed(1, "1e-4"), lines=(194,), scores=(91.98,)),
        Trial(name="a0.5", change="alpha 0.5", settings=_mixed(0.5, "1e-4"), lines=(195,), scores=(92.83,)),
        Trial(name="a0.25", change="alpha 0.25", settings=_mixed(0.25, "1e-4"), lines=(196,), scores=(92.62,)),
        Trial(name="a0.2", change="alpha 0.2", settings=_mixed(0.2, "1e-4"), lines=(197,), scores=(92.75,)),
        Trial(name="a0.1", change="alpha 0.1", settings=_mixed(0.1, "1e-4"), lines=(198,), scores=(92.88,)),
        Trial(
            name="refined-a0.25",
            change="alpha 0.25 in all of five networks, four of them taught",
            settings=_mixed(0.25, "1e-4", _TAUGHT),
            lines=(199,),
            scores=(92.88, 92.82, 92.70, 92.68, 92.22),
        ),
        Trial(
            name="kl-a0.2",
            change="alpha 0.2, KL to the mixed target",
            settings=_mixed(0.2, "1e-4", "loss.divergence=kl"),
            lines=(205, 206),
            scores=(92.75,),
        ),
        Trial(
            name="kl-a0.5",
            change="alpha 0.5, KL to the mixed target",
            settings=_mixed(0.5, "1e-4", "loss.divergence=kl"),
            lines=(207,),
            scores=(92.83,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="By the curves a floor of 1e-4 with alpha 0.2 is better, though 0.5 ended higher; mixup is of use, "
            "but so small a network overfits little and needs little of it.",
            lines=(201,),
            claims={"a0.2": "better", "a0.5": "better"},
        ),
        Conclusion(
            text="With refinery mixup hardly helps: half a point without it, 0.1 with it, and worse each round.",
            lines=(203,),
            claims={"refined-a0.25": "worse"},
        ),
        Conclusion(
            text="Cross-entropy and KL are the same for mixup.",
            lines=(209,),
            claims={"kl-a0.2": "same", "kl-a0.5": "same"},
        ),
    ),
    meaning=_ROUNDS,
)

SMOOTHING = Question(
    name="smoothing-alone",
    title="Label smoothing without mixup, at other rates?",
    base=f"{PREACT} schedule.floor=1e-4",
    control=Trial(name="none", change="neither", settings="", lines=(190,), scores=(92.84,)),
    trials=tuple(
        Trial(
            name=f"lr{rate}",
            change=f"0.9 on the label, 5e-5 off it, rate {rate}",
            settings=f"loss.on=0.9 loss.off=5e-5 optim.lr={rate}",
            lines=(211, 212, line),
            scores=(score,),
        )
        for rate, line, score in (("0.2", 213, 92.51), ("0.25", 214, 92.42), ("0.15", 215, 92.24))
    ),
    conclusions=(
        Conclusion(
            text="Label smoothing is of no use in this network; nor is another rate.",
            lines=(216, 251),
            claims={"lr0.2": "worse", "lr0.25": "worse", "lr0.15": "worse"},
        ),
    ),
)

COMBINED = Question(
    name="combined",
    title="Mixup with refinery: add the labels, or add the losses?",
    base=f"{PREACT} {_mixed(0.2, '1e-4')} refine=refinement refine.teacher=dynamic refine.loss.label_weight=0.5",
    control=Trial(
        name="losses",
        change="two losses, added",
        settings="refine.loss.combine=losses",
        lines=(229, 230),
        note="Alpha is not named.",
    ),
    trials=(
        Trial(name="labels", change="labels added, one loss", settings="refine.loss.combine=labels", lines=(231,)),
        Trial(
            name="dropout",
            change="labels added, with dropout and a larger rate",
            settings="refine.loss.combine=labels model.features_dropout=0.1 optim.lr=0.25",
            lines=(227,),
            note="Planned in three words; share and rate are guesses.",
        ),
    ),
    conclusions=(
        Conclusion(
            text="Adding the labels first is better than adding the losses.", lines=(233,), claims={"labels": "better"}
        ),
    ),
)

NON_PREACT = f"{PREACT} schedule.floor=1e-4 model.preactivation=false model.zero_gamma=true"
"""ResNet-20 without pre-activation again."""

AFTER = Question(
    name="mixup-after",
    title="Does mixup help without pre-activation?",
    base=NON_PREACT,
    control=Trial(name="none", change="no mixup", settings="", lines=(235, 236, 254), scores=(92.39,)),
    trials=(
        *(
            Trial(
                name=f"a{alpha:g}",
                change=f"alpha {alpha:g}",
                settings=f"{_MIX} data.augment.mix.alpha={alpha:g}",
                lines=lines,
                scores=(score,),
            )
            for alpha, lines, score in (
                (0.1, (237, 238), 92.94),
                (0.3, (239, 255), 93.06),
                (0.5, (240,), 92.80),
            )
        ),
        Trial(
            name="losses-a0.3",
            change="alpha 0.3, losses mixed in place of labels",
            settings=f"{_MIX} data.augment.mix.alpha=0.3 data.augment.mix.mix_target=losses",
            lines=(244,),
            note="Compared in a sentence without figures.",
        ),
        Trial(
            name="kl-a0.3",
            change="alpha 0.3, KL to the mixed label",
            settings=f"{_MIX} data.augment.mix.alpha=0.3 loss.divergence=kl",
            lines=(246,),
            note="Compared in a sentence without figures.",
        ),
    ),
    conclusions=(
        Conclusion(text="Mixing labels is better than mixing losses.", lines=(244,), claims={"losses-a0.3": "worse"}),
        Conclusion(text="A large alpha underfits; it has to go with the size of the network.", lines=(245,)),
        Conclusion(
            text="KL and the cross-entropy of mixed labels are the same.", lines=(246,), claims={"kl-a0.3": "same"}
        ),
        Conclusion(text="The best floor differs a little from alpha to alpha.", lines=(247,)),
        Conclusion(
            text="Mixup does more without pre-activation than with it.",
            lines=(248,),
            claims={"a0.1": "better", "a0.3": "better", "a0.5": "better"},
        ),
    ),
)

ROUNDS = Question(
    name="mixup-rounds",
    title="Mixup in every round of refinery, or in the first alone?",
    base=f"{NON_PREACT} {_MIX} data.augment.mix.alpha=0.3",
    control=Trial(name="labels-alone", change="no refinery", settings="", lines=(255,), scores=(93.06,)),
    trials=(
        Trial(
            name="everywhere",
            change="in every round",
            settings=_TAUGHT,
            lines=(257, 258, 259),
            scores=(93.06, 93.07, 93.05, 93.07, 92.85),
        ),
        Trial(
            name="everywhere-again",
            change="in every round, from another first network",
            settings=f"{_TAUGHT} refine.rounds=3",
            lines=(260,),
            scores=(93.33, 93.18, 93.00, 92.81),
            note="What differs is not said; four figures, so three taught rounds.",
        ),
        Trial(
            name="first-alone",
            change="in the first round alone",
            settings=f"{_TAUGHT} refine.mix_alpha=[0.3,0]",
            lines=(261, 262),
            scores=(93.06, 93.24, 93.20, 93.45, 93.37),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Refining without mixup is better.",
            lines=(264,),
            claims={"first-alone": "better", "everywhere": "worse"},
        ),
    ),
    meaning=_ROUNDS,
)

MIXUP = (FIRST, ONE_HOT, SMOOTHING, COMBINED, AFTER, ROUNDS)
