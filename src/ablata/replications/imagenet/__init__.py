"""The notebook of ImageNet classification (imagenet.txt), restated."""

from __future__ import annotations

from ablata.replications.imagenet.efficientnet import EFFICIENT
from ablata.replications.imagenet.forms import FORMS
from ablata.replications.imagenet.official import PUBLISHED
from ablata.replications.imagenet.pyramid import PYRAMIDS
from ablata.replications.imagenet.repeating import REPEATED
from ablata.replications.imagenet.resnet import RESNET
from ablata.replications.imagenet.start import START
from ablata.replications.trial import Notebook, Omission, PublishedNoise, Small

NOTEBOOK = Notebook(
    name="imagenet",
    title="ResNets and EfficientNets on ImageNet",
    recipe="efficientnet_b0_imagenet",
    metric="top-1 on the 50,000 validation images",
    small=Small(
        overrides="data.root=null data.size=64 data.resize=73 data.prepared=96 train.batch=128 compute.precision=auto",
        factor=0.1,
        margin=2.0,
        note="The same networks on Imagenette's ten classes at 64 pixels, every length a tenth.",
    ),
    noise=PublishedNoise(
        sd=0.12,
        df=4,
        source="five trainings of ResNet-50, error 23.60 ±0.12 (Goyal et al. 2017, arXiv 1706.02677, table 1)",
    ),
    questions=(*START, *PUBLISHED, *REPEATED, *RESNET, *EFFICIENT, *FORMS, *PYRAMIDS),
    omissions=(
        Omission(lines=(2, 3), reason="published scores that the author wanted to reach"),
        Omission(
            lines=(71,),
            reason="waiting for the device and counting warnings: nothing of the training changes",
        ),
        Omission(lines=(116,), reason="a batch sampler taken out: it hands over the same batches"),
        Omission(lines=(205,), reason="doubles made floats in native code, a matter of speed: no such code here"),
        Omission(lines=(332,), reason="an image database in place of files, given up by its author"),
    ),
)
