"""The end: a rotation head, refinery once more, weak supervision, and what was planned (lines 333 to 359)."""

from __future__ import annotations

from ablata.replications.label_refinery.mixup import NON_PREACT
from ablata.replications.trial import Conclusion, Question, Trial

_MIXED = f"{NON_PREACT} data.augment.mix=mixup data.augment.mix.alpha=0.3"

ROTATION = Question(
    name="rotation",
    title="Does telling rotations apart help?",
    base=f"{_MIXED} model.logit_norm=true",
    control=Trial(name="none", change="labels alone", settings="", lines=(318,), scores=(93.23,)),
    trials=(
        Trial(
            name="rotation",
            change="a head that tells four angles apart",
            settings="rotation=rotation data.augment.mix=null",
            lines=(333,),
        ),
        Trial(
            name="rotation-mixup",
            change="the head, with mixup",
            settings="rotation=rotation",
            lines=(334,),
            scores=(89.06,),
        ),
    ),
)

_TAUGHT = "refine=refinement refine.teacher=dynamic"

LATER = Question(
    name="refinery-later",
    title="Refinery: from an early-stopped network, sharpened, with rounds of other lengths?",
    base=f"{_MIXED} model.logit_norm=true",
    control=Trial(name="none", change="labels alone", settings="", lines=(318,), scores=(93.23,)),
    trials=(
        Trial(
            name="early-stopped",
            change="the first network stopped early, then four rounds",
            settings=f"{_TAUGHT} refine.rounds=4 refine.stop_epochs=60",
            lines=(337, 338),
            note="When it stopped is not said; 60 epochs is a guess. Recorded in words: worse and worse.",
        ),
        Trial(
            name="sharpened",
            change="sharpened labels",
            settings=f"{_TAUGHT} refine.rounds=4 refine.loss.sharpening=0.5",
            lines=(339,),
            note="The temperature is not named; 0.5 is a guess.",
        ),
        Trial(
            name="50-100-150-200",
            change="rounds of 50, 100, 150 and 200 epochs",
            settings=f"{_TAUGHT} refine.rounds=3 refine.epochs=[50,100,150,200]",
            lines=(345, 346),
            note="Recorded in words: does not do.",
        ),
        Trial(
            name="50-each",
            change="many rounds of 50 epochs",
            settings=f"{_TAUGHT} refine.rounds=8 refine.epochs=[50]",
            lines=(345,),
        ),
    ),
    conclusions=(
        Conclusion(text="Worse and worse from an early stop.", lines=(338,), claims={"early-stopped": "worse"}),
        Conclusion(text="Growing rounds do not do.", lines=(346,), claims={"50-100-150-200": "worse"}),
    ),
)

WEAK = Question(
    name="weak-supervision",
    title="500 labels a class, then all images without labels: does it help?",
    recipe="weak_refinery_cifar10",
    base="refine=null",
    control=Trial(name="labelled", change="500 labels a class", settings="", lines=(348,)),
    trials=(
        Trial(
            name="taught",
            change="then rounds on all images, unlabelled",
            settings=f"{_TAUGHT} refine.rounds=3 refine.images=all",
            lines=(348,),
        ),
    ),
)

DOMAIN = Question(
    name="other-domain",
    title="Persons of one set, refined on another without labels: does it help?",
    recipe="refinery_reid_scenes",
    base="refine=null data.domain=winter",
    control=Trial(name="source", change="the first set alone", settings="", lines=(350,)),
    trials=(
        Trial(
            name="refined",
            change="then one round on the other set, unlabelled",
            settings="refine=refinement refine.teacher=dynamic refine.target=persons refine.target.domain=summer",
            lines=(350,),
            note="On generated persons: the notebook's sets can no longer be had.",
        ),
    ),
)

OTHERS = Question(
    name="plans",
    title="Plans: CIFAR-100, a wide network, OpenCV, Lookahead?",
    base=f"{_MIXED} model.logit_norm=true",
    control=Trial(name="none", change="as before", settings="", lines=(318,), scores=(93.23,)),
    trials=(
        Trial(name="cifar100", change="CIFAR-100", settings="data=cifar100", lines=(341,)),
        Trial(
            name="wide",
            change="a wide residual network, 29-10",
            settings="model=wide_resnet model.depth=29 model.factor=10",
            lines=(355,),
        ),
        Trial(
            name="opencv",
            change="resized by OpenCV and cropped",
            settings="data.augment.pad=0 data.augment.resize=enlarge data.augment.resize.side=40 "
            "data.augment.resize.backend=opencv",
            lines=(357,),
        ),
        Trial(
            name="lookahead",
            change="Lookahead",
            settings="optim.lookahead=lookahead optim.lookahead.steps=5",
            lines=(359,),
        ),
    ),
)

PLANS = (ROTATION, LATER, WEAK, DOMAIN, OTHERS)
