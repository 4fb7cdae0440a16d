"""Where the notebooks themselves lie."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(data_home: Path) -> Path:
    """Return the folder of the notebooks, beside that of the data sets; skip where there is none."""
    found = data_home.parent / "notebooks"
    if not found.is_dir():
        pytest.skip(f"no notebooks at {found}")
    return found
