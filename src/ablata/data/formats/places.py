"""Where the files of a set lie: images below a folder, and paths that were written on another machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.walk import exists, files_under, is_name
from ablata.data.labels.split_lists import split_name


def images_under(folder: Path) -> Iterator[Path]:
    """Yield the image files under a folder, sorted; of one that does not exist nothing."""
    yield from (file for file in files_under(folder) if file.suffix.lower() in IMAGE_SUFFIXES)


def relative(file: Path, folder: Path) -> str:
    """Return a file's path below a folder, for messages; one that lies elsewhere whole."""
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)


def split_of_path(file: Path, folder: Path) -> str:
    """Return the split that a folder in a file's path is called by; nothing where none is.

    Folders are called `train`, `valid`, `val2017`, or `obj_train_data` (CVAT's YOLO export).
    """
    for part in file.relative_to(folder).parts[:-1]:
        if split := split_name(part.removeprefix("obj_").removesuffix("_data")):
            return split
    return ""


def tail_below(folder: Path, path: str, folders: int = 1) -> Path | None:
    """Return what a written path leads to below a folder: itself, else its longest tail that is there; None: nothing.

    Separators of Windows, addresses (`my%20image.jpg`) and folders of the machine that wrote it are understood; nothing
    outside the folder is looked at. A tail that is a folder, and not the whole path, has at least `folders` parts.
    """
    slashed = path.replace("\\", "/")
    for written in dict.fromkeys((slashed, unquote(slashed))):
        parts = [part for part in PurePosixPath(written).parts if part not in ("/", ".", "..") and is_name(part)]
        for start in range(len(parts)):
            candidate = folder.joinpath(*parts[start:])
            try:
                if candidate.is_file() or (candidate.is_dir() and (not start or len(parts) - start >= folders)):
                    return candidate
            except (OSError, ValueError):
                return None
    return None


def find_image(folder: Path, name: str, *beside: Path) -> Path | None:
    """Return the file of an image that an annotation names: in one of some folders, else by its longest tail below the
    set's folder or its usual folders of images; None: it is not there."""
    slashed = PurePosixPath(name.replace("\\", "/"))
    for place in beside:
        candidate = place / slashed
        if exists(candidate) and candidate.resolve().is_relative_to(folder.resolve()):
            return candidate
    for place in (folder, *(folder / one for one in ("images", "img", "JPEGImages", "default", "images/default"))):
        candidate_below = tail_below(place, name) if place.is_dir() else None
        if candidate_below is not None and candidate_below.is_file():
            return candidate_below
    return None


def json_files(folder: Path) -> list[Path]:
    """Return the JSON files under a folder."""
    return [file for file in files_under(folder) if file.suffix.lower() == ".json"]


def head_of(file: Path) -> str:
    """Return how a text file begins, or nothing of one that cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(_HEAD).decode("utf-8-sig", "replace")
    except OSError:
        return ""


_HEAD = 1 << 16
