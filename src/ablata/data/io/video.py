"""Videos, read and written by OpenCV frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from ablata.base.errors import DataError
from ablata.base.files import atomic_path

_SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"))
_USUAL_RATE = 25.0


def is_video(file: Path) -> bool:
    """Tell by its name whether a file is a video."""
    return file.suffix.lower() in _SUFFIXES


class Video:
    """A video that is read from its beginning.

    Args:
        file: the video.

    Attributes:
        rate: frames a second, 25 where the file does not say.
        told: frames that the file says it has; 0 where it does not say.

    Raises:
        DataError: OpenCV cannot read it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._capture = cv2.VideoCapture(str(file))
        if not self._capture.isOpened():
            raise DataError(
                "A video must be one that OpenCV can read",
                found=f"{file}: no video, damaged, or of an unknown kind",
                do=f"convert it, for example: ffmpeg -i {file.name} {file.stem}_new.mp4",
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 1 <= rate <= 1000 else _USUAL_RATE
        self.told = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames, uint8 [H, W, 3] in red, green, blue; those that can be read of a damaged video.

        Raises:
            DataError: not one frame can be read.
        """
        count = 0
        try:
            while True:
                whole, frame = self._capture.read()
                if not whole:
                    break
                count += 1
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()
        if not count:
            raise DataError(
                "A video must have a frame that OpenCV can read",
                found=f"{self.file}: none",
                do="write it as MP4 or AVI again, such as with ffmpeg",
            )


@contextmanager
def video_writer(file: Path, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Give a function that appends a frame, uint8 [H, W, 3] in red, green, blue, all of one size, to an MP4 video.

    The file appears when it is complete, and not at all where no frame came.

    Args:
        file: where to, ending in `.mp4`.
        rate: frames a second.

    Raises:
        DataError: OpenCV cannot write videos here.
    """
    with atomic_path(file) as draft:
        named = draft.with_name(f"{draft.name}.mp4")  # OpenCV tells the kind of a video by its name
        writer = cv2.VideoWriter()

        def add(frame: np.ndarray) -> None:
            """Write an image uint8 [H, W, 3]; the first one decides height and width."""
            if not writer.isOpened():
                height, width = frame.shape[:2]
                if not writer.open(str(named), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height)):
                    raise DataError(
                        "OpenCV must be able to write an MP4 video",
                        found=str(file),
                        do="choose another --output, on a disk that can be written",
                    )
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

        try:
            yield add
            writer.release()
            named.replace(draft)
        finally:
            writer.release()
            named.unlink(missing_ok=True)
