"""Throughput and time left: training and evaluation are timed apart, and the first steps do not count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_WARM_UP = 3


class Timer:
    """Times steps and evaluations.

    Args:
        steps: how many steps are to come.
        evaluations: how many evaluations are to come.
    """

    def __init__(self, steps: int, evaluations: int) -> None:
        self._steps_left, self._evaluations_left = steps, evaluations
        self._steps = 0
        self._started = self._mark = time.perf_counter()
        self._training = 0.0
        self._evaluating = 0.0
        self._evaluations = 0

    def step_done(self) -> None:
        """A step is done."""
        now = time.perf_counter()
        self._steps += 1
        self._steps_left -= 1
        if self._steps > _WARM_UP:
            self._training += now - self._mark
        self._mark = now

    @contextmanager
    def pause(self, evaluation: bool = False) -> Iterator[None]:
        """Time something that is not a step: an evaluation or a checkpoint."""
        before = time.perf_counter()
        yield
        now = time.perf_counter()
        if evaluation:
            self._evaluating += now - before
            self._evaluations += 1
            self._evaluations_left -= 1
        self._mark += now - before

    def steps_per_second(self) -> float:
        """Return the rate of training steps, without the first ones; 0 while unknown."""
        counted = self._steps - _WARM_UP
        return counted / self._training if counted > 0 and self._training > 0 else 0.0

    def evaluation_seconds(self) -> float:
        """Return the mean time of one evaluation; 0 while unknown."""
        return self._evaluating / self._evaluations if self._evaluations else 0.0

    def seconds_left(self) -> float:
        """Estimate the time to the end; nan while unknown."""
        rate = self.steps_per_second()
        return self._steps_left / rate + self._evaluations_left * self.evaluation_seconds() if rate else float("nan")

    def seconds(self) -> float:
        """Return the time since the start."""
        return time.perf_counter() - self._started


@dataclass(frozen=True)
class TimeBudget:
    """The wall time that a training may take.

    Attributes:
        seconds: of all its attempts together, with measuring and building.
        evaluation: seconds of an evaluation as measured before the first step.
        begun: when this attempt began, of `time.monotonic`.
    """

    seconds: float
    evaluation: float
    begun: float

    def is_over(self, before: float, evaluation: float) -> bool:
        """Tell whether no further step fits in, with the evaluation after the last one.

        Args:
            before: seconds of earlier attempts.
            evaluation: seconds of one as seen in this attempt; 0: none was.
        """
        return before + time.monotonic() - self.begun + (evaluation or self.evaluation) >= self.seconds
