"""Relations between regions (lines 62 to 105)."""

from __future__ import annotations

from ablata.replications.relation_rcnn.bases import C4, MEANING, NEW_BOXES, OWN_SPATIAL, after, boxes
from ablata.replications.trial import Conclusion, Question, Trial

_BASE = f"{C4} {NEW_BOXES} model.relations.classes=null {OWN_SPATIAL} model.relations.spatial.weights=gaussian"
_THREE = {"steps": 74_913, "changes": ["model.roi_sampling.batch_size_per_image=512", boxes(512)]}
_FOUR = {"steps": 10_086, "changes": ["model.roi_sampling.batch_size_per_image=512", boxes(512)], "heads": "keep"}
_KEPT = f"train.steps=10086 {after('keep', _THREE)}"
_LAST = f"train.steps=11000 model.roi_sampling.batch_size_per_image=128 {after('keep', _THREE, _FOUR)}"
_FEWER = "In training more boxes are better, in testing fewer."

BOXES = Question(
    name="spatial-boxes",
    title="How many boxes in testing, with 512 in training?",
    base=f"{_BASE} train.steps=74913 {boxes(512)}",
    control=Trial(
        "test-512",
        "Gaussian of the geometry, from random values, 74,913 steps, 512 boxes",
        "",
        (69, 70, 101, 102, 103, 104, 105),
        (21.73, 35.72),
        note="Its log at step 77,961 of 96,000: loss 0.492845, rate 0.000038, 1.32 s a step, accuracy of classes "
        "0.956787; classes 0.123262, boxes 0.071099, masks 0.242533, objectness 0.051290, proposals 0.030185.",
    ),
    trials=(
        Trial("test-default", "1000 boxes in testing", boxes(1000), (69, 71), (21.04, 34.94)),
        Trial("test-128", "128 boxes in testing", boxes(128), (69, 72), (23.93, 37.44)),
    ),
    conclusions=(
        Conclusion(text=_FEWER, lines=(93,), claims={"test-default": "worse", "test-128": "better"}),
        Conclusion(
            text="A parameter was not in the graph of computation at all, since a variable was misnamed.",
            lines=(64, 65),
        ),
    ),
    meaning=MEANING,
    judged=0,
)

KEPT = Question(
    name="spatial-kept",
    title="Does it help to train on with the box heads as they are?",
    base=f"{_BASE} {boxes(512)}",
    control=Trial("step-74913", "74,913 steps, 512 boxes in testing", "train.steps=74913", (69, 70), (21.73, 35.72)),
    trials=(
        Trial("kept-512", "on to step 84,999, box heads kept", _KEPT, (74, 75), (26.36, 39.73)),
        Trial("kept-128", "the same, 128 boxes in testing", f"{_KEPT} {boxes(128)}", (74, 76), (27.85, 40.43)),
        Trial("kept-64", "the same, 64 boxes in testing", f"{_KEPT} {boxes(64)}", (74, 77), (26.88, 39.07)),
    ),
    conclusions=(
        Conclusion(text="Better without training the box heads anew.", lines=(94,), claims={"kept-512": "better"}),
    ),
    meaning=MEANING,
    judged=0,
)

TRAINING = Question(
    name="spatial-training",
    title="How many boxes in training, with 128 in testing?",
    base=f"{_BASE} {boxes(128)}",
    control=Trial("train-512", "512 boxes to step 84,999, box heads kept", _KEPT, (74, 76), (27.85, 40.43)),
    trials=(Trial("train-128", "on to step 95,999 with 128 boxes, box heads kept", _LAST, (79, 80), (24.08, 37.57)),),
    conclusions=(Conclusion(text=_FEWER, lines=(93,), claims={"train-128": "worse"}),),
    meaning=MEANING,
    judged=0,
)

WEIGHTS = Question(
    name="spatial-weights",
    title="Does the geometry help, and in which form?",
    base=f"{_BASE} train.steps=95999 model.roi_sampling.batch_size_per_image=128 {boxes(128)}",
    control=Trial("none", "no relations between regions", "model.relations=null", (86, 87), (21.68, 35.08)),
    trials=(
        Trial("gaussian-random", "Gaussian, from random values, in three parts", _LAST, (79, 80), (24.08, 37.57)),
        Trial(
            "relu", "ReLU of the embedded geometry", "model.relations.spatial.weights=relu", (83, 84), (22.51, 36.83)
        ),
        Trial(
            "gaussian-normalised",
            "Gaussian, normalised",
            "model.relations.spatial.weights.form=normalised",
            (89, 90),
            (20.54, 34.69),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Relations between regions work, ReLU better than the Gaussian (perhaps not written well).",
            lines=(95,),
            claims={"relu": "better"},
        ),
    ),
    meaning=MEANING,
    judged=0,
)

SPATIAL = (BOXES, KEPT, TRAINING, WEIGHTS)
