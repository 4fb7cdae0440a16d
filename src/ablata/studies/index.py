"""Find studies by name or in a user's file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablata.base.catalogue import Entry, entries, load
from ablata.base.errors import SettingsError

if TYPE_CHECKING:
    from ablata.studies.study import Study

_PACKAGE = "ablata.studies.catalogue"


def study_entries() -> list[Entry]:
    """List the studies that come with the package, without importing any of them."""
    return entries(_PACKAGE)


def load_study(reference: str) -> Study:
    """Return a study by name, as `path/to/file.py:function`, or from a YAML or TOML file.

    Raises:
        SettingsError: the name, the file or the study is wrong.
    """
    from ablata.studies.asking.documents import is_document, read_study
    from ablata.studies.study import Study

    if is_document(reference):
        return read_study(Path(reference))
    made = load(reference, _PACKAGE, "study")()
    if not isinstance(made, Study):
        raise SettingsError(
            "A study function must return a Study",
            found=f"{reference} returned {type(made).__name__}",
            do="return the study that it makes",
        )
    return made
