"""Processes that the board starts: with the priority that it had itself before it stood back behind trainings."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_THREADS = 4


class Spawner:
    """Threads that keep the priority of the moment they were made, which on Linux is each thread's own.

    What they start inherits it: a training that was started from the board is no slower than one that was typed, and
    what a page waits for does not wait behind trainings.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="spawn")

    def make_threads(self) -> None:
        """Make all threads now, before the priority of the process is lowered."""
        together = Barrier(_THREADS + 1)
        for _ in range(_THREADS):
            self._threads.submit(together.wait)
        together.wait()

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in one of the threads, and return what it does."""
        return self._threads.submit(function, *args, **kwargs).result()

    def begin(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in one of the threads, without waiting for it."""
        return self._threads.submit(function, *args, **kwargs)
