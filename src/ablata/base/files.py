"""Files that are never half written, and paths that never leave their root."""

from __future__ import annotations

import codecs
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from ablata.base.errors import SettingsError, UserError

Fence = Callable[[], AbstractContextManager[object]]
"""Gives a context inside which the caller alone may change a file; raises where another may."""


@contextmanager
def atomic_path(path: Path, fence: Fence = nullcontext) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it replaces `path`, on failure `path` stays as it was.

    The content reaches the disk before the name does, so a kill or a full disk leaves the old file or the new one,
    never a mixture. Who may read it follows the umask, as for any new file.

    Args:
        path: the file.
        fence: the context inside which `path` is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    mode = os.fstat(handle).st_mode
    os.close(handle)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        # A library may have put a file of its own in its place.
        temporary.chmod(mode)
        with fence():
            temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def draft_folder(target: Path, keep: Callable[[Path], bool] = lambda draft: False) -> Iterator[Path]:
    """Give a new empty folder beside `target`, to be filled and renamed to it; what is left of it goes at the end.

    So do the folders above that were made for it and stayed empty. It is locked until then, by which
    `remove_lost_drafts` tells it from those of processes that were killed.

    Args:
        target: what it is a draft of.
        keep: tells at the end whether it must stay, for `lost_drafts`.
    """
    missing = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    draft.mkdir()
    handle = os.open(draft, os.O_RDONLY)
    try:
        _lock(handle)
        yield draft
    finally:
        os.close(handle)
        if not keep(draft):
            shutil.rmtree(draft, ignore_errors=True)
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()


def remove_lost_drafts(target: Path) -> None:
    """Remove the folders that `draft_folder` made beside `target` for processes that were killed."""
    for draft in lost_drafts(target, is_old_draft):
        # Another may have removed it already.
        with suppress(OSError):
            shutil.rmtree(draft)


def is_old_draft(draft: Path) -> bool:
    """Tell whether a draft is so old that its process has locked it, if it is alive."""
    return time.time() - draft.stat().st_mtime > _YOUNG_SECONDS


_YOUNG_SECONDS = 60.0


def lost_drafts(target: Path, which: Callable[[Path], bool]) -> Iterator[Path]:
    """Give the folders that `draft_folder` made beside `target` for processes that were killed, each locked meanwhile.

    Args:
        target: as it was given to `draft_folder`.
        which: tells of a folder whether it is looked at.
    """
    for draft in target.parent.glob(f".{target.name}.{'[0-9a-f]' * 8}"):
        with suppress(OSError):
            if draft.is_dir() and which(draft):
                handle = os.open(draft, os.O_RDONLY)
                try:
                    _lock(handle)
                    yield draft
                finally:
                    os.close(handle)


def _lock(handle: int) -> None:
    """Lock an open folder until it is closed or this process ends.

    Raises:
        BlockingIOError: another process holds it.
    """
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable, where the system can sync a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes, fence: Fence = nullcontext) -> None:
    """Write `content` to `path` atomically, replacing it inside the fence.

    Raises:
        OSError: it cannot be written, with the name of the file.
    """
    with atomic_path(path, fence) as temporary:
        try:
            temporary.write_bytes(content)
        except OSError as error:
            # A write that finds no room does not say where.
            raise OSError(error.errno, error.strerror, str(path)) from None


def write_text(path: Path, content: str, fence: Fence = nullcontext) -> None:
    """Write `content` to `path` atomically, as UTF-8, replacing it inside the fence."""
    write_bytes(path, content.encode(), fence)


PAGE = (".html", ".htm")
"""Endings of a page."""
SHEET = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of a drawing in pixels."""


def refuse_other_kind(path: Path, endings: Sequence[str]) -> None:
    """Refuse to replace what is no file of the kind that is to be written, by its ending.

    Args:
        path: the file to write; one that does not exist yet may have any ending.
        endings: of the files that may be replaced, with their dots, in small letters.

    Raises:
        SettingsError: it is a folder, or a file with another ending.
    """
    if path.is_dir():
        raise SettingsError("The output must be a file", found=f"{path}, a folder", do=f"{path / 'NAME'}{endings[0]}")
    if path.exists() and path.suffix.lower() not in endings:
        raise SettingsError(
            f"A file that is replaced must end in {' or '.join(endings)}, as what is written here does",
            found=f"{path} exists",
            do="choose another name, or remove it first",
        )


def refuse_no_image(path: Path) -> None:
    """Refuse a file to write a drawing in pixels to, which is written as its ending says.

    Raises:
        SettingsError: it has another ending, or is a folder.
    """
    refuse_other_kind(path, SHEET)
    if path.suffix.lower() not in SHEET:
        raise SettingsError(f"An image is written as its ending says: {', '.join(SHEET)}", found=str(path),
                            do=f"{path.with_suffix('.png')}")  # fmt: skip


def read_text(path: Path) -> str:
    """Read a text as editors write it: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is in neither.
    """
    content = path.read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if marked else "utf-8-sig")


def inside(root: Path, relative: str | Path) -> Path:
    """Join `relative` to `root` and return the result, refusing one that lies outside `root`.

    Raises:
        UserError: the path is absolute, climbs out of the root, or follows a link out of it.
    """
    path = (root / relative).resolve()
    if not path.is_relative_to(root.resolve()):
        raise UserError(
            "A path in a file must stay inside its root", found=f"{relative} in {root}", do="correct the file"
        )
    return path


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
