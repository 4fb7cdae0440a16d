"""The notebook of BiSeNet on Cityscapes (bisenet.txt), restated."""

from __future__ import annotations

from ablata.replications.bisenet.kernels import KERNELS
from ablata.replications.bisenet.ladder import LADDERS
from ablata.replications.bisenet.merging import MERGING
from ablata.replications.bisenet.outputs import LOGITS
from ablata.replications.bisenet.published import PUBLISHED
from ablata.replications.bisenet.start import START
from ablata.replications.trial import Notebook, Omission, PublishedNoise, Small

NOTEBOOK = Notebook(
    name="bisenet",
    title="BiSeNet on Cityscapes",
    recipe="bisenet_cityscapes",
    metric="mean IoU over 19 classes on the 500 validation images",
    small=Small(
        overrides="train.batch=8",
        data="camvid",
        crops=11 / 64,
        factor=0.005,
        margin=1.0,
        note="The same networks on CamVid, crops and windows of 176 pixels for 1024, every length a 200th.",
    ),
    noise=PublishedNoise(
        sd=0.57,
        df=4,
        source="five trainings of BiSeNetV2 on Cityscapes, 74.28, 72.96, 73.73, 74.39 and 73.77 (public code)",
    ),
    questions=(*START, *MERGING, *KERNELS, *LOGITS, *LADDERS, *PUBLISHED),
    omissions=(
        Omission(
            lines=(1, 2),
            reason="sizes of outputs and numbers of classes to be looked at: every training checks them first",
        ),
        Omission(lines=(474,), reason="refactoring: nothing of the training changes"),
    ),
)
