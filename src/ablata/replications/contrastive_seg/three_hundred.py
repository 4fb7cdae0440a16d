"""300 images: class weights, samples and views, and classes with pixels of one kind alone (lines 207 to 217).

The trainings were of 15,000 steps: line 219 has a rate of 0.0002 at step 14,700 with a poly of power 1.
"""

from __future__ import annotations

from ablata.replications.contrastive_seg.published import CROSS_ENTROPY, HRNET, SMALL_HRNET, contrast
from ablata.replications.trial import Conclusion, Question, Trial

LENGTH = 15_000
BASE = f"{HRNET} train.steps={LENGTH}"
WEIGHTS = "[1,5,10,10]"
_CONTRAST = contrast(LENGTH)
_MADE_WEIGHTS = "loss.dense.weights=median"

LOSSES = Question(
    name="losses300",
    title="Do class weights or the contrast help with 300 images?",
    base=f"{BASE} {CROSS_ENTROPY}",
    control=Trial("ce", "cross-entropy without weights", "", (207, 208), (79.79,)),
    trials=(
        Trial(
            "weighted",
            "class weights",
            f"loss.weights={WEIGHTS}",
            (209,),
            (79.97,),
            note="Which weights is not said; those of line 194.",
            small="loss.weights=median",
        ),
        Trial(
            "contrast",
            "with the contrast",
            _CONTRAST,
            (210,),
            (82.85,),
            note="Written `ce * contrast`; the asterisk is taken for `with`, as in the two lines before it.",
        ),
        Trial(
            "product",
            "multiplied by the contrast",
            f"{_CONTRAST} loss.combine=product",
            (210,),
            note="The other way to read that asterisk; the figure is beside the first.",
        ),
    ),
    small=SMALL_HRNET,
)

VIEWS = Question(
    name="views",
    title="How many samples and views, and does a memory help then?",
    base=f"{BASE} {_CONTRAST}",
    control=Trial("published", "at most 1,024 samples, 100 views", "", (210,), (82.85,)),
    trials=(
        Trial("4096-2048", "4,096 samples, 2,048 views", "loss.samples=4096 loss.max_views=2048", (211,), (82.09,)),
        Trial("1024-32", "1,024 samples, 32 views", "loss.samples=1024 loss.max_views=32", (212,), (83.8,)),
        Trial("16", "16 views", "loss.max_views=16", (213,), (84.04,)),
        Trial(
            "16-memory",
            "16 views, and the memory of the public code",
            "loss.max_views=16 loss.memory=memory loss.memory.pixels=5000 loss.memory.regions=5000",
            (213,),
            note="The figure is not told.",
            small="loss.memory.pixels=1000 loss.memory.regions=500",
        ),
        Trial(
            "large-repeat",
            "many views, classes with too few pixels filled up with repeats",
            "loss.max_views=2048 loss.on_short_class=repeat",
            (213,),
            note="Asked, not trained; 2,048 is that of line 211.",
        ),
    ),
    conclusions=(
        Conclusion(
            text="More samples and views do not do well.",
            lines=(211,),
            claims={"4096-2048": "worse"},
        ),
        Conclusion(
            text="Somewhat fewer views help the classes that have few samples.",
            lines=(212,),
            claims={"1024-32": "better"},
        ),
        Conclusion(
            text="Once more the memory, as it comes, lowers the score; perhaps a matter of the data.",
            lines=(213,),
            claims={"16-memory": "worse"},
        ),
    ),
    small=SMALL_HRNET,
)

_SCALED = f"{contrast(LENGTH, views=16)} loss.weight=1 loss.dense_weight=0.01 loss.dense.weights={WEIGHTS}"

ONE_KIND = Question(
    name="one-kind",
    title="Should classes count whose pixels are all wrong, or all right?",
    base=f"{BASE} {_SCALED}",
    control=Trial(
        "left-out",
        "weighted cross-entropy with 0.01, and the contrast",
        "",
        (214,),
        (68.9,),
        note="Weight and views of the contrast are not named: 1, as in line 198, and 16, as in line 213.",
        small=_MADE_WEIGHTS,
    ),
    trials=(
        Trial(
            "hard",
            "a class without a right pixel is filled up with wrong ones",
            "loss.on_short_class=repeat loss.short_classes=hard",
            (215,),
            (73.32,),
            small=_MADE_WEIGHTS,
        ),
        Trial(
            "both",
            "a class without a wrong pixel is taken too",
            "loss.on_short_class=repeat loss.short_classes=one_kind",
            (216, 217),
            (75.25, 76.27),
            judged=0,
            note="The second figure is that at step 9,000.",
            small=_MADE_WEIGHTS,
        ),
    ),
    small=SMALL_HRNET,
)

THREE_HUNDRED = (LOSSES, VIEWS, ONE_KIND)
