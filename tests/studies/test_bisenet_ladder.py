"""The ladder to BiSeNet: its arms are the networks of `models.bisenet_forms.ladder`."""

from __future__ import annotations

from typing import get_args

import pytest

from ablata.models.segmentation.bisenet.published import Rung, ladder
from ablata.studies.catalogue.bisenet import bisenet_ladder
from ablata.tasks.segmentation.task import Segment


def test_each_arm_is_the_network_of_its_rung(subtests: pytest.Subtests) -> None:
    for rung in get_args(Rung):
        with subtests.test(rung=rung):
            recipes = bisenet_ladder().recipes
            assert list(recipes) == ["control", *get_args(Rung)[1:]]
            recipe = recipes["control" if rung == "fcn" else rung]
            assert isinstance(recipe, Segment)
            with_parts = ladder(rung)
            if recipe.model.spatial is None:
                with_parts = with_parts.model_copy(update={"fusion": recipe.model.fusion})
            assert recipe.model == with_parts
