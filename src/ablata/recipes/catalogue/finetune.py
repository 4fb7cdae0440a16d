"""Small sets of one's own, begun with pretrained weights: fine-tuned whole, or a linear classifier on frozen features.

The weights are those of `ablata weights get mobilenet_v2`; without them: `model.weights=null`.
"""

from __future__ import annotations

from ablata.data.classification.image_folder import ImageFolder
from ablata.data.transforms.classification import Augment
from ablata.engine.optim.optimisers import Sgd
from ablata.engine.optim.schedules import Cosine, Warmup
from ablata.engine.recipe import Train
from ablata.models.classification.timm_model import TimmModel
from ablata.tasks.classification.task import Classify

_WARMUP = Warmup(form="linear", length=0.1, unit="fraction", start=0.1)


def finetune_hymenoptera() -> Classify:
    """MobileNetV2 with ImageNet's weights on ants and bees, 244 images, at 160 pixels.

    ImageNet has ants and bees, and some of these very images: a flattering example.

    Command: ablata train finetune_hymenoptera data.root=FOLDER, behind ablata weights get mobilenet_v2
    Expected: 92.8 top-1 on val at seed 0, where the larger class alone would have 54.2
    Time: not measured alone; 3 min 10 s on one of two cores of an EPYC, beside much other work
    Source: Sandler et al. 2018, arXiv 1801.04381, with torchvision's weights; the training is ours
    """
    return Classify(
        data=ImageFolder(root="hymenoptera", size=160, resize=182, scale=(0.25, 1.0), augment=Augment(flip=True)),
        model=TimmModel(name="mobilenetv2_100", weights="mobilenet_v2"),
        train=Train(epochs=8, batch=32, evaluate_batch=64, evaluate_every=2),
        optim=Sgd(lr=0.004, momentum=0.9, nesterov=True, weight_decay=1e-4),
        schedule=Cosine(warmup=_WARMUP),
    )


def probe_hymenoptera() -> Classify:
    """Linear probe: a classifier on the frozen features of MobileNetV2, on ants and bees at 160 pixels.

    Command: ablata train probe_hymenoptera data.root=FOLDER, behind ablata weights get mobilenet_v2
    Expected: not measured; with optim.lr=0.1, at seed 0, 94.1 top-1 on val
    Time: not measured
    Source: Alain & Bengio 2016, arXiv 1610.01644, for the question; the training is ours
    """
    whole = finetune_hymenoptera()
    optim = Sgd(lr=0.01, momentum=0.9, nesterov=True)
    return whole.model_copy(update={"freeze": "backbone", "optim": optim})
