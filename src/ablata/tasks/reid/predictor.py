"""A trained re-identification network for use on image files: embeddings, and the nearest images of a gallery.

embeddings.npz        file names, and features float32 [N, D], of the queries
nearest/NAME.jpg      a query and its nearest images of the gallery, the nearest first
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ablata.base.errors import UserError
from ablata.base.files import atomic_path
from ablata.base.quantities import counted
from ablata.data.drawing.contact_sheet import captioned
from ablata.data.io.input_files import InputFile, find_input_files
from ablata.engine.predictor import Prediction, PredictOptions, Predictor, refuse_file
from ablata.metrics.retrieval import Distance, feature_distances

_BATCH = 32
_SIDE = 160
"""Pixels of the longer side of a drawn image."""


@dataclass(frozen=True, kw_only=True)
class MatchPrediction(Prediction):
    """The embedding of an image, and the nearest images of the gallery.

    Args:
        features: float32 [D]; None where the image could not be read.
        nearest: file and distance, the nearest first; empty without a gallery.
    """

    features: Tensor | None = None
    nearest: tuple[tuple[Path, float], ...] = ()

    def text(self) -> str:
        """Return the file and its nearest images."""
        if self.features is None:
            return ""
        named = ", ".join(f"{file} at {distance:.3f}" for file, distance in self.nearest)
        return f"{self.file}: {named or f'an embedding of {len(self.features)} values (--gallery finds the nearest)'}"

    def values(self) -> dict[str, Any]:
        """Return the embedding and the nearest images."""
        nearest = [{"file": str(file), "distance": distance} for file, distance in self.nearest]
        return {"features": [] if self.features is None else self.features.tolist(), "nearest": nearest}


@dataclass(frozen=True)
class _Embedded:
    """Files that could be read: uint8 [3, H, W] and float32 [D] of each; and what was wrong with the others."""

    files: list[Path] = field(default_factory=list)
    pixels: list[Tensor] = field(default_factory=list)
    features: list[Tensor] = field(default_factory=list)
    problems: dict[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReidPredictor(Predictor):
    """An embedding network and what its features mean; arguments as of `Predictor`."""

    title: ClassVar[str] = "re-identification network"
    pipeline: ClassVar[str] = "image-feature-extraction"
    use: ClassVar[str] = "ablata predict FOLDER QUERY... --gallery IMAGES"
    output_name: ClassVar[str] = "features"

    @property
    def distance(self) -> Distance:
        """Return the distance between features that the network was scored by."""
        distance: Distance = self.contract["distance"]
        return distance

    def summary(self) -> str:
        """Say what it is."""
        return f"{self.title}, trained on {counted(len(self.classes), 'identity')}"

    def class_list(self) -> tuple[str, ...]:
        """Return nothing: the identities that it was trained on are not those that it is used for."""
        return ()

    def exportable(self) -> nn.Module:
        """Return a module that maps images [B, C, H, W] to features [B, D]."""
        return _Features(self.network)

    def output(self) -> str:
        """Say what comes out of `exportable`."""
        with torch.no_grad():
            width = self.outputs(self.example()).shape[1]
        return f"features: float32 [batch, {width}]; images of one identity are near by {self.distance} distance"

    def evaluation(self) -> str:
        """Say how images were brought to their size."""
        return f"images are resized to this size ({self.contract['image_backend']}), whatever their shape"

    def predict_files(self, inputs: Sequence[InputFile], options: PredictOptions) -> Iterator[MatchPrediction]:
        """Embed query images, and find their nearest among `options.gallery`; `options.output` is a folder."""
        refuse_file(options.output, self.title)
        self.refuse_backend(self.data.backend_name())
        gallery = self._embedded([entry.file for entry in find_input_files(options.gallery)])
        return self._predicted(inputs, gallery, options)

    def _predicted(
        self, inputs: Sequence[InputFile], gallery: _Embedded, options: PredictOptions
    ) -> Iterator[MatchPrediction]:
        for file, problem in gallery.problems.items():
            yield MatchPrediction(file=file, problem=problem)
        done: list[MatchPrediction] = []
        for start in range(0, len(inputs), _BATCH):
            entries = {entry.file: entry.name for entry in inputs[start : start + _BATCH]}
            queries = self._embedded(list(entries))
            for file, problem in queries.problems.items():
                yield MatchPrediction(file=file, problem=problem)
            for file, pixels, features in zip(queries.files, queries.pixels, queries.features, strict=True):
                rows, distances = self._nearest(features, gallery, options.top)
                nearest = tuple((gallery.files[row], distance) for row, distance in zip(rows, distances, strict=True))
                written: tuple[Path, ...] = ()
                if options.output is not None and rows:
                    written = (options.output / "nearest" / f"{entries[file]}.jpg",)
                    _draw(written[0], pixels, [gallery.pixels[row] for row in rows], nearest)
                done.append(MatchPrediction(file=file, outputs=written, features=features, nearest=nearest))
                yield done[-1]
        if options.output is not None and done:
            values = torch.stack(
                [prediction.features for prediction in done if prediction.features is not None]
            ).numpy()
            with atomic_path(options.output / "embeddings.npz") as draft, draft.open("wb") as stream:
                np.savez_compressed(
                    stream, files=np.array([str(prediction.file) for prediction in done]), features=values
                )

    def _nearest(self, query: Tensor, gallery: _Embedded, top: int) -> tuple[list[int], list[float]]:
        """Return the rows of the gallery nearest to features [D], and their distances."""
        if not gallery.files:
            return [], []
        distances = feature_distances(query[None], torch.stack(gallery.features), self.distance)[0]
        best = distances.topk(min(top, len(distances)), largest=False)
        return best.indices.tolist(), best.values.tolist()

    @torch.no_grad()
    def _embedded(self, files: Sequence[Path]) -> _Embedded:
        images = _Embedded()
        for file in files:
            try:
                images.pixels.append(torch.from_numpy(self.data.read_image(file).copy()))
                images.files.append(file)
            except UserError as error:
                images.problems[file] = error.found or error.must
        for start in range(0, len(images.files), _BATCH):
            batch = self.prepared(torch.stack(images.pixels[start : start + _BATCH]))
            images.features.extend(self.outputs(batch).float())
        return images


def _draw(path: Path, query: Tensor, images: Sequence[Tensor], nearest: Sequence[tuple[Path, float]]) -> None:
    captions = [["query"], *([file.name, f"{distance:.3f}"] for file, distance in nearest)]
    with atomic_path(path) as draft:
        captioned([query, *images], captions, columns=len(captions), side=_SIDE).save(draft, format="JPEG")


class _Features(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network(images)["features"]
        return features
