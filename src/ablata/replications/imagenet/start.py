"""EfficientNet-B0's first trainings: precision, weight decay, RMSprop (lines 1 to 70).

The notebook says little of where it began: a network of its own at 224 pixels, SGD, 100 epochs. That is what `_BASE`
has; the figures are far below later ones since images were resized with height and width exchanged (line 134).
"""

from __future__ import annotations

from ablata.replications.trial import Conclusion, Question, Trial

MEANING = "top-1 / top-5, and the same of the averaged weights where there are four"
_BASE = (
    "train.epochs=100 optim=sgd optim.lr=0.2 optim.weight_decay=1e-5 optim.groups.no_decay_norm_and_bias=false "
    "data.augment.policy=null data.augment.lighting=0.1"
)
_PLAIN = f"{_BASE} loss.smoothing=0"

BEGINNING = Question(
    name="beginning",
    title="The first steps: schedule, label smoothing, the crop of the validation images?",
    base=f"{_PLAIN} schedule=constant data.resize=224",
    control=Trial("baseline", "a first training", "", (5, 6), (69.02, 89.11), note="Settings are not named."),
    trials=(
        Trial("scheduler", "a falling rate", "schedule=exponential", (8, 9), (68.89, 88.96)),
        Trial("smoothing", "and label smoothing", "schedule=exponential loss.smoothing=0.1", (11, 12), (68.54, 88.79)),
        Trial(
            "crop-mended",
            "and the middle crop mended, on another machine",
            "schedule=exponential loss.smoothing=0.1 data.resize=256",
            (14, 15),
            (68.14, 88.42),
        ),
    ),
    meaning=MEANING,
    judged=0,
)

_SMOOTH = f"{_BASE} loss.smoothing=0.1"

PRECISION = Question(
    name="precision",
    title="fp32 or fp16, and which form of label smoothing stands it?",
    base=f"{_SMOOTH} compute.precision=fp32 loss.implementation=autograd",
    control=Trial("fp32", "fp32", "", (24, 25, 26), (68.15, 88.59)),
    trials=(
        Trial("fp16", "fp16", "compute.precision=fp16", (16, 21, 27), (68.27, 88.78)),
        Trial("fp16-2048", "fp16, batch 2048", "compute.precision=fp16 train.batch=2048", (28,)),
        Trial(
            "fp16-custom",
            "fp16, the backward pass by hand",
            "compute.precision=fp16 loss.implementation=custom",
            (17, 18, 19),
            note="Recorded as an infinite loss.",
        ),
        Trial(
            "fp16-fused",
            "fp16, by log-softmax",
            "compute.precision=fp16 loss.implementation=fused",
            (20, 30),
            (67.86, 88.54),
        ),
        Trial(
            "fp16-fused-2048",
            "fp16, by log-softmax, batch 2048",
            "compute.precision=fp16 loss.implementation=fused train.batch=2048",
            (31,),
            (68.2, 88.54),
        ),
    ),
    conclusions=(
        Conclusion(
            text="In fp16 the second form of label smoothing has an infinite loss.",
            lines=(19,),
            claims={"fp16-custom": "failed"},
        ),
    ),
    meaning=MEANING,
    judged=0,
)

_FP16 = f"{_SMOOTH} compute.precision=fp16"

DECAY = Question(
    name="decay",
    title="How much weight decay?",
    base=f"{_FP16} optim.weight_decay=1e-4",
    control=Trial(
        "wd1e-4",
        "weight decay as before",
        "",
        (30,),
        (67.86, 88.54),
        note="What it was before is not said: 1e-4 is a guess.",
    ),
    trials=(
        Trial("wd1e-5", "weight decay 1e-5", "optim.weight_decay=1e-5", (33,), (70.75, 89.83)),
        Trial("wd2e-5", "weight decay 2e-5", "optim.weight_decay=2e-5", (34,), (71.03, 90.13)),
    ),
    meaning=MEANING,
    judged=0,
)

_RMSPROP = (
    "train.epochs=100 optim=rmsprop optim.lr=0.016 optim.alpha=0.9 optim.momentum=0.9 optim.eps=1e-3 "
    "optim.weight_decay=1e-5 optim.groups.no_decay_norm_and_bias=false data.augment.policy=null loss.smoothing=0.1"
)
_WARM = "schedule.warmup=warmup schedule.warmup.form=linear schedule.warmup.length=5"

RMSPROP = Question(
    name="rmsprop",
    title="Why does RMSprop not converge?",
    base=f"{_RMSPROP} compute.precision=fp16 schedule.warmup=null model.init=torch",
    control=Trial("wd1e-5", "RMSprop, weight decay 1e-5", "", (37, 38), note="Planned; no figure."),
    trials=(
        Trial(
            "wd2e-5-200",
            "weight decay 2e-5, 200 epochs",
            "optim.weight_decay=2e-5 train.epochs=200",
            (39,),
            (1.0, 4.0),
        ),
        Trial("no-decay", "no weight decay", "optim.weight_decay=0", (40,), note="Recorded as nan."),
        Trial(
            "exponential-warmup",
            "exponential warm-up from near 0, 100 epochs",
            f"{_WARM} schedule.warmup.form=exponential schedule.warmup.start=1e-6",
            (41,),
            (0.1, 0.5),
        ),
        Trial(
            "linear-warmup", "linear warm-up from 0", f"{_WARM} schedule.warmup.start=0", (42,), note="Recorded as nan."
        ),
        Trial(
            "init-no-decay",
            "linear warm-up, published initial weights, no weight decay",
            f"{_WARM} optim.weight_decay=0 model.init=published",
            (43, 44),
            note="Recorded as normal.",
        ),
        Trial(
            "torch-init-no-decay",
            "linear warm-up, torch's initial weights, no weight decay",
            f"{_WARM} optim.weight_decay=0",
            (45,),
            note="Recorded as normal.",
        ),
        Trial(
            "init",
            "linear warm-up, published initial weights, 30 epochs",
            f"{_WARM} train.epochs=30 model.init=published",
            (46,),
            note="Recorded as not converged.",
        ),
        Trial(
            "init-l2",
            "linear warm-up, published initial weights, decay in the gradient",
            f"{_WARM} optim.decay=coupled model.init=published",
            (47,),
            note="Recorded as not converging in 100 epochs.",
        ),
        Trial(
            "torch-init-l2",
            "linear warm-up, torch's initial weights, decay in the gradient",
            f"{_WARM} optim.decay=coupled",
            (48,),
        ),
        Trial("fp32", "fp32", "compute.precision=fp32", (49, 50)),
        Trial(
            "fp32-lr", "fp32, a smaller rate", "compute.precision=fp32 optim.lr=0.004", (51,), note="0.004 is a guess."
        ),
        Trial(
            "fp16-init-no-decay",
            "fp16, published initial weights, no weight decay, no warm-up",
            "optim.weight_decay=0 model.init=published",
            (53,),
            note="Recorded as scale 0, loss nan.",
        ),
        Trial(
            "fp32-init-no-decay",
            "the same in fp32",
            "optim.weight_decay=0 schedule.warmup=null compute.precision=fp32",
            (54,),
            (30.58, 57.71),
        ),
        Trial(
            "fp16-init-decoupled",
            "fp16, published initial weights, weights shrunk directly",
            "optim.decay=decoupled model.init=published",
            (55,),
        ),
    ),
    conclusions=(
        Conclusion(
            text="With any weight decay RMSprop does not converge, in the optimiser or beside it.",
            lines=(56, 57),
            claims={"init-l2": "failed", "torch-init-l2": "failed", "wd2e-5-200": "failed"},
        ),
    ),
    meaning=MEANING,
    judged=0,
)

SMOOTHING = Question(
    name="smoothing-mended",
    title="Label smoothing: the old form, the mended one, none?",
    base=f"{_FP16} optim.weight_decay=2e-5 loss.implementation=autograd",
    control=Trial("old", "the old form", "", (59,), (71.02, 90.05)),
    trials=(
        Trial("mended", "the mended form", "loss.implementation=custom", (60,), (71.13, 90.16)),
        Trial("cross-entropy", "plain cross-entropy", "loss.smoothing=0", (61,), (70.73, 89.83)),
        Trial(
            "rebuilt",
            "the mended form in a rebuilt container",
            "loss.implementation=fused",
            (62, 63),
            (70.84, 89.82),
            note="The same training in another environment; told apart here by the third implementation.",
        ),
    ),
    meaning=MEANING,
    judged=0,
)

DECAY_FORM = Question(
    name="decay-form",
    title="Weight decay: in the gradient or directly, on which parameters; activation, order of set-up?",
    base=f"{_FP16} optim.weight_decay=1e-5",
    control=Trial("l2", "in the gradient, 1e-5", "", (64,), (69.58, 89.04)),
    trials=(
        Trial("direct", "directly, 1e-5", "optim.decay=decoupled", (65,), (69.69, 89.16)),
        Trial(
            "not-norm",
            "none on normalisation and biases, batch 1024",
            "optim.groups.no_decay_norm_and_bias=true",
            (66, 67),
            (69.36, 88.94),
        ),
        Trial(
            "not-norm-2048",
            "none on normalisation and biases, batch 2048",
            "optim.groups.no_decay_norm_and_bias=true train.batch=2048",
            (68,),
            (69.3, 88.96),
        ),
        Trial(
            "project-activation",
            "an activation after the projection",
            "optim.groups.no_decay_norm_and_bias=true model.project_activation=true",
            (69,),
            (68.46, 88.4),
        ),
        Trial(
            "sync-norm",
            "average before normalisation over processes and wrapper",
            "optim.groups.no_decay_norm_and_bias=true compute.sync_batch_norm=false",
            (70,),
            (68.43, 88.46),
            note="An order of set-up that a user cannot choose here: the average is always made of the bare model.",
        ),
    ),
    meaning=MEANING,
    judged=0,
)

START = (BEGINNING, PRECISION, DECAY, RMSPROP, SMOOTHING, DECAY_FORM)
