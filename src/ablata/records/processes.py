"""Who holds a run: a worker's name, and whether the process behind it is known to be gone.

A name is `host/place:process`. The place tells processes apart that share a host name and numbers: those of two
containers (their PID namespaces differ), of two starts of one machine (the boot ids differ), and of two machines. Only
a process of this place can be known to be gone; any other one's lease has to lapse.
"""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path


def worker_name(process: int | None = None) -> str:
    """Return the name of a process of this place; None: this one's."""
    return f"{platform.node()}/{_place()}:{process or os.getpid()}"


def process_is_gone(worker: str) -> bool:
    """Tell whether a worker of this name was a process of this place that exists no more."""
    number = worker.rpartition(":")[2]
    if not number.isdecimal() or worker_name(int(number)) != worker:
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@cache
def _place() -> str:
    """Return a hash of this boot and this PID namespace, as 6 hexadecimal digits."""
    facts = [platform.node()]
    try:
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        facts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    except OSError:
        # A system without /proc: the host's name has to do.
        pass
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:6]
