"""Videos: what is written can be read again, and what is no video is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ablata.base.errors import DataError
from ablata.data.io.video import Video, is_video, video_writer


def test_a_video_has_the_frames_and_the_rate_it_was_written_with(tmp_path: Path) -> None:
    shades = (40, 120, 220)
    with video_writer(tmp_path / "new" / "video.mp4", 12) as add:
        for shade in shades:
            add(np.full((48, 64, 3), (shade, 0, 255 - shade), dtype=np.uint8))
    video = Video(tmp_path / "new" / "video.mp4")
    frames = list(video.frames())
    assert (video.rate, video.told) == (12, 3)
    for frame, shade in zip(frames, shades, strict=True):
        assert frame.shape == (48, 64, 3)
        np.testing.assert_allclose(frame.mean((0, 1)), (shade, 0, 255 - shade), atol=12)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["video.mp4"]


def test_a_video_that_failed_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError), video_writer(tmp_path / "video.mp4", 12) as add:  # noqa: PT012
        add(np.zeros((48, 64, 3), dtype=np.uint8))
        raise DataError("A frame must come")
    assert not list(tmp_path.iterdir())


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"broken")
    for name in ("bad.mp4", "missing.mp4"):
        with pytest.raises(DataError, match=f"{name}: no video, damaged"):
            Video(tmp_path / name)


def test_videos_are_told_by_their_names() -> None:
    assert is_video(Path("a.MOV"))
    assert not is_video(Path("a.png"))
