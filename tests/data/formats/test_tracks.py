"""Tracks of CVAT's films are read frame by frame, where the frames are there and no track leaves one out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.data.formats.tools import HEIGHT, WIDTH, draw

from ablata.base.errors import DataError
from ablata.data.formats.boxes import BoxSet
from ablata.data.formats.recognize import recognize

SHOWN = ((0, "0"), (1, "0"), (2, "1"), (4, "0"))
"""Frames that a track lists, and whether its object is outside."""


def film(root: Path, frames: Sequence[tuple[int, str]] = SHOWN, images: int = 5) -> Path:
    """Write "CVAT for video 1.1": a cat on some frames, which moves a pixel a frame, and a polygon of a dog on all."""
    boxes = "".join(
        f'<box frame="{frame}" keyframe="1" outside="{outside}" occluded="0" xtl="{10 + frame}" ytl="20" '
        f'xbr="{50 + frame}" ybr="60" z_order="0"></box>'
        for frame, outside in frames
    )
    dogs = "".join(
        f'<polygon frame="{frame}" keyframe="0" outside="0" points="64,30;104,30;104,80" z_order="0"></polygon>'
        for frame in range(images)
    )
    for number in range(images):
        draw(root / f"images/frame_{number:06}.png", number)
    labels = "".join(f"<label><name>{name}</name><type>any</type></label>" for name in ("cat", "dog"))
    root.mkdir(parents=True, exist_ok=True)
    (root / "annotations.xml").write_text(
        f"<annotations><version>1.1</version><meta><task><labels>{labels}</labels><original_size><width>{WIDTH}</width>"
        f"<height>{HEIGHT}</height></original_size></task></meta>"
        f'<track id="0" label="cat" source="manual">{boxes}</track>'
        f'<track id="1" label="dog" source="manual">{dogs}</track></annotations>'
    )
    return root


def test_objects_are_on_the_frames_that_their_tracks_list(tmp_path: Path) -> None:
    root = film(tmp_path / "film")
    found = recognize(str(root), tmp_path / "cache")[0]
    assert (found.format, found.classes) == ("cvat", ("cat", "dog"))
    read = BoxSet(root=str(root), val_match="00004").read(tmp_path / "cache")
    entries = [*read.sources["train"].entries, *read.sources["val"].entries]
    assert [sorted(entry.objects.labels.tolist()) for entry in entries] == [[0, 1], [0, 1], [1], [1], [0, 1]]
    cat = entries[1].objects.labels.tolist().index(0)
    assert entries[1].objects.boxes[cat].tolist() == [11, 20, 51, 60]


def test_frames_that_are_missing_or_left_out_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"every frame that it is on\n.*track 0: 0, then 3"):
        BoxSet(root=str(film(tmp_path / "gap", ((0, "0"), (3, "0"))))).read(tmp_path / "cache")
    with pytest.raises(DataError, match=r"frames of a video must lie beside.*\n.*\n.*ffmpeg"):
        BoxSet(root=str(film(tmp_path / "bare", images=0)), format="cvat").read(tmp_path / "cache")
    read = BoxSet(root=str(film(tmp_path / "few", ((0, "0"), (1, "0"), (2, "0")), images=2))).read(tmp_path / "cache")
    assert any("frame 2" in str(one) for one in read.findings.all())
