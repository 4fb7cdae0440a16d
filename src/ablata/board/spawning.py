"""Processes that the board starts: with the priority that it had itself before it stood back behind trainings."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Barrier, Lock, Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_THREADS = 4


class Spawner:
    """Threads that keep the priority of the moment they were made, which on Linux is each thread's own.

    What they start inherits it: a training that was started from the board is no slower than one that was typed, and
    what a page waits for does not wait behind trainings. They do not keep the process from ending.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._made, self._lock = False, Lock()

    def make_threads(self) -> None:
        """Make all threads now, before the priority of the process is lowered."""
        with self._lock:
            if self._made:
                return
            self._made, together = True, Barrier(_THREADS + 1)
            for _ in range(_THREADS):
                Thread(target=self._work, args=(together,), name="spawn", daemon=True).start()
            together.wait()

    def _work(self, together: Barrier) -> None:
        together.wait()
        while True:
            made, function = self._asked.get()
            try:
                made.set_result(function())
            except BaseException as error:
                made.set_exception(error)

    def begin(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in one of the threads, without waiting for it."""
        self.make_threads()
        made: Future[T] = Future()
        self._asked.put((made, lambda: function(*args, **kwargs)))
        return made

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in one of the threads, and return what it does."""
        return self.begin(function, *args, **kwargs).result()
