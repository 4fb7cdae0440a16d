"""All tasks' recipes, so that one can be rebuilt from its settings."""

from __future__ import annotations

from ablata.engine.recipe import Recipe
from ablata.tasks.classify import Classify
from ablata.tasks.detect import Detect
from ablata.tasks.reidentify import Reidentify
from ablata.tasks.segment import Segment

RECIPES: tuple[type[Recipe], ...] = (Classify, Reidentify, Segment, Detect)
