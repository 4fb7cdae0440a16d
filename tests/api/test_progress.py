"""What a training says while it runs."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from ablata.api.progress import TrainingProgress
from ablata.engine.reporting import Progress


def test_a_mean_of_the_losses_is_told_once_however_many_evaluations_follow() -> None:
    text = StringIO()
    shown = TrainingProgress(Console(file=text, width=200))
    state = Progress(
        step=20, total=60, epoch=1.5, losses={"huber": 2.5}, learning_rate=0.1, images_per_second=1e3,
        seconds_left=9.0, scores={},
    )  # fmt: skip
    for step in (12, 24, 36):
        if step == 24:
            shown.progress(state)
        shown.metrics([(step, "val/plain/mae", 100.0 / step), (step, "val/plain/mae/7", 1.0)])
    assert text.getvalue().splitlines() == [
        "step 12: val/plain/mae 8.333",
        "step 24: val/plain/mae 4.167; loss 2.5000, 9.0 s left",
        "step 36: val/plain/mae 2.778",
    ]
