"""Arms that act late: the tail of the schedule and the EMA on CIFAR-10, from one beginning a seed."""

from __future__ import annotations

from ablata.recipes.index import load_recipe
from ablata.studies.study import Study

_STEPS = 300
_AVERAGE = ("ema=ema", "ema.warmup=none", f"ema.copy_steps={round(0.85 * _STEPS)}")


def cifar10_tail() -> Study:
    """CIFAR-10, ResNet-8, 300 steps: when the rate drops, or an EMA of the last 15% in its place.

    All arms act after 85% of the steps or later, so these are trained once a seed; see docs/results/late_arms.md.
    """
    return Study(
        name="cifar10_tail",
        question="What does the end of a short training gain from an earlier drop of the rate, or from an EMA?",
        control=load_recipe(
            "resnet20_cifar10",
            (
                "model.depth=8",
                "train.epochs=null",
                f"train.steps={_STEPS}",
                "train.evaluate_every=0",
                "schedule=step",
                "schedule.milestones=[0.9]",
                "compute.threads=1",
            ),
        ),
        arms={
            "earlier": ("schedule.milestones=[0.85]",),
            "no-drop": ("schedule.milestones=[1]",),
            "ema-0.9": (*_AVERAGE, "ema.decay=0.9"),
            "ema-0.95": (*_AVERAGE, "ema.decay=0.95"),
            "ema-0.95-no-drop": (*_AVERAGE, "ema.decay=0.95", "schedule.milestones=[1]"),
        },
        seeds=5,
        margin=0.5,
    )
