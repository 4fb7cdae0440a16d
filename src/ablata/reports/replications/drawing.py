"""Images of conclusions beside the noise: a strip for each, and all of them as a swarm of dots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from ablata.reports.plots.drawing import Scale, element, image, join, line, mark, number, path, text
from ablata.reports.replications.claims import ClaimView, NotebookView

STRIP_WIDTH, STRIP_HEIGHT = 200.0, 18.0
DOT = 9.0
"""Pixels from one dot of a swarm to the next."""
MOST = 4.0
"""Times the threshold up to which differences are told apart; larger ones stand at the end."""
_SIGNS = {"better": "better", "worse": "worse", "same": "equivalent"}


def strip_reach(claims: Sequence[ClaimView]) -> float:
    """Return the difference at the ends of the strips of a notebook: most fit, all thresholds do."""
    sizes = sorted(abs(claim.difference) for claim in claims if claim.difference is not None)
    thresholds = [claim.visible.threshold for claim in claims if claim.visible is not None]
    most = sizes[int(0.8 * (len(sizes) - 1))] if sizes else 0.0
    return max([1.8 * max(thresholds, default=0.0), 1.15 * most]) or 1.0


def strip(claim: ClaimView, reach: float) -> Markup:
    """Draw a recorded difference over the band of differences that two equal trainings show.

    Args:
        claim: with a difference.
        reach: of the axis to either side of 0; a larger difference is an arrow at its end.
    """
    assert claim.difference is not None
    scale = Scale(-reach, reach, 8, STRIP_WIDTH - 8)
    middle = STRIP_HEIGHT / 2
    parts = []
    if claim.visible is not None:
        left, right = scale(-claim.visible.threshold), scale(claim.visible.threshold)
        parts.append(element("rect", x=left, y=1, width=right - left, height=STRIP_HEIGHT - 2, class_="margin"))
    parts.append(line(scale(-reach), middle, scale(reach), middle, "grid"))
    parts.append(line(scale(0), 1, scale(0), STRIP_HEIGHT - 1, "zero"))
    at, sign = scale(claim.difference), _SIGNS.get(claim.claim)
    if abs(claim.difference) > reach:
        way = 1 if claim.difference > 0 else -1
        tip = [(at + 3 * way, middle - 4), (at + 7 * way, middle), (at + 3 * way, middle + 4)]
        parts.append(element("path", d=path(tip), class_=f"interval {sign or 'none'}"))
    parts.append(mark(sign, at, middle, 5))
    return element(
        "svg", *parts, viewBox=f"0 0 {number(STRIP_WIDTH)} {number(STRIP_HEIGHT)}", width=STRIP_WIDTH,
        height=STRIP_HEIGHT, class_="strip", aria_hidden="true",
    )  # fmt: skip


def swarm(views: Sequence[NotebookView], *, width: float, ident: str) -> Markup:
    """Draw every conclusion with figures and known noise: its difference in units of what equal trainings show.

    Args:
        views: notebooks; one without such conclusions is left out.
        width: in pixels; below 600 the names stand above the rows instead of beside them.
        ident: unique within the page.
    """
    stacked = width < 600
    left = 10.0 if stacked else 210.0
    scale = Scale(0, MOST, left, width - 26)
    top, parts, told = 34.0, [], []
    for view in views:
        claims = [claim for claim in view.claims if claim.standing in ("shown", "hidden", "contrary", "same")]
        if not claims:
            continue
        dots, levels = _dots(claims, scale)
        base = top + (24 if stacked else 6) + DOT * max(levels, 2)
        parts.append(line(left, base + DOT, width - 20, base + DOT, "rule"))
        parts.append(text(0, top + 14 if stacked else base - 2, view.name, "name"))
        parts += [mark(_SIGNS[claim.claim], x, base - DOT * level, 4) for claim, x, level in dots]
        within = sum(_times(claim) < 1 for claim in claims)
        told.append(f"{view.name}: {within} of {len(claims)} within the noise")
        if not stacked:
            parts.append(text(0, base + 13, f"{within} of {len(claims)} within", "small muted"))
        top = base + 2 * DOT
    parts[:0] = [element("rect", x=left, y=26, width=scale(1) - left, height=top - 26, class_="margin")]
    return image(
        width, top + 40, "Recorded differences in units of what two equal trainings show", "; ".join(told),
        *parts, _axis(scale, top), ident=ident, class_="swarm",
    )  # fmt: skip


def _times(claim: ClaimView) -> float:
    assert claim.visible is not None
    return abs(claim.visible.difference) / claim.visible.threshold


def _dots(claims: Sequence[ClaimView], scale: Scale) -> tuple[list[tuple[ClaimView, float, int]], int]:
    """Stack dots that would overlap; return them with place and level, and the highest level."""
    used: Counter[int] = Counter()
    found = []
    for claim in sorted(claims, key=_times):
        column = round(scale(_times(claim)) / DOT)
        found.append((claim, column * DOT, used[column]))
        used[column] += 1
    return found, max(used.values()) - 1


def _axis(scale: Scale, bottom: float) -> Markup:
    parts = [line(scale.start, bottom, scale.end + 6, bottom, "axis"), line(scale(1), 26, scale(1), bottom, "zero")]
    for value in range(int(MOST) + 1):
        label = f"{value}×" + (" and more" if value == MOST else "")
        parts.append(text(scale(value), bottom + 16, label, "small tick", "end" if value == MOST else "middle"))
    parts.append(text((scale.start + scale(1)) / 2, 18, "chance does as much", "small muted", "middle"))
    parts.append(text(scale(1) + 10, 18, "beyond chance →", "small muted"))
    return join(parts)
