"""What a command line names as a data set: a folder, a kind of data, or a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablata.data.formats.recognize import FolderTask
    from ablata.engine.recipe import Recipe


_CLOSE = 0.8
"""How alike a name must be to be proposed: what is given may be the path of a folder that is not there."""


def is_folder(dataset: str, settings: Sequence[str] = ()) -> bool:
    """Tell whether an argument names a folder or zip and not a recipe or kind.

    Args:
        dataset: the argument.
        settings: further ones: a word beside `data.root=FOLDER` is a kind, even where a folder is called so.

    Raises:
        SettingsError: it is another file.
        DataError: it is a path, and there is no such folder.
    """
    folder = Path(dataset).expanduser()
    if "/" not in dataset and any(setting.startswith("data.root=") for setting in settings):
        return False
    if folder.suffix != ".py":
        refuse_file(dataset)
    if folder.suffix == ".py" or ".py:" in dataset or not (folder.exists() or "/" in dataset):
        return False
    from ablata.data.loading.locate import refuse_missing

    refuse_missing(dataset)
    return True


def refuse_file(dataset: str) -> None:
    """Refuse a file that is no zip.

    Raises:
        SettingsError: it is one.
    """
    file = Path(dataset).expanduser()
    if file.is_file() and file.suffix.lower() != ".zip":
        from ablata.base.errors import SettingsError

        raise SettingsError(
            "A data set must be a folder or zip", found=f"the file {dataset}", do=f"give the folder: {file.parent}"
        )


def named_recipe(dataset: str, overrides: list[str]) -> Recipe:
    """Return the recipe of a name, or a plain one around a kind of data.

    Raises:
        SettingsError: there is no such kind or recipe, or a setting does not fit.
    """
    from ablata.base.errors import SettingsError, choices
    from ablata.base.fields import parts
    from ablata.base.overrides import override
    from ablata.recipes.index import load_recipe, recipe_entries
    from ablata.tasks.any import recipe_classes

    recipes = [entry.name for entry in recipe_entries()]
    kinds = {kind: task for task in reversed(recipe_classes()) for kind in parts(task.model_fields["data"].annotation)}
    if dataset in recipes or ":" in dataset or dataset.endswith(".py"):
        return load_recipe(dataset, overrides)
    if dataset not in kinds:
        close = next(iter(get_close_matches(dataset, [*kinds, *recipes], 1, _CLOSE)), None)
        raise SettingsError(
            f"A data set must be a folder or zip that exists, a kind of data ({choices(kinds, dataset)}) "
            f"or a recipe ({choices(recipes, dataset)})",
            found=f"no folder, zip, kind or recipe is called {dataset}",
            do=f"did you mean {close}?" if close else f"check the path: there is no {Path(dataset).absolute()}",
        )
    # Looking at boxes needs no masks, and some sets have none.
    boxes_alone = ["model.masks=null"] if kinds[dataset].model_fields["task"].default == "detect" else []
    first = [*boxes_alone, f"data={dataset}"]
    return override(kinds[dataset].model_validate({"name": dataset}), [*first, *overrides])


def classes_recipe(
    folder: str, overrides: list[str], tasks: tuple[FolderTask, ...] = ("reidentify", "classify")
) -> Recipe:
    """Return a recipe around a folder of images with classes, its layout recognised, or taken for folders by class.

    Images whose names say identity and camera are a set of identities where `tasks` has re-identification.

    Raises:
        DataError: there is no such folder.
        SettingsError: a setting does not fit, or is none of the data.
    """
    from ablata.base.errors import SettingsError
    from ablata.base.home import lab_cache
    from ablata.data.formats.recognize import recognize

    if any(not argument.startswith("data.") for argument in overrides):
        raise SettingsError("A folder takes settings of its data alone", found=" ".join(overrides), do="data.size=128")
    found = next(iter(recognize(folder, lab_cache(), tasks)), None)
    kind, settings = (found.kind, found.settings) if found else ("image_folder", (f"data.root={folder}",))
    return named_recipe(kind, [*settings, *overrides])


def boxes_recipe(folder: str, overrides: list[str]) -> tuple[Recipe, str] | None:
    """Return a recipe around a folder of images with boxes, its layout recognised, and its format in words.

    None: it has another layout.

    Raises:
        DataError: its annotations cannot be read, or there is no such folder.
        SettingsError: a setting does not fit.
    """
    from ablata.base.home import lab_cache
    from ablata.data.formats.recognize import recognize

    found = next(iter(recognize(folder, lab_cache(), ("detect",))), None)
    if found is None:
        return None
    return named_recipe(found.kind, [*found.settings, *overrides]), found.words
