"""Does training on a teacher's predictions help, at a length that two cores can answer in three quarters of an hour?"""

from __future__ import annotations

from ablata.recipes.index import load_recipe
from ablata.studies.study import Study


def refinery_rounds() -> Study:
    """CIFAR-10, ResNet-8: labels, against one round of static, dynamic or online refinement, and of dynamic with mixup.

    Every taught arm has the control of its seed as its teacher, trained once and shared; only the online arm trains
    without one. Each round has the control's length, so that a taught network has cost two trainings.
    """
    dynamic = ("refine=refinement", "refine.teacher=dynamic")
    return Study(
        name="refinery_rounds",
        question="Does a network learn more from an equal one's predictions than that did from the labels?",
        control=load_recipe(
            "resnet20_cifar10",
            (
                "model.depth=8",
                "train.epochs=4",
                "train.evaluate_every=2",
                "schedule.warmup=warmup",
                "schedule.warmup.length=1",
                "optim.weight_decay=5e-4",
            ),
        ),
        arms={
            "static": ("refine=refinement", "refine.teacher=static"),
            "dynamic": dynamic,
            "online": ("refine=refinement", "refine.teacher=online", "refine.loss.label_weight=0.5"),
            "dynamic+mixup": (*dynamic, "refine.mix_alpha=[0,0.3]"),
        },
        seeds=4,
        margin=1.0,
    )
