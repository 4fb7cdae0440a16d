"""Drawing a class graph: a square of cells, the darker the heavier, with names, counts and weights."""

from __future__ import annotations

from html import escape

from ablata.data.detection.class_graph import ClassGraph

_CELL, _LETTER, _EDGE = 34, 6.6, 12


def graph_svg(graph: ClassGraph) -> str:
    """Return an SVG: the weight that each row gives each column; a cell's title has the images with both."""
    side = len(graph.names)
    label = _EDGE + _LETTER * max(len(f"{name} (000)") for name in graph.names)
    width, height = label + side * _CELL + _EDGE, label + side * _CELL + 2 * _EDGE + 14
    most = float(graph.matrix.max()) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    for row, name in enumerate(graph.names):
        counted = "" if row == 0 else f" ({graph.counts[row - 1, row - 1]})"
        middle = label + row * _CELL + _CELL / 2
        text = escape(name + counted)
        parts.append(f'<text x="{label - 6:.0f}" y="{middle + 4:.0f}" text-anchor="end">{text}</text>')
        turned = f'transform="translate({middle + 4:.0f} {label - 6:.0f}) rotate(-90)"'
        parts.append(f"<text {turned}>{escape(name)}</text>")
        for column, weight in enumerate(graph.matrix[row].tolist()):
            parts.append(_cell(graph, row, column, weight, max(weight, 0) / most, label))
    below = label + side * _CELL + _EDGE + 10
    said = f"{graph.images} training images; {graph.origin.get('kind')} {graph.origin.get('normalize', '')}"
    parts.append(f'<text x="{_EDGE}" y="{below:.0f}" fill="#555555">{escape(said.strip())}</text></svg>')
    return "\n".join(parts) + "\n"


def _cell(graph: ClassGraph, row: int, column: int, weight: float, fraction: float, label: float) -> str:
    """Draw one entry: white for nothing, dark blue for the heaviest."""
    red, green, blue = (round(255 + fraction * (dark - 255)) for dark in (16, 62, 128))
    x, y = label + column * _CELL, label + row * _CELL
    both = f", {graph.counts[row - 1, column - 1]} images" if row and column else ""
    title = escape(f"{graph.names[row]} to {graph.names[column]}: {weight:.4g}{both}")
    written = f"{weight:.2f}" if weight < 10 else f"{weight:.0f}"
    ink = "#ffffff" if fraction > 0.5 else "#222222"
    text = (
        f'<text x="{x + _CELL / 2:.0f}" y="{y + _CELL / 2 + 4:.0f}" text-anchor="middle" fill="{ink}">{written}</text>'
    )
    return (
        f'<g><title>{title}</title><rect x="{x:.0f}" y="{y:.0f}" width="{_CELL}" height="{_CELL}" '
        f'fill="rgb({red},{green},{blue})" stroke="#dddddd"/>{text if weight else ""}</g>'
    )
