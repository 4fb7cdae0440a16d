"""GPU memory of a program and all it starts, as nvidia-smi tells it, asked while the program runs."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Collection
from contextlib import suppress

_QUERY = ("--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
_FIRST_SECONDS, _SECONDS = 0.5, 2.0
"""Wait before the first question, and between an answer and the next question."""
_PATIENCE_SECONDS = 20.0
_MIB = 2**20


class GpuMemory:
    """Peak GPU memory of a group of processes; nothing is asked where there is no nvidia-smi.

    Args:
        processes: returns the ids of the processes that count.
    """

    def __init__(self, processes: Callable[[], Collection[int]]) -> None:
        self._processes = processes
        self._program = shutil.which("nvidia-smi")
        self._asked: subprocess.Popen[str] | None = None
        self._next = time.monotonic() + _FIRST_SECONDS
        self.peak = 0
        """The largest sum over all GPUs so far, in bytes; 0: none was seen."""

    def look(self) -> None:
        """Take the answer if it has come, and ask the next time it is due; never waits."""
        now = time.monotonic()
        if self._asked is not None:
            if self._asked.poll() is None:
                if now > self._next + _PATIENCE_SECONDS:
                    self.close()
                return
            self._take(self._asked)
            self._asked, self._next = None, now + _SECONDS
        elif self._program is not None and now >= self._next:
            self._next = now
            with suppress(OSError):
                self._asked = subprocess.Popen(
                    (self._program, *_QUERY), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, text=True,
                )  # fmt: skip
            if self._asked is None:
                self._program = None

    def _take(self, asked: subprocess.Popen[str]) -> None:
        with asked:
            said = asked.communicate()[0]
        if asked.returncode:
            # No driver or no GPU: the next answer would be the same.
            self._program = None
            return
        used = [line.split(",") for line in said.splitlines()]
        known = {int(cells[0]): 0 for cells in used if len(cells) == 2 and cells[0].strip().isdecimal()}
        for cells in used:
            # Where the system does not tell it, there are words in place of a number.
            if len(cells) == 2 and cells[0].strip().isdecimal() and cells[1].strip().isdecimal():
                known[int(cells[0])] += int(cells[1]) * _MIB
        if known:
            ours = self._processes()
            self.peak = max(self.peak, sum(size for process, size in known.items() if process in ours))

    def close(self) -> None:
        """End a question that is still open; nothing is asked any more."""
        self._program = None
        if self._asked is not None:
            self._asked.kill()
            self._asked.communicate()
            self._asked = None
