"""A worker process of a DataLoader that the system has killed, told in words."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from ablata.base.errors import RunError


@contextmanager
def killed_in_words() -> Iterator[None]:
    """Tell of a killed worker process of a DataLoader inside a `with` block; other failures pass.

    torch raises wherever the program is when it hears of the death, so that this stands around the whole training too.

    Raises:
        RunError: names the process, the likely cause and how to go on.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
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
