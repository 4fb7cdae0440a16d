"""Schedules against published values and torch's own schedulers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.optim import SGD, Optimizer, lr_scheduler

from ablata.base.errors import SettingsError
from ablata.base.settings import settings_hash
from ablata.engine.optim.schedules import (
    AnySchedule,
    Constant,
    Cosine,
    Exponential,
    Poly,
    Sgdr,
    Step,
    Warmup,
)

EPOCH = 10


def torch_rates(make: Callable[[Optimizer], lr_scheduler.LRScheduler], steps: int, lr: float = 0.5) -> list[float]:
    optimiser = SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimiser)
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


def test_rates_are_those_of_torchs_scheduler(subtests: pytest.Subtests) -> None:
    for settings, make in [
        (Constant(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
        (Step(milestones=(3, 7), unit="epoch", gamma=0.2), lambda o: lr_scheduler.MultiStepLR(o, [30, 70], 0.2)),
        (Step(milestones=(0.3, 0.7)), lambda o: lr_scheduler.MultiStepLR(o, [30, 70], 0.1)),
        (Exponential(gamma=0.97, every=2.4), lambda o: lr_scheduler.StepLR(o, 24, 0.97)),
        (Exponential(gamma=0.9, every=0.1, staircase=False), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
        (Poly(power=0.9), lambda o: lr_scheduler.PolynomialLR(o, 100, 0.9)),
        (Cosine(floor=0.01), lambda o: lr_scheduler.CosineAnnealingLR(o, 100, eta_min=0.01)),
        (
            Sgdr(first=1, multiplier=2, floor=0.01),
            lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 10, 2, eta_min=0.01),
        ),
        (
            Constant(warmup=Warmup(length=8, unit="step", start=0.25)),
            lambda o: lr_scheduler.LinearLR(o, start_factor=0.25, total_iters=8),
        ),
    ]:
        with subtests.test(settings=settings, make=make):
            schedule = settings.build(0.5, 100, EPOCH)
            assert [schedule(step) for step in range(100)] == pytest.approx(torch_rates(make, 100), rel=1e-9, abs=1e-12)


def test_a_straight_line_ends_at_its_floor() -> None:
    schedule = Poly(power=1.0, floor=0.07, warmup=Warmup(length=20, unit="step", start=0.2)).build(1.0, 100, EPOCH)
    marks = {0: 0.2, 10: 0.6, 20: 1.0, 60: 0.535, 100: 0.07}
    assert {step: schedule(step) for step in marks} == pytest.approx(marks)


def test_bisenets_schedule_has_its_published_values() -> None:
    warmup = Warmup(form="exponential", length=1000, unit="step", start=0.1)
    schedule = Poly(power=0.9, warmup=warmup).build(1.0, 80000, 100)
    published = {0: 0.1, 500: 0.316228, 999: 0.9977, 1000: 1.0, 40500: 0.535887, 79999: 3.9e-5}
    for step, ratio in published.items():
        assert schedule(step) == pytest.approx(ratio, rel=5e-3 if ratio < 1e-3 else 1e-5)
    older = Warmup(form="exponential", length=1000, unit="step", start=1e-5, start_unit="lr")
    schedule = Poly(power=0.9, warmup=older).build(1e-2, 80000, 100)
    for step, rate in {0: 1e-5, 500: 3.16228e-4, 1000: 1e-2, 40500: 5.35887e-3}.items():
        assert schedule(step) == pytest.approx(rate, rel=1e-5)


def test_a_cosine_counts_from_the_end_of_a_warm_up_in_the_total() -> None:
    schedule = Cosine(warmup=Warmup(length=2)).build(1.0, 100, EPOCH)
    alone = Cosine().build(1.0, 80, EPOCH)
    assert schedule(19) < 1 == schedule(20)
    assert [schedule(20 + step) for step in range(80)] == [alone(step) for step in range(80)]


def test_a_warm_up_on_top_makes_the_training_longer_and_leaves_the_main_part_whole() -> None:
    settings = Cosine(warmup=Warmup(length=2, placement="on_top"))
    assert settings.extra_steps(EPOCH, 100) == 20
    schedule, alone = settings.build(1.0, 100, EPOCH), Cosine().build(1.0, 100, EPOCH)
    assert [schedule(20 + step) for step in range(100)] == [alone(step) for step in range(100)]
    assert Cosine(warmup=Warmup(length=2)).extra_steps(EPOCH, 100) == 0


def test_a_warm_up_over_the_main_part_scales_its_beginning() -> None:
    schedule, alone = (
        Cosine(warmup=Warmup(length=2, placement="over")).build(1.0, 100, EPOCH),
        Cosine().build(1, 100, 10),
    )
    assert schedule(10) == pytest.approx(alone(10) * 0.55)
    assert schedule(20) == alone(20)


def test_milestones_count_from_the_first_step_unless_the_warm_up_is_on_top() -> None:
    for placement, drop in (("in", 30), ("over", 30), ("on_top", 50)):
        schedule = Step(milestones=(3,), unit="epoch", warmup=Warmup(length=2, placement=placement)).build(
            1.0, 100, EPOCH
        )
        assert schedule(drop - 1) == 1.0
        assert schedule(drop) == pytest.approx(0.1)


def test_a_rate_set_per_epoch_stays_for_the_epoch() -> None:
    schedule = Cosine(per="epoch", warmup=Warmup(length=2)).build(1.0, 100, EPOCH)
    by_step = Cosine(warmup=Warmup(length=2)).build(1.0, 100, EPOCH)
    assert all(schedule(step) == by_step(step - step % EPOCH) for step in range(100))


def test_sgdr_restarts_at_a_decayed_peak_and_names_the_ends_of_its_cycles() -> None:
    settings = Sgdr(first=10, unit="step", multiplier=2, peak_decay=0.5)
    schedule = settings.build(1.0, 70, EPOCH)
    assert settings.cycle_ends(70, EPOCH) == (10, 30, 70)
    assert [schedule(step) for step in (0, 10, 30)] == [1.0, 0.5, 0.25]
    assert schedule(20) == pytest.approx(0.25)


def test_a_constant_warm_up_stays_at_its_start() -> None:
    schedule = Constant(warmup=Warmup(form="constant", length=1, start=0.2)).build(1.0, 100, EPOCH)
    assert [schedule(step) for step in (0, 9, 10)] == [0.2, 0.2, 1.0]


def test_a_warm_up_from_a_given_rate_has_the_values_of_its_formula(subtests: pytest.Subtests) -> None:
    for epochs, form in itertools.product([1, 2, 5, 10, 20], ["linear", "exponential", "multiplicative"]):
        with subtests.test(form=form, epochs=epochs):
            start, base, length = 1e-5, 0.2, epochs * EPOCH
            warmup = Warmup(form=form, length=epochs, start=start, start_unit="lr")  # type: ignore[arg-type]
            schedule = Constant(warmup=warmup).build(base, 1000, EPOCH)
            if form == "linear":
                expected = [start + (base - start) * step / length for step in range(length)]
            else:
                factor = (base / start) ** (1 / length)
                expected = [start * factor**step for step in range(length)]
            assert [schedule(step) for step in range(length)] == pytest.approx(expected)
            assert schedule(length) == base


def test_multiplicative_and_exponential_are_one_warm_up() -> None:
    assert Warmup(form="multiplicative") == Warmup(form="exponential")
    assert settings_hash(Warmup(form="multiplicative")) == settings_hash(Warmup(form="exponential"))


@pytest.mark.parametrize("floor", [0.0, 1e-6, 1e-5, 1e-4, 5e-4])
def test_a_cosine_ends_at_its_floor(floor: float) -> None:
    schedule = Cosine(floor=floor).build(0.2, 100, EPOCH)
    assert (schedule(0), schedule(100)) == (0.2, pytest.approx(floor, abs=1e-15))
    assert schedule(50) == pytest.approx((0.2 + floor) / 2)


def cycles(first: float, multiplier: float, decay: float, floor: float, base: float, steps: int) -> list[float]:
    """Return SGDR's rates as the paper has them: eta_min + (eta_max - eta_min) (1 + cos(pi t / T)) / 2, T growing."""
    rates: list[float] = []
    start, length, peak = 0.0, first, base
    for step in range(steps):
        if step >= round(start + length):
            start, length, peak = start + length, length * multiplier, peak * decay
        rates.append(floor + (peak - floor) * (1 + math.cos(math.pi * (step - start) / length)) / 2)
    return rates


def test_the_noted_forms_of_sgdr_have_the_values_of_the_formula(subtests: pytest.Subtests) -> None:
    for unit, per, (first, multiplier, decay, epochs) in itertools.product(
        ["epoch", "step"],
        ["epoch", "step"],
        [
            (10, 2, 1, 200),
            (10, 2, 1, 160),
            (150, 1, 1, 160),
            (38, 1, 1, 200),
            (310, 1, 1, 320),
            (40, 1.5, 1, 200),
            (40, 1.5, 0.7, 200),
            (40, 1.5, 0.5, 200),
        ],
    ):
        with subtests.test(first=first, multiplier=multiplier, decay=decay, epochs=epochs, per=per, unit=unit):
            settings = Sgdr(first=first, unit=unit, multiplier=multiplier, peak_decay=decay, floor=1e-4, per=per)  # type: ignore[arg-type]
            schedule = settings.build(0.2, epochs * EPOCH, EPOCH)
            length = first * EPOCH if unit == "epoch" else first
            by_step = cycles(length, multiplier, decay, 1e-4, 0.2, epochs * EPOCH)
            expected = [by_step[step - step % EPOCH if per == "epoch" else step] for step in range(epochs * EPOCH)]
            assert [schedule(step) for step in range(epochs * EPOCH)] == pytest.approx(expected)


KINDS = st.sampled_from([Constant(), Step(), Exponential(), Poly(), Cosine(), Cosine(floor=0.01), Sgdr(first=3)])
WARMUPS = st.none() | st.builds(
    Warmup,
    form=st.sampled_from(["constant", "linear", "exponential"]),
    length=st.sampled_from([0.01, 0.5, 2.0]),
    placement=st.sampled_from(["in", "on_top", "over"]),
)


@given(settings=KINDS, warmup=WARMUPS, per=st.sampled_from(["step", "epoch"]), step=st.integers(0, 300))
def test_rates_are_finite_and_between_zero_and_the_base_even_after_the_end(settings, warmup, per, step: int) -> None:
    schedule = settings.model_copy(update={"warmup": warmup, "per": per}).build(0.3, 100, EPOCH)
    assert 0 <= schedule(step) <= 0.3 * (1 + 1e-12)
    assert math.isfinite(schedule(step))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Cosine(warmup=Warmup(length=10)), "shorter than the training"),
        (Cosine(warmup=Warmup(form="exponential", start=0)), "start above 0"),
        (Cosine(floor=0.6), "floor"),
        (Step(milestones=(30, 60)), "at most 1"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(settings: AnySchedule, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings.build(0.5, 100, EPOCH)


def test_milestones_must_rise() -> None:
    with pytest.raises(ValidationError, match="rise"):
        Step(milestones=(0.7, 0.3))


def test_a_warm_up_can_be_a_share_of_the_training() -> None:
    for total in (40, 400):
        share = Cosine(warmup=Warmup(length=0.05, unit="fraction")).build(0.2, total, EPOCH)
        steps = Cosine(warmup=Warmup(length=0.05 * total, unit="step")).build(0.2, total, EPOCH)
        assert [share(step) for step in range(total)] == [steps(step) for step in range(total)]
