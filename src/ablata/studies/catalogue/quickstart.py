"""The study that `make quickstart` runs: real images, two minutes, three changes judged."""

from __future__ import annotations

from ablata.recipes.index import load_recipe
from ablata.studies.study import Study


def quickstart() -> Study:
    """Handwritten digits: does dropout, a wider network, or training without shifts change the accuracy?"""
    return Study(
        name="quickstart",
        question="Do dropout, a wider network, or training without shifted images change how well digits are read?",
        control=load_recipe("digits"),
        arms={
            "wide": ("model.width=32",),
            "dropout": ("model.dropout=0.1",),
            "noshift": ("data.augment.pad=0",),
        },
        seeds=5,
        margin=0.5,
    )
