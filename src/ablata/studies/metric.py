"""What a study compares: the recipe's own score, or any other quantity that its runs record, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablata.base.errors import RunError, SettingsError, choices, listing, nearest, suggestion
from ablata.base.metric import Metric
from ablata.base.user_code import parse_reference
from ablata.records.ledger import Ledger
from ablata.records.questions.judged import COST, COSTS, judged_values
from ablata.records.rows import ArmRow, Cell
from ablata.stats.assumptions.units import mixed_units
from ablata.trainers.any import Outside
from ablata.trainers.command import Command

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

_LOSSES = ("loss", "error", "mae", "mse", "rmse", "nll", "perplexity")


def judged_metric(control: Recipe | Outside, asked: str | Metric | None, *, lower: bool | None = None) -> Metric:
    """Return the metric that a study compares.

    Args:
        control: the study's control.
        asked: None: the control's own; a metric; or a name: a score with or without its split and protocol
            (`val/plain/loss`, `loss`), one class's score (`iou/car`), a cost (see
            `records.questions.judged.COSTS`), a curve (`train/loss`), whose last value counts.
        lower: whether lower is better; None: as the name says.

    Raises:
        SettingsError: no run of the control can record it; the nearest name is given.
    """
    usual = control.metric()
    found = usual if asked is None else asked if isinstance(asked, Metric) else _named(control, usual, asked)
    return found if lower is None else replace(found, higher_is_better=not lower)


def _named(control: Recipe | Outside, usual: Metric, name: str) -> Metric:
    cost = COSTS.get(name.removeprefix(f"{COST}/"))
    own = _own_names(control)
    if cost is not None and name not in own:
        return Metric(name.removeprefix(f"{COST}/"), "", COST, cost.higher_is_better, cost.unit)
    if isinstance(control, Outside):
        # Any curve of a program or function can be meant: whether it logs it is known once it has run.
        return usual if name == usual.key else Metric(name, "", "", not _is_loss(name), "")
    if name.startswith("train/"):
        # What is logged of a training's steps are its loss terms.
        return Metric(name.removeprefix("train/"), "train", "", False, "")
    split, protocol, rest = _parts(control, usual, name)
    first, _, of_class = rest.partition("/")
    if (split, protocol, rest) == (usual.split, usual.protocol, usual.name):
        return usual
    if rest in own or (not own and "/" not in rest):
        return Metric(rest, split, protocol, not _is_loss(rest), own.get(rest, ""))
    if of_class and first == getattr(control, "CLASS_SCORE", None):
        return Metric(rest, split, protocol, True, "%")
    places = [f"{one}/{way}/" for one in _splits(control, usual) for way in _protocols(control, usual)]
    known = [*own, *(place + score for place in places for score in own), *COSTS]
    close = nearest(name.replace(" ", "_"), known)
    of_class = getattr(control, "CLASS_SCORE", "")
    of_class_told = f", a class such as {of_class}/NAME" if of_class else ""
    raise SettingsError(
        f"The metric must be one that a run of {control.name} records: {choices(known, name)}{of_class_told}, "
        "or a loss term such as train/NAME",
        found=name,
        do=f"--metric {close}" if close else "name one of these with --metric",
    )


def _own_names(control: Recipe | Outside) -> dict[str, str]:
    """Return the scores that runs of a control have by name, each with its unit; empty: it does not tell."""
    if isinstance(control, Outside):
        return {source.label: "" for source in control.sources_of_scores} if isinstance(control, Command) else {}
    scores: tuple[str, ...] = getattr(control, "SCORES", ())
    further: tuple[str, ...] = getattr(control, "metrics", ())
    own = {name: "" if _is_loss(name) else "%" for name in scores}
    return own | {_label(name): "" for name in further}


def _parts(control: Any, usual: Metric, name: str) -> tuple[str, str, str]:
    """Return split, protocol and the rest of a name; the first two are the usual ones where it leaves them out."""
    split, _, rest = name.partition("/")
    if rest and split in _splits(control, usual):
        protocol, _, score = rest.partition("/")
        if score and protocol in _protocols(control, usual):
            return split, protocol, score
        return split, usual.protocol, rest
    return usual.split, usual.protocol, name


def _splits(control: Any, usual: Metric) -> tuple[str, ...]:
    return tuple(dict.fromkeys((usual.split, "val")))


def _protocols(control: Any, usual: Metric) -> tuple[str, ...]:
    return tuple(dict.fromkeys((usual.protocol, *map(_label, getattr(control, "protocols", ())))))


def _label(name: str) -> str:
    reference = parse_reference(name)
    return name if reference is None else reference.name


def _is_loss(name: str) -> bool:
    last = name.rpartition("/")[2].lower()
    return any(last == word or last.endswith(f"_{word}") for word in _LOSSES)


def parse_margin(given: float | str | None) -> tuple[float | None, float | None]:
    """Return a margin in the metric's unit, or one in percent of the control's mean; one of the two is None.

    Args:
        given: a number, a text that holds one, or `10%`.

    Raises:
        SettingsError: it is neither, or not above 0.
    """
    if given is None:
        return None, None
    text = str(given).strip()
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise SettingsError(
            "A margin must be a number above 0 in the metric's unit, or a percentage of the control's mean such as 10%",
            found=f"margin {given}",
            do="--margin 0.5, or --margin 10%",
        )
    return (None, value) if text.endswith("%") else (value, None)


def margin_text(given: float | str) -> str:
    """Write a margin as it is typed, in one way.

    Raises:
        SettingsError: it is none.
    """
    absolute, percent = parse_margin(given)
    return f"{absolute:g}" if absolute is not None else f"{percent:g}%"


def refuse_unknown_class(control: Recipe | Outside, metric: Metric, cache: Path) -> None:
    """Refuse one class's score of a class that the control's data do not have, before anything is trained.

    Raises:
        SettingsError: names the classes there are.
    """
    kind, _, name = metric.name.partition("/")
    if not name or isinstance(control, Outside) or kind != getattr(control, "CLASS_SCORE", None):
        return
    classes = control.class_names(cache)
    if name not in classes:
        raise SettingsError(
            f"The class of a metric must be one of the data's: {choices(classes, name)}",
            found=metric.key,
            do=suggestion(name, classes),
        )


def refuse_mixed_units(
    ledger: Ledger, metric: Mapping[str, Any], arms: Sequence[ArmRow], cells: Sequence[Cell]
) -> None:
    """End a study of commands or functions of which some return shares of 1 and others percentages.

    Args:
        ledger: where their scores are.
        metric: what its specification says of the metric.
        arms: of the study, in order.
        cells: of the study; those that are completed count.

    Raises:
        RunError: names the arms of either kind.
    """
    if not metric["higher_is_better"]:
        return
    values = judged_values(ledger, metric["key"], [one.run for one in cells if one.run.state == "completed"])
    scores = {arm.name: [values[one.run.id] for one in cells if one.arm == arm.name and one.run.id in values]
              for arm in arms}  # fmt: skip
    mixed = mixed_units({arm: [one for one in runs if math.isfinite(one)] for arm, runs in scores.items()})
    if mixed is not None and mixed.certain:
        raise RunError(
            "The scores of a study must be of one unit",
            found=f"shares of 1 in {listing(mixed.shares)} ({min(map(min, filter(None, scores.values()))):g}), "
            f"percentages in {listing(mixed.percents)} ({max(map(max, filter(None, scores.values()))):g})",
            do="let every arm return the same unit; runs that are recorded keep their scores, and are not judged",
        )


def absolute_margin(given: float | str | None) -> float | None:
    """Return a margin in the metric's unit, for scores that are judged without their runs.

    Raises:
        SettingsError: it is none, or a share of the control's mean.
    """
    absolute, percent = parse_margin(given)
    if percent is not None:
        raise SettingsError(
            "A rule for scores to come has its margin in the score's own unit",
            found=f"margin {percent:g}%",
            do="give the margin as a number, such as --margin 0.5",
        )
    return absolute
