"""What exported graphs have in common: what they say of themselves, tracing, the check against their network."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ablata.base.errors import AblataError, DataError, reason
from ablata.data.io.crop import resize
from ablata.data.io.decode import RULES, decode_bands, open_image
from ablata.data.io.read_settings import ImageReadSettings
from ablata.engine.predictor import Predictor

_ROWS = 5
"""Images in the batch of comparison; another number than the graph was traced with."""
TOLERANCE = 1e-3
"""Largest difference of an output, as a fraction of the largest one (or of 1)."""
_STRIDE = 32
"""Free heights and widths are checked at multiples of it, as networks halve their images up to five times."""
_MOST_IMAGES = 8


def preparation(model: Predictor) -> dict[str, Any]:
    """Return what a graph must be fed and what its outputs mean; JSON-safe."""
    said = {
        "input": model.input(),
        "output": model.output(),
        "recipe": model.facts.get("recipe", {}).get("name"),
        "run": model.facts.get("run"),
        "scores": model.facts.get("scores"),
        "evaluation": model.evaluation(),
    }
    return said | {key: value for key, value in model.contract.items() if key not in ("splits", "teacher")}


def export_error(how: str, model: Predictor, error: Exception) -> AblataError:
    """Return the error of a network that an exporter cannot write: exporters fail in as many ways as there are."""
    told = str(error).strip().partition("\n")[0]
    free = "without --free-size, or " if model.free_size else ""
    return AblataError(
        f"The network must be one that {how} can write",
        found=f"{model.kind}: {type(error).__name__}: {told}",
        do=f"export it {free}with --format hub, which keeps the weights and builds the network anew",
    )


def traced(model: Predictor) -> Any:
    """Return the network as torch.export's program, for any number of images, and any size where that is wanted.

    Raises:
        AblataError: it cannot be traced.
    """
    network = model.exportable()
    shapes: dict[int, Any] = {0: torch.export.Dim("batch")}
    if model.free_size:
        shapes = {0: shapes[0], 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    try:
        return torch.export.export(network, (traced_with(model),), dynamic_shapes={"images": shapes})
    except Exception as error:
        raise export_error("torch.export", model, error) from None


def traced_with(model: Predictor) -> Tensor:
    """Return the images that a graph is traced with, float32 [2, C, H, W].

    Those of a graph of any size are higher than wide, and not so small that a map of 1 x 1 is left, which exporters
    would take for its only size.
    """
    if not model.free_size:
        return model.example(2)
    height, width = (-(-max(side, 3 * _STRIDE) // _STRIDE) * _STRIDE for side in model.size)
    return model.example(2, (height + _STRIDE, width))


def real_images(model: Predictor, files: Sequence[Path]) -> Tensor:
    """Return images in the size of a graph, normalised, float32 [n, C, H, W]; at most eight are read.

    Raises:
        DataError: one cannot be read, or the network takes no images.
    """
    channels = model.contract.get("channels")
    if channels is None:
        raise DataError("--images must be what the network takes", found=f"a {model.title} of other inputs",
                        do="leave --images out; the graph is compared on noise")  # fmt: skip
    rules = model.data.image_rules() if isinstance(model.data, ImageReadSettings) else RULES
    pixels = []
    for file in files[:_MOST_IMAGES]:
        try:
            image = resize(
                decode_bands(open_image(file, str(file)), str(file), rules)[0], model.size, "pil", "bilinear"
            )
        except DataError as error:
            raise DataError("--images must be image files that the network takes", found=error.found,
                            do="leave that file out") from None  # fmt: skip
        except OSError as error:
            raise DataError("--images must be image files", found=f"{file}: {reason(error)}",
                            do="leave that file out") from None  # fmt: skip
        pixels.append(np.asarray(Image.fromarray(image).convert("L"))[..., None] if channels == 1 else image)
    return model.prepared(torch.from_numpy(np.stack(pixels)).movedim(-1, 1))


@torch.no_grad()
def compared(model: Predictor, exported: Callable[[Tensor], Tensor], path: Path, files: Sequence[Path] = ()) -> float:
    """Return the largest difference of an output between a graph and its network.

    Args:
        model: the network.
        exported: the graph, read back.
        path: where it lies, for messages.
        files: image files to compare on, beside noise.

    Raises:
        AblataError: they differ; or an image cannot be read.
    """
    batches = [model.example(_ROWS, size) for size in _sizes(model)]
    batches += [real_images(model, files)] if files else []
    largest = 0.0
    for images in batches:
        own = model.outputs(images).float()
        try:
            difference = float((exported(images).float() - own).abs().max())
        except Exception as error:
            if not model.free_size:
                raise
            raise export_error(f"a graph of any size (here {tuple(images.shape[2:])})", model, error) from None
        if not difference <= TOLERANCE * max(1.0, float(own.abs().max())):
            raise AblataError(
                f"An exported network must give the {model.output_name} of the one it was made from",
                found=f"{path}: a difference of {difference:.3g} among values up to {float(own.abs().max()):.3g}",
                do="it was not written; export with --format hub, or report the network",
            )
        largest = max(largest, difference)
    return largest


def _sizes(model: Predictor) -> Sequence[tuple[int, int] | None]:
    """Return the sizes to compare at: None, the graph's own, or three of a graph of any size."""
    if not model.free_size:
        return (None,)
    height, width = (-(-side // _STRIDE) * _STRIDE for side in model.size)
    return [model.size, (height + _STRIDE, width + 3 * _STRIDE), (height + 2 * _STRIDE, width)]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporters' progress and advice to their developers off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
