"""CamVid: frames belong to videos."""

from __future__ import annotations

from pathlib import Path

from ablata.data.segmentation.camvid import CamVid


def test_frames_of_one_video_are_one_group() -> None:
    frames = ("images/train/0001TP_006690.jpg", "images/train/0001TP_006720.jpg", "images/val/0016E5_07959.jpg")
    assert CamVid().item_groups(frames, Path()) == ("0001TP", "0001TP", "0016E5")
