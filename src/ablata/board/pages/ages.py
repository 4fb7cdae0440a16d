"""How long ago something was, as people say it."""

from __future__ import annotations

import time

from ablata.base.quantities import duration


def ago(moment: float | None) -> str:
    """Write how long ago a time was (seconds since 1970): `3 min ago`; of none, a dash."""
    if moment is None:
        return "–"
    gone = time.time() - moment
    return "just now" if gone < 5 else f"{duration(gone)} ago"
