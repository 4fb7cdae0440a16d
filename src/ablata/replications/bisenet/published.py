"""The form of the paper's authors, rates and evaluation, up to the best score (lines 378 to 480)."""

from __future__ import annotations

from ablata.replications.bisenet.networks import LARGE_CROP, TORCHSEG
from ablata.replications.trial import Conclusion, Question, Trial

_BASE = f"{LARGE_CROP} {TORCHSEG}"
_MINED = "loss=ohem loss.definition=count_all loss.threshold=0.7 loss.divisor=16"
_CROP_1536 = "data.augment.crop.height=768 data.augment.crop.width=1536"
_CROP_2048 = "data.augment.crop.width=2048"

AUTHORS = Question(
    name="authors-form",
    title="TorchSeg's network: enlargement, rate, hard examples, crops, evaluation?",
    base=_BASE,
    control=Trial(
        "bilinear",
        "TorchSeg's network, bilinear",
        "",
        (378, 380),
        (62.21,),
        note="Trained with in-place normalisation, which saves memory and has no setting here.",
    ),
    trials=(
        Trial("nearest", "nearest values", "model.upsample=nearest", (379,)),
        Trial("lr2.5e-2", "rate 2.5e-2", "optim.lr=2.5e-2", (382, 383), (61.30,)),
        Trial("mined", "and hard examples mined, rate 2.5e-2", f"optim.lr=2.5e-2 {_MINED}", (385, 386)),
        Trial(
            "mined-1536",
            "hard examples mined, rate 1e-2, crops of 1536x768",
            f"{_MINED} {_CROP_1536}",
            (388, 389),
            (73.05,),
        ),
        Trial("mined-2048", "crops of 2048x1024", f"{_MINED} {_CROP_2048}", (390,), (73.10,)),
        Trial(
            "mined-flip-scales",
            "and scored at several scales with mirror images",
            f'{_MINED} {_CROP_2048} protocols=["msf"]',
            (391,),
            (75.32,),
        ),
        Trial("mined-windows", "scored in windows, at one scale", f'{_MINED} {_CROP_2048} protocols=["ssc"]', (393,)),
    ),
    conclusions=(
        Conclusion(
            text="0.3 points below the same without in-place and distributed normalisation; perhaps their momentum.",
            lines=(380,),
        ),
    ),
)

_KEPT = f"{_BASE} {_MINED} {_CROP_1536} optim.weight_decay=5e-4 model.upsample=nearest model.train_backbone_norm=false"
_HALF = "optim.lr=5e-3"
_FLIP = 'protocols=["msf"]'

KEPT_NORM = Question(
    name="rate-of-cards",
    title="The backbone's normalisation kept: evaluation, rate, new layers, enlargement?",
    base=_KEPT,
    control=Trial(
        "flip-scales",
        "hard examples, nearest values, weight decay 5e-4; several scales and mirror images",
        _FLIP,
        (395, 396, 397),
        (74.87,),
    ),
    trials=(
        Trial("one-scale", "scored at one scale, no mirror images", "", (398,), (73.51,)),
        Trial(
            "rate-of-cards",
            "the rate divided by the number of cards",
            f"{_FLIP} {_HALF}",
            (400, 401),
            (76.07,),
            note="How many is not said; two are a guess.",
        ),
        Trial(
            "new-layers", "and new layers at ten times it", f"{_FLIP} {_HALF} new_layers_lr=10", (403, 404), (75.13,)
        ),
        Trial(
            "bilinear",
            "and bilinear",
            f"{_FLIP} {_HALF} new_layers_lr=10 model.upsample=bilinear",
            (406, 407),
            (74.66,),
        ),
    ),
    conclusions=(
        Conclusion(text="The rate was too large before.", lines=(401,), claims={"rate-of-cards": "better"}),
        Conclusion(text="Without scales and mirror images it should be 76.2.", lines=(429,)),
    ),
)

_GROUPS = "new_layers_lr=10 optim.groups.no_decay_norm_and_bias=true"
_81K = "train.steps=81000"
_80_EPOCHS = "train.steps=null train.epochs=80"
_BILINEAR = "model.upsample=bilinear"

LENGTHS = Question(
    name="steps-or-epochs",
    title="81,000 steps or 80 epochs; which rate; nearest or bilinear?",
    base=f"{_KEPT} {_GROUPS} {_FLIP}",
    control=Trial("81k-nearest", "81,000 steps, rate 1e-2, nearest", _81K, (409, 410, 411, 412), (75.86,)),
    trials=(
        Trial("81k-bilinear", "bilinear", f"{_81K} {_BILINEAR}", (413,)),
        Trial("81k-half-nearest", "rate 5e-3, nearest", f"{_81K} {_HALF}", (414, 415)),
        Trial("81k-half-bilinear", "rate 5e-3, bilinear", f"{_81K} {_HALF} {_BILINEAR}", (414, 416)),
        Trial("80-epochs-nearest", "80 epochs, rate 1e-2, nearest", _80_EPOCHS, (417, 418, 419), (74.23,)),
        Trial("80-epochs-bilinear", "bilinear", f"{_80_EPOCHS} {_BILINEAR}", (418, 420), (73.46,)),
        Trial("80-epochs-half-nearest", "rate 5e-3, nearest", f"{_80_EPOCHS} {_HALF}", (421, 422), (73.91,)),
        Trial(
            "80-epochs-half-bilinear",
            "rate 5e-3, bilinear",
            f"{_80_EPOCHS} {_HALF} {_BILINEAR}",
            (421, 423),
            (73.42,),
        ),
        Trial("no-warmup", "rate 1e-2, nearest, no warm-up", f"{_81K} schedule.warmup=null", (431,), (71.97,)),
    ),
    conclusions=(
        Conclusion(
            text="80,000 steps are needed; the original's 80 epochs have 1,000 steps each.",
            lines=(424,),
            claims={
                "80-epochs-nearest": "worse",
                "80-epochs-bilinear": "worse",
                "80-epochs-half-nearest": "worse",
                "80-epochs-half-bilinear": "worse",
            },
        ),
        Conclusion(
            text="The original adds logits of mirror images, then their exponentials over scales, in windows of 1024.",
            lines=(426, 427),
        ),
    ),
)

_BEFORE = "optim.weight_decay=1e-4 data.augment.color_jitter=null"
_ONE_STEP = f"{_BEFORE} schedule.warmup.length=1"

EVALUATION = Question(
    name="evaluation",
    title="80,000 steps at 1e-2, bilinear: how is it scored?",
    base=_ONE_STEP,
    control=Trial(
        "softmax",
        "several scales with mirror images",
        _FLIP,
        (435, 436, 437),
        (75.65,),
        note="A warm-up of 1 is read as one step, since line 447 adds one. How views are added is not said: softmax.",
    ),
    trials=(
        Trial(
            "exp",
            "mirror images by the exponential of their sum",
            'protocols=["msf+fusion=exp_logits"]',
            (438,),
            (75.80,),
        ),
        Trial(
            "windows-2-3",
            "windows a stride of 2/3 apart, nothing beside small images",
            'protocols=["mscf+sliding_window.padding=none+sliding_window.stride=0.66667"]',
            (439,),
            (77.42,),
        ),
        Trial(
            "windows-5-6",
            "windows a stride of 5/6 apart, nothing beside small images",
            'protocols=["mscf+sliding_window.padding=none"]',
            (439,),
            (77.42,),
        ),
        Trial("windows-zeros", "zeros beside small images", 'protocols=["mscf"]', (439,), (77.42,)),
        Trial("nearest", "nearest values", f"{_FLIP} model.upsample=nearest", (440,), (75.38,)),
    ),
)

RATE = Question(
    name="rate",
    title="Which rate, scored in windows?",
    base=f'{_ONE_STEP} protocols=["mscf"]',
    control=Trial("1e-2", "1e-2", "", (435, 437, 439), (77.42,)),
    trials=(
        Trial("2e-2", "2e-2", "optim.lr=2e-2", (442, 443), (76.35,), note="How it was scored is not said."),
        Trial("5e-3", "5e-3", _HALF, (444, 445), (77.16,), note="How it was scored is not said."),
    ),
)

WINDOWS = Question(
    name="windows",
    title="With the warm-up: windows of 1024 or of 960, as the crops of the training?",
    base=_BEFORE,
    control=Trial("1024", "windows of 1024", 'protocols=["mscf"]', (447, 448, 449), (78.24,)),
    trials=(
        Trial("960", "windows of 960", 'protocols=["mscf+sliding_window.size=960"]', (450, 451), (78.16,)),
        Trial(
            "no-warmup",
            "windows of 1024, without the warm-up",
            'schedule.warmup.length=1 protocols=["mscf"]',
            (435, 439),
            (77.42,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Windows are better a little larger; they need not be as the training's crops, if not far off.",
            lines=(452,),
            claims={"960": "worse"},
        ),
    ),
)

_LEAN = "loss.implementation=lean"
_LEAN_1024 = f"{_LEAN} data.augment.crop.height=1024 data.augment.crop.width=1024"

BEST = Question(
    name="best",
    title="The best training: lean mining, crops, enlargement, other losses, res2?",
    base='protocols=["mscf"]',
    control=Trial(
        "best",
        "weight decay 5e-4, jitter of colours, crops of 960, hard examples mined as before",
        "loss.implementation=plain",
        (454, 455, 463, 464),
        (78.90, 78.13),
        judged=0,
        note="Trained twice.",
    ),
    trials=(
        Trial("lean", "hard examples mined in less memory", _LEAN, (457, 458), (78.29,)),
        Trial("lean-1024", "and crops of 1024; called final", _LEAN_1024, (460, 461, 468), (78.23,)),
        Trial(
            "deeplab-mining",
            "DeepLab's mining",
            "loss.definition=top_share",
            (466,),
            note="Given up: too large for memory.",
        ),
        Trial(
            "nearest",
            "lean, crops of 1024, nearest values",
            f"{_LEAN_1024} model.upsample=nearest",
            (470, 471),
            (78.63,),
        ),
        Trial("focal", "focal loss", "loss=focal", (478,)),
        Trial(
            "res2",
            "the backbone's res2 in place of the spatial path",
            "model.spatial=stage model.spatial.stride=4",
            (480,),
        ),
    ),
    conclusions=(
        Conclusion(text="It seems broken again.", lines=(458,), claims={"lean": "worse"}),
        Conclusion(text="Crops of 1024 seem to change nothing.", lines=(461,)),
    ),
)

PUBLISHED = (AUTHORS, KEPT_NORM, LENGTHS, EVALUATION, RATE, WINDOWS, BEST)
