"""Reporters: callbacks of a training run: metrics, events, progress, and the request to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MetricRow = tuple[int, str, float]
"""A point of a curve: step, name, value."""


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Args:
        step, total: optimiser steps done and in all.
        epoch: passes over the training set done, a fraction.
        losses: mean of each loss term since the last log point.
        learning_rate: of the last step.
        images_per_second: training only, evaluations left out.
        seconds_left: estimate, evaluations included.
        scores: the newest evaluation, empty before the first.
    """

    step: int
    total: int
    epoch: float
    losses: dict[str, float]
    learning_rate: float
    images_per_second: float
    seconds_left: float
    scores: dict[str, float] = field(default_factory=dict)


class Reporter:
    """Base of reporters: callbacks of a training, called on the writing process only. Subclass what is needed."""

    def start(self, facts: dict[str, Any]) -> None:
        """The training is about to take its first step; `facts` describe device, precision, sizes and learning rate."""

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        """Points of curves, once a log interval or evaluation."""

    def rewind(self, step: int) -> None:
        """The training starts from this step: points at later steps belong to an attempt that was cut off."""

    def event(self, level: str, kind: str, text: str) -> None:
        """Something worth knowing: level `info` or `warning`, the watchdog or duty it comes from, a sentence."""

    def progress(self, progress: Progress) -> None:
        """The state at a log point."""

    def flush(self) -> None:
        """Write down what was told so far: a checkpoint that covers it is about to be put into place."""

    def stop_reason(self) -> str | None:
        """Say why the training should stop after this step: `asked`, `lost` (another worker has it), or None."""
        return None


class Reporters(Reporter):
    """Several reporters as one."""

    def __init__(self, *reporters: Reporter) -> None:
        self.reporters = reporters

    def start(self, facts: dict[str, Any]) -> None:
        """Pass on to all."""
        for reporter in self.reporters:
            reporter.start(facts)

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        """Pass on to all."""
        for reporter in self.reporters:
            reporter.metrics(rows)

    def rewind(self, step: int) -> None:
        """Pass on to all."""
        for reporter in self.reporters:
            reporter.rewind(step)

    def event(self, level: str, kind: str, text: str) -> None:
        """Pass on to all."""
        for reporter in self.reporters:
            reporter.event(level, kind, text)

    def progress(self, progress: Progress) -> None:
        """Pass on to all."""
        for reporter in self.reporters:
            reporter.progress(progress)

    def flush(self) -> None:
        """Pass on to all."""
        for reporter in self.reporters:
            reporter.flush()

    def stop_reason(self) -> str | None:
        """Return the first reason any of them has."""
        return next((reason for reporter in self.reporters if (reason := reporter.stop_reason())), None)
