"""Where the lab lives: its home folder, its ledger's address, and the file systems a ledger file must not be on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, quote_plus

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ablata.base.errors import RecordError, listing
from ablata.base.home import lab_home as lab_home

LEDGER_FILE = "ledger.sqlite3"
RUNS_FOLDER = "runs"
IMPORTED_STUDIES = "imported"
IMPORTED_LOOPS = "imported_loops"
"""Folder of the lab's home with an empty file for each study that was imported."""

NETWORK_FILE_SYSTEM = re.compile(
    r"nfs4?|cifs|smb.*|ncpfs|afs|9p|virtiofs|davfs|ceph|lustre|glusterfs|beegfs|gpfs|pvfs2|orangefs"
    r"|fuse\.(sshfs|s3fs|goofys|gcsfuse|rclone|glusterfs|ceph(-fuse)?|davfs2?|juicefs|beegfs|smbnetfs|nfs.*)"
)
"""Types of /proc/self/mountinfo on which file locks or shared memory between machines cannot be relied upon."""


def ledger_url(address: str | None, home: Path) -> URL:
    """Return the database address of the ledger.

    Args:
        address: a URL (`postgresql://user@host/name`, `sqlite:///path`) or the path of an SQLite file; None takes
            `ABLATA_DB`, and without that the file `ledger.sqlite3` in `home`.
        home: the lab's home folder.

    Raises:
        RecordError: the address is neither SQLite nor Postgres, or a file in a folder that does not exist.
    """
    address = address or os.environ.get("ABLATA_DB")
    if address is None:
        return URL.create("sqlite", database=str(home / LEDGER_FILE))
    if "://" not in address:
        if _MISTYPED.search(address):
            raise _wrong("The ledger's address must be a database URL or the path of a file", address)
        return _file_url(Path(address).expanduser().absolute(), home)
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        # The parser's own message repeats the address.
        raise _wrong("The ledger's address must be a database URL or the path of a file", address) from None
    kind = url.get_backend_name()
    if kind in ("postgresql", "postgres"):
        if "@" in (url.host or ""):
            raise _wrong("A password in an address must be written with %40 for @, %2F for / and %3A for :", address)
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and url.database not in (None, "", ":memory:") and not url.host and not url.username:
        return _file_url(Path(str(url.database)).absolute(), home)
    raise _wrong("The ledger must be an SQLite file or a Postgres database", address)


_MISTYPED = re.compile(r"^\w[\w+.-]*:|^//|@|postgres|pass\w*\s*=|host\s*=")
"""What a path of a file does not hold, and a mistyped URL or the driver's own form of an address does."""


def _file_url(path: Path, home: Path) -> URL:
    if not path.parent.is_dir() and path.parent != home:
        raise RecordError(
            "The folder of an SQLite ledger must exist", found=f"no folder {without_secrets(str(path.parent))}",
            do="correct the address (--db, ABLATA_DB), or make the folder",
        )  # fmt: skip
    return URL.create("sqlite", database=str(path))


def _wrong(must: str, address: str) -> RecordError:
    return RecordError(
        must, found=without_secrets(address), do="write postgresql://user@host/name, sqlite:///path or a path"
    )


def without_secrets(address: str) -> str:
    """Return an address, however mistyped, with `***` for passwords.

    What stands between the first colon and the last `@` is taken for a password, or after a colon where no port is; and
    so is the value of every name with `pass`, `secret`, `token` or `key` in it.
    """
    address = _NAMED_SECRET.sub(r"\1***", address)
    scheme = re.match(r"\w[\w+.-]*:/+", address)
    start = scheme.end() if scheme else 0
    before, at, after = address[start:].rpartition("@")
    if not at:
        return address[:start] + re.sub(r":(?!\d+(?:[/?]|$))[^/?]+", ":***", after)
    user, colon, _ = before.partition(":")
    return f"{address[:start]}{user}{':***' if colon else ''}@{after}"


_NAMED_SECRET = re.compile(
    r"([\w.-]*(?:pass(?!file)|pwd|secret|token|key)[\w.-]*\s*=\s*)('[^']*'|[^\s&;]*)", re.IGNORECASE
)


def shown_address(url: URL) -> str:
    """Return an address for people: without its password, and without those among its options."""
    return str(url.database) if url.get_backend_name() == "sqlite" else without_secrets(url.render_as_string())


def secrets_of(url: URL) -> list[str]:
    """Return the passwords in an address, as they may come up in a driver's message."""
    options = [
        text for name, values in url.normalized_query.items() if _NAMED_SECRET.match(f"{name}=") for text in values
    ]
    return [form for text in (url.password, *options) if text for form in {text, quote(text), quote_plus(text)}]


def file_system(path: Path, mountinfo: str | None = None) -> tuple[str, str] | None:
    """Return the mount point and the file-system type that hold `path`, or None where the system does not tell.

    Args:
        path: a file or folder; it need not exist.
        mountinfo: the text of /proc/self/mountinfo; None reads it (source: proc_pid_mountinfo(5)).
    """
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_text(errors="replace")
        except OSError:
            return None
    target, best = path.resolve(), None
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split()
        if not separator or len(fields) < 5 or not after.split():
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4]))
        # A later mount on the same point hides the earlier one, hence >=.
        if target.is_relative_to(point) and (best is None or len(point.parts) >= len(Path(best[0]).parts)):
            best = (str(point), after.split()[0])
    return best


def refuse_network_file_system(path: Path, mountinfo: str | None = None) -> None:
    """Raise if an SQLite ledger at `path` would lie on a network file system.

    Raises:
        RecordError: it would; the message gives the mount, its type and the way to Postgres.
    """
    mount = file_system(path, mountinfo)
    if mount and NETWORK_FILE_SYSTEM.fullmatch(mount[1]):
        raise RecordError(
            "An SQLite ledger must lie on a disk of this machine: its locks and shared memory do not reach across a "
            "network file system, and the file would be damaged",
            found=f"{path}, which is on {mount[0]} of type {mount[1]}",
            do="set ABLATA_HOME to a local folder, or set ABLATA_DB=postgresql://user@host/name to share one ledger",
        )


def refuse_lost_ledger(path: Path, home: Path) -> None:
    """Raise if the ledger of a home is gone or empty while the folders of its runs are there.

    Raises:
        RecordError: it is; a new one would disown the runs without a word.
    """
    if path != home / LEDGER_FILE or (path.exists() and path.stat().st_size > 0):
        return
    runs = sorted(folder.name for folder in (home / RUNS_FOLDER).glob("*") if folder.is_dir() and any(folder.iterdir()))
    if runs:
        raise RecordError(
            "Run folders must lie beside the ledger that knows them",
            found=f"{path}, which is {'empty' if path.exists() else 'gone'}, and {len(runs)} run folders: "
            f"{listing(runs[:3])}{', ...' if len(runs) > 3 else ''}",
            do="bring the ledger back from a copy, rebuild it from the folders (ablata ledger repair), or set ABLATA_DB"
            " where it is another database",
        )
