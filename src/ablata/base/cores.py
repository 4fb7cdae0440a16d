"""How many processor cores this process may use, and how many workers it starts."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MOST_WORKERS = 8


def usable_cores() -> int:
    """Return how many cores this process may use: those it is bound to, within its container's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, int(core_quota(_CGROUP) or bound)))


def worker_count(workers: int | None) -> int:
    """Return the number of worker processes that read files: as set, or one a core, at most 8."""
    return min(_MOST_WORKERS, usable_cores()) if workers is None else workers


def core_quota(folder: Path) -> float | None:
    """Return the cores a control group allows (cgroup v2, else v1); None without a limit.

    Args:
        folder: of the group.
    """
    try:
        if (folder / "cpu.max").exists():
            limit, period = (folder / "cpu.max").read_text().split()
        else:
            limit = (folder / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu" / "cpu.cfs_period_us").read_text().strip()
    except (OSError, ValueError):
        return None
    return None if limit in ("max", "-1") else max(1.0, int(limit) / int(period))
