"""Process group of distributed training: torchrun's environment, and reductions over processes."""

from __future__ import annotations

import gc
import importlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ablata.base.errors import SettingsError, StoppedError
from ablata.engine.hardware.sharding import let_go_of_groups


@dataclass(frozen=True)
class ProcessGroup:
    """Rank and number of processes; the default is one process alone."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """True on the one process that prints, writes files and speaks to the ledger."""
        return self.rank == 0

    @property
    def is_single(self) -> bool:
        """True if this is the only process."""
        return self.world_size == 1

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, on each of them."""
        if self.is_single:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def all_reduce_min(self, tensor: Tensor) -> Tensor:
        """Return the elementwise minimum of a tensor over all processes, on each of them."""
        if self.is_single:
            return tensor
        lowest = tensor.clone()
        dist.all_reduce(lowest, dist.ReduceOp.MIN)
        return lowest

    def all_gather(self, rows: Tensor) -> Tensor:
        """Return the rows [N, ...] of all processes, in the order of their ranks, on each of them; N may differ."""
        return rows if self.is_single else torch.cat(self._gathered(rows))

    def all_gather_with_grad(self, rows: Tensor) -> Tensor:
        """Return `all_gather`, through which gradients reach this process's own rows.

        They are times the number of processes: what all compute alike from all rows is one loss, and a training takes
        the mean of the processes' gradients.
        """
        if self.is_single:
            return rows
        parts = self._gathered(rows.detach())
        parts[self.rank] = own = rows.clone()
        if own.requires_grad:
            own.register_hook(lambda gradient: gradient * self.world_size)  # type: ignore[no-untyped-call]
        return torch.cat(parts)

    def _gathered(self, rows: Tensor) -> list[Tensor]:
        counts = torch.zeros(self.world_size, dtype=torch.int64, device=rows.device)
        counts[self.rank] = len(rows)
        each: list[int] = self.all_reduce_sum(counts).tolist()
        padded = rows.new_zeros(max(each), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in each]
        dist.all_gather(parts, padded)
        return [part[:count] for part, count in zip(parts, each, strict=True)]

    def all_gather_bytes(self, own: bytes, device: torch.device) -> list[bytes]:
        """Return the bytes of every process, in the order of their ranks, on each of them.

        Args:
            own: this process's, of any length.
            device: where they are exchanged.
        """
        if self.is_single:
            return [own]
        lengths = torch.zeros(self.world_size, dtype=torch.int64, device=device)
        lengths[self.rank] = len(own)
        sizes = self.all_reduce_sum(lengths).tolist()
        begin = sum(sizes[: self.rank])
        content = torch.zeros(sum(sizes), dtype=torch.uint8, device=device)
        content[begin : begin + len(own)] = torch.frombuffer(bytearray(own), dtype=torch.uint8).to(device)
        whole = bytes(self.all_reduce_sum(content).cpu().numpy())
        ends = list(accumulate(sizes))
        return [whole[end - size : end] for end, size in zip(ends, sizes, strict=True)]

    def any(self, flag: bool) -> bool:
        """Tell whether the flag is set on at least one process; all processes must ask together."""
        if self.is_single:
            return flag
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        return bool(self.all_reduce_sum(torch.tensor(int(flag), device=device)).item())

    def broadcast_object(self, value: Any) -> Any:
        """Return rank 0's JSON-safe value on every process."""
        if self.is_single:
            return value
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        content = json.dumps(value).encode() if self.is_main else b""
        size = self.all_reduce_sum(torch.tensor(len(content), device=device))
        buffer = torch.zeros(int(size), dtype=torch.uint8, device=device)
        if self.is_main:
            buffer.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        dist.broadcast(buffer, src=0)
        return json.loads(bytes(buffer.cpu().tolist()))

    def local_batch_size(self, batch: int, accumulate: int) -> int:
        """Return how many images of a global batch are this process's.

        Raises:
            SettingsError: the batch cannot be divided evenly; the global batch is kept as written, never changed.
        """
        parts = self.world_size * accumulate
        if batch % parts:
            raise SettingsError(
                f"train.batch must be divisible by processes x train.accumulate = {self.world_size} x {accumulate}",
                found=f"train.batch={batch}, not divisible by {parts}",
                do=f"for example train.batch={max(parts, round(batch / parts) * parts)}",
            )
        return batch // self.world_size


def from_environment() -> ProcessGroup:
    """Read rank and world size from the variables that torchrun sets."""
    read = os.environ.get
    return ProcessGroup(int(read("RANK", 0)), int(read("WORLD_SIZE", 1)), int(read("LOCAL_RANK", 0)))


@contextmanager
def process_group(group: ProcessGroup, device: torch.device) -> Iterator[None]:
    """Join the other processes for the time of a training; does nothing for one process alone.

    Nothing may hold the group beyond that time: gloo's threads end with the last reference, and one that lets go of a
    tensor while the interpreter shuts down aborts the process.

    Raises:
        StoppedError: another process of the training ended, so that this one cannot go on.
    """
    if group.is_single or dist.is_initialized():
        with lost_process_in_words():
            yield
        return
    # Wrapping a network imports these too; imported after the group began, their default arguments keep the group.
    for name in ("nn", "fsdp"):
        importlib.import_module(f"torch.distributed.{name}")
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(minutes=10))
    try:
        with lost_process_in_words():
            yield
    finally:
        let_go_of_groups()
        # A wrapped network lies in a reference cycle.
        gc.collect()
        dist.destroy_process_group()


@contextmanager
def lost_process_in_words() -> Iterator[None]:
    """Turn the error of a connection to another process into words; gloo raises plain ones, with its name in them.

    Raises:
        StoppedError: another process of the training ended, or cannot be reached.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise StoppedError(
            "Every process of a training must live to its end; another one ended, or cannot be reached, and this one "
            "ended too. What the last checkpoint holds is saved",
            found=str(error).partition("\n")[0],
        ) from error
