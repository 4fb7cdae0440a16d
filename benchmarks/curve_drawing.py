"""A small drawing of curves over epochs, as an SVG that stands by itself, for the pages of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablata.reports.plots.drawing import element, join

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 44, 150, 14, 40
COLOURS = ("#1f5fa8", "#c05a00", "#3c8c3c")


def drawn_curves(curves: Mapping[str, Sequence[tuple[float, float]]], across: str, upward: str) -> str:
    """Draw a line with dots for each curve, named beside.

    Args:
        curves: points (x, y) by name, x from 0 on and y from 0 to 100; at most three.
        across: name of the x axis.
        upward: name of the y axis.
    """
    most = max(x for points in curves.values() for x, _ in points)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    top = 10 * -(-max(y for points in curves.values() for _, y in points) // 10)

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + (right - LEFT) * x / most, bottom - (bottom - TOP) * y / top

    parts = [element("rect", width=WIDTH, height=HEIGHT, fill="white")]
    for value in range(0, int(top) + 1, 10):
        _, y = place(0, value)
        parts.append(element("line", x1=LEFT, x2=right, y1=y, y2=y, stroke="#dddddd"))
        parts.append(element("text", str(value), x=LEFT - 6, y=y + 4, text_anchor="end"))
    parts += [
        element("text", str(value), x=place(value, 0)[0], y=bottom + 16, text_anchor="middle")
        for value in range(0, int(most) + 1, 10)
    ]
    parts.append(element("text", across, x=(LEFT + right) / 2, y=HEIGHT - 6, text_anchor="middle"))
    parts.append(element("text", upward, x=LEFT + 6, y=TOP + 10))
    for row, (colour, (name, points)) in enumerate(zip(COLOURS, curves.items(), strict=False)):
        places = [place(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(element("polyline", points=path, fill="none", stroke=colour, stroke_width=2))
        parts += [element("circle", cx=x, cy=y, r=3, fill=colour) for x, y in places]
        parts.append(element("text", name, x=right + 12, y=TOP + 24 + 20 * row, fill=colour))
    space = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {HEIGHT}"}
    return element("svg", join(parts), font_family="sans-serif", font_size=12, **space) + "\n"
