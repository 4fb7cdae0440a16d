"""Ground of the images: safe SVG elements, scales, tick marks with nice numbers, and the sign of each verdict.

All functions are pure and return markup with two decimals at most, so that the same view gives the same bytes. Colours
come from CSS classes of the page, so dark mode and print reach the images too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from ablata.reports.figures import clean, clip


def number(value: float) -> str:
    """Write a coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if round(value, 2) else "0"


def element(tag: str, *content: str, **attributes: str | float | None) -> Markup:
    """Build one SVG element.

    Args:
        tag: its name.
        content: children (Markup) or text, which is escaped and freed of control characters.
        attributes: `font_size` becomes `font-size`, `class_` becomes `class`; None is left out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(clean(value) if isinstance(value, str) else number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inside = "".join(part if isinstance(part, Markup) else escape(clean(part)) for part in content)
    return Markup(f"<{tag}{written}>{inside}</{tag}>" if inside else f"<{tag}{written}/>")


def join(parts: Iterable[Markup]) -> Markup:
    """Join elements."""
    return Markup("").join(parts)


def image(
    width: float, height: float, title: str, description: str, *content: Markup, ident: str, class_: str
) -> Markup:
    """Build an `<svg>` that scales to its box and is read out by its title and description.

    Args:
        width, height: the drawing's size in its own units (CSS pixels at full size).
        title, description: what a screen reader says.
        content: the drawing.
        ident: unique within the page; title and description hang on it.
        class_: the CSS class.
    """
    return element(
        "svg",
        element("title", title, id=f"{ident}-title"),
        element("desc", description, id=f"{ident}-desc"),
        *content,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        role="img",
        aria_labelledby=f"{ident}-title {ident}-desc",
        class_=class_,
    )


def text(
    x: float, y: float, words: str, class_: str = "", anchor: str | None = None, room: float | None = None
) -> Markup:
    """Write `words` at a point; with `room` (in pixels) they are cut to fit and shown in full on hover."""
    shown = words if room is None else clip(words, max(int(room / 6.7), 3))
    whole = (element("title", words),) if shown != words else ()
    return element("text", *whole, shown, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Draw a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


@dataclass(frozen=True)
class Scale:
    """A linear map from values `low`..`high` to pixels `start`..`end`; values outside are held at the ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def reach(values: Iterable[float], pad: float = 0.05) -> tuple[float, float]:
    """Return the range of the finite values, widened by a share `pad`; never empty, also for none or equal values."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    width = high - low
    if width <= 1e-12 * max(abs(low), abs(high)):
        width = abs(low) if abs(low) > 1e-300 else 1.0
        pad = max(pad, 0.5)
    return low - pad * width, high + pad * width


def ticks(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """Return about `count` round values (1, 2, 2.5 or 5 times a power of ten apart) between `low` and `high`."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or count < 1:
        return ()
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # Beside very large values a step may be less than what floats tell apart.
    return tuple(dict.fromkeys(index * step for index in range(first, last + 1)))


def tick_labels(values: Sequence[float], *, sign: bool = False) -> tuple[str, ...]:
    """Write tick values with just the decimals their distance needs; large ones with k, M, G, tiny ones as powers."""
    if not values:
        return ()
    step = min((abs(b - a) for a, b in pairwise(values)), default=abs(values[0]) or 1.0)
    largest = max(abs(value) for value in values)
    if largest >= 1e13 or 0 < largest < 1e-4:
        return tuple("0" if value == 0 else _signed(f"{value:.3g}", sign) for value in values)
    sizes = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
    divisor, suffix = next(((size, name) for least, size, name in sizes if largest >= least), (1.0, ""))
    decimals = _decimals(step / divisor)
    return tuple(_signed(f"{value / divisor:.{decimals}f}{suffix}" if value else "0", sign) for value in values)


def _decimals(step: float) -> int:
    """The fewest decimals that write `step` exactly enough."""
    for decimals in range(10):
        if abs(round(step, decimals) - step) < 1e-6 * step:
            return decimals
    return 10


def _signed(text: str, sign: bool) -> str:
    if text.startswith("-"):
        return "−" + text[1:]
    return f"+{text}" if sign and text != "0" else text


def path(points: Sequence[tuple[float, float]]) -> str:
    """Return the `d` attribute of a line through the points: tenths of a pixel, steps from the point before."""
    tenths = [(round(10 * x), round(10 * y)) for x, y in points]
    steps = (f"{(c - a) / 10:g} {(d - b) / 10:g}" for (a, b), (c, d) in pairwise(tenths))
    return f"M{tenths[0][0] / 10:g} {tenths[0][1] / 10:g}l{' '.join(steps)}"


def mark(verdict: str | None, x: float, y: float, size: float = 5.0) -> Markup:
    """Draw the sign of a verdict around a point: triangle up, triangle down, bar pair, ring, cross; a dot for none.

    Args:
        verdict: one of the verdict words, or None.
        x, y: centre in pixels.
        size: half the width in pixels.
    """
    class_ = f"mark {verdict or 'none'}"
    if verdict == "better":
        shape = [(x - size, y + size * 0.75), (x, y - size), (x + size, y + size * 0.75)]
        return element("path", d=path(shape) + "Z", class_=class_)
    if verdict == "worse":
        shape = [(x - size, y - size * 0.75), (x, y + size), (x + size, y - size * 0.75)]
        return element("path", d=path(shape) + "Z", class_=class_)
    if verdict == "equivalent":
        return element("rect", x=x - size * 0.8, y=y - size * 0.8, width=size * 1.6, height=size * 1.6, class_=class_)
    if verdict == "unstable":
        arms = [[(x - size * 0.8, y + side * size * 0.8), (x + size * 0.8, y - side * size * 0.8)] for side in (1, -1)]
        return element("path", d="".join(path(arm) for arm in arms), class_=f"{class_} open")
    if verdict == "undecided":
        return element("circle", cx=x, cy=y, r=size * 0.8, class_=f"{class_} open")
    return element("circle", cx=x, cy=y, r=size * 0.7, class_=class_)


def sign(verdict: str | None) -> Markup:
    """Return a verdict's sign as a small image that stands in a line of text; it is silent to a screen reader."""
    return element(
        "svg", mark(verdict, 7, 7), viewBox="0 0 14 14", width=14, height=14, class_="sign", aria_hidden="true"
    )
