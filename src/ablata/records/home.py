"""Where the lab lives: its home folder, its ledger's address, and the file systems a ledger file must not be on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ablata.base.errors import RecordError

LEDGER_FILE = "ledger.sqlite3"
RUNS_FOLDER = "runs"

NETWORK_FILE_SYSTEM = re.compile(
    r"nfs4?|cifs|smb.*|ncpfs|afs|9p|virtiofs|davfs|ceph|lustre|glusterfs|beegfs|gpfs|pvfs2|orangefs"
    r"|fuse\.(sshfs|s3fs|goofys|gcsfuse|rclone|glusterfs|ceph(-fuse)?|davfs2?|juicefs|beegfs|smbnetfs|nfs.*)"
)
"""Types of /proc/self/mountinfo on which file locks or shared memory between machines cannot be relied upon."""


def lab_home() -> Path:
    """Return the lab's home folder: `ABLATA_HOME`, or `.ablata` in the working folder. It need not exist yet."""
    return Path(os.environ.get("ABLATA_HOME") or ".ablata").expanduser().absolute()


def ledger_url(address: str | None, home: Path) -> URL:
    """Return the database address of the ledger.

    Args:
        address: a URL (`postgresql://user@host/name`, `sqlite:///path`) or the path of an SQLite file; None takes
            `ABLATA_DB`, and without that the file `ledger.sqlite3` in `home`.
        home: the lab's home folder.

    Raises:
        RecordError: the address is neither SQLite nor Postgres.
    """
    address = address or os.environ.get("ABLATA_DB")
    if address is None:
        return URL.create("sqlite", database=str(home / LEDGER_FILE))
    if "://" not in address:
        return URL.create("sqlite", database=str(Path(address).expanduser().absolute()))
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise RecordError(
            "The ledger's address must be a database URL or the path of a file",
            found=_without_password(address),
            do="write postgresql://user@host/name, sqlite:///path or a path",
        ) from error
    kind = url.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite", database=str(Path(str(url.database)).absolute()))
    raise RecordError(
        "The ledger must be an SQLite file or a Postgres database",
        found=_without_password(address),
        do="write postgresql://user@host/name, sqlite:///path or a path",
    )


def _without_password(address: str) -> str:
    try:
        secret = urlsplit(address).password
    except ValueError:
        secret = None
    return address.replace(f":{secret}@", ":***@") if secret else address


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
