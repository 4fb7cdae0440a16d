"""How image files must be read that are no plain images: their bands, bits and pages, each with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ablata.api.start.proposal import Choice
from ablata.base.cores import usable_cores
from ablata.base.errors import DataError
from ablata.data.io.bit_depth import DARK
from ablata.data.io.decode import COLORS, ImageRules, decode_bands, open_image
from ablata.data.io.headers import stored_bits, whole_pages
from ablata.data.io.tiff import BandedTiff

_LOOKED_AT = 32
_MOST_THREADS = 8
_ALPHA = "A"


@dataclass(frozen=True)
class _Stored:
    """What a file's header says: bands, 0 where three are read by themselves; pages; and bits of a value."""

    bands: int
    pages: int
    bits: int


def reading_choices(files: Sequence[Path]) -> Iterator[Choice]:
    """Yield the settings without which image files cannot be read, or come out black.

    Args:
        files: the images, without masks.
    """
    chosen = files[:: max(1, len(files) // _LOOKED_AT)]
    seen = [stored for stored in map(_stored, chosen) if stored is not None]
    if not seen:
        return
    pages = min((one.pages for one in seen if one.pages > 1), default=1)
    page = 0 if sum(one.pages > 1 for one in seen) * 2 > len(seen) else None
    if page is not None:
        yield Choice("data.page=0", f"files hold {pages} pages or more: the first is read")
    bands, count = Counter(one.bands for one in seen).most_common(1)[0]
    numbers = tuple(range(bands)) if bands and count * 2 > len(seen) else None
    if numbers is not None:
        told = "; the fourth may be infrared, or transparency: [0,1,2] leaves it out" if bands == COLORS + 1 else ""
        yield Choice(
            f"data.bands=[{','.join(map(str, numbers))}]", f"images have {bands} bands, the network sees all{told}"
        )
    if any(one.bits > 8 for one in seen):
        highest = _highest(files, ImageRules(bands=numbers, page=page))
        if 0 < highest < DARK:
            bits = max(highest.bit_length(), 8)
            yield Choice(f"data.bits={bits}", f"values of 16 bits reach {highest:,} at most, so that {bits} bits count")


def _stored(file: Path) -> _Stored | None:
    try:
        with open_image(file, str(file)) as image:
            pages = len(whole_pages(image)) if image.format == "TIFF" or isinstance(image, BandedTiff) else 1
            if isinstance(image, BandedTiff):
                samples = image.layout.samples
                return _Stored(0 if samples == COLORS else samples, pages, _bits(image))
            bands = image.getbands()
            several = image.format == "TIFF" and len(bands) > COLORS and bands[-1] in "AX"
            odd = several and np.asarray(image)[..., -1].min(initial=255) < 255
            return _Stored(len(bands) if odd else 0, pages, stored_bits(image))
    except (DataError, OSError, ValueError, SyntaxError, EOFError):
        return None  # what cannot be read is told by the check


def _bits(image: Image.Image) -> int:
    return image.layout.bits if isinstance(image, BandedTiff) else stored_bits(image)


def _highest(files: Sequence[Path], rules: ImageRules) -> int:
    """Return the highest value of files of 16 bits."""

    def one(file: Path) -> int:
        try:
            with open_image(file, str(file)) as image:
                return decode_bands(image, str(file), rules)[1].highest if _bits(image) > 8 else 0
        except (DataError, OSError, ValueError):
            return 0

    with ThreadPoolExecutor(min(_MOST_THREADS, usable_cores())) as pool:
        return max(pool.map(one, files), default=0)
