"""How many processes read files."""

from __future__ import annotations

from ablata.base.cores import usable_cores

_MOST_WORKERS = 8


def worker_count(workers: int | None) -> int:
    """Return the number of worker processes: as set, or one a core this process may use, at most 8."""
    if workers is not None:
        return workers
    return min(_MOST_WORKERS, usable_cores())
