"""A plain FCN's outputs, and the network at large crops (lines 221 to 273)."""

from __future__ import annotations

from ablata.replications.bisenet.networks import CHECKPOINTS, CLASSES_20, LARGE_CROP, PAPER_RATE, SMALL_CROP
from ablata.replications.trial import Question, Trial

_FCN = (
    "model.init=kaiming model.head.width=null model.head.bias=true model.aux=[] model.spatial=null "
    "model.merge=concat model.context.levels=[] model.context.stride=32 model.context.width=512 "
    "model.context.refine.kernel=0 model.context.refine.gate=null model.context.average=null "
    "model.context.after_upsample=0"
)
_TO_8 = '{"stride":%d,"head":{"width":null},"upsample":{"kind":"deconv","rest":8}}'

OUTPUTS = Question(
    name="outputs",
    title="The paper's baseline: how do logits leave 1/32?",
    base=f"{SMALL_CROP} {PAPER_RATE} {_FCN} {CLASSES_20} train.steps=51000",
    control=Trial(
        "large-kernels",
        "learned kernels of 64, 32 and 16, no auxiliary loss",
        "model.logits_upsample=deconv",
        (222, 223, 224),
        (49.17, 52.17, 54.44, 56.53, 57.64),
        note="Taken for a network of 1/32 alone, whose kernel is 64; 32 and 16 are those of 1/16 and 1/8.",
    ),
    trials=(
        Trial(
            "aux-to-8",
            "auxiliary heads on 1/16 and 1/32, learned kernels to 1/8, then bilinear; the main one bilinear",
            f"model.aux=[{_TO_8 % 16},{_TO_8 % 32}]",
            (226, 227, 228),
            (46.44, 51.08, 52.13, 54.90, 55.94),
        ),
        Trial(
            "3x3-then-1x1",
            "3x3 to the classes, enlarged, 1x1",
            "model.head.width=20 model.head.enlarge=before_classifier",
            (230, 231),
            (52.32,),
        ),
        Trial(
            "1x1-then-3x3-90k",
            "1x1 to the classes, enlarged, 3x3; 90,000 steps",
            "model.head.width=20 model.head.hidden_kernel=1 model.head.enlarge=before_classifier model.head.kernel=3 "
            "train.steps=90000",
            (233, 234),
            (23.81, 34.05, 37.19, 40.61, 42.23, 43.49, 45.99, 46.58, 48.06),
        ),
        Trial(
            "psp-90k",
            "as PSPNet: 3x3 to 512, 1x1 to the classes, enlarged; 90,000 steps",
            "model.head.width=512 train.steps=90000",
            (236, 237),
            (52.65, 53.59, 54.19, 55.32, 55.81, 57.03, 55.78, 58.02, 58.50),
            note="Taken to be as long as the trial before it, by its nine scores.",
        ),
        Trial(
            "u-shape",
            "a U: 1x1, normalisation and ReLU on 1/32 and 1/16, side by side",
            "model.context.levels=[16] model.context.stride=16 model.context.refine.kernel=1",
            (241, 242),
        ),
    ),
    meaning=CHECKPOINTS,
)

_AUX = 'model.aux=[{"stride":16},{"stride":32}]'
_DROPPED = 'model.aux=[{"stride":16,"head":{"dropout":0.1}},{"stride":32,"head":{"dropout":0.1}}]'
_WIDE = "model.context.width=256"
_NEAREST = f"{_DROPPED} {_WIDE} model.upsample=nearest"

CROP = Question(
    name="crop-1024",
    title="Crops of 1024x1024: auxiliary loss, width, nearest values, average, head, normalisation?",
    base=f"{LARGE_CROP} model.head.width=null model.head.bias=true model.aux=[] model.context.average=null",
    control=Trial(
        "baseline",
        "crops of 1024x1024, no average, no auxiliary loss",
        "",
        (248, 249),
        (65.64,),
        note="The network is guessed from what follows; it is taken for the later one, without what is added here.",
    ),
    trials=(
        Trial(
            "aux",
            "and auxiliary heads as PSPNet's, whole images of 2048x1024",
            _AUX,
            (251, 252),
            (65.69,),
        ),
        Trial(
            "aux-1536",
            "the same, whole images of 1536x768",
            f'{_AUX} protocols=["ss+scales=[0.75]"]',
            (251, 253),
            (62.71,),
        ),
        Trial("context-256", "and 256 channels of context", f"{_AUX} {_WIDE}", (255, 256), (66.59,)),
        Trial("dropout", "and dropout of 0.1 in the auxiliary heads", f"{_DROPPED} {_WIDE}", (258, 259), (66.73,)),
        Trial("nearest", "and nearest values", _NEAREST, (261, 262), (67.41,)),
        Trial(
            "spatial-48",
            "and a spatial path of 48",
            f"{_NEAREST} model.spatial.widths=[48,48,48]",
            (264,),
        ),
        Trial("average", "and the average", f"{_NEAREST} model.context.average=average", (267,)),
        Trial("head-conv", "and conv-bn-relu before the last convolution", f"{_NEAREST} model.head.width=256", (269,)),
        Trial(
            "crop-2048",
            "and large crops with batch normalisation",
            f"{_NEAREST} data.augment.crop.width=2048",
            (271,),
            note="How large is not said; whole images are a guess.",
        ),
        Trial(
            "crop-713-group",
            "crops of 713x713 and group normalisation",
            f"{_NEAREST} data.augment.crop.height=713 data.augment.crop.width=713 model.norm=group "
            "model.pooled_norm=group",
            (273,),
        ),
    ),
)

LOGITS = (OUTPUTS, CROP)
