"""A worker process of a DataLoader that the system has killed, told in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ablata.base.errors import RunError


@contextmanager
def killed_in_words() -> Iterator[None]:
    """Tell of a killed worker process of a DataLoader inside a `with` block; other failures pass.

    Raises:
        RunError: names the process, the likely cause and how to go on.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise RunError(
            "The processes that read the data must live as long as the training",
            found=f"{str(error).splitlines()[0].strip()}; most often the system ended it because memory was short",
            do="use fewer of them (data.workers=1) or a smaller batch (train.batch), and see that /dev/shm has room; "
            "the same command goes on where the training was saved",
        ) from None
