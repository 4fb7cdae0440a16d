"""The notebook of label refinery on CIFAR-10 (label_refinery.txt), restated."""

from __future__ import annotations

from ablata.replications.label_refinery.first import FIRST
from ablata.replications.label_refinery.mixup import MIXUP
from ablata.replications.label_refinery.parts import PARTS
from ablata.replications.label_refinery.plans import PLANS
from ablata.replications.label_refinery.resnet20 import RESNET20
from ablata.replications.label_refinery.schedules import SCHEDULES
from ablata.replications.trial import Notebook, Small

NOTEBOOK = Notebook(
    name="label_refinery",
    title="Label refinery and the training of small networks on CIFAR-10",
    recipe="resnet20_cifar10",
    metric="top-1 on the 10,000 test images after the last epoch",
    small=Small(
        factor=0.02,
        margin=1.0,
        note="The same networks on CIFAR-10 in JPEG files, every length a fiftieth: 4 epochs for 200.",
        same_data=True,
    ),
    questions=(*FIRST, *RESNET20, *SCHEDULES, *MIXUP, *PARTS, *PLANS),
)
