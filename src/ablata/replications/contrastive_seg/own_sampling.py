"""300 images: the notebook's own sampling (lines 218 to 228).

`poly` and `lambda_poly` are the power of the learning rate's schedule: with a power of 1 and 15,000 steps the rate at
step 14,700 is the 0.0002 of line 219. `samples list` is taken for a memory of pixels, of 1,048,576 over four classes.
Steps beside the figures are those of the reading, none of which is the last: here the best one counts too.
"""

from __future__ import annotations

from ablata.replications.contrastive_seg.published import SHORT_MEMORY, SMALL_HRNET, contrast, own
from ablata.replications.contrastive_seg.three_hundred import BASE, LENGTH, WEIGHTS
from ablata.replications.trial import Conclusion, Question, Trial

_ONE_KIND = f"{contrast(LENGTH, few='repeat')} loss.short_classes=one_kind"
_OWN = own(LENGTH, 1_048_576, 4)
_SMALL_OWN = f"{SMALL_HRNET} {SHORT_MEMORY}"
_MADE_WEIGHTS = "loss.dense.weights=median"

POWER = Question(
    name="own-power",
    title="Own samples: which power of the schedule?",
    base=f"{BASE} {_ONE_KIND} schedule.power=1",
    control=Trial("power1", "power 1", "", (218, 219), (77.51,), note="Read at step 14,700, at a rate of 0.0002."),
    trials=(
        Trial("power0.5", "power 0.5", "schedule.power=0.5", (220,), (77.18,), note="Read at step 14,700."),
        Trial(
            "three-cases",
            "hard and easy pixels collected in all three cases, 6,100 samples, a list, power 0.9",
            f"{_OWN} loss.short_classes=any loss.samples=6100 schedule.power=0.9",
            (221,),
            (81.98,),
            note="Read when the rate was 0 already.",
            small=SHORT_MEMORY,
        ),
    ),
    small=SMALL_HRNET,
)

SAMPLES = Question(
    name="own-samples",
    title="Own samples: how many?",
    base=f"{BASE} {_OWN} schedule.power=0.9",
    control=Trial("6100", "6,100", "loss.samples=6100", (221,), (81.98,)),
    trials=(
        Trial("4096", "4,096", "loss.samples=4096", (222,), (81.35,)),
        Trial("2048", "2,048", "loss.samples=2048", (223,), (81.42,)),
    ),
    small=_SMALL_OWN,
)

_LATER = f"{BASE} {_OWN} schedule.power=0.6 loss.samples=6000"

TEMPERATURE = Question(
    name="own-temperature",
    title="Own samples: which temperature?",
    base=_LATER,
    control=Trial(
        "0.4", "0.4, power 0.6, 6,000 samples", "loss.temperature=0.4", (224,), (82.08,), note="Read at step 6,300."
    ),
    trials=(Trial("0.2", "0.2", "loss.temperature=0.2", (225,), (82.17,), note="Read at step 6,300."),),
    small=_SMALL_OWN,
)

CROSS_ENTROPY = Question(
    name="own-cross-entropy",
    title="Own samples: how much weighted cross-entropy beside the contrast?",
    base=f"{_LATER} loss.temperature=0.2",
    control=Trial("plain", "without class weights, with 1", "", (225,), (82.17,), note="That it was 1 is a guess."),
    trials=tuple(
        Trial(
            f"weighted{factor}",
            f"with class weights, with {factor}",
            f"loss.dense_weight={factor} loss.dense.weights={WEIGHTS}",
            (line,),
            (score,),
            note="Which weights is not said; those of line 194.",
            small=_MADE_WEIGHTS,
        )
        for factor, line, score in (("0.1", 226, 82.76), ("0.5", 227, 83.5), ("1", 228, 83.56))
    ),
    conclusions=(
        Conclusion(
            text="In classification one positive and as many negatives as possible draw the two apart; not so in "
            "segmentation, perhaps as a pixel is not an image.",
            lines=(236,),
        ),
    ),
    small=_SMALL_OWN,
)

OWN_SAMPLING = (POWER, SAMPLES, TEMPERATURE, CROSS_ENTROPY)
