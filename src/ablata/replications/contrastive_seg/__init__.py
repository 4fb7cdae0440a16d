"""The notebook of pixel-contrastive segmentation on own data (contrastive_seg.txt), restated."""

from __future__ import annotations

from ablata.replications.contrastive_seg.all_images import ALL_IMAGES
from ablata.replications.contrastive_seg.beginnings import BEGINNINGS
from ablata.replications.contrastive_seg.four_classes import FOUR_CLASSES
from ablata.replications.contrastive_seg.own_sampling import OWN_SAMPLING
from ablata.replications.contrastive_seg.three_hundred import THREE_HUNDRED
from ablata.replications.trial import Notebook, Omission, Small

NOTEBOOK = Notebook(
    name="contrastive_seg",
    title="Segmentation with a contrast of pixels on the author's own data",
    recipe="custom_segmentation",
    metric="mean intersection over union in percent; classes absent from the validation set are left out",
    small=Small(
        data="camvid",
        crops=0.5,
        overrides="train.evaluate_every=0 train.evaluate_batch=8",
        factor=0.02,
        margin=2.0,
        note="CamVid's eleven classes, crops of half the side, HRNet-W18 for W48 from drawn weights, every length a "
        "fiftieth; lists of class weights are made anew.",
    ),
    questions=(*BEGINNINGS, *FOUR_CLASSES, *THREE_HUNDRED, *OWN_SAMPLING, *ALL_IMAGES),
    omissions=(
        Omission(
            lines=(1, 3, 7, 9, 10, 11, 12),
            reason="a missing package, changes for another Python, a path, outputs that came as a list: mended in the "
            "public code, and there is nothing of the kind here",
        ),
        Omission(lines=(28, 29, 30), reason="how the code was committed"),
        Omission(
            lines=(34, 39, 41, 42, 43, 44),
            reason="how label files are prepared, grey values such as 0, 50, 100 with 255 as background, and that each "
            "small class must be in both splits: `ablata data check` and `ablata data convert` see to it",
        ),
        Omission(lines=(113, 115, 119, 120), reason="flags of the public code that change how it runs, not what"),
        Omission(
            lines=(127, 128, 129, 130, 131, 132, 133, 134, 135),
            reason="the layout of one's own data: custom_segmentation takes it as it is",
        ),
        Omission(
            lines=(168, 169, 171, 172, 174, 175),
            reason="label values 0, 74, 128, 145 with four classes, an assertion on the device: refused before the "
            "first step here, with the file and the command that mends it",
        ),
    ),
)
