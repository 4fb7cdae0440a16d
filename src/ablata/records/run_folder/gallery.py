"""What a finished run keeps to be looked at: images of its predictions, and the score of every class.

shown/shown.json          split, protocol, classes with scores, captions
shown/image-0.jpg       the images, in the order of their captions
shown/group-0-0.jpg       those of further groups, such as relations; or .svg
shown/key.jpg             what the colours mean
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablata.base.errors import RecordError, reason
from ablata.base.files import Fence, write_bytes, write_text

FOLDER = "shown"
_FORMAT = 1
_KEY = "key.jpg"
_BEGINNINGS = {"jpg": b"\xff\xd8\xff", "svg": b"<svg"}
"""How the files begin, by their ending."""


@dataclass(frozen=True)
class ShownImage:
    """An image: what it shows, a line under it, and the bytes of its JPEG or SVG file."""

    alt: str
    caption: str
    content: bytes

    @property
    def ending(self) -> str:
        """`svg` or `jpg`, as the content begins."""
        return "svg" if self.content.startswith(_BEGINNINGS["svg"]) else "jpg"


@dataclass(frozen=True)
class GalleryGroup:
    """Further images under a heading of their own, with what all of them show."""

    title: str
    caption: str
    images: tuple[ShownImage, ...]


@dataclass(frozen=True)
class Gallery:
    """What there is to look at.

    Attributes:
        split: the split that was looked at.
        protocol: how it was scored.
        class_metric: what the classes' scores are: `iou`, `ap`.
        classes: name and score in percent of each class, None for one that the split does not hold; empty: unknown.
        images: the images.
        key: bytes of a JPEG file that says what their colours mean; None: nothing to say.
        caption: what all the images show.
        groups: further images.
    """

    split: str
    protocol: str
    class_metric: str = ""
    classes: tuple[tuple[str, float | None], ...] = ()
    images: tuple[ShownImage, ...] = ()
    key: bytes | None = None
    caption: str = ""
    groups: tuple[GalleryGroup, ...] = ()


def write_gallery(run: Path, shown: Gallery, fence: Fence = nullcontext) -> None:
    """Write into a run's folder, inside the fence; the list comes last, so that it names only what is there."""
    for name, images in [("image", shown.images), *_named(shown.groups)]:
        for number, image in enumerate(images):
            write_bytes(_place(run, name, number, image.ending), image.content, fence)
    if shown.key is not None:
        write_bytes(run / FOLDER / _KEY, shown.key, fence)
    told = {
        "format": _FORMAT,
        "split": shown.split,
        "protocol": shown.protocol,
        "class_metric": shown.class_metric,
        "classes": [[name, _finite(score)] for name, score in shown.classes],
        "caption": shown.caption,
        "images": _told(shown.images),
        "groups": [
            {"title": group.title, "caption": group.caption, "images": _told(group.images)} for group in shown.groups
        ],
    }
    write_text(run / FOLDER / "shown.json", json.dumps(told, indent=1) + "\n", fence)


def read_gallery(run: Path) -> Gallery | None:
    """Read from a run's folder; None where nothing was kept. An image whose file is gone or no image is left out.

    Raises:
        RecordError: the list is damaged or newer.
    """
    path = run / FOLDER / "shown.json"
    if not path.is_file():
        return None
    try:
        told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] > _FORMAT:
            raise ValueError(f"format {told['format']}, this version reads up to {_FORMAT}")
        groups = tuple(
            GalleryGroup(str(one["title"]), str(one["caption"]), _images(run, f"group-{number}", one["images"]))
            for number, one in enumerate(told.get("groups", ()))
        )
        split, protocol, metric = (str(told[name]) for name in ("split", "protocol", "class_metric"))
        return Gallery(
            split,
            protocol,
            metric,
            classes=tuple((str(name), None if score is None else float(score)) for name, score in told["classes"]),
            images=_images(run, "image", told["images"]),
            key=_content(run / FOLDER / _KEY),
            caption=str(told.get("caption", "")),
            groups=groups,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            "What a run shows must be readable", found=f"{path}: {reason(error)}",
            do=f"remove {path.parent}: reports then go without it",
        ) from None  # fmt: skip


def _named(groups: Sequence[GalleryGroup]) -> list[tuple[str, tuple[ShownImage, ...]]]:
    return [(f"group-{number}", group.images) for number, group in enumerate(groups)]


def _told(images: Sequence[ShownImage]) -> list[dict[str, str]]:
    return [{"alt": image.alt, "caption": image.caption, "ending": image.ending} for image in images]


def _images(run: Path, name: str, told: Sequence[Mapping[str, Any]]) -> tuple[ShownImage, ...]:
    """Return those images of a list whose files are there."""
    endings = ["svg" if one.get("ending") == "svg" else "jpg" for one in told]
    found = [
        (one, _content(_place(run, name, number, ending)))
        for number, (one, ending) in enumerate(zip(told, endings, strict=True))
    ]
    return tuple(
        ShownImage(str(one["alt"]), str(one["caption"]), content) for one, content in found if content is not None
    )


def _place(run: Path, name: str, number: int, ending: str) -> Path:
    return run / FOLDER / f"{name}-{number}.{ending}"


def _content(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if content.startswith(_BEGINNINGS[path.suffix.removeprefix(".")]) else None


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None
