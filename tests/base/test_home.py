from __future__ import annotations

import os
from pathlib import Path

import pytest

from ablata.base.home import lab_cache


def test_a_home_that_can_only_be_read_has_its_prepared_data_linked_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "home" / "cache" / "decoded" / "a.npy"
    kept.parent.mkdir(parents=True)
    kept.write_text("pixels")
    assert lab_cache(tmp_path / "home") == tmp_path / "home" / "cache"
    assert lab_cache(tmp_path / "new") == tmp_path / "new" / "cache"
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    cache = lab_cache(tmp_path / "home")
    assert cache != tmp_path / "home" / "cache"
    assert cache == lab_cache(tmp_path / "home")
    assert (cache / "decoded" / "a.npy").read_text() == "pixels"
    (cache / "decoded" / "b.npy").write_text("more")
    assert [file.name for file in kept.parent.iterdir()] == ["a.npy"]
