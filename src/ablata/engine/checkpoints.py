"""Checkpoints: one safetensors file each, tensors by group and everything else as JSON in its header; no pickle.

A file is written beside its place and renamed into it, so that the last good checkpoint survives a kill or a full disk;
renamed only while the attempt that wrote it still holds the run. It carries a digest of all it holds, and says which
run wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ablata.base.errors import CheckpointError
from ablata.base.files import Fence, atomic_path
from ablata.nn.state_digest import DIGEST, state_digest
from ablata.records.run_folder.code import ids_of

LAST = "last.safetensors"
BEST = "best.safetensors"
RAW = "model"
"""The group of the weights themselves."""
AVERAGE = "ema"
"""The group of their average."""
_FORMAT = 2


def statistics_of(which: str) -> str:
    """Return the group of the statistics with which the weights of a group were scored."""
    return f"{which}_statistics"


@dataclass(frozen=True)
class Attempt:
    """Who writes a run's files.

    Args:
        run: the run's id; empty for a training that belongs to no ledger.
        number: which attempt at it, from 1.
        held: the context inside which its files are changed; raises LeaseLostError once another attempt has the run.
        kept: called once a checkpoint is in its place.
    """

    run: str = ""
    number: int = 0
    held: Fence = nullcontext
    kept: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Checkpoint:
    """Checkpoint: tensors by group, and everything else as JSON.

    Args:
        groups: tensors by owner: `model`, `ema`, the statistics of either, `optimiser`, `task`; each a mapping from
            name to tensor.
        facts: JSON-safe: run, attempt, step, recipe, seed, contract, environment, scores, why this one was kept.
    """

    groups: dict[str, dict[str, Tensor]]
    facts: dict[str, Any]

    @property
    def averages(self) -> bool:
        """Tell whether there is an average beside the weights themselves."""
        return bool(self.groups.get(AVERAGE))

    def weights(self, raw: bool = False) -> dict[str, Tensor]:
        """Return the network's state as it was scored: averaged where there is an average, unless `raw`."""
        which = RAW if raw or not self.averages else AVERAGE
        return self.groups[RAW] | self.groups[which] | self.groups.get(statistics_of(which), {})


def save_checkpoint(path: Path, checkpoint: Checkpoint, fence: Fence = nullcontext) -> None:
    """Write a checkpoint atomically.

    Args:
        path: the file.
        checkpoint: what it holds.
        fence: the context inside which it is renamed into place.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; the previous file is untouched.
        LeaseLostError: the fence says that another attempt has the run; the file there is untouched.
    """
    tensors = {
        f"{group}/{name}": tensor.detach().to("cpu", copy=True).contiguous()
        for group, named in checkpoint.groups.items()
        for name, tensor in named.items()
    }
    told = json.dumps({"format": _FORMAT, **checkpoint.facts})
    header = {"ablata": told, DIGEST: state_digest(tensors, told)}
    try:
        with atomic_path(path, fence) as temporary:
            save_file(tensors, temporary, metadata=header)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            "A checkpoint must be written whole",
            found=f"{path}: {error}",
            do="see that its disk has room and its folder can be written; the previous one is untouched",
        ) from None


def clear_drafts(folder: Path) -> None:
    """Remove the unfinished files that a kill in the middle of a write has left in a run's folder."""
    for name in (LAST, BEST):
        for draft in folder.glob(f".{name}.*.tmp"):
            draft.unlink(missing_ok=True)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: the file is missing, damaged, not ours, or of another format.
    """
    if not path.exists():
        raise CheckpointError("A checkpoint must exist", found=f"no file {path}", do="train the run first")
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            header = json.loads(told := metadata.get("ablata", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise CheckpointError(
            "A checkpoint must be readable",
            found=f"{path}: {error}",
            do="use the run's other checkpoint (--checkpoint last or best), or train anew",
        ) from None
    if not isinstance(header, dict) or "format" not in header:
        raise CheckpointError(
            "A checkpoint must be written by ablata",
            found=f"{path} holds plain tensors",
            do="to begin with weights of another program: model.weights=FILE",
        )
    if (version := header.pop("format")) != _FORMAT:
        newer = version > _FORMAT
        raise CheckpointError(
            f"A checkpoint must not be {'newer' if newer else 'older'} than ablata",
            found=f"{path} has format {version}, this version reads format {_FORMAT}",
            do="install a newer ablata" if newer else "train the run again: older checkpoints cannot be checked",
        )
    if metadata.get(DIGEST) != state_digest(tensors, told):
        raise CheckpointError(
            "A checkpoint must hold what was written to it",
            found=f"{path} was changed or damaged since: its digest is another",
            do="bring a good copy back; to train from the start, remove the file and run ablata train again",
        )
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = tensor
    return Checkpoint(groups, header)


def load_run_checkpoint(folder: Path, which: str) -> tuple[Checkpoint, Path]:
    """Read a checkpoint of a run, refusing one that another run wrote.

    Args:
        folder: the run's, whose name is the run's id.
        which: `last` or `best`.

    Returns:
        The checkpoint and its path.

    Raises:
        CheckpointError: the file is missing, damaged, or another run's.
    """
    path, other = (folder / name for name in ((BEST, LAST) if which == "best" else (LAST, BEST)))
    if not path.exists() and other.exists():
        raise CheckpointError(
            "A checkpoint must exist", found=f"no file {path}", do=f"--checkpoint {other.stem}, which is there"
        )
    saved = load_checkpoint(path)
    refuse_other_run(saved.facts, ids_of(folder), path)
    return saved, path


def refuse_other_run(facts: Mapping[str, Any], runs: Collection[str], path: Path) -> None:
    """Refuse a checkpoint that none of the given runs wrote.

    Raises:
        CheckpointError: says which run wrote it, with recipe, seed, step and attempt.
    """
    if facts.get("run") not in runs:
        told = {key: facts.get(key) for key in ("recipe_hash", "seed", "step", "attempt")}
        writer = f"run {facts['run']}" if facts.get("run") else "no run of a ledger"
        raise CheckpointError(
            f"A run's checkpoint must be written by run {next(iter(runs))} itself",
            found=f"{path} was written by {writer}, " + ", ".join(f"{key} {value}" for key, value in told.items()),
            do="bring the run's own file back, or name the run that wrote this one",
        )


_LOOKS = {"palette"}
"""Entries of a contract that change how a prediction is drawn, not what it means."""


def refuse_mismatch(saved: Mapping[str, Any], here: Mapping[str, Any], source: str) -> None:
    """Compare a checkpoint's contract with the task at hand.

    Args:
        saved: the contract stored with the checkpoint.
        here: the contract of the task it is loaded into.
        source: the checkpoint's name, for the message.

    Raises:
        CheckpointError: they differ in anything both speak of: classes, ids, ignore label, image backend.
    """
    for key in sorted((saved.keys() & here.keys()) - _LOOKS):
        if saved[key] != here[key]:
            raise CheckpointError(
                f"{key} must be the same in the checkpoint and in the data at hand",
                found=f"{source} has {_short(saved[key])}, the data at hand {_short(here[key])}",
                do="evaluate on data prepared like the training data, or train again",
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
