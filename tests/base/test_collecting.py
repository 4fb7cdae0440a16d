from __future__ import annotations

import gc

from ablata.base.collecting import gc_paused


def test_the_search_is_off_inside_and_as_before_afterwards() -> None:
    assert gc.isenabled()
    with gc_paused():
        assert not gc.isenabled()
        with gc_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
