"""What the notebook's trainings have in common, and what its losses are as settings.

Its code is that of Wang et al. (tfzhou/ContrastiveSeg), so what a line does not name is as published there: SGD of
rate 0.01, poly of power 0.9, a contrast of weight 0.1 that is multiplied by 0 for the first 5,000 steps, at most 1,024
samples and 100 views. The networks began with ImageNet's weights (line 5): add model.weights=FILE
model.weights_part=backbone. Batches are of 4, which later lines begin with.
"""

from __future__ import annotations

TRAINING = (
    "train.epochs=null train.batch=4 optim.lr=1e-2 optim.weight_decay=5e-4 optim.groups.no_decay_norm_and_bias=false "
    "schedule.warmup=null data.augment.crop.height=512 data.augment.crop.width=512 "
    "data.augment.color_jitter.brightness=0.04 data.augment.color_jitter.contrast=0 data.augment.color_jitter.saturation=0"
)
HRNET = f"{TRAINING} model.width=48"
CROSS_ENTROPY = "loss=cross_entropy"
SMALL_HRNET = "model.width=18"
SHORT_MEMORY = "loss.memory.pixels=1000"
"""At the small scale, for a list that would hold a hundred times as many."""


def contrast(steps: int, views: int = 100, few: str = "skip") -> str:
    """Return cross-entropy and, after 5,000 steps, the contrast; the defaults are the published ones.

    Args:
        steps: of the training.
        views: most pixels of a class in an image.
        few: what a class with too few pixels gives.
    """
    return f"loss=contrast loss.weight_schedule=warm_up loss.weight_schedule.length={5000 / steps:.4g} loss.max_views={views} loss.on_short_class={few}"


def own(steps: int, entries: int, classes: int) -> str:
    """Return the notebook's own sampling: hard and easy pixels of every class that has any, and a list of earlier ones.

    Args:
        steps: of the training.
        entries: of the list; taken for a memory of pixels over all classes together.
        classes: among which it is shared out.
    """
    memory = f"loss.memory=memory loss.memory.regions=0 loss.memory.pixels={entries // classes}"
    return f"{contrast(steps, few='take')} {memory}"
