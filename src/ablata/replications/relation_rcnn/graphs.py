"""Relations between classes, the first trials (lines 5 to 59)."""

from __future__ import annotations

from ablata.replications.relation_rcnn.bases import C4, MEANING, NEW_BOXES, OWN_CLASSES, after, original
from ablata.replications.trial import Question, Trial

_RELATED = f"{NEW_BOXES} {OWN_CLASSES}"
_FINDINGS = (
    'graph.classes=["Consolidation","Ground\\u0020Glass\\u0020Opacities","Pleural\\u0020Effusion","Pneumothorax"]'
)

CLASS_GRAPH = Question(
    name="class-graph",
    title="Do relations between classes help: of all, of some, with the background, from scratch or fine-tuned?",
    base=C4,
    control=Trial(
        "original",
        "Mask R-CNN on ResNet-50's fourth stage",
        "",
        (8,),
        (25.96, 40.19),
        note="41.37 at an overlap of 0.01 in line 176.",
    ),
    trials=(
        Trial(
            "zero",
            "all classes by how often they are seen together, from scratch",
            _RELATED,
            (9, 10, 24, 35, 40),
            note="Losses alone are recorded (lines 47 to 59). How frequencies became weights is not said.",
        ),
        Trial(
            "one",
            "some classes and the background, fine-tuned from the original to step 95,999",
            f"{_RELATED} train.steps=95999 graph.background=every {_FINDINGS} {after('retrain', original())}",
            (11, 12, 13, 14, 26, 132, 133),
            (30.01, 44.06),
            note="The author's classes: multiple nodules, diffuse nodules, cavity, fibrosis, nodule, atelectasis, "
            "consolidation, tuberculosis, mass, pleural effusion; the public images' four findings stand for them.",
            small="graph.classes=[ring,cross,bead,seed]",
        ),
        Trial(
            "two",
            "all classes and the background, fine-tuned from the original",
            f"{_RELATED} graph.background=every {after('retrain', original())}",
            (15, 28),
        ),
    ),
    meaning=MEANING,
    judged=0,
)

LOSSES = Question(
    name="zero-losses",
    title="How far do the losses fall, from scratch with the graph of all classes?",
    base=f"{C4} {_RELATED}",
    control=Trial(
        "step-69000",
        "at step 69,000",
        "train.steps=69000",
        (49, 50, 51, 52, 53),
        (0.76, 0.944, 0.19, 0.10, 0.36, 0.09, 0.04),
        note="Read in one training; the steps are its length here.",
    ),
    trials=(
        Trial(
            "step-129000",
            "at step 129,000",
            "train.steps=129000",
            (55, 56, 57, 58, 59),
            (0.59, 0.945, 0.15, 0.08, 0.25, 0.06, 0.02),
        ),
    ),
    meaning="the loss, smaller is better / share of regions classified rightly / losses of classes / of boxes / "
    "of masks / of objectness / of proposed boxes",
    judged=0,
)

GRAPHS = (CLASS_GRAPH, LOSSES)
