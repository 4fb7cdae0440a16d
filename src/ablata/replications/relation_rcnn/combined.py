"""Relations between regions and between classes together (lines 110 to 163)."""

from __future__ import annotations

from ablata.replications.relation_rcnn.bases import (
    C4,
    MEANING,
    NEW_BOXES,
    OWN_CLASSES,
    OWN_SPATIAL,
    after,
    boxes,
    original,
)
from ablata.replications.trial import Question, Trial

_BASE = f"{C4} {NEW_BOXES} {OWN_CLASSES} {OWN_SPATIAL} graph.background=every {boxes(512)}"
_FIRST = f"train.steps=54999 {after('retrain', original())}"
_SEVEN = {
    "steps": 54_999,
    "changes": [*OWN_CLASSES.split(), "model.relations.classes.propagate=true", OWN_SPATIAL, boxes(512)],
    "heads": "retrain",
}
_KEPT = f"train.steps=41000 {after('fit', original(), _SEVEN)}"
_RETRAINED = f"train.steps=41000 {after('retrain', original(), _SEVEN)}"
_CLASS_ALONE = "model.relations.spatial=null train.steps=95999"
_SPATIAL_ALONE = "model.relations.classes=null"
_SOFT = "model.relations.classes.propagate=false model.relations.spatial=null"

BOXES = Question(
    name="combined-boxes",
    title="How many boxes in testing, with both relations?",
    base=f"{_BASE} {_FIRST}",
    control=Trial(
        "test-512",
        "both relations, ReLU of the geometry, 54,999 steps, box heads anew, 512 boxes",
        "",
        (113, 114, 117, 120, 121, 159, 160, 161, 162, 163),
        (28.63, 42.74),
        note="Once as [Nr, Nr] x [Nr, D], once as [Nr, 1, Nr] x [Nr, D]: the same product, and the same figures. The "
        "graph is taken for that of all classes and the background. Log at step 42,701 of 96,000: loss 0.469259, rate "
        "0.0005, 1.09 s a step, accuracy of classes 0.958252; classes 0.112486, boxes 0.055801, masks 0.235903, "
        "objectness 0.046581, proposals 0.015435.",
    ),
    trials=(
        Trial("test-128", "128 boxes in testing", boxes(128), (116,), (28.47, 41.37)),
        Trial("test-default", "1000 boxes in testing", boxes(1000), (118,), (27.88, 42.55)),
    ),
    meaning=MEANING,
    judged=0,
)

PARTS = Question(
    name="combined",
    title="Both relations, one of them, or none; box heads kept or anew?",
    base=_BASE,
    control=Trial("seven", "both, from step 54,999 to 95,999, box heads kept", _KEPT, (123, 124), (30.24, 44.31)),
    trials=(
        Trial(
            "seven_2",
            "both, from the original for 95,999 steps, box heads kept",
            f"train.steps=95999 {after('fit', original())}",
            (126, 127),
            (30.00, 43.58),
        ),
        Trial("seven_3", "both, from step 54,999, box heads anew", _RETRAINED, (129, 130), (30.17, 43.94)),
        Trial(
            "one-default",
            "classes alone, box heads anew, 1000 boxes in testing",
            f"{_CLASS_ALONE} {boxes(1000)} {after('retrain', original())}",
            (132, 133),
            (30.01, 44.06),
        ),
        Trial(
            "one",
            "classes alone, box heads anew",
            f"{_CLASS_ALONE} {after('retrain', original())}",
            (132, 134),
            (29.64, 43.61),
        ),
        Trial(
            "one_2",
            "classes alone, box heads kept",
            f"{_CLASS_ALONE} {after('fit', original())}",
            (136, 137),
            (29.81, 43.95),
        ),
        Trial(
            "eight",
            "from seven at step 54,999, without relations between classes, box heads kept",
            f"{_SPATIAL_ALONE} {_KEPT}",
            (140, 141),
            (29.89, 44.44),
        ),
        Trial("eight_2", "the same, box heads anew", f"{_SPATIAL_ALONE} {_RETRAINED}", (143, 144), (28.93, 43.93)),
        Trial(
            "nine",
            "no graph and no relations between regions, the soft mapping alone, box heads kept",
            f"{_SOFT} {_KEPT}",
            (146, 147),
            (30.64, 43.75),
            note="Taken to start from seven, as eight does.",
        ),
        Trial("nine_2", "the same, box heads anew", f"{_SOFT} {_RETRAINED}", (149, 150), (30.27, 44.16)),
        Trial(
            "ten",
            "the original trained on, without relations",
            f"model.stages=[{{}}] model.relations=null train.steps=95999 {after('keep', original())}",
            (152, 153),
        ),
    ),
    meaning=MEANING,
    judged=0,
)

COMBINED = (BOXES, PARTS)
