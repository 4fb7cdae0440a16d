"""Every setting that names a file or a folder says so, so that a run is used from any working folder."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import get_args

import ablata
from ablata.base.fields import OnDisk, options
from ablata.base.settings import Settings, field_texts

BELOW_THE_ROOT = {"train_json", "val_json", "train_images", "val_images", "train_list", "val_list"}
BELOW_THE_ROOT |= {"test_json", "test_images", "test_list", "images", "labels", "table"}
BELOW_THE_FOLDER = {"inputs", "sources", "words", "ref"}
"""Of a command, whose folder is recorded."""
TELLS_OF_FILES = re.compile(r"\b(files?|folders?|checkpoint)\b", re.IGNORECASE)
NO_FILES = {"pattern", "classes", "clusters", "function", "group_column", "name", "values"}


def settings_classes() -> Iterator[type[Settings]]:
    """Every settings class of the package."""
    for module in pkgutil.walk_packages(ablata.__path__, "ablata."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    classes = [Settings]
    for one in classes:
        classes += one.__subclasses__()
    yield from (one for one in classes[1:] if one.__module__.startswith("ablata."))


def takes_text(annotation: object) -> bool:
    return any(option is str or str in get_args(option) for option in options(annotation))


def test_texts_that_name_files_are_marked() -> None:
    unmarked, marked = set(), set()
    for one in settings_classes():
        texts = field_texts(one)
        for name, field in one.model_fields.items():
            if any(isinstance(mark, OnDisk) for mark in field.metadata):
                marked.add(f"{one.__name__}.{name}")
            elif takes_text(field.annotation) and TELLS_OF_FILES.search(texts.get(name, "")):
                unmarked.add(name)
    assert unmarked <= BELOW_THE_ROOT | BELOW_THE_FOLDER | NO_FILES
    assert {"LabelSubset.file", "Refinement.start", "Static.file", "StartFrom.run", "MaskFolder.map"} <= marked
