"""FSDP2: weights, gradients and optimiser state of one network shared out among processes.

Each process keeps its part of every parameter; a block's whole parameters are gathered when it computes, and gradients
are averaged and shared out again (Zhao et al. 2023, arXiv 2304.11277; `torch.distributed.fsdp.fully_shard`). What is
saved is whole, so that any number of processes can go on with it, sharded or not.

Torch's part of this takes most of a second to import: it is imported where several processes train, and nothing can be
shared out before.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor


def shard(model: nn.Module, device: torch.device) -> None:
    """Share a network's parameters out among all processes of the group, in place.

    The blocks of lists and sequences are gathered one at a time, all else with the network itself.

    Args:
        model: alike on every process, on `device`; its parameters must be contiguous.
        device: of this process.
    """
    fsdp, meshes = (importlib.import_module(f"torch.distributed.{name}") for name in ("fsdp", "device_mesh"))
    mesh = meshes.init_device_mesh(device.type, (dist.get_world_size(),))
    for block in _blocks(model):
        fsdp.fully_shard(block, mesh=mesh)
    fsdp.fully_shard(model, mesh=mesh)


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Return the blocks of lists and sequences that have parts and parameters of their own, the innermost first."""
    found = [
        child
        for module in model.modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
        for child in module
        if any(True for _ in child.children())
        and not isinstance(child, nn.ModuleList | nn.Sequential | nn.ModuleDict)
        and any(True for _ in child.parameters())
    ]
    return list(dict.fromkeys(reversed(found)))


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """Have the whole network in every process within a `with` block, so that each may run it by itself.

    All processes must come here together. Does nothing to a network that is not sharded. The weights must not change
    inside, and `state_dict` must not be called.
    """
    parts = [module for module in model.modules() if is_sharded(module)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(id(part) != id(model), recurse=False)


def is_sharded(model: nn.Module) -> TypeGuard[FSDPModule]:
    """Tell whether a network is shared out among processes."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    return fsdp is not None and isinstance(model, fsdp.FSDPModule)


def is_shared(tensor: Tensor) -> TypeGuard[DTensor]:
    """Tell whether a tensor is shared out among processes."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def own_part(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, as a view; a tensor that is not shared out as it is."""
    return tensor.to_local() if is_shared(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor whole; all processes must ask for one that is shared out together."""
    return tensor.full_tensor() if is_shared(tensor) else tensor


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a network's state with whole tensors; all processes must ask together."""
    return {name: whole(tensor) for name, tensor in model.state_dict().items()}


def shared_like(value: Tensor, like: Tensor) -> Tensor:
    """Return a whole tensor, which every process has, shared out as another one is."""
    if not is_shared(like):
        return value
    # Without a source each process takes its part of its own copy; nothing is sent.
    made: Tensor = sys.modules["torch.distributed.tensor"].distribute_tensor(
        value.to(like.device), like.device_mesh, like.placements, src_data_rank=None
    )
    return made


def load_whole_state(model: nn.Module, state: Mapping[str, Tensor]) -> Any:
    """Load whole tensors into a network, sharded or not; errors are those of `load_state_dict`."""
    own = model.state_dict()
    fits = {name: own[name].shape == value.shape for name, value in state.items() if name in own}
    return model.load_state_dict(
        {name: shared_like(value, own[name]) if fits.get(name) else value for name, value in state.items()}
    )


def whole_of(part: Tensor, like: Tensor) -> Tensor:
    """Return what the processes' parts make, which are shared out as another tensor is; all must ask together."""
    if not is_shared(like):
        return part
    made = type(like).from_local(part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride())
    return whole(made)


def let_go_of_groups() -> None:
    """Clear what torch remembers of shared tensors: their layouts, and with them the group of processes."""
    if "torch.distributed.tensor" not in sys.modules:
        return
    names = ("debug", "_redistribute", "_collective_utils")
    debug, layouts, topology = (importlib.import_module(f"torch.distributed.tensor.{name}") for name in names)
    # Not part of torch's public face: a version that has them elsewhere keeps the group until the process ends.
    with suppress(AttributeError):
        debug._clear_sharding_prop_cache()
        layouts.clear_redistribute_planner_cache()
        layouts._gen_transform_infos.cache_clear()
        topology.MeshTopoInfo.build_from_mesh.cache_clear()
