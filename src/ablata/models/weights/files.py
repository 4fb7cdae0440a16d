"""Files of weights: our checkpoints, safetensors, torch's files read without running code, and folders of these."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from ablata.base.errors import CheckpointError, choices, listing
from ablata.nn.state_digest import DIGEST, state_digest

_AVERAGED = ("state_dict_ema", "ema_state_dict", "model_ema", "ema")
_WRAPPERS = (*_AVERAGED, "state_dict", "model", "model_state", "model_state_dict", "network", "teacher", "student")
"""Keys under which training scripts store a state together with other things; averaged weights, which such scripts
evaluate, come first."""
_MARKS = ("module.", "_orig_mod.")
"""What wrappers of a network put before every name."""
_USUAL = ("model.safetensors", "pytorch_model.bin", "backbone.safetensors", "last.safetensors")
ORDER = "order"
"""Entry of a safetensors header with the names in the network's order, a line each: the format itself keeps none."""
_DEEPEST = 8
"""So many wrappers lie around a state at most; a dictionary may hold itself."""
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".th", ".ckpt", ".tar")


@dataclass(frozen=True)
class State:
    """A network's tensors as a file holds them.

    Args:
        path: the file.
        tensors: by name, without the marks of wrappers.
        ordered: whether they stand in the order in which the network was made; safetensors keep none.
        averaged: whether they are averaged weights (EMA) that the file holds beside others.
    """

    path: Path
    tensors: dict[str, Tensor]
    ordered: bool
    averaged: bool = False


def read_state(path: Path) -> State:
    """Read the tensors of a file, or of the file of weights in a folder.

    Raises:
        CheckpointError: the file is missing, damaged, or holds no state.
    """
    path = weights_file(path)
    try:
        content, ordered, averaged = (_safetensors if path.suffix == ".safetensors" else _torch_file)(path)
    except Exception as error:
        # A foreign or damaged file fails in ways that torch and safetensors do not list.
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            "A file of weights must hold tensors and nothing that runs",
            found=f"{path}: {reason}",
            do="save the state dict alone, best as safetensors: torch.save(model.state_dict(), FILE)",
        ) from None
    tensors = {
        _unmarked(name): value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)
    }
    if not tensors:
        raise CheckpointError(
            "A file of weights must hold tensors by name",
            found=f"{path} holds {listing(map(str, content))[:80]}",
            do="save the state dict: torch.save(model.state_dict(), FILE)",
        )
    for name, value in tensors.items():
        if (fault := _fault(value)) is not None:
            raise CheckpointError("Weights must be dense tensors of numbers", found=f"{path}: {name[:80]}: {fault}",
                                  do="take the weights of an earlier step, or of another file")  # fmt: skip
    return State(path, tensors, ordered, averaged)


def weights_file(path: Path) -> Path:
    """Return a file of weights: the path itself, or the one file that a folder holds.

    Raises:
        CheckpointError: there is none, or a folder holds several.
    """
    if path.is_dir():
        usual = [path / name for name in _USUAL if (path / name).is_file()]
        found = usual or sorted(one for one in path.iterdir() if one.suffix in _SUFFIXES and one.is_file())
        if len(found) == 1 or usual:
            return found[0]
        raise CheckpointError(
            "A folder of weights must hold one file of them",
            found=f"{path} holds {choices(one.name for one in found) if found else 'none'}",
            do="name the file itself",
        )
    if not path.is_file():
        raise CheckpointError("A file of weights must exist", found=f"no file {path}", do="correct model.weights")
    return path


def _fault(value: Tensor) -> str | None:
    """Return what keeps a tensor from being weights; None: nothing does."""
    if value.layout != torch.strided or value.is_quantized:
        return "it is stored sparse or quantized"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"it stores fewer values than its shape {tuple(value.shape)} has"
    if value.is_floating_point() and bool(torch.isnan(value).any()):
        return f"{int(torch.isnan(value).sum())} of its {value.numel()} values are no numbers"
    return None


def _unmarked(name: str) -> str:
    for mark in _MARKS:
        name = name.removeprefix(mark)
    return name


def _safetensors(path: Path) -> tuple[dict[str, Any], bool, bool]:
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        ours = [name for name in names if name.startswith("model/")]
        header = file.metadata() or {}
        if ours and DIGEST in header:
            whole = {name: file.get_tensor(name) for name in names}
            if state_digest(whole, header.get("ablata", "")) != header[DIGEST]:
                raise ValueError("it was changed or damaged since it was written: its digest is another")
        order = header.get(ORDER, "").split("\n")
        ordered = sorted(order) == sorted(names)
        content = {name.removeprefix("model/"): file.get_tensor(name) for name in ours or (order if ordered else names)}
        return content, ordered, False


def _torch_file(path: Path) -> tuple[dict[str, Any], bool, bool]:
    # Scripts keep their arguments beside the weights: a namespace of plain values, which runs nothing.
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(path, map_location="cpu", weights_only=True)
    averaged = False
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            break
        key = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping) and content[key]), None)
        if key is None:
            return dict(content), True, averaged
        content, averaged = content[key], averaged or key in _AVERAGED
    raise ValueError(f"it holds a {type(content).__name__}, not tensors by name")
