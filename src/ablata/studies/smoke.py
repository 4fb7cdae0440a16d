"""A few steps of a recipe in a folder that is thrown away: does it build, and does it learn at all?"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from ablata.base.errors import DivergedError
from ablata.engine.recipe import Recipe
from ablata.engine.train import train
from ablata.studies.chain import lineage


def smoke(recipe: Recipe, cache: Path, seed: int = 0) -> dict[str, float]:
    """Train a recipe, and before it all that it starts from, and return its scores; nothing is kept.

    Args:
        recipe: a short one.
        cache: folder for prepared data.
        seed: of the run.

    Raises:
        AblataError: it does not build, or a step fails.
    """
    with tempfile.TemporaryDirectory() as name:
        parent: Path | None = None
        scores: dict[str, float] = {}
        for number, one in enumerate(lineage(recipe)):
            folder = Path(name) / str(number)
            scores = train(one, seed, folder, cache, parent=parent).scores
            parent = folder
    if not any(math.isfinite(score) for score in scores.values()):
        raise DivergedError("A training must end with a score", found=f"{recipe.name}: {scores}")
    return scores
