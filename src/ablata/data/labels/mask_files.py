"""Reading mask files: whole numbers for every pixel, exactly as they were written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from ablata.base.errors import DataError
from ablata.base.quantities import counted
from ablata.data.io.decode import RULES, ImageRules
from ablata.data.io.masks import MaskError, load_mask, open_mask
from ablata.data.labels.table import TRANSPARENT, Form, color_codes, written_value


@dataclass(frozen=True)
class Leniency:
    """What else may be read than training reads.

    Attributes:
        lossy: formats that change values; pixels that are half transparent count as the nearer of both.
        grey: where ids are asked for, colour files whose three channels are equal: that number is the id.
        palette: where ids are asked for, whether a palette file's indices are taken, or the grey of their colours.
    """

    lossy: bool = False
    grey: bool = False
    palette: Literal["index", "grey"] = "index"


STRICT = Leniency()


def read_mask(file: Path, form: Form, leniency: Leniency = STRICT, rules: ImageRules = RULES) -> np.ndarray:
    """Return the raw values of a mask.

    Args:
        file: a lossless image. For ids: greyscale of any bits, whole numbers in floating point, or a palette, of which
            the indices are taken. For colours: RGB, or a palette, of which the colours are taken.
        form: what the values are.
        leniency: what else may be read.
        rules: whether it is turned as its noted orientation says, and how large it may be.

    Returns:
        int32 [H, W]: ids, or colours as 0xRRGGBB; `TRANSPARENT` where nothing is drawn.

    Raises:
        MaskError: it is damaged, of a format that changes values, or holds something else than `form`.
    """
    mask = load_mask(open_mask(file, leniency.lossy, rules.max_pixels), file, rules)
    return raw_values(mask, file, form, leniency)


def raw_values(mask: Image.Image, file: Path, form: Form, leniency: Leniency = STRICT) -> np.ndarray:
    """Return the raw values of a decoded mask, as `read_mask` does.

    Raises:
        MaskError: its pixels are of another kind than `form`.
    """
    mode = mask.mode
    if form == "ids":
        if mode == "P" and leniency.palette == "grey":
            return _greys(np.asarray(mask.convert("RGB")), file, "a palette of colours")
        if mode in ("P", "L", "1") or mode.startswith("I"):
            return np.asarray(mask).astype(np.int32)
        if mode == "F":
            return _whole_numbers(np.asarray(mask), file)
        if mode == "LA":
            values, alpha = np.asarray(mask)[..., 0], np.asarray(mask)[..., 1]
            return _drawn(values.astype(np.int32), alpha, file, leniency)
        if mode in ("RGB", "RGBA") and leniency.grey:
            greys = _greys(np.asarray(mask)[..., :3], file, mode)
            return greys if mode == "RGB" else _drawn(greys, np.asarray(mask)[..., 3], file, leniency)
    if form == "colors" and mode in ("P", "PA", "RGB", "RGBA"):
        if mode == "RGB" or (mode == "P" and "transparency" not in mask.info):
            return color_codes(np.asarray(mask.convert("RGB")))
        pixels = np.asarray(mask.convert("RGBA"))
        return _drawn(color_codes(pixels), pixels[..., 3], file, leniency)
    wanted = "greyscale or palette images" if form == "ids" else "RGB or palette images"
    instead = "colours (`#RRGGBB NAME`)" if form == "ids" else "ids (`ID NAME`)"
    raise MaskError(
        "mode",
        f"Masks of {form} must be {wanted}",
        found=f"{file}: {mode}",
        do=f"where the masks hold {instead}, say so in the class list, or let `ablata data check FOLDER --propose-map "
        "FILE` write a label map, and turn them into ids: ablata data convert FOLDER --map FILE --output NEW_FOLDER",
    )


def _greys(pixels: np.ndarray, file: Path, kind: str) -> np.ndarray:
    red = pixels[..., 0]
    if not (np.array_equal(red, pixels[..., 1]) and np.array_equal(red, pixels[..., 2])):
        raise MaskError("mode", "Masks of ids must be greyscale, or colours of three equal channels",
                        found=f"{file}: {kind}", do="use --form colors and a label map of colours")  # fmt: skip
    return red.astype(np.int32)


def _whole_numbers(values: np.ndarray, file: Path) -> np.ndarray:
    ids = np.nan_to_num(values, nan=0.5, posinf=0.5, neginf=0.5).clip(-(2.0**31), 2.0**31 - 256)
    broken = int((ids != np.floor(ids)).sum())
    if broken:
        raise MaskError("mode", "Masks of ids must hold whole numbers",
                        found=f"{file}: floating point, {counted(broken, 'pixel')} with a fraction or no number",
                        do="export it again as whole numbers, without resizing it")  # fmt: skip
    whole: np.ndarray = ids.astype(np.int32)
    return whole


def _drawn(values: np.ndarray, alpha: np.ndarray, file: Path, leniency: Leniency) -> np.ndarray:
    """Return the values, `TRANSPARENT` where nothing is drawn."""
    half = int(((alpha != 0) & (alpha != 255)).sum())
    if half and not leniency.lossy:
        raise MaskError("transparent", "The pixels of a mask must be drawn, or wholly transparent",
                        found=f"{file}: {half:,} are half transparent",
                        do="export it again without smoothed edges, or convert with --nearest")  # fmt: skip
    drawn: np.ndarray = np.where(alpha < 128, np.int32(TRANSPARENT), values)
    return drawn


def size_advice(
    size: tuple[int, int], mask: tuple[int, int], image_note: int, mask_note: int, rules: ImageRules
) -> str:
    """Say what to do about a mask of another size than its image.

    Args:
        size: height and width of the image as it is read.
        mask: the same of the mask.
        image_note: orientation that the camera noted in the image, 1 to 8.
        mask_note: the same of the mask.
        rules: both are read by.
    """
    if size == mask[::-1] and (image_note >= 5) != (mask_note >= 5):
        other = "ignored" if rules.orientation == "applied" else "applied"
        return (
            f"the camera noted an orientation (EXIF) in {'the image' if image_note >= 5 else 'the mask'} alone: if the "
            f"mask was drawn over the {'stored' if other == 'ignored' else 'upright'} image, set "
            f"data.orientation={other}"
        )
    return "export the mask again at the image's size"


class Palettes:
    """What the indices of a set's palette files stand for: where files differ, an index means nothing."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, str]] = {}
        self._differ = ""

    @property
    def conflict(self) -> str:
        """Say why indices may not be the classes; empty where they are.

        Greys that are the indices in another order come of a program that saved grey values with the fewest colours.
        """
        greys = {index: color & 255 for index, (color, _) in self._seen.items() if color % 0x10101 == 0}
        if self._differ or len(greys) < len(self._seen) or greys.keys() != set(greys.values()):
            return self._differ
        other = ", ".join(f"index {index} is grey {grey}" for index, grey in sorted(greys.items()) if index != grey)
        return f"the greys are the indices in another order: {other}" if other else ""

    def add(self, palette: Mapping[int, int], where: str) -> None:
        """Note the colours (0xRRGGBB) of the indices that a file uses; the first two that differ are kept in words."""
        for index, color in palette.items():
            known, first = self._seen.setdefault(index, (color, where))
            if known != color and not self._differ:
                here, there = written_value("colors", color), written_value("colors", known)
                self._differ = f"index {index} is {there} in {first} and {here} in {where}"

    def refuse(self, source: str) -> None:
        """Check that indices can be the classes.

        Raises:
            DataError: two files differ, or the greys are the indices in another order.
        """
        if self.conflict:
            raise DataError("The palettes of mask files must agree with each other, as their indices are the classes",
                            found=self.conflict, do=palette_advice(source))  # fmt: skip


def palette_advice(folder: str) -> str:
    """Say what to do about palettes that differ."""
    return (
        f"where the colours are right: ablata data check {folder} --form colors --propose-map map.yaml; ablata data "
        f"convert {folder} --map map.yaml --output NEW_FOLDER; where the indices are: ablata data convert {folder} "
        "--map MAP --palette index --output NEW_FOLDER"
    )


def palette_of(mask: Image.Image, values: np.ndarray) -> dict[int, int]:
    """Return the colours (0xRRGGBB) that indices of a decoded palette file stand for; nothing of other files."""
    if mask.mode != "P":
        return {}
    colors = np.asarray(mask.getpalette("RGB") or [], dtype=np.int64).reshape(-1, 3)
    known = values[values < len(colors)]
    return {int(value): int(colors[value] @ np.array([1 << 16, 1 << 8, 1])) for value in known}
