"""A trained classifier as it is handed on: network, classes, preparation of pictures; no data set needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from ablata.base.errors import CheckpointError
from ablata.base.settings import Settings, restore
from ablata.data.any import AnyImageData
from ablata.data.augment import Normaliser
from ablata.data.decode import open_image, to_rgb
from ablata.data.framing import OWN, Framing
from ablata.data.image_folder import FileCut, ImageFiles
from ablata.engine.checkpoints import BEST, LAST, load_checkpoint, refuse_mismatch
from ablata.tasks.classifiers import AnyClassifier
from ablata.tasks.protocols import Protocol
from ablata.tasks.teacher_files import teacher_weights


class _Parts(Settings):
    model: AnyClassifier
    data: AnyImageData


@dataclass(frozen=True)
class Delivered:
    """A classifier and what its predictions mean.

    Args:
        network: in evaluation mode on the processor; maps float32 [B, C, H, W], normalised, to a dict with `logits`.
        model: the settings of the network.
        data: the settings of the data it was trained on.
        contract: classes, image size, channels, mean, std, image backend, protocols.
        facts: recipe (expanded), recipe name, run, seed, step, scores, environment; JSON-safe.
        source: where it comes from, for messages.
    """

    network: nn.Module
    model: Any
    data: Any
    contract: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names by label."""
        return tuple(self.contract["classes"])

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of a prepared picture, in pixels."""
        height, width = self.contract["image_size"]
        return height, width

    @property
    def from_files(self) -> bool:
        """Tell whether the network was trained on image files, which are cut and resized as they are read."""
        return isinstance(self.data, ImageFiles)

    @property
    def protocol(self) -> Protocol:
        """Return the protocol by which the network was compared."""
        first: Protocol = self.contract["protocols"][0]
        return first

    def example(self, count: int = 1) -> Tensor:
        """Return noise in the shape of prepared pictures, float32 [count, C, H, W], the same at every call."""
        random = torch.Generator().manual_seed(0)
        return torch.randn(count, self.contract["channels"], *self.size, generator=random)

    def prepared(self, pixels: Tensor) -> Tensor:
        """Normalise uint8 [B, C, H, W] to float32."""
        return Normaliser(self.contract["mean"], self.contract["std"], False)(pixels)

    def read(self, file: Path, framing: Framing = OWN) -> Tensor:
        """Read a picture as the training's evaluation would.

        Args:
            file: any image file.
            framing: which part of it; only for networks trained on image files.

        Returns:
            uint8 [C, H, W]. Where the training pictures lay in memory, ready at their size, another size is cut to
            the same shape from the middle and resized by PIL (bilinear, antialias).

        Raises:
            DataError: the file is no image or damaged.
        """
        if self.from_files:
            return torch.from_numpy(FileCut(self.data, framing)(file, None).copy()).permute(2, 0, 1)
        picture = to_rgb(open_image(file, str(file)), str(file))
        height, width = self.size
        if picture.size != (width, height):
            picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture if self.contract["channels"] == 3 else picture.convert("L")).copy()
        return torch.from_numpy(pixels.reshape(height, width, -1)).permute(2, 0, 1)

    def refuse_other_backend(self) -> None:
        """Check that pictures are decoded and resized here as they were in training.

        Raises:
            CheckpointError: another library or version would do it; both are named.
        """
        if self.from_files:
            refuse_mismatch(self.contract, {"image_backend": self.data.backend_name()}, self.source)


def from_checkpoint(place: Path, which: str = "last") -> Delivered:
    """Build the classifier of a checkpoint: averaged weights where the run averages, a student without its teacher.

    Args:
        place: a run's folder, or a checkpoint.
        which: `last` or `best`.

    Raises:
        CheckpointError: the file is missing or damaged, or holds no classifier.
    """
    path = place / (BEST if which == "best" else LAST) if place.is_dir() else place
    saved = load_checkpoint(path)
    kept: dict[str, Any] = {key: saved.facts[key] for key in ("recipe", "seed", "step", "scores") if key in saved.facts}
    return assemble(kept["recipe"], saved.facts["contract"], teacher_weights(saved), kept, str(path))


def assemble(
    recipe: Mapping[str, Any],
    contract: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    source: str,
) -> Delivered:
    """Build a network from a recipe's expanded settings and give it its weights.

    Raises:
        CheckpointError: it is no classifier, or the weights do not fit the network.
        SettingsError: the settings are of another version.
    """
    if contract.get("task") != "classify":
        raise CheckpointError(
            "Predictions and exports are those of a classifier", found=f"{source} is of the task {contract.get('task')}"
        )
    parts = restore(_Parts, {"model": recipe.get("model"), "data": recipe.get("data")}, source=source)
    network: nn.Module = parts.model.build(len(contract["classes"]), contract["channels"])
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise CheckpointError("Weights must fit the network", found=f"{source}: {error}") from None
    return Delivered(network.eval(), parts.model, parts.data, contract, facts, source)
