"""The first network: training, heads, widths, length (lines 5 to 52 and 196 to 217)."""

from __future__ import annotations

from ablata.replications.bisenet.networks import (
    AS_FPN,
    CHECKPOINTS,
    CLASSES_19,
    CLASSES_20,
    FIRST,
    FPN,
    PAPER_RATE,
    SMALL_CROP,
    WARM,
    WIDER,
)
from ablata.replications.trial import Conclusion, Question, Trial

_START = f"{SMALL_CROP} {FIRST} train.steps=11000"

TRAINING = Question(
    name="training",
    title="The notebook's first training, or the paper's rate without a warm-up?",
    base=f"{_START} {CLASSES_20}",
    control=Trial(
        "baseline",
        "rate 1e-3, a warm-up of 2,000 steps from 1e-6",
        f"optim.lr=1e-3 {WARM}",
        (8, 9, 10, 11, 12, 13, 14, 15, 17),
        (34.56,),
        note="The network is guessed from what lines 27 to 41 change of it.",
    ),
    trials=(
        Trial(
            "paper",
            "the paper's rate, 2.5e-2, no warm-up",
            "optim.lr=2.5e-2 schedule.warmup.form=constant schedule.warmup.length=2000 schedule.warmup.start=1 "
            "schedule.warmup.start_unit=factor",
            (19, 20),
            (37.67,),
            note="Line 22 mends the warm-up's steps: taken for 2,000 steps that the falling rate left out.",
        ),
        Trial("paper-21k", "21,000 steps of it", f"{PAPER_RATE} train.steps=21000", (21,)),
        Trial("paper-mended", "no warm-up, its steps mended", PAPER_RATE, (22,), (38.18,)),
        Trial(
            "warmup-1000",
            "a warm-up of 1,000 of 11,000 steps",
            "optim.lr=2.5e-2 schedule.warmup.length=1000 schedule.warmup.start=1e-6",
            (24,),
            (38.09,),
        ),
    ),
)

PARTS = Question(
    name="parts",
    title="Auxiliary loss, stride of the fusion, a further convolution, the same classes in training and test?",
    base=f"{_START} {CLASSES_20} optim.lr=1e-3 {WARM}",
    control=Trial("baseline", "as the notebook began", "", (8, 17), (34.56,)),
    trials=(
        Trial(
            "aux-3x3",
            "3x3 convolutions in the auxiliary heads on 1/16 and 1/32",
            'model.aux=[{"stride":16},{"stride":32}]',
            (27, 28),
            (35.01,),
        ),
        Trial("aux-8-16", "auxiliary heads on 1/8 and 1/16", 'model.aux=[{"stride":8},{"stride":16}]', (29,)),
        Trial("fusion-stride-2", "stride 2 in the fusion's convolution", "model.fusion.stride=2", (31,), (31.72,)),
        Trial(
            "out-1x1",
            "one more 1x1 convolution at the end, its width kept",
            "model.fusion.project=20",
            (33,),
            (28.63,),
            note="Taken for one behind the fusion, with normalisation and ReLU.",
        ),
        Trial(
            "same-ids",
            "the 19 ids of the test alone in training",
            CLASSES_19,
            (35,),
            (41.97,),
            note="What was trained before is not said; by line 2 it was 20 classes.",
        ),
        Trial("no-aux", "and no auxiliary loss", f"{CLASSES_19} model.aux=[]", (37,), (47.9,)),
    ),
    conclusions=(Conclusion(text="There is a trick to the auxiliary loss.", lines=(37,), claims={"no-aux": "better"}),),
)

WIDTHS = Question(
    name="widths",
    title="Should both paths be of like width?",
    base=f"{_START} {CLASSES_19} model.aux=[] optim.lr=1e-3 {WARM}",
    control=Trial("no-aux", "19 ids, no auxiliary loss", "", (37,), (47.9,)),
    trials=(
        Trial("64-256-512", "a spatial path of 64, 256, 512", WIDER, (39, 40), (47.47,)),
        Trial("fpn", "a context path like an FPN", AS_FPN, (39, 41), (47.46,)),
    ),
)

LENGTH = Question(
    name="length",
    title="How long?",
    base=f"{SMALL_CROP} {PAPER_RATE} {FPN} {CLASSES_20}",
    control=Trial(
        "11k",
        "11,000 steps",
        "train.steps=11000",
        (45, 46, 47),
        (48.21,),
        note="The fusion has stride 2 from line 31 to line 140, which takes it back; so it is here.",
    ),
    trials=(
        Trial("31k", "31,000 steps", "train.steps=31000", (48,), (44.12, 48.69, 51.10)),
        Trial("51k", "51,000 steps", "train.steps=51000", (49,), (45.48, 46.09, 49.83, 51.17, 52.27)),
        Trial("71k", "71,000 steps", "train.steps=71000", (50,), (45.54, 48.50, 48.88, 51.43, 51.53, 52.19, 53.07)),
        Trial(
            "91k",
            "91,000 steps",
            "train.steps=91000",
            (51,),
            (44.53, 47.90, 48.20, 50.03, 51.35, 50.86, 51.74, 52.91, 53.42),
        ),
    ),
    conclusions=(
        Conclusion(
            text="Longer training does better.",
            lines=(52,),
            claims={"31k": "better", "51k": "better", "71k": "better", "91k": "better"},
        ),
    ),
    meaning=CHECKPOINTS,
)

NINETY = Question(
    name="ninety",
    title="90,000 steps: enlarging, average, heads, schedule, evaluation?",
    base=f"{SMALL_CROP} {PAPER_RATE} {FPN} {CLASSES_19} train.steps=90000 model.head.enlarge=after "
    "model.context.average.form=mean",
    control=Trial("fpn", "an FPN, bilinear, a spatial path of 64, 256, 512", "", (196, 197, 198), (54.20,)),
    trials=(
        Trial("nearest", "nearest values", "model.upsample=nearest", (199,)),
        Trial(
            "average-gate",
            "the FPN's result times conv-bn-sigmoid of the average",
            "model.context.average.form=conv_sigmoid",
            (200,),
        ),
        Trial("enlarge-first", "enlarged to the image, then 1x1", "model.head.enlarge=before_head", (202,)),
        Trial(
            "aux-of-arm",
            "auxiliary heads on the gated maps: conv-bn-relu, enlarged, 1x1",
            'model.aux=[{"stride":16,"source":"refined","head":{"enlarge":"before_classifier"}},'
            '{"stride":32,"source":"refined","head":{"enlarge":"before_classifier"}}]',
            (205,),
        ),
        Trial("conv-after", "conv-bn-relu behind each enlargement", "model.context.after_upsample=3", (208,)),
        Trial("two-steps", "a rate that falls in two steps", "schedule=step", (211,)),
        Trial("windows-1024", "scored in windows of 1024x1024", 'protocols=["ssc"]', (215,)),
        Trial(
            "warmup",
            "a warm-up, in case it does not converge",
            "schedule.warmup=warmup schedule.warmup.form=exponential schedule.warmup.unit=step "
            "schedule.warmup.length=2000 schedule.warmup.start=1e-6 schedule.warmup.start_unit=lr",
            (217,),
        ),
    ),
    conclusions=(Conclusion(text="It gains a point.", lines=(198,)),),
)

START = (TRAINING, PARTS, WIDTHS, LENGTH, NINETY)
