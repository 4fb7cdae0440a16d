"""The small test: a set of four classes, 10,000 steps (lines 186 to 205)."""

from __future__ import annotations

from ablata.replications.contrastive_seg.published import CROSS_ENTROPY, HRNET, SMALL_HRNET, TRAINING, contrast
from ablata.replications.trial import Conclusion, Question, Trial

_STEPS = "train.steps=10000"
_CONTRAST = contrast(10_000)
_MEMORY = "loss.memory=memory loss.memory.pixels=5000 loss.memory.regions=5000 loss.weight=1 loss.temperature=0.07"
_EARLY = "Read at a rate of {rate}, {share}% of the way if the poly is of power 0.9: long before the training's end."

LOSSES = Question(
    name="losses",
    title="Do class weights, Lovasz-softmax or a contrast of pixels help?",
    base=f"{HRNET} {_STEPS} {CROSS_ENTROPY}",
    control=Trial("ce", "cross-entropy without weights", "", (192, 193), (73.79,)),
    trials=(
        Trial(
            "weighted",
            "class weights 1, 5, 10, 10",
            "loss.weights=[1,5,10,10]",
            (194,),
            (78.23,),
            small="loss.weights=median",
        ),
        Trial(
            "weighted-lovasz",
            "weighted cross-entropy and Lovasz-softmax",
            "loss=cross_entropy_lovasz loss.cross_entropy.weights=[1,5,10,10]",
            (195,),
            (78.28,),
            small="loss.cross_entropy.weights=median",
        ),
        Trial(
            "lovasz",
            "Lovasz-softmax alone",
            "loss=lovasz",
            (196,),
            (77.29, 77.48),
            note="Two figures without a word on what tells them apart; taken for repetitions.",
        ),
        Trial(
            "contrast",
            "cross-entropy and the contrast with 0.1",
            _CONTRAST,
            (197,),
            (78.86,),
            note=_EARLY.format(rate=0.00969, share=3),
        ),
        Trial(
            "contrast1",
            "the contrast with 1",
            f"{_CONTRAST} loss.weight=1",
            (198,),
            (80.88,),
            note="Read at a rate of 0.00066, 95% of the way if the poly is of power 0.9.",
        ),
    ),
    judged=0,
    small=SMALL_HRNET,
)

MEMORY = Question(
    name="memory",
    title="Does a memory help the contrast, and can its space be of another width?",
    base=f"{HRNET} {_STEPS} {_CONTRAST}",
    control=Trial(
        "contrast",
        "contrast within the batch",
        "",
        (197,),
        (78.86,),
        note=_EARLY.format(rate=0.00969, share=3),
    ),
    trials=(
        Trial(
            "memory",
            "with earlier pixels and regions, as published",
            f"loss.max_views=1 {_MEMORY}",
            (199,),
            (78.32,),
            note=_EARLY.format(rate=0.009329, share=7)
            + " At that step the public code still multiplies both contrasts by 0, if its warm-up was left as it is.",
            small="loss.memory.pixels=1000 loss.memory.regions=500",
        ),
        Trial(
            "projection128",
            "an embedding of 128 in place of 256",
            "loss.projection.width=128",
            (186,),
            note="Refused there with an error about dimensions; 128 is a guess. It works here.",
        ),
    ),
    conclusions=(
        Conclusion(text="The memory shows no effect.", lines=(201,), claims={"memory": "same"}),
        Conclusion(
            text="The width of 256 must not be changed: the loss fails over its dimensions.",
            lines=(186,),
            claims={"projection128": "failed"},
        ),
    ),
    small=SMALL_HRNET,
)

DEEPLAB = Question(
    name="deeplab",
    title="Does the contrast help DeepLabV3 with an auxiliary head?",
    base=f"{TRAINING} {_STEPS} model=deeplab model.backbone.depth=101 model.backbone.stem=deep aux_weight=0.4 "
    f"{CROSS_ENTROPY}",
    control=Trial("aux-ce", "cross-entropy of both heads", "", (203, 204), (71.73,)),
    trials=(
        Trial("contrast", "and the contrast", _CONTRAST, (205,), (79.32,)),
        Trial(
            "contrast-memory",
            "and its memory",
            f"{contrast(10_000, views=1)} {_MEMORY}",
            (187,),
            note="There was no code for it; there is here.",
            small="loss.memory.pixels=1000 loss.memory.regions=500",
        ),
        Trial(
            "aux-ce-longer",
            "cross-entropy of both heads for longer",
            "train.steps=20000",
            (204,),
            note="Not trained; how much longer is a guess.",
        ),
    ),
    conclusions=(
        Conclusion(
            text="After 10,000 steps cross-entropy is still rising; it may be slow.",
            lines=(204,),
            claims={"aux-ce-longer": "better"},
        ),
    ),
    small="model.backbone.depth=18",
)

FOUR_CLASSES = (LOSSES, MEMORY, DEEPLAB)
