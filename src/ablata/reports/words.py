"""Numbers and sentences of a report: how a figure is rounded, what a verdict is called, what the study answers."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass

from ablata.reports.view import DECIDED, VERDICTS, ArmView, Estimate, StudyView

SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": "?", "unstable": "!"}
"""A sign for each verdict, so that colour never carries it alone."""

NOTHING = "–"


@dataclass(frozen=True)
class Figures:
    """Writes numbers of one study alike: the same decimals everywhere, one digit finer than the margin.

    Args:
        decimals: digits after the point.
        unit: the metric's unit.
        minus: the minus sign; the typographic one by default.
    """

    decimals: int
    unit: str = ""
    minus: str = "−"

    @classmethod
    def of(cls, view: StudyView, minus: str = "−") -> Figures:
        """Choose the decimals from the study's margin."""
        margin = abs(view.margin)
        fine = 1 - math.floor(math.log10(margin)) if margin > 0 and math.isfinite(margin) else 3
        return cls(decimals=min(max(fine, 0), 8), unit=view.metric.unit, minus=minus)

    def number(self, value: float | None, *, sign: bool = False) -> str:
        """Write one number, or a dash for None; `sign` also writes the plus."""
        if value is None:
            return NOTHING
        if not math.isfinite(value):
            return str(value)
        large = abs(value) >= 1e7
        text = f"{value:.4g}" if large else f"{value:.{self.decimals}f}"
        if float(text) == 0:
            return text.lstrip("-")
        return f"+{text}" if sign and value > 0 else text.replace("-", self.minus)

    def score(self, value: float | None) -> str:
        """Write a score with its unit: `91.23%`."""
        return self.number(value) + (self._unit(self.unit) if value is not None else "")

    def amount(self, value: float) -> str:
        """Write the size of a difference with its unit: `1.90 points`."""
        return self.number(abs(value)) + self._unit(self.difference_unit)

    def span(self, estimate: Estimate | None, *, sign: bool = False) -> str:
        """Write an interval: `[−2.40, −1.41]`, or nothing if there is none."""
        if estimate is None or estimate.low is None or estimate.high is None:
            return ""
        return f"[{self.number(estimate.low, sign=sign)}, {self.number(estimate.high, sign=sign)}]"

    @property
    def difference_unit(self) -> str:
        """The unit of a difference: `points` if scores are in per cent."""
        return "points" if self.unit == "%" else self.unit

    @staticmethod
    def _unit(unit: str) -> str:
        return unit if unit in ("", "%") else f" {unit}"


def clean(text: str) -> str:
    """Replace control characters (terminal codes, line breaks, what XML forbids) by a visible mark, so text stays text."""
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in text)


def clip(text: str, letters: int) -> str:
    """Shorten `text` to at most `letters` characters, ending in an ellipsis if anything was cut."""
    return text if len(text) <= letters else text[: max(letters - 1, 1)].rstrip() + "…"


def ratio(value: float | None) -> str:
    """Write a ratio to the control: `1.12×`."""
    return NOTHING if value is None else f"{value:.2f}×" if value < 100 else f"{value:.3g}×"


def duration(seconds: float | None) -> str:
    """Write a time: `0.4 s`, `42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    for big, small, part, parts, limit in (("min", "s", 1, 60, 60), ("h", "min", 60, 60, 24), ("d", "h", 3600, 24, math.inf)):
        whole, rest = divmod(round(seconds / part), parts)
        if whole < limit:
            return f"{whole} {big} {rest} {small}" if rest else f"{whole} {big}"
    raise AssertionError("days take any length")


def quantity(value: float | None, unit: str = "", base: int = 1000) -> str:
    """Write a large number with a prefix: `1.82 G`, `512 MiB` with base 1024 and unit B."""
    if value is None or not math.isfinite(value):
        return NOTHING
    prefixes = ("", "k", "M", "G", "T", "P") if base == 1000 else ("", "Ki", "Mi", "Gi", "Ti", "Pi")
    power = 0
    while abs(value) >= base and power < len(prefixes) - 1:
        value, power = value / base, power + 1
    digits = f"{value:.0f}" if power == 0 or abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {prefixes[power]}{unit}".rstrip()


def percent(share: float | None) -> str:
    """Write a confidence: `97%`, never rounded up to certainty: `>99%`; `<1%` at the other end."""
    if share is None:
        return NOTHING
    if share >= 0.995:
        return ">99%"
    return "<1%" if share < 0.005 else f"{100 * share:.0f}%"


def verdict_words(arm: ArmView, mode: str) -> str:
    """Name an arm's verdict: `better`, in screen mode `leaning better`; `control`, or `no look yet` before the first."""
    if arm.is_control:
        return "control"
    if arm.verdict is None:
        return "no look yet"
    return f"leaning {arm.verdict}" if mode == "screen" and arm.verdict in ("better", "worse", "equivalent") else arm.verdict


@dataclass(frozen=True)
class Piece:
    """A stretch of a sentence; `strong` marks the names that a reader looks for."""

    text: str
    strong: bool = False


def answer(view: StudyView, figures: Figures | None = None, most: int = 4) -> tuple[Piece, ...]:
    """Answer the study's question in one sentence.

    Args:
        view: the study.
        figures: how numbers are written.
        most: how many decided arms are spelled out; the rest are counted.

    Returns: the sentence in pieces; arm names are strong.
    """
    figures = figures or Figures.of(view)
    arms = view.treatments
    if not arms:
        return (Piece("There is nothing to compare: the study has no arm beside the control."),)
    looked = [arm for arm in arms if arm.verdict is not None]
    if not looked:
        return (Piece(f"Nothing is decided yet: the first verdict comes at {view.rule.first_look} seeds of every arm."),)
    decided = sorted((arm for arm in looked if arm.verdict in DECIDED), key=lambda arm: VERDICTS.index(str(arm.verdict)))
    changes = f"{len(arms)} change" + ("s" if len(arms) != 1 else "")
    verb = "is" if len(decided) == 1 else "are"
    count = f"{len(decided)} of {changes}" if len(decided) < len(arms) else "The change" if len(arms) == 1 else f"All {changes}"
    pieces = [Piece(f"{count} {verb} {'settled' if view.rule.mode == 'screen' else 'decided'}")]
    for position, arm in enumerate(decided[:most]):
        pieces += [Piece(": " if position == 0 else "; "), Piece(arm.name, strong=True), Piece(_finding(arm, view, figures))]
    if len(decided) > most:
        pieces.append(Piece(f"; and {len(decided) - most} more below"))
    pieces += _undecided([arm for arm in arms if arm not in decided], view)
    return (*pieces, Piece("."))


def _undecided(arms: list[ArmView], view: StudyView) -> list[Piece]:
    """The end of the answer: which arms are open, and whether more seeds may still come."""
    if not arms:
        return []
    if len(arms) > 3:
        pieces = [Piece(f". {len(arms)} arms")]
    else:
        pieces = [Piece(". ")]
        for position, arm in enumerate(arms):
            joint = "" if position == 0 else " and " if position == len(arms) - 1 else ", "
            pieces += [Piece(joint), Piece(arm.name, strong=True)]
    verb = "is" if len(arms) == 1 else "are"
    end = "undecided" if view.finished else "not decided yet"
    return [*pieces, Piece(f" {verb} {end}")]


def _finding(arm: ArmView, view: StudyView, figures: Figures) -> str:
    """What was found about one decided arm, to follow its name."""
    if arm.verdict == "unstable":
        return f" is unstable ({arm.diverged} of {arm.diverged + arm.done} runs diverged)"
    leans = "leans" if view.rule.mode == "screen" else "is"
    if arm.verdict == "equivalent":
        return f" {leans} equivalent within ±{figures.amount(view.margin)}"
    size = f" by {figures.amount(arm.effect.value)}" if arm.effect else ""
    span = figures.span(arm.effect, sign=True)
    return f" {leans} {arm.verdict}{size}" + (f" {span}" if span else "")


def glossary(view: StudyView) -> tuple[tuple[str, str], ...]:
    """Explain each verdict with this study's margin, alpha and number of seeds."""
    figures = Figures.of(view)
    up = "higher" if view.metric.higher_is_better else "lower"
    down = "lower" if view.metric.higher_is_better else "higher"
    margin = figures.amount(view.margin)
    share = f"{100 * view.rule.alpha:g}%"
    return (
        ("better", f"{view.metric.name} is {up} than the control's. At most {share} of studies make any false claim by chance."),
        ("worse", f"{view.metric.name} is {down} than the control's, at the same risk."),
        ("equivalent", f"the difference was shown to lie within ±{margin}; not merely that no difference was found."),
        ("undecided", f"neither was shown, or cannot be shown, with {view.rule.seeds} seeds. It does not mean equal."),
        ("unstable", "at least two runs diverged at seeds where the control trained well."),
    )


def rule_words(view: StudyView) -> str:
    """State the decision rule in one sentence."""
    rule, figures = view.rule, Figures.of(view)
    futility = "an arm that can no longer be settled stops early" if rule.futility else "no arm stops for futility"
    leaning = "; verdicts are leanings, to be confirmed" if rule.mode == "screen" else ""
    return (
        f"{rule.mode} at {100 * rule.alpha:g}% over all arms and looks{leaning}; margin ±{figures.amount(view.margin)}; "
        f"up to {rule.seeds} seeds an arm, paired with the control seed by seed; a look after each seed from {rule.first_look} on; "
        f"{futility}"
    )


def plan_words(view: StudyView) -> str:
    """State what the study can find, and say plainly if its margin cannot be confirmed; empty if not known."""
    plan, figures = view.plan, Figures.of(view)
    parts = []
    if plan.detectable is not None:
        parts.append(f"detects a difference of {figures.amount(plan.detectable)} with 80% power")
    if plan.smallest_margin is not None:
        parts.append(f"can confirm a margin of {figures.amount(plan.smallest_margin)} or more")
    if not parts:
        return ""
    text = f"With {view.rule.seeds} seeds the study " + " and ".join(parts) + "."
    if plan.smallest_margin is not None and plan.smallest_margin > view.margin:
        text += f" Its margin of {figures.amount(view.margin)} is smaller: equivalence is unlikely to be shown."
    return text
