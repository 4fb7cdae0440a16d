"""Ways to score a segmenter by name: the columns of published tables, and changes of them written behind the name.

    ss   ssc   msf   mscf   mscf+sliding_window.size=960   ss+scales=[0.75]   msf+fusion=exp_logits+multiple=1

The name is part of every score's own name, so that what differs in how it was scored is never compared unseen.
"""

from __future__ import annotations

from ablata.base.errors import SettingsError, choices
from ablata.base.overrides import override
from ablata.tasks.segmentation.sliding_window import PROTOCOL_NAMES, SegmentationProtocol, SlidingWindow, named


def protocol_settings(name: str, windows: SlidingWindow | None = None) -> SegmentationProtocol:
    """Return what a name stands for.

    Args:
        name: a column, perhaps followed by changes of its settings, each behind a plus.
        windows: those of ssc and mscf, before the changes; None: 1024 at 2/3.

    Raises:
        SettingsError: there is no such column, or a change does not fit; says what is allowed.
    """
    column, *changes = name.split("+")
    known = next((one for one in PROTOCOL_NAMES if one == column), None)
    if known is None:
        raise SettingsError(
            f"A protocol must be one of {choices(PROTOCOL_NAMES, column)}, perhaps with changes behind it",
            found=name,
            do="for example mscf+sliding_window.size=960",
        )
    return override(named(known, windows), changes)
