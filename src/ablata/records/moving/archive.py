"""One file that holds many: a zip whose manifest gives the size and SHA-256 of every entry.

An archive comes from another machine and is not trusted: everything is checked before anything is written.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ablata.base.errors import RecordError
from ablata.base.files import atomic_path
from ablata.records.values import decode, encode

FORMAT = "ablata-study"
VERSION = 1
MANIFEST = "manifest.json"
LIMIT_BYTES = 8 << 30
"""An archive that unpacks to more is refused: it is a mistake or an attack."""
LIMIT_JSON_BYTES = 64 << 20
LIMIT_JSON_VALUES = 5_000_000
"""A JSON entry of more values takes gigabytes to read; a run of a million steps with two curves has fewer."""
LIMIT_JSON_DEPTH = 100
LIMIT_ENTRIES = 200_000
CHUNK = 1 << 20
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    UnicodeError,
    RuntimeError,
    OSError,
    struct.error,
)
"""What the standard library raises at a damaged zip, unknown compression and encryption included."""


def write_archive(path: Path, entries: Iterable[tuple[str, bytes | Path]], about: dict[str, Any]) -> None:
    """Write an archive atomically. Equal content gives equal bytes.

    Args:
        path: the file to be written.
        entries: names, and the content or the file that holds it.
        about: what the manifest says besides format, version and entries.
    """
    listed: dict[str, dict[str, Any]] = {}
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in entries:
            listed[name] = _write_entry(archive, name, content)
        manifest = {"format": FORMAT, "version": VERSION, **about, "entries": listed}
        _write_entry(archive, MANIFEST, encode(manifest).encode())


def _write_entry(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> dict[str, Any]:
    hasher, size = hashlib.sha256(), 0
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as target:
        for chunk in [content] if isinstance(content, bytes) else _chunks(content):
            hasher.update(chunk)
            size += len(chunk)
            target.write(chunk)
    return {"sha256": hasher.hexdigest(), "bytes": size}


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


class Archive:
    """A verified archive. Every entry has its declared size and hash, and a name that stays inside its root.

    Attributes:
        about: the manifest.
        path: the file.
        names: the entries, the manifest excepted.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self.path = archive, path
        infos = archive.infolist()
        sizes = {info.filename: info.file_size for info in infos}
        if len(sizes) < len(infos) or len(infos) > LIMIT_ENTRIES:
            raise self.damaged(f"{len(infos)} entries, {len(sizes)} of different names")
        if sum(sizes.values()) > LIMIT_BYTES:
            raise self.damaged(f"unpacks to {sum(sizes.values()):,} bytes, more than the {LIMIT_BYTES:,} allowed")
        odd = [info.filename for info in infos if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)]
        if odd:
            raise self.damaged(f"{odd[0]!r} is compressed in another way than an export is")
        if MANIFEST not in sizes:
            raise self.damaged(f"no {MANIFEST}")
        self.about = self._manifest()
        self.names = [info.filename for info in infos if info.filename != MANIFEST]
        self._verify(sizes)

    def json(self, name: str) -> Any:
        """Return the value of a JSON entry; RecordError if it is absent or no JSON."""
        if name != MANIFEST and name not in self.names:
            raise self.damaged(f"no entry {name}")
        if self._archive.getinfo(name).file_size > LIMIT_JSON_BYTES:
            raise self.damaged(f"{name} is larger than {LIMIT_JSON_BYTES:,} bytes")
        text = self._archive.read(name)
        # Before it is read: a list of empty lists takes twenty times its text.
        if sum(text.count(sign) for sign in (b",", b"[", b"{")) > LIMIT_JSON_VALUES:
            raise self.damaged(f"{name} holds more than {LIMIT_JSON_VALUES:,} values")
        try:
            value = decode(text)
        except (ValueError, RecursionError) as error:
            raise self.damaged(f"{name}: {error}") from error
        if _is_deeper(value, LIMIT_JSON_DEPTH):
            raise self.damaged(f"{name} is nested more than {LIMIT_JSON_DEPTH} deep")
        return value

    def extract(self, name: str, target: Path) -> None:
        """Write an entry to a new file."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._archive.open(name) as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy, CHUNK)
            copy.flush()
            os.fsync(copy.fileno())

    def damaged(self, found: str) -> RecordError:
        """Return the error that says what is wrong with this file."""
        return RecordError(
            "An exported study or loop must be whole and as it was written",
            found=f"{self.path}: {found}",
            do="export or copy it again; nothing of it was imported",
        )

    def _manifest(self) -> dict[str, Any]:
        about = self.json(MANIFEST)
        if not isinstance(about, dict) or about.get("format") != FORMAT or not isinstance(about.get("entries"), dict):
            raise self.damaged(f"{MANIFEST} is not that of an exported study or loop")
        if about.get("version") != VERSION:
            raise RecordError(
                f"An exported study must be of version {VERSION}",
                found=f"{self.path} of version {about.get('version')!r}",
                do="update ablata",
            )
        return about

    def _verify(self, sizes: dict[str, int]) -> None:
        entries = self.about["entries"]
        if set(entries) != set(self.names):
            raise self.damaged(f"entries differ from the manifest: {sorted(set(entries) ^ set(self.names))[:5]}")
        for name in self.names:
            path = PurePosixPath(name)
            leaves = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or name != str(path)
            if leaves or not name.isprintable():
                raise self.damaged(f"the name {name!r} leaves its folder")
            hasher = hashlib.sha256()
            with self._archive.open(name) as stream:
                while chunk := stream.read(CHUNK):
                    hasher.update(chunk)
            if entries[name] != {"sha256": hasher.hexdigest(), "bytes": sizes[name]}:
                raise self.damaged(f"{name} is not what the manifest says")


def _is_deeper(value: Any, depth: int) -> bool:
    """Tell whether a JSON value is nested deeper, without recursion."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Give a verified archive.

    Raises:
        RecordError: the file is absent, damaged, too large, of newer code, or has names that leave their folder.
    """
    with ExitStack() as stack:
        try:
            archive = Archive(stack.enter_context(zipfile.ZipFile(path)), path)
        except FileNotFoundError as error:
            raise RecordError(
                "An exported study must be there",
                found=f"no file {path}",
                do="ablata study export NAME FILE writes one",
            ) from error
        except UNREADABLE as error:
            raise RecordError(
                "An exported study or loop must be whole and as it was written",
                found=f"{path}: {error}",
                do="export or copy it again; nothing of it was imported",
            ) from error
        yield archive
