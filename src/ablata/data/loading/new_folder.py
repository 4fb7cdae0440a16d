"""The folder that a conversion makes: nothing is overwritten, and sources are only ever read."""

from __future__ import annotations

from pathlib import Path

from ablata.base.errors import SettingsError


def refuse_place(root: Path, output: Path) -> None:
    """Check that a folder can be made.

    Raises:
        SettingsError: it is there, or lies in the source or around it.
    """
    if output.exists():
        raise SettingsError("The folder to make must not be there yet: nothing is overwritten", found=str(output),
                            do="choose another --output")  # fmt: skip
    source, target = root.resolve(), output.resolve()
    if target.is_relative_to(source) or source.is_relative_to(target):
        raise SettingsError("The folder to make must lie outside the source", found=f"{output}, source {root}",
                            do="choose another --output")  # fmt: skip
