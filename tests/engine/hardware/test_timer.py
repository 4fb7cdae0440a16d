"""Rates and time left, on a clock that the test sets."""

from __future__ import annotations

import math
import time

import pytest

from ablata.engine.hardware.timer import Timer
from ablata.engine.reporting import Progress, Reporter, Reporters


class Watch:
    """Stands until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(time, "perf_counter", watch)
    return watch


def steps(timer: Timer, watch: Watch, count: int, seconds: float) -> None:
    for _ in range(count):
        watch.now += seconds
        timer.step_done()


def test_the_first_steps_do_not_count(watch: Watch) -> None:
    timer = Timer(steps=20, evaluations=0)
    steps(timer, watch, 3, 50.0)
    assert timer.steps_per_second() == 0
    assert math.isnan(timer.seconds_left())
    steps(timer, watch, 5, 0.5)
    assert timer.steps_per_second() == pytest.approx(2)
    assert timer.seconds_left() == pytest.approx(12 / 2)
    assert timer.seconds() == pytest.approx(152.5)


def test_evaluations_and_checkpoints_slow_down_no_step(watch: Watch) -> None:
    timer = Timer(steps=20, evaluations=3)
    steps(timer, watch, 5, 0.5)
    with timer.pause(evaluation=True):
        watch.now += 7
    with timer.pause():
        watch.now += 30
    steps(timer, watch, 5, 0.5)
    assert timer.steps_per_second() == pytest.approx(2)
    assert timer.evaluation_seconds() == pytest.approx(7)
    assert timer.seconds_left() == pytest.approx(10 / 2 + 2 * 7)


class Diary(Reporter):
    """Writes down what it is told."""

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        self.told: list[object] = []

    def start(self, facts: dict[str, object]) -> None:
        self.told.append(facts)

    def metrics(self, rows: object) -> None:
        self.told.append(rows)

    def rewind(self, step: int) -> None:
        self.told.append(step)

    def event(self, level: str, kind: str, text: str) -> None:
        self.told.append((level, kind, text))

    def progress(self, progress: Progress) -> None:
        self.told.append(progress)

    def stop_reason(self) -> str | None:
        return self.reason


def test_several_reporters_hear_the_same_and_any_of_them_can_stop() -> None:
    one, two = Diary(), Diary("lost")
    both = Reporters(one, two)
    progress = Progress(1, 2, 0.5, {"a": 1.0}, 0.1, 10.0, 3.0)
    both.start({"step": 0})
    both.rewind(0)
    both.metrics([(1, "a", 1.0)])
    both.event("info", "kind", "text")
    both.progress(progress)
    assert one.told == two.told == [{"step": 0}, 0, [(1, "a", 1.0)], ("info", "kind", "text"), progress]
    assert both.stop_reason() == "lost"
    assert Reporters(one).stop_reason() is None
