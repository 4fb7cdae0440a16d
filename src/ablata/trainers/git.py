"""Git and a program's code: the commit of a ref, the state of a working folder, worktrees to run a ref in."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ablata.base.errors import SettingsError
from ablata.trainers.source_files import is_document, is_source, lies_in_lab

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
    """Return what tells the states of a working folder apart: a digest of `program_files`.

    A commit of what was there already, and one of documents alone, make no other state.
    """
    content = hashlib.blake2b(digest_size=16)
    for name, digest in sorted(program_files(folder, repository).items()):
        content.update(f"{name}\0{digest}\0".encode(errors="surrogateescape"))
    return f"git-{content.hexdigest()}"


def program_files(folder: Path, repository: Repository) -> dict[str, str]:
    """Return the files that can make a program what it is, each with what tells its contents apart.

    They are the tracked files as they lie in the working folder, and new files of code; without documents. Repositories
    inside the repository, submodules or not, count with their own files.

    Args:
        folder: inside the repository.
        repository: what `repository_of` said of it.

    Returns:
        Digests by name, relative to the top folder.
    """
    top, found, nested = repository.top, dict[str, str](), dict[str, str]()
    for line in _listed(folder, "ls-files", "--stage", "-z", ":/"):
        told, _, path = line.partition(b"\t")
        mode, blob, _ = told.split(b" ")
        name = os.fsdecode(path)
        # The mode of a commit of another repository.
        if mode == b"160000":
            nested |= _nested(top / name, name)
        elif not is_document(Path(name)):
            found[name] = blob.decode()
    changed = [
        os.fsdecode(name)
        for name in _listed(folder, "diff", "HEAD", "--name-only", "-z", "--no-renames", "--no-ext-diff")
    ]
    for name in changed:
        found.pop(name, None)
    others = _listed(folder, "ls-files", "--others", "--exclude-standard", "-z", "--full-name", ":/")
    # A lab's home may lie in the folder: its runs write there, and the worktrees of git arms come and go.
    new = [name for name in map(os.fsdecode, others) if not lies_in_lab(top / name, top)]
    for name in new:
        if (top / name).is_dir():
            nested |= _nested(top / name, name)
    there = [name for name in changed if not is_document(Path(name))]
    there += [name for name in new if is_source(Path(name))]
    return found | nested | {name: _blob(top / name) for name in there if (top / name).is_file()}


def _listed(folder: Path, *arguments: str) -> list[bytes]:
    return [name for name in (_git(folder, *arguments) or b"").split(b"\0") if name]


def _blob(path: Path) -> str:
    """Return the name that git gives to the content of a file."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _nested(path: Path, name: str) -> dict[str, str]:
    """Return the state of a repository inside another; a submodule that was never fetched has none."""
    if (path / ".git").exists() and (inner := repository_of(path)) is not None:
        return {name: git_state(path, inner)}
    return {}


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
