"""Checkpoints: one safetensors file each, tensors by group and everything else as JSON in its header; no pickle.

A file is written beside its place and renamed into it, so that the last good checkpoint survives a kill or a full disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ablata.base.errors import CheckpointError
from ablata.base.files import atomic_path

LAST = "last.safetensors"
BEST = "best.safetensors"
RAW = "model"
"""The group of the weights themselves."""
AVERAGE = "ema"
"""The group of their average."""
_FORMAT = 1


def statistics_of(which: str) -> str:
    """Return the group of the statistics with which the weights of a group were scored."""
    return f"{which}_statistics"


@dataclass(frozen=True)
class Checkpoint:
    """Checkpoint: tensors by group, and everything else as JSON.

    Args:
        groups: tensors by owner: `model`, `ema`, the statistics of either, `optimiser`, `task`; each a mapping from
            name to tensor.
        facts: JSON-safe: step, recipe, seed, contract, environment, scores, why this one was kept.
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


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; the previous file is untouched.
    """
    tensors = {
        f"{group}/{name}": tensor.detach().to("cpu", copy=True).contiguous()
        for group, named in checkpoint.groups.items()
        for name, tensor in named.items()
    }
    header = {"ablata": json.dumps({"format": _FORMAT, **checkpoint.facts})}
    try:
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata=header)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            "A checkpoint must be written whole",
            found=f"{path}: {error}",
            do="free space; the previous one is untouched",
        ) from None


def clear_drafts(folder: Path) -> None:
    """Remove the unfinished files that a kill in the middle of a write has left in a run's folder."""
    for name in (LAST, BEST):
        for draft in folder.glob(f".{name}.*.tmp"):
            draft.unlink(missing_ok=True)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: the file is missing, damaged, not ours, or of a newer format.
    """
    if not path.exists():
        raise CheckpointError("A checkpoint must exist", found=f"no file {path}", do="train the run first")
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            header = json.loads((file.metadata() or {}).get("ablata", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise CheckpointError("A checkpoint must be readable", found=f"{path}: {error}") from None
    if not isinstance(header, dict) or "format" not in header:
        raise CheckpointError("A checkpoint must be written by ablata", found=f"{path} holds plain tensors")
    if (newer := header.pop("format")) > _FORMAT:
        raise CheckpointError(
            "A checkpoint must not be newer than ablata",
            found=f"{path} has format {newer}, this version reads formats up to {_FORMAT}",
            do="install a newer ablata",
        )
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = tensor
    return Checkpoint(groups, header)


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
