"""Worker processes of a DataLoader: deaf to what is meant for the training, told in words where one dies or hangs."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import cv2
from torch.utils.data import DataLoader

from ablata.base.errors import RunError

Read = TypeVar("Read", covariant=True)
_OF_THE_TRAINING = (signal.SIGINT, signal.SIGHUP)
HUNG_SECONDS = 900
"""Without a batch for so long, a worker is taken to hang; the `timeout` of a DataLoader that has workers."""


def read_all(loader: DataLoader[Read]) -> Iterator[Read]:
    """Yield what a loader's workers read; `begin_worker` must be its `worker_init_fn`.

    An interrupt reaches every process of a terminal. One that comes while the workers start waits until each is deaf to
    it, so that it ends the training as at any other time.

    Raises:
        RunError: a worker was killed, or hangs.
    """
    with killed_in_words():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_TRAINING)
        try:
            batches = iter(loader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield from batches


def begin_worker(worker: int) -> None:
    """Start a worker.

    OpenCV keeps to one thread: its pool does not survive a fork, and the cores are taken. An interrupt and the end of a
    terminal are for the training, which finishes its step with what the workers still read; a forked handler would
    answer once a worker.
    """
    cv2.setNumThreads(0)
    for number in _OF_THE_TRAINING:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_THE_TRAINING)


@contextmanager
def killed_in_words() -> Iterator[None]:
    """Tell of a worker process of a DataLoader that was killed or hangs inside a `with` block; other failures pass.

    torch raises wherever the program is when it hears of the death, so that this stands around the whole training too.

    Raises:
        RunError: names the process, the likely cause and how to go on.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        if str(error).startswith("DataLoader timed out"):
            raise RunError(
                "The processes that read the data must hand over a batch now and then",
                found=f"{' '.join(str(error).split())}; most often a disk or a network file system does not answer, or "
                "code of your own waits for something",
                do="see that the files can be read (ablata data check), then go on with the same command; "
                "data.workers=0 reads in the training's own process",
            ) from None
        if not _tells_of_a_death(error):
            raise
        raise RunError(
            "The processes that read the data must live as long as the training",
            found=f"{' '.join(str(error).split())}; most often the system ended it because memory was short",
            do="go on with fewer of them (data.workers=1), and see that /dev/shm has room; a smaller batch "
            "(train.batch) is another recipe, which begins anew",
        ) from None


def _tells_of_a_death(error: Exception) -> bool:
    """A worker that is killed while it hands over a batch breaks the pipe to it."""
    if isinstance(error, RuntimeError):
        return str(error).startswith("DataLoader worker")
    return any("torch/utils/data" in frame.filename for frame in traceback.extract_tb(error.__traceback__))
