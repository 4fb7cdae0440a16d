"""All tasks' recipes, so that one can be rebuilt from its settings."""

from __future__ import annotations

from ablata.engine.recipe import Recipe
from ablata.tasks.classification.task import Classify
from ablata.tasks.detection.task import Detect
from ablata.tasks.reid.task import Reidentify
from ablata.tasks.segmentation.task import Segment

RECIPES: tuple[type[Recipe], ...] = (Classify, Reidentify, Segment, Detect)
