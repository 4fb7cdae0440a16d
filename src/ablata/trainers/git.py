"""Git and a program's code: the commit of a ref, the state of a working folder, worktrees to run a ref in."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ablata.base.errors import SettingsError
from ablata.trainers.source_files import is_source, lies_in_lab

_SECONDS = 60


def git_commit(folder: Path, ref: str) -> str:
    """Return the full name of a commit.

    Raises:
        SettingsError: the folder is in no git repository, or has no such ref.
    """
    found = known_commit(folder, ref)
    if found is None:
        raise SettingsError(
            "A git ref must be a branch, a tag or a commit",
            found=f"git:{ref} in {folder}",
            do="git branch -a and git tag list them",
        )
    return found


@dataclass(frozen=True)
class Repository:
    """The repository that a folder lies in: its top folder, and the commit that is checked out."""

    top: Path
    head: str


def repository_of(folder: Path) -> Repository | None:
    """Return the repository that a folder lies in; None outside git, or before the first commit."""
    found = _git(folder, "rev-parse", "--show-toplevel", "HEAD")
    if found is None:
        return None
    top, _, head = found.rstrip(b"\n").rpartition(b"\n")
    return Repository(Path(os.fsdecode(top)), head.decode())


def git_state(folder: Path, repository: Repository) -> str:
    """Return commit and digest of uncommitted changes of tracked files and of new files of code.

    Repositories inside the repository, submodules or not, count with their own commits and changes.

    Args:
        folder: inside the repository.
        repository: what `repository_of` said of it.
    """
    top = repository.top
    content = hashlib.blake2b(digest_size=8)
    content.update(_git(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv") or b"")
    for name in sorted(_new_files(folder)):
        path = top / os.fsdecode(name)
        if path.is_dir():
            _add_nested(content, path)
        elif is_source(path.relative_to(top)) and path.is_file() and not lies_in_lab(path, top):
            content.update(name + b"\0" + path.read_bytes())
    for line in (_git(folder, "ls-files", "--stage", "-z", ":/") or b"").split(b"\0"):
        # The mode of a commit of another repository.
        if line.startswith(b"160000 "):
            _add_nested(content, folder / os.fsdecode(line.partition(b"\t")[2]))
    return f"git-{repository.head}-{content.hexdigest()}"


def _new_files(folder: Path) -> list[bytes]:
    listed = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--full-name", ":/") or b""
    return [name for name in listed.split(b"\0") if name]


def _add_nested(content: hashlib.blake2b, path: Path) -> None:
    """Add the state of a repository inside another; a submodule that was never fetched has none."""
    if (path / ".git").exists() and (inner := repository_of(path)) is not None:
        content.update(os.fsencode(path.name) + b"\0" + git_state(path, inner).encode())


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
                raise SettingsError(
                    "Git must be able to make a worktree",
                    found=f"git:{ref} of {folder} at {tree}",
                    do="git worktree add TREE REF shows why not",
                )
    return tree / folder.resolve().relative_to(_top(folder).resolve())


def remove_worktree(folder: Path, ref: str, trees: Path) -> None:
    """Remove the worktree of a ref, if there is one.

    Raises:
        SettingsError: the ref is gone.
    """
    tree = trees.absolute() / git_commit(folder, ref)[:16]
    if tree.exists():
        _git(folder, "worktree", "remove", "--force", str(tree))


def known_commit(folder: Path, name: str) -> str | None:
    """Return the full name of a commit; None where the folder's repository has none of that name."""
    # `--verify --end-of-options`: a ref is never taken for an option.
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}") if name else None
    return None if found is None else found.decode().strip()


def git_tree(folder: Path, commit: str) -> str:
    """Return the name of a commit's tree: equal for commits with equal files.

    Raises:
        SettingsError: there is no such commit.
    """
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{tree}}")
    if found is None:
        raise SettingsError(
            "A git commit must be in the repository", found=f"{commit} in {folder}", do="git fetch, if it is elsewhere"
        )
    return found.decode().strip()


def changed_files(folder: Path, first: str, second: str) -> list[str] | None:
    """Return the files that differ between two commits, relative to the top folder; None where git cannot tell."""
    found = _git(folder, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", first, second)
    return None if found is None else [os.fsdecode(name) for name in found.split(b"\0") if name]


def file_at(folder: Path, commit: str, name: str) -> bytes | None:
    """Return the content of a file of a commit, its name relative to the top folder; None where it has none."""
    return _git(folder, "cat-file", "blob", f"{commit}:{name}")


def lines_added(folder: Path, first: str, second: str) -> int:
    """Return how many more lines of text the files of the second commit have than those of the first."""
    found = _git(folder, "diff", "--numstat", "--no-renames", "--no-ext-diff", first, second) or b""
    counts = [line.split(b"\t")[:2] for line in found.splitlines()]
    return sum(int(added) - int(removed) for added, removed in counts if added.isdigit() and removed.isdigit())


def contains(folder: Path, commit: str, older: str) -> bool:
    """Tell whether a commit has another one among those it came from."""
    return _git(folder, "merge-base", "--is-ancestor", older, commit) is not None


def has_changes(folder: Path) -> bool:
    """Tell whether tracked files of a repository have changes that are not committed."""
    return bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))


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
