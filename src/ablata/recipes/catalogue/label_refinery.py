"""Label refinery of Bagherinezhad et al. 2018 (arXiv 1805.02641) on CIFAR-10, as the project's notes have it best."""

from __future__ import annotations

from ablata.data.classification.cifar import Cifar10
from ablata.data.classification.label_subset import LabelSubset
from ablata.data.transforms.classification import Augment
from ablata.engine.optim.optimisers import Sgd
from ablata.engine.optim.schedules import Cosine, Warmup
from ablata.engine.recipe import Train
from ablata.models.classification.small_resnet import CifarResNet
from ablata.recipes.catalogue.reidentify import reid_scenes
from ablata.tasks.classification.task import Classify
from ablata.tasks.distillation.settings import Refinement
from ablata.tasks.reid.task import Reidentify


def refinery_cifar10() -> Classify:
    """ResNet-20 with mixup in round 0, then four networks taught one by the other without mixup.

    Command: ablata train refinery_cifar10 data.root=FOLDER
    Expected: not measured at its 200 epochs; the notes have 93.06 / 93.24 / 93.20 / 93.45 / 93.37 on the original
        files, single runs
    Time: not measured; 5 trainings of 200 epochs
    Source: arXiv 1805.02641; batch, rates, weight decay, mixup 0.3 in round 0 alone: the project's notes
    """
    return _base().model_copy(update={"refine": Refinement(rounds=4, mix_alpha=(0.3, 0.0))})


def weak_refinery_cifar10() -> Classify:
    """ResNet-20 on 500 labels a class, then one taught by it on all images without their labels.

    Command: ablata train weak_refinery_cifar10 data.root=FOLDER
    Expected: not measured at its 200 epochs
    Time: not measured; a training on 5,000 images and one on 50,000, of 200 epochs each
    Source: arXiv 1805.02641; the weak supervision is an idea of the project's notes
    """
    refine = Refinement(rounds=1, images="all", mix_alpha=(0.3, 0.0))
    return _base().model_copy(update={"label_subset": LabelSubset(per_class=500), "refine": refine})


def refinery_reid_scenes() -> Reidentify:
    """Learn persons of one domain, then a domain of other persons, places and clothes without its labels.

    Command: ablata train refinery_reid_scenes
    Expected: not measured
    Time: not measured
    Source: the idea of the project's notes, train on one set and refine on another without labels; on generated persons
    """
    plain = reid_scenes()
    target = plain.data.model_copy(update={"domain": "summer"})
    return plain.model_copy(update={"refine": Refinement(target=target)})


def _base() -> Classify:
    return Classify(
        data=Cifar10(augment=Augment(flip=True, pad=4)),
        model=CifarResNet(depth=20, zero_init_residual=True),
        train=Train(epochs=200, batch=256),
        optim=Sgd(lr=0.2, momentum=0.9, weight_decay=5e-4),
        schedule=Cosine(floor=1e-4, warmup=Warmup(length=0.05, unit="fraction", start=1e-5, start_unit="lr")),
    )
