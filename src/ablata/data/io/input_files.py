"""The files that a command line names: images and videos by themselves, and all of them in folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablata.base.errors import DataError, listing
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.video import is_video


@dataclass(frozen=True)
class InputFile:
    """A file and the name under which its outputs are written, without an ending, perhaps in folders."""

    file: Path
    name: str


def find_input_files(places: Sequence[Path], *, videos: bool = False) -> list[InputFile]:
    """Return the files that are meant, those of a folder in the order of their names, its own folders included.

    Args:
        places: files, whatever their names, and folders, of which the images are taken.
        videos: whether videos of folders are taken too.

    Raises:
        DataError: a place does not exist, a folder holds none, or two files would have outputs of one name.
    """
    missing = [place for place in places if not place.exists()]
    if missing:
        raise DataError(
            "Every image must exist", found=f"no file {listing(map(str, missing[:5]))}", do="correct the path"
        )
    files: list[tuple[Path, Path]] = []
    for place in places:
        inside = [(file, file.relative_to(place)) for file in _within(place, videos=videos)]
        if place.is_dir() and not inside:
            raise DataError(
                "A folder to predict must hold images",
                found=f"{place}: none of {listing(sorted(IMAGE_SUFFIXES))}",
                do="give a folder with images in it, or the images themselves",
            )
        files += inside if place.is_dir() else [(place, Path(place.name))]
    short = Counter(name.with_suffix("") for _, name in files)
    inputs = [
        InputFile(file, (name.with_suffix("") if short[name.with_suffix("")] == 1 else name).as_posix())
        for file, name in files
    ]
    twice = [name for name, count in Counter(entry.name for entry in inputs).items() if count > 1]
    if twice:
        raise DataError(
            "Images predicted together must have different names",
            found=f"{listing(twice[:5])} more than once",
            do="predict one folder at a time",
        )
    return inputs


def _within(place: Path, *, videos: bool) -> list[Path]:
    if not place.is_dir():
        return []
    files = sorted(file for file in place.rglob("*") if file.is_file() and not file.name.startswith("."))
    return [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES or (videos and is_video(file))]
