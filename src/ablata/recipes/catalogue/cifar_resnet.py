"""ResNets of He et al. 2016 (arXiv 1512.03385, section 4.2) and a wide one (arXiv 1605.07146) on CIFAR."""

from __future__ import annotations

from ablata.data.classification.cifar import Cifar10, Cifar100
from ablata.data.transforms.classification import Augment
from ablata.engine.optim.optimisers import Sgd
from ablata.engine.optim.schedules import Cosine, Step
from ablata.engine.recipe import Train
from ablata.models.classification.small_resnet import CifarResNet, WideResNet
from ablata.tasks.classification.task import Classify


def resnet20_cifar10() -> Classify:
    """ResNet-20 on CIFAR-10 with pad-and-crop, flip, SGD and a cosine.

    Command: ablata train resnet20_cifar10 data.root=FOLDER
    Expected: not measured at its 200 epochs; the paper's table 6 has 91.25% after 64,000 steps with a stepped rate, on
        the original files. With train.epochs=2 on JPEG files (quality 75): 64.1 top-1 on val at seed 0
    Time: 1 min 44 s for those 2 epochs on two cores of a Xeon with AMX, so about 3 hours for 200
    Source: He et al. 2016, arXiv 1512.03385, section 4.2; the cosine and 200 epochs are ours
    """
    return _resnet(20)


def resnet56_cifar10() -> Classify:
    """ResNet-56 on CIFAR-10, trained like ResNet-20.

    Command: ablata train resnet56_cifar10 data.root=FOLDER
    Expected: not measured; the paper's table 6 has 93.03% after 64,000 steps with a stepped rate
    Time: not measured
    Source: He et al. 2016, arXiv 1512.03385, section 4.2; the cosine and 200 epochs are ours
    """
    return _resnet(56)


def resnet20_cifar100() -> Classify:
    """ResNet-20 on the 100 classes of CIFAR-100, trained like on CIFAR-10.

    Command: ablata train resnet20_cifar100 data.root=FOLDER
    Expected: not measured
    Time: not measured; a step is as long as on CIFAR-10
    Source: He et al. 2016, arXiv 1512.03385, for the network; the paper has no CIFAR-100
    """
    return _resnet(20).model_copy(update={"data": Cifar100(augment=Augment(flip=True, pad=4))})


def wrn28_10_cifar10() -> Classify:
    """Wide ResNet 28-10 (29-10 where the classifier is counted) on CIFAR-10, trained as in its paper.

    Command: ablata train wrn28_10_cifar10 data.root=FOLDER
    Expected: not measured; the paper's table 5 has 96.00% (median of 5 runs), with model.dropout=0.3 96.11% (table 6),
        on the original files
    Time: not measured; made for a GPU
    Source: Zagoruyko & Komodakis 2016, arXiv 1605.07146, section 3: Nesterov momentum, rate 0.1 times 0.2 after 60, 120
        and 160 of 200 epochs, padding by reflection
    """
    return Classify(
        data=Cifar10(augment=Augment(flip=True, pad=4, pad_mode="reflect")),
        model=WideResNet(),
        train=Train(epochs=200, batch=128),
        optim=Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
        schedule=Step(milestones=(60, 120, 160), unit="epoch", gamma=0.2),
    )


def _resnet(depth: int) -> Classify:
    return Classify(
        data=Cifar10(augment=Augment(flip=True, pad=4)),
        model=CifarResNet(depth=depth),
        train=Train(epochs=200, batch=128),
        optim=Sgd(lr=0.1, momentum=0.9, weight_decay=1e-4),
        schedule=Cosine(),
    )
