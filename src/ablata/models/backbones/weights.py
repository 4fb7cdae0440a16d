"""Pretrained weights from a local file: our checkpoints, safetensors, or torch's weights-only form.

A state has the names of our models (`backbone.*` and the rest), or the published ones, which each model translates.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from safetensors import safe_open
from torch import Tensor, nn

from ablata.base.errors import CheckpointError, listing
from ablata.base.settings import ON_DISK, Settings
from ablata.nn.state_digest import DIGEST, state_digest

BACKBONE = "backbone."
_WRAPPERS = ("state_dict", "model", "state_dict_ema", "model_state")
"""Keys under which training scripts store a state together with other things."""


class Loadable(Settings):
    """Base of the settings of models with pretrained weights; not itself a choice."""

    kind: str
    """Which network."""
    weights: Annotated[str | None, ON_DISK] = None
    """File of weights to begin with (safetensors, or torch's, which is read without running code); null: drawn anew."""
    weights_part: Literal["full", "backbone"] = "full"
    """What is taken from that file: everything, or all but the classifier (for other classes)."""

    def published_name(self, name: str) -> str | None:
        """Translate the name of a tensor in published weights to ours; None: the network needs no such tensor."""
        return name

    def weight_files(self) -> tuple[str, ...]:
        """Return the files that `load_into` reads."""
        return () if self.weights is None else (self.weights,)

    def load_into(self, model: nn.Module) -> None:
        """Load the file's weights, if one is set, into a model built from these settings.

        Raises:
            CheckpointError: the file cannot be read, or does not fit the network; names what is missing, unexpected or
                of another shape.
        """
        if self.weights is None:
            return
        own = model.state_dict()
        found = self._named(read_state(Path(self.weights).expanduser()), own)
        heads = {name for name in (*own, *found) if not self.is_of_backbone(name, model)}
        if self.weights_part == "backbone":
            own = {name: tensor for name, tensor in own.items() if name not in heads}
            found = {name: tensor for name, tensor in found.items() if name not in heads}
        _refuse_misfit(found, own, heads, f"{self.weights} (model.weights_part={self.weights_part})")
        model.load_state_dict(found, strict=False)

    def is_of_backbone(self, name: str, model: nn.Module) -> bool:
        """Tell whether a tensor of a state, under our name, belongs to what `weights_part=backbone` loads."""
        return name.startswith(BACKBONE)

    def _named(self, state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a state under our names, whichever it came with."""
        if any(name in own for name in state if name.startswith(BACKBONE)):
            return dict(state)
        translated = {self.published_name(name): tensor for name, tensor in state.items()}
        named = {name: tensor for name, tensor in translated.items() if name is not None}
        head = named.get("classifier.weight")
        if head is not None and head.ndim == 4 and head.shape[2:] == (1, 1):
            named["classifier.weight"] = head.flatten(1)
        return named


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by name.

    Raises:
        CheckpointError: the file is missing, damaged, or holds no state.
    """
    if not path.is_file():
        raise CheckpointError("A file of weights must exist", found=f"no file {path}", do="correct model.weights")
    try:
        state = _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)
    except Exception as error:
        # A foreign or damaged file fails in ways that torch and safetensors do not list.
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            "A file of weights must hold tensors and nothing that runs",
            found=f"{path}: {reason}",
            do="save the state dict alone, best as safetensors",
        ) from None
    tensors = {name.removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(
            "A file of weights must hold tensors by name", found=f"{path} holds {listing(state)[:80]}"
        )
    return tensors


def _safetensors(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        ours = [name for name in names if name.startswith("model/")]
        header = file.metadata() or {}
        if ours and DIGEST in header:
            whole = {name: file.get_tensor(name) for name in names}
            if state_digest(whole, header.get("ablata", "")) != header[DIGEST]:
                raise ValueError("it was changed or damaged since it was written: its digest is another")
        return {name.removeprefix("model/"): file.get_tensor(name) for name in ours or names}


def _torch_file(path: Path) -> dict[str, Any]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            return dict(content)
        content = inner
    raise ValueError(f"it holds a {type(content).__name__}, not tensors by name")


def _refuse_misfit(found: Mapping[str, Tensor], own: Mapping[str, Tensor], heads: Set[str], source: str) -> None:
    # Files older than torch 0.4.1 do not count batches; the count matters to a cumulative average only.
    missing = [name for name in own if name not in found and not name.endswith("num_batches_tracked")]
    unexpected = sorted(name for name in found if name not in own)
    if missing or unexpected:
        raise CheckpointError(
            "Weights must have the names of the network",
            found=f"in {source}: missing {_some(missing)}; unexpected {_some(unexpected)}",
            do="build the network that the file was made with",
        )
    classes = [name for name in found if name in heads and found[name].shape[:1] != own[name].shape[:1]]
    if classes:
        raise CheckpointError(
            "Full weights must be of a network with as many classes",
            found=f"{len(found[classes[0]])} classes in {source}, {len(own[classes[0]])} in the data",
            do="take the backbone alone: model.weights_part=backbone",
        )
    misshapen = [name for name in own if name in found and found[name].shape != own[name].shape]
    if misshapen:
        first = misshapen[0]
        raise CheckpointError(
            "Weights must have the shapes of the network",
            found=f"{_some(misshapen)} in {source}: {list(found[first].shape)} against {list(own[first].shape)}",
            do="build the network that the file was made with",
        )


def _some(names: list[str]) -> str:
    return listing(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
