"""Memory: peak use of a run, and an allocator that keeps large blocks.

glibc gives a block above its threshold (128 KiB at first, at most 32 MiB) its own mapping and unmaps it when it is
freed. A training frees and asks for the same activations in each step, and each time the kernel has to clear the pages.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys
from pathlib import Path

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>."""
_LARGE = (1 << 30, 1 << 25)
"""Thresholds to try, in bytes: older versions of the library refuse more than 32 MiB."""


def keep_memory() -> str:
    """Let this process keep the memory it frees, where that can be asked for.

    Returns:
        A sentence for the log that says what was done.
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return "freed memory goes back as the system likes: this is not Linux with glibc"
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return "freed memory goes back as the system likes: mallopt was not found"
    size = next((size for size in _LARGE if mallopt(_MMAP_THRESHOLD, size)), None)
    if size is None or not mallopt(_TRIM_THRESHOLD, 2**31 - 1):
        return "freed memory goes back as the system likes: mallopt refused"
    return f"blocks up to {size >> 20} MiB stay with the process when they are freed (glibc mallopt)"


def return_memory() -> None:
    """Give freed memory that lies between what is used back to the system, where that can be asked for."""
    if sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


_INFO = Path("/proc/meminfo")
_GROUPS = (("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
           ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"))  # fmt: skip
"""Limit and use of a container, in the second and the first version of control groups."""


def available_memory(device: torch.device) -> float:
    """Return the bytes that this process may still take, with those it has: of the GPU, or of the machine or container.

    Where a system does not say what is free, half of its memory is taken for it.
    """
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))
    free = [float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) / 2]
    if _INFO.exists():
        told = dict(line.split(":", 1) for line in _INFO.read_text().splitlines() if ":" in line)
        if "MemAvailable" in told:
            free = [1024.0 * int(told["MemAvailable"].split()[0])]
    for limit, use in _GROUPS:
        try:
            free.append(float(int(Path(limit).read_text()) - int(Path(use).read_text())))
        except (OSError, ValueError):
            continue  # no container, or none with a limit
    return max(0.0, min(free)) + _resident()


def limit_gpu_memory(most: float) -> None:
    """Let this process take so many bytes of each GPU at most: one that wants more fails, and none beside it.

    Without a GPU nothing is limited.
    """
    for place in range(torch.cuda.device_count()):
        whole = torch.cuda.get_device_properties(place).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, most / whole), place)


def _resident() -> float:
    """Return the bytes of memory that this process has; 0 where the system does not say."""
    if not _STATUS.exists():
        return 0.0
    sizes = [line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmRSS:")]
    return 1024.0 * int(sizes[0]) if sizes else 0.0


_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement, so that a process that trains several runs reports each one's own peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return


def peak_memory(device: torch.device) -> int:
    """Return the peak since the last reset in bytes; where a system cannot reset, since the process began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
