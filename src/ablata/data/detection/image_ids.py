"""The numbers that a set gives its images, found again by their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ablata.base.errors import DataError, listing, reason
from ablata.base.json_text import parse_json
from ablata.data.detection.fields import FieldError, Fields
from ablata.data.detection.problems import Findings


def ids_listed_in(annotations: Path, files: Sequence[Path]) -> list[int | str]:
    """Return the id of each file by a JSON file of COCO's, which needs no more than `images`.

    Raises:
        DataError: it lists none, or not every file.
    """
    listed = read_image_ids(annotations)
    ids = [_by_name(file, listed) for file in files]
    missing = [str(file) for file, number in zip(files, ids, strict=True) if number is None]
    if missing:
        raise DataError(
            "Every image must be listed in the annotations",
            found=f"{annotations}: not {listing(missing[:3])}",
            do="name the annotation file that lists these images, or leave them out",
        )
    return [number for number in ids if number is not None]


def read_image_ids(annotations: Path) -> dict[str, int | str]:
    """Return {file_name: id} of a JSON file of COCO's.

    Raises:
        DataError: it is none.
    """
    try:
        tree = parse_json(annotations.read_bytes())
        found = {}
        for place, values in enumerate(tree["images"]):
            fields = Fields(dict(values), f"{annotations}: image at position {place}", Findings("repair"))
            found[fields.text("file_name").replace("\\", "/")] = fields.key("id")
        return found
    except FieldError as error:
        raise DataError(error.must, found=error.found, do="correct it in the file, or write the file again") from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            "Annotations must be COCO's JSON",
            found=f"{annotations}: {reason(error)}",
            do="export the annotations again as COCO JSON",
        ) from None


def lie_below(folder: Path, files: Sequence[Path]) -> bool:
    """Tell whether all files, at least one, lie below a folder."""
    root = folder.resolve()
    return bool(files) and all(file.resolve().is_relative_to(root) for file in files)


def ids_below(folder: Path, files: Sequence[Path], listed: Mapping[str, int | str]) -> list[int | str] | None:
    """Return the id of each file by its name below a folder that holds them; None: one is not listed."""
    ids = [listed.get(file.resolve().relative_to(folder.resolve()).as_posix()) for file in files]
    return None if None in ids else [number for number in ids if number is not None]


def _by_name(file: Path, listed: Mapping[str, int | str]) -> int | str | None:
    """Return the id of the longest name that a file's path ends with."""
    parts = file.resolve().parts
    names = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((listed[name] for name in names if name in listed), None)
