from __future__ import annotations

import gc

from ablata.base.collecting import collecting_later


def test_the_search_is_off_inside_and_as_before_afterwards() -> None:
    assert gc.isenabled()
    with collecting_later():
        assert not gc.isenabled()
        with collecting_later():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
