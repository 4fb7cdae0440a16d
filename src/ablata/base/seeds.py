"""Independent named random streams from one number.

One seed drives initialisation, data order, augmentation and model noise, but through separate streams: one more draw
in one of them changes none of the others. A stream is addressed, not advanced: `derive(seed, "augment", step)` is
the same number whenever it is asked for, so that a resumed run needs no generator state.
"""

from __future__ import annotations

import hashlib

STREAMS = ("init", "order", "augment", "model", "split", "data", "round")


def derive(seed: int, stream: str, *position: int) -> int:
    """Return a 63-bit seed for one place of a named stream.

    Args:
        seed: the run's seed (or the split's own seed), any integer >= 0.
        stream: one of `STREAMS`.
        position: where in the stream: an epoch, a step, a sample's index.

    Returns:
        An integer in [0, 2**63), fit for numpy's and torch's generators.

    Raises:
        ValueError: the stream has no such name; a wrong name would silently be a new stream.
    """
    if stream not in STREAMS:
        raise ValueError(f"`stream` must be one of {STREAMS}, got {stream!r}")
    text = "/".join([str(seed), stream, *map(str, position)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
