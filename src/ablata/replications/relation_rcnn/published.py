"""The published code beside the author's own, and relations in its way (lines 165 to 183, 224 to 230)."""

from __future__ import annotations

from ablata.replications.relation_rcnn.bases import (
    BOTH_BOXES,
    C4,
    MEANING,
    NEW_BOXES,
    OWN_CLASSES,
    OWN_SPATIAL,
    PUBLISHED_CLASSES,
    RELATION_NETWORK,
    after,
    boxes,
    original,
)
from ablata.replications.trial import Conclusion, Question, Trial

_START = after("fit", original(boxes(1000)))
_CASCADE = (
    'model.class_agnostic=true model.stages=[{},{"boxes":"refined","iou_threshold":0.6},{"boxes":"refined","iou_threshold":0.7},'
    '{"boxes":"refined","iou_threshold":0.8}]'
)
_PYRAMID = (
    "model.backbone=fpn model.backbone.norm=frozen model.backbone.frozen_stages=2 model.roi_pool_size=7 "
    "model.rpn.sizes=[[32],[64],[128],[256],[512]] model.rpn.pre_nms_top_n_train=2000 "
    "model.rpn.pre_nms_top_n_test=1000"
)

DIFFERENCES = Question(
    name="published-code",
    title="In what does the published class relation differ from the author's own?",
    base=f"{C4} {NEW_BOXES} {OWN_CLASSES} {boxes(1000)} {_START}",
    control=Trial("own", "the class relation as first written", "", (165, 166)),
    trials=(
        Trial(
            "attention",
            "other channels in the attention, and a ReLU more behind its linear layer",
            "model.relations.classes.attention_width=64 model.relations.classes.attention_relu=true",
            (167,),
        ),
        Trial(
            "reduce",
            "a linear layer with ReLU in place of a 1x1 convolution, before the soft mapping",
            "model.relations.classes.reduce=linear_relu model.relations.classes.reduce_place=before",
            (168,),
        ),
        Trial("both-boxes", "old and new boxes in the loss", BOTH_BOXES, (169,)),
        Trial(
            "detached",
            "the classifier of old boxes learns from their loss, not through its weights",
            f"{BOTH_BOXES} model.relations.classes.gradient=detached",
            (170, 171),
        ),
        Trial(
            "cascade",
            "four stages, somewhat as in Cascade R-CNN",
            f"{BOTH_BOXES} {_CASCADE}",
            (172,),
            note="Left out by the author; the overlaps 0.5 to 0.8 are a guess.",
        ),
    ),
    meaning=MEANING,
    judged=0,
)

PUBLISHED = Question(
    name="published",
    title="Written as published, 1000 boxes in testing: which relations help?",
    base=f"{C4} {BOTH_BOXES} {PUBLISHED_CLASSES} {boxes(1000)}",
    control=Trial("original", "no relations", "model.stages=[{}] model.relations=null", (176,), (25.96, 41.37)),
    trials=(
        Trial("sc", "between classes", _START, (177,), (28.40, 42.89), note="Its beginning is not told."),
        Trial(
            "sc-no-graph",
            "without the graph",
            f"{_START} model.relations.classes.propagate=false",
            (178,),
            (28.40, 42.89),
            note="Taken out in testing alone, so that the figures are those of sc: still to be trained.",
        ),
        Trial(
            "sc-no-attention",
            "without the attention",
            f"{_START} model.relations.classes.attention=false",
            (179,),
            (42.89,),
            judged=0,
            note="At 0.01 alone; taken out in testing alone, still to be trained.",
        ),
        Trial("sc1", "and between regions", f"{_START} {OWN_SPATIAL}", (180,), (28.04, 42.62)),
        Trial(
            "sc2",
            "and relation networks",
            f"{_START} {RELATION_NETWORK}",
            (181,),
            (29.75, 44.31),
            note="By another evaluation than the lines before.",
        ),
        Trial(
            "sc3-add",
            "relation networks alone, added",
            f"{_START} {RELATION_NETWORK} model.relations.classes=null",
            (182,),
            (18.64, 32.67),
        ),
        Trial(
            "sc3-concat",
            "relation networks alone, put beside the features",
            f"{_START} {RELATION_NETWORK} model.relations.classes=null model.relations.spatial.combine=concat",
            (182,),
            (27.61, 42.15),
            note="By the other evaluation.",
        ),
    ),
    conclusions=(
        Conclusion(text="The evaluation was changed at sc2, with a large effect.", lines=(181, 182)),
        Conclusion(
            text="Tested for faults: the graph is right, relations between regions are right.", lines=(225, 226)
        ),
    ),
    meaning=MEANING,
    judged=1,
)

JOINING = Question(
    name="joining",
    title="Does it matter how what relations give is joined with the features?",
    base=f"{C4} {BOTH_BOXES} {PUBLISHED_CLASSES} {RELATION_NETWORK} {boxes(1000)} {_START}",
    control=Trial(
        "classes-beside",
        "class relation beside the features, relation networks added",
        "",
        (230,),
        note="The ways that were compared are not named.",
    ),
    trials=(
        Trial("both-added", "both added", "model.relations.classes.combine=add", (230,)),
        Trial("both-beside", "both beside the features", "model.relations.spatial.combine=concat", (230,)),
        Trial(
            "parallel",
            "both beside the features, neither sees what the other gave",
            "model.relations.spatial.combine=concat model.relations.order=parallel",
            (230,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Different ways of concatenating make no difference.",
            lines=(230,),
            claims={"both-added": "same", "both-beside": "same", "parallel": "same"},
        ),
    ),
    meaning=MEANING,
    judged=0,
)

PYRAMID = Question(
    name="pyramid",
    title="Does a feature pyramid help?",
    base=f"{C4} {BOTH_BOXES} {PUBLISHED_CLASSES} {RELATION_NETWORK} {boxes(1000)} {_START}",
    control=Trial("sc2", "class relation and relation networks on the fourth stage", "", (181,), (29.75, 44.31)),
    trials=(
        Trial(
            "fpn",
            "the same on a pyramid",
            _PYRAMID,
            (183,),
            (32.70, 47.06),
            small="model.backbone=fpn model.backbone.name=resnet18 model.backbone.channels=32 "
            "model.backbone.norm=batch model.backbone.frozen_stages=0 "
            "model.rpn.sizes=[[9],[16],[24],[32],[48]]",
        ),
    ),
    meaning=MEANING,
    judged=0,
)

BESIDE_PUBLISHED = (DIFFERENCES, PUBLISHED, JOINING, PYRAMID)
