"""What the notebook's first pages ask or advise without a figure: sizes, networks, class weights (lines 1 to 165)."""

from __future__ import annotations

from ablata.replications.contrastive_seg.published import CROSS_ENTROPY, HRNET, SMALL_HRNET
from ablata.replications.trial import Conclusion, Question, Trial

_STEPS = "train.steps=10000"
_OWN_BACKBONE = "model=features model.backbone=t2t_vit"

SIZE = Question(
    name="size",
    title="How small may the images be?",
    base=f"{HRNET} {_STEPS} {CROSS_ENTROPY}",
    control=Trial("512", "512 pixels", "", (37,)),
    trials=(
        Trial(
            "256",
            "256 pixels",
            "data.augment.crop.height=256 data.augment.crop.width=256",
            (37,),
            note="An error there; the network here takes 32 and more.",
        ),
    ),
    conclusions=(
        Conclusion(
            text="Images of 256 give an error; presumably they must not be below 512.",
            lines=(37,),
            claims={"256": "failed"},
        ),
    ),
    small=SMALL_HRNET,
)

BACKBONE = Question(
    name="backbone",
    title="T2T-ViT in place of HRNet?",
    base=f"{HRNET} {_STEPS} {CROSS_ENTROPY}",
    control=Trial("hrnet48", "HRNet-W48", "", (5,), small=SMALL_HRNET),
    trials=(
        Trial(
            "t2t-vit14",
            "T2T-ViT-14",
            f"{_OWN_BACKBONE} model.backbone.size=14",
            (15, 16),
            note="Read of, no figure.",
            small="model.backbone.size=7",
        ),
        Trial(
            "t2t-vit19",
            "T2T-ViT-19",
            f"{_OWN_BACKBONE} model.backbone.size=19",
            (15, 16),
            note="Read of, no figure; the size is a guess.",
            small="model.backbone.size=12",
        ),
    ),
    conclusions=(
        Conclusion(
            text="Without very large data ViT does worse than ResNets; T2T-ViT is smaller, faster, and 2.5% better "
            "than ViT on ImageNet (the paper's abstract).",
            lines=(24,),
        ),
    ),
)

_COCO = (
    "data=coco_stuff data.augment.scale=range data.augment.scale.low=0.5 data.augment.scale.high=2.0 "
    "data.augment.crop.height=520 data.augment.crop.width=520 train.epochs=null train.steps=60000 train.batch=16 "
    "train.evaluate_batch=1 optim.lr=1e-2 optim.weight_decay=5e-4 schedule.warmup=null"
)
_RESNET = "model=deeplab model.backbone.depth=101 model.backbone.stem=deep"
_SMALL_RESNET = "model.backbone.depth=18"

COCO_STUFF = Question(
    name="coco-stuff",
    title="The public code's example for one's own data: COCO-Stuff at 520 pixels, batches of 16",
    base=f"{_COCO} {_RESNET} aux_weight=0.4 {CROSS_ENTROPY}",
    control=Trial(
        "resnet101",
        "ResNet-101 at 1/8, scored once",
        "",
        (51, 56, 77, 80),
        note="The page names no length and a plain head; 60,000 steps and DeepLabV3's are guesses.",
        small=_SMALL_RESNET,
    ),
    trials=(
        Trial(
            "scales",
            "scored at seven scales",
            'protocols=["ss+scales=[0.5,0.75,1.0,1.25,1.5,1.75,2.0]"]',
            (95, 98),
            small=_SMALL_RESNET,
        ),
        Trial(
            "hrnet48-ocr",
            "HRNet-W48 with object context, new layers at ten times the rate",
            "model=hrnet model.width=48 model.context=object_context model.head.width=null model.head.bias=true "
            "new_layers_lr=10",
            (105, 112),
            small=SMALL_HRNET,
        ),
    ),
    small="train.batch=4 train.steps=10000",
)

WEIGHTING = Question(
    name="weighting",
    title="Class weights for unequal classes: which, and from when on?",
    base=f"{HRNET} {_STEPS} {CROSS_ENTROPY}",
    control=Trial("none", "no weights", "", (138,)),
    trials=(
        Trial("inverse", "one over the pixels of a class", "loss.weights=inverse", (158, 159, 160)),
        Trial(
            "most-frequent",
            "the largest class over the own, such as 1, 1,000, 10,000 of 100,000, 100 and 10",
            "loss.weights=most-frequent",
            (161, 163),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Weights are needed where the largest class has more than five times the pixels of the smallest (with "
            "a question mark), or more than ten times.",
            lines=(45, 138, 147),
        ),
        Conclusion(
            text="One over the count lowered the accuracy in several tests.", lines=(160,), claims={"inverse": "worse"}
        ),
        Conclusion(text="Largest over own is recommended.", lines=(156, 161), claims={"most-frequent": "better"}),
    ),
    small=SMALL_HRNET,
)

BEGINNINGS = (SIZE, BACKBONE, COCO_STUFF, WEIGHTING)
