"""A first study of a proposed recipe: how many seeds, and which margin the images to score on can bear."""

from __future__ import annotations

from ablata.stats.distributions.student import quantile

_DIFFERENT = 0.05
"""Fraction of the images that two trainings of a set are taken to be right on differently."""
_MARGINS = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)
_MANY, _SOME = 5000, 100


def first_study(images: int) -> tuple[int, float, str]:
    """Return seeds, margin in points and the reason, for a score that is a share of so many images.

    Two trainings that are right on a fraction q of n images differently have scores whose difference varies by
    100 sqrt(q / n) points; the mean over m seeds is known to t times that over sqrt(m), and a smaller margin could not
    be shown.

    Args:
        images: to score on, one or more.
    """
    seeds = 3 if images >= _MANY else 5 if images >= _SOME else 8
    noise = 100 * (_DIFFERENT / images) ** 0.5
    shown = float(quantile(0.975, seeds - 1)) * noise / seeds**0.5
    margin = next((one for one in _MARGINS if one >= shown), _MARGINS[-1])
    reason = (
        f"{images:,} images to score on: one is {100 / images:.2g} points; where two trainings differ on "
        f"{_DIFFERENT:.0%} of them, {seeds} seeds tell a difference to about {shown:.2g} points"
    )
    return seeds, margin, reason
