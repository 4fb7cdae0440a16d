"""Memory: peak use of a run, and an allocator that keeps large blocks.

glibc gives a block above its threshold (128 KiB at first, at most 32 MiB) its own mapping and unmaps it when it is
freed. A training frees and asks for the same activations in each step, and each time the kernel has to clear the pages.
"""

from __future__ import annotations

import ctypes
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
