"""Git and a program's code: the commit of a ref, the state of a working folder, worktrees to run a ref in."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

from ablata.base.errors import SettingsError

_SECONDS = 60
_SOURCES = frozenset({
    ".py", ".pyx", ".sh", ".bash", ".r", ".jl", ".c", ".cc", ".cpp", ".cu", ".h", ".hpp", ".rs", ".go", ".js", ".ts",
    ".java", ".kt", ".lua", ".m",
})  # fmt: skip
"""Endings of new files, not yet known to git, that count as code; others may be what a run wrote."""


def git_commit(folder: Path, ref: str) -> str:
    """Return the full name of a commit.

    Raises:
        SettingsError: the folder is in no git repository, or has no such ref.
    """
    # `--verify --end-of-options`: a ref is never taken for an option.
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if found is None:
        raise SettingsError("A git ref must be a branch, a tag or a commit", found=f"git:{ref} in {folder}")
    return found.decode().strip()


def git_state(folder: Path) -> str | None:
    """Return commit and digest of uncommitted changes of tracked files and new files of code; None outside git."""
    head = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if head is None:
        return None
    content = hashlib.blake2b(digest_size=8)
    content.update(_git(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv") or b"")
    new = (_git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--full-name", ":/") or b"").split(b"\0")
    top = _top(folder)
    for name in sorted(filter(None, new)):
        file = top / os.fsdecode(name)
        if file.is_file() and file.suffix in _SOURCES:
            content.update(name + b"\0" + file.read_bytes())
    return f"git-{head.decode().strip()}-{content.hexdigest()}"


def worktree_folder(folder: Path, ref: str, trees: Path) -> Path:
    """Return a working folder with the files of a ref, in a git worktree that is made where there is none yet.

    Args:
        folder: the working folder, inside a repository.
        ref: branch, tag or commit.
        trees: the folder of all worktrees; several processes may ask at once.

    Raises:
        SettingsError: there is no such ref, or git cannot make the worktree.
    """
    tree = trees.absolute() / git_commit(folder, ref)[:16]
    trees.mkdir(parents=True, exist_ok=True)
    with trees.with_name(f"{trees.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (tree / ".git").exists():
            _git(folder, "worktree", "prune")
            if _git(folder, "worktree", "add", "--detach", "--force", str(tree), git_commit(folder, ref)) is None:
                raise SettingsError("Git must be able to make a worktree", found=f"git:{ref} of {folder} at {tree}")
    return tree / folder.resolve().relative_to(_top(folder).resolve())


def remove_worktree(folder: Path, ref: str, trees: Path) -> None:
    """Remove the worktree of a ref, if there is one.

    Raises:
        SettingsError: the ref is gone.
    """
    tree = trees.absolute() / git_commit(folder, ref)[:16]
    if tree.exists():
        _git(folder, "worktree", "remove", "--force", str(tree))


def _top(folder: Path) -> Path:
    return Path(os.fsdecode((_git(folder, "rev-parse", "--show-toplevel") or b"").strip()))


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Return what a git command printed; None where it failed, or there is no git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
