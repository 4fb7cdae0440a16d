"""Predictions with their speed: frames a second, with normalisation folded into convolutions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ablata.api.models import Predictions, predict
from ablata.api.opening import warn
from ablata.base.quantities import counted
from ablata.engine.predictor import Prediction, Predictor
from ablata.nn.folded_norms import Folded, fold_norms


@dataclass(frozen=True)
class Speed:
    """How fast files were predicted.

    Attributes:
        frames: images, and frames of videos.
        seconds: from the first file's reading to the last one's writing, without a first file to warm up.
        network_seconds: of the network alone.
        threads: that torch used.
        folded: normalisations that were folded; None: that was not asked for.
    """

    frames: int
    seconds: float
    network_seconds: float
    threads: int
    folded: Folded | None

    def __str__(self) -> str:
        """Say it in a sentence."""
        rate, alone = self.frames / self.seconds, self.frames / max(self.network_seconds, 1e-9)
        norms = "normalisation not folded"
        if self.folded is not None:
            norms = f"{self.folded.count} of {self.folded.norms} normalisations folded into convolutions"
            if self.folded.count:
                norms += f", which changes outputs by at most {self.folded.difference:.2g}"
        return (
            f"{counted(self.frames, 'frame')} in {self.seconds:.2f} s: {rate:.3g} frames a second; "
            f"the network alone: {alone:.3g} "
            f"a second on {self.threads} {'thread' if self.threads == 1 else 'threads'}; {norms}"
        )


class TimedPredictions(Predictions):
    """Predictions of files that know how long they took; `speed` once all are made."""

    speed: Speed | None = None


def folded(model: Predictor) -> tuple[Predictor, Folded]:
    """Return a trained network with normalisation folded into convolutions where outputs stay the same, for speed.

    Args:
        model: of `load_model`; it is not changed.
    """
    images = model.example()
    found = fold_norms(model.network, lambda network: replace(model, network=network).outputs(images))
    return replace(model, network=found.network), found


def predict_timed(
    model: Predictor,
    images: str | Path | Sequence[str | Path],
    *,
    fold: bool = True,
    say: Callable[[str], None] = warn,
    **options: Any,
) -> TimedPredictions:
    """Predict files and measure how fast.

    Args:
        model: of `load_model`.
        images: as of `predict`.
        fold: fold normalisation into convolutions first.
        say: as of `predict`.
        options: further arguments of `predict`.

    Returns:
        As of `predict`, with `speed` once they were all made.
    """
    told = None
    if fold:
        model, told = folded(model)
    watch = _Stopwatch(model.network)
    made = predict(model, images, say=say, **options)
    with torch.no_grad():
        model.outputs(model.example())  # threads start and memory is taken with the first images
    timed: TimedPredictions

    def run() -> Any:
        frames, begun = 0, time.perf_counter()
        watch.seconds = 0.0
        for prediction in made:
            frames += _frames(prediction)
            yield prediction
        seconds = time.perf_counter() - begun
        timed.speed = Speed(frames, seconds, watch.seconds, torch.get_num_threads(), told)

    timed = TimedPredictions(run(), made.protocol)
    return timed


def _frames(prediction: Prediction) -> int:
    return int(getattr(prediction, "frames", 0) or not prediction.problem)


class _Stopwatch:
    """Sums the seconds of a network's forward passes."""

    def __init__(self, network: nn.Module) -> None:
        self.seconds = self._begun = 0.0
        network.register_forward_pre_hook(self._begin)
        network.register_forward_hook(self._end)

    def _begin(self, module: nn.Module, inputs: object) -> None:
        self._begun = time.perf_counter()

    def _end(self, module: nn.Module, inputs: object, output: object) -> None:
        self.seconds += time.perf_counter() - self._begun
