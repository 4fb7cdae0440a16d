"""Studies and research loops carried from one ledger to another; no torch."""

from __future__ import annotations

from pathlib import Path

from ablata.api.opening import open_ledger
from ablata.base.errors import SettingsError
from ablata.records.ledger import Ledger
from ablata.records.moving import exporting, importing
from ablata.studies.imported import check_study, simulate_bounds
from ablata.studies.loops.imported import check_loop


def export_study(
    name: str, path: str | Path, *, checkpoints: bool = False, replace: bool = False, ledger: Ledger | None = None
) -> exporting.Exported:
    """Write a study with its runs, curves and small files to one file.

    Args:
        name: the study's name.
        path: the file to write, such as `study.ablata`.
        checkpoints: take the weights along.
        replace: overwrite a file that exists.
        ledger: where the study is; None: the lab's own.

    Returns:
        The path, how many runs and files went into it, and which files were left out and why.

    Raises:
        RecordError: there is no such study.
        SettingsError: the file exists.
    """
    _refuse_existing(Path(path), replace)
    with open_ledger(ledger, create=False) as opened:
        return exporting.export_study(opened, name, Path(path), checkpoints=checkpoints)


def import_study(path: str | Path, *, ledger: Ledger | None = None) -> importing.Imported:
    """Take a study in from a file that `export_study` wrote; runs that are here already are shared.

    Raises:
        RecordError: the file is damaged, or another study of its name is here. Nothing was imported.
    """
    with open_ledger(ledger) as opened:
        done = importing.import_study(opened, Path(path), check_study)
        simulate_bounds(opened, done.study)
        return done


def export_loop(
    name: str, path: str | Path, *, checkpoints: bool = False, replace: bool = False, ledger: Ledger | None = None
) -> exporting.Exported:
    """Write a research loop with its runs, curves and small files to one file; else as `export_study`."""
    _refuse_existing(Path(path), replace)
    with open_ledger(ledger, create=False) as opened:
        return exporting.export_loop(opened, name, Path(path), checkpoints=checkpoints)


def import_loop(path: str | Path, *, ledger: Ledger | None = None) -> importing.Imported:
    """Take a research loop in from a file that `export_loop` wrote: it can be read here, and does not go on here.

    Raises:
        RecordError: the file is damaged, or another loop of its name is here. Nothing was imported.
    """
    with open_ledger(ledger) as opened:
        return importing.import_loop(opened, Path(path), check_loop)


def _refuse_existing(path: Path, replace: bool) -> None:
    if path.exists() and not replace:
        raise SettingsError(
            "A file is not replaced unasked", found=f"{path} is there",
            do="--replace (replace=True in Python), or another name",
        )  # fmt: skip
