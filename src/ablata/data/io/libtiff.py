"""What libtiff, which Pillow decodes TIFF files with, says of a damaged one: kept from standard error, for our words.

By itself it writes a line without the file's name to the process's standard error, which no Python stream sees.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

_MOST_LETTERS = 300
_MAPS = Path("/proc/self/maps")


@cache
def hear_libtiff() -> Callable[[], str]:
    """Let libtiff tell this process its errors; return what gives, and forgets, the first that a thread met.

    Nothing is heard where Pillow's library is not one that the system has loaded by its name.
    """
    said = threading.local()
    write = ctypes.CDLL(None).vsnprintf
    write.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]

    def heard(module: bytes | None, form: bytes, values: Any) -> None:
        line = ctypes.create_string_buffer(_MOST_LETTERS)
        write(line, _MOST_LETTERS, form, values)
        said.text = getattr(said, "text", "") or line.value.decode("utf-8", "replace")

    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
    handlers = {
        "TIFFSetErrorHandler": kind(heard),
        "TIFFSetWarningHandler": kind(lambda module, form, values: None),
    }
    if (library := _loaded()) is not None:
        for name, handler in handlers.items():
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [kind], ctypes.c_void_p
            setter(handler)

    def told(kept: Any = handlers) -> str:
        # The library calls its handlers as long as it is loaded, so they have to live as long as this function.
        text, said.text = getattr(said, "text", ""), ""
        return str(text)

    return told


def _loaded() -> ctypes.CDLL | None:
    lines = _MAPS.read_text().splitlines() if _MAPS.exists() else []
    paths = {line.split(maxsplit=5)[5] for line in lines if "libtiff" in line}
    return ctypes.CDLL(min(paths)) if paths else None
