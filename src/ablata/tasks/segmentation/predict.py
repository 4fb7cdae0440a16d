"""Label maps for images and films: files of indices, overlays, and how much of an image each class takes.

masks/NAME.png        pixel values are labels, shown in the classes' colours; of a film masks/NAME/000000.png, ...
overlays/NAME.jpg     the image under its colours; of a film overlays/NAME.mp4
classes.txt           label and name of each class, as `ablata` reads class lists
legend.png            the colours
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ablata.base.errors import UserError
from ablata.base.files import atomic_path, write_text
from ablata.data.drawing.segmentation import index_image, legend, overlay
from ablata.data.io.video import Film, is_video, written_film
from ablata.tasks.inputs import Input
from ablata.tasks.segmentation.predictor import SegmentationPredictor
from ablata.tasks.segmentation.sliding_window import SegmentationProtocol

_QUALITY = 90


@dataclass(frozen=True)
class MaskPrediction:
    """What a network says of an image or a film.

    Args:
        file: the image or film.
        classes: name and share of the pixels, in 0..1, the largest first; classes without a pixel are left out.
        frames: 1 of an image.
        problem: why there is no prediction, or not of all of it; empty: there is.
        outputs: files written.
    """

    file: Path
    classes: tuple[tuple[str, float], ...] = ()
    frames: int = 0
    problem: str = ""
    outputs: tuple[Path, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-safe."""
        return {
            "file": str(self.file),
            "classes": [{"name": name, "share": share} for name, share in self.classes],
            "frames": self.frames,
            "problem": self.problem,
            "outputs": [str(path) for path in self.outputs],
        }


def predict_masks(
    model: SegmentationPredictor, inputs: Sequence[Input], *, output: Path | None = None, protocol: str | None = None
) -> Iterator[MaskPrediction]:
    """Predict files one after the other; one that cannot be read is told and the others are done.

    Args:
        model: the segmenter.
        inputs: images and films.
        output: folder to write into; None: nothing is written.
        protocol: how images are shown; None: the one the network was compared by.

    Raises:
        CheckpointError: images would be decoded otherwise than in training.
        SettingsError: there is no such protocol.
    """
    chosen = model.protocol(protocol or model.protocols[0])
    model.refuse_other_backend()
    if output is not None:
        write_text(output / "classes.txt", "".join(f"{at} {name}\n" for at, name in enumerate(model.scored)))
        _save(legend(model.scored, model.palette), output / "legend.png")
    return (_predicted(model, one, chosen, output) for one in inputs)


def _predicted(
    model: SegmentationPredictor, one: Input, protocol: SegmentationProtocol, output: Path | None
) -> MaskPrediction:
    try:
        if is_video(one.file):
            return _film(model, one, protocol, output)
        pixels = model.read(one.file)
        labels = model.predict(pixels, protocol)
    except UserError as error:
        return MaskPrediction(one.file, problem=error.found or error.must)
    written: tuple[Path, ...] = ()
    if output is not None:
        mask, over = output / "masks" / f"{one.name}.png", output / "overlays" / f"{one.name}.jpg"
        _save(index_image(labels, model.palette), mask)
        _save(Image.fromarray(overlay(pixels, labels, model.palette)), over)
        written = (mask, over)
    return MaskPrediction(one.file, _shares(model, _counts(model, labels)), 1, outputs=written)


def _film(
    model: SegmentationPredictor, one: Input, protocol: SegmentationProtocol, output: Path | None
) -> MaskPrediction:
    film, counts, frames = Film(one.file), np.zeros(len(model.scored), dtype=np.int64), 0
    over = None if output is None else output / "overlays" / f"{one.name}.mp4"
    with nullcontext() if over is None else written_film(over, film.rate) as add:
        for pixels in film.frames():
            labels = model.predict(pixels, protocol)
            counts += _counts(model, labels)
            if output is not None and add is not None:
                _save(index_image(labels, model.palette), output / "masks" / one.name / f"{frames:06d}.png")
                add(overlay(pixels, labels, model.palette))
            frames += 1
    short = f"{one.file}: {frames} of {film.told} frames could be read" if frames < film.told else ""
    written = () if output is None or over is None else (output / "masks" / one.name, over)
    return MaskPrediction(one.file, _shares(model, counts), frames, short, written)


def _counts(model: SegmentationPredictor, labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=len(model.scored))


def _shares(model: SegmentationPredictor, counts: np.ndarray) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-counts, kind="stable")
    return tuple((model.scored[at], float(counts[at] / counts.sum())) for at in order if counts[at])


def _save(image: Image.Image, path: Path) -> None:
    with atomic_path(path) as draft:
        image.save(draft, format={".jpg": "JPEG", ".png": "PNG"}[path.suffix], quality=_QUALITY)
