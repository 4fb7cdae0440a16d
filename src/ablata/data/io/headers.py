"""What the header of an image file says, before a pixel is decoded: orientation, pages, bits, loss."""

from __future__ import annotations

from typing import Any

from PIL import Image

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BACK = _TURNS | {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
_SUBFILE_TYPE, _COMPRESSION = 254, 259
_REDUCED, _TRANSPARENCY_MASK = 1, 4
_LOSSY_TIFF = frozenset({"jpeg", "tiff_jpeg", "webp"})


def orientation_of(image: Image.Image) -> int:
    """Return the orientation that the camera noted, 1 (upright) to 8, of an image that is opened and not decoded."""
    if image.format == "PNG" and not _has_late_exif(image):
        # PIL would decode a PNG to see whether the note stands behind the pixels.
        noted = Image.Image.getexif(image).get(_ORIENTATION, 1)
    else:
        noted = image.getexif().get(_ORIENTATION, 1)
    return noted if noted in _TURNS else 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a decoded image upright, as its noted orientation says. PIL has done so already for a TIFF."""
    turn = _TURNS.get(orientation)
    return image if turn is None or image.format == "TIFF" else image.transpose(turn)


def as_stored(image: Image.Image, orientation: int) -> Image.Image:
    """Give a decoded image as its pixels are stored, whatever orientation is noted: PIL has turned a TIFF."""
    turn = _BACK.get(orientation)
    return image if turn is None or image.format != "TIFF" else image.transpose(turn)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn any image as another of this noted orientation is turned to stand upright."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def header_size(image: Image.Image, applied: bool) -> tuple[int, int]:
    """Return height and width after the noted orientation is applied, or as stored, from the header alone."""
    width, height = image.size
    lies = orientation_of(image) >= 5
    # PIL tells the size of a TIFF as it will be after turning.
    return (width, height) if lies and applied != (image.format == "TIFF") else (height, width)


def page_count(image: Image.Image) -> int:
    """Return how many images a file holds; the smaller copies of a TIFF (overviews) and a camera's preview are none."""
    return len(whole_pages(image))


def whole_pages(image: Image.Image) -> list[int]:
    """Return the numbers of the frames that are images of their own; see `page_count`."""
    frames = int(getattr(image, "n_frames", 1))
    if frames == 1 or image.format == "MPO":
        return [0]
    if image.format != "TIFF":
        return list(range(frames))
    whole = []
    try:
        for number in range(frames):
            image.seek(number)
            kind = getattr(image, "tag_v2", {}).get(_SUBFILE_TYPE, 0)
            if not kind & (_REDUCED | _TRANSPARENCY_MASK):
                whole.append(number)
    finally:
        image.seek(0)
    return whole or [0]


def raw_mode(image: Image.Image) -> str:
    """Return PIL's name of the pixels as the file holds them, such as `RGB;16B` or `L;4`; "" once it is decoded."""
    tiles: Any = getattr(image, "tile", None)
    if not tiles:
        return ""
    arguments = tiles[0][3]
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def stored_bits(image: Image.Image) -> int:
    """Return the bits of a value in the file, of an image that is opened and not decoded: 1, 2, 4, 8, 12, 16, 32."""
    stored = raw_mode(image).partition(";")[2]
    digits = "".join(letter for letter in stored if letter.isdigit())
    if digits:
        return int(digits)
    return 1 if image.mode == "1" else 16 if image.mode.startswith("I;16") else 32 if image.mode in ("I", "F") else 8


def lossy_format(image: Image.Image) -> str | None:
    """Name the format of an opened image where its compression changes values; None where nothing is lost.

    JPEG loses, inside a TIFF too; WebP and JPEG 2000 may do either.
    """
    if image.format in ("JPEG", "MPO"):
        return image.format
    if image.format == "TIFF":
        kind = str(image.info.get("compression", ""))
        return "JPEG inside TIFF" if "jpeg" in kind else f"{kind} inside TIFF" if kind in _LOSSY_TIFF else None
    if image.format in ("WEBP", "JPEG2000"):
        start = _beginning(image)
        lossless = b"VP8L" in start and b"VP8 " not in start if image.format == "WEBP" else _reversible(start)
        return None if lossless else image.format
    return None


def _beginning(image: Image.Image) -> bytes:
    stream: Any = getattr(image, "fp", None)
    if stream is None:
        return b""
    place = stream.tell()
    try:
        stream.seek(0)
        content: bytes = stream.read(4096)
        return content
    finally:
        stream.seek(place)


def _reversible(start: bytes) -> bool:
    """Tell whether a JPEG 2000 was made by the reversible wavelet (ISO 15444-1, A.6.1: the last byte of COD)."""
    place = start.find(b"\xff\x52")
    return 0 <= place < len(start) - 13 and start[place + 13] == 1


def _has_late_exif(image: Image.Image) -> bool:
    """Tell whether the note of a PNG stands behind its pixels, by the names of its chunks."""
    stream: Any = getattr(image, "fp", None)
    if stream is None or "exif" in image.info:
        return False
    place = stream.tell()
    try:
        stream.seek(8)
        pixels = False
        while len(head := stream.read(8)) == 8 and head[4:] != b"IEND":
            pixels |= head[4:] == b"IDAT"
            if pixels and head[4:] == b"eXIf":
                return True
            stream.seek(int.from_bytes(head[:4], "big") + 4, 1)
        return False
    finally:
        stream.seek(place)
