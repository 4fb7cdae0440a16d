"""The report as a Markdown document, for a pull request or a README. Everything from users is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from ablata.reports.aa import aa_words
from ablata.reports.factorial.record import factorial_words
from ablata.reports.figures import Figures, clean
from ablata.reports.guards import guard_words
from ablata.reports.pick import EXPECTED
from ablata.reports.rounds import HEADS, round_rows
from ablata.reports.standing.words import test_words, warned_words
from ablata.reports.view import ArmView, StudyView
from ablata.reports.words import (
    SIGNS,
    answer,
    change_words,
    cost_words,
    glossary,
    plan_words,
    reading_words,
    rule_words,
    verdict_words,
)

SPECIAL = re.compile(r"([\\`*_{}\[\]#|~@!])")


def escape(words: str) -> str:
    """Return `words` so that Markdown and HTML show them as they are, in one line."""
    return SPECIAL.sub(r"\\\1", html.escape(clean(words), quote=False))


def study_markdown(view: StudyView) -> str:
    """Return the report of a study as a Markdown document that ends in a line break."""
    said = "".join(f"**{escape(piece.text)}**" if piece.strong else escape(piece.text) for piece in answer(view))
    blocks = [f"# {escape(view.question or view.name)}", said, escape(plan_words(view)), verdict_table(view)]
    notes = [
        f"- **{escape(arm.name)}**: " + escape("; ".join(filter(None, (arm.reason, *arm.notes))))
        for arm in view.treatments
        if arm.reason or arm.notes
    ]
    if notes:
        blocks.append("\n".join(notes))
    blocks += map(escape, (*warned_words(view), *reading_words(view), *guard_words(view), *aa_words(view), *view.fork))
    blocks += map(escape, factorial_words(view.factorial) if view.factorial else ())
    cut = [arm for arm in view.treatments if arm.summary != arm.change]
    if cut:
        blocks.append("All that these arms change:")
        blocks.append("\n".join(f"- **{escape(arm.name)}**: {escape(arm.change)}" for arm in cut))
    if view.rounds:
        blocks.append("Each round beside the one before it:")
        blocks.append(_table(HEADS, round_rows(view), right=(2, 3, 4)))
    if len(view.environments) > 1:
        blocks.append(f"**Warning:** the runs were made on {len(view.environments)} kinds of machines or versions.")
    blocks += [f"**Warning:** {escape(note)}" for note in (*view.impossible, *view.caveats, *view.code_notes)]
    metric = view.metric
    scored = "".join(
        (f", {metric.protocol}" if metric.protocol else "", f", on {metric.split}" if metric.split else "")
    )
    better = "higher" if metric.higher_is_better else "lower"
    blocks.append(escape(f"{metric.name}{scored}; {better} is better. Rule: {rule_words(view)}."))
    blocks += map(escape, test_words(view))
    terms = ((f"{SIGNS[word]} " if word in SIGNS else "", word, meaning) for word, meaning in glossary(view))
    blocks.append("\n".join(f"- {sign}**{word}**: {escape(meaning)}" for sign, word, meaning in terms))
    if view.commands:
        fence = "`" * (1 + max([2, *(len(run) for command in view.commands for run in re.findall("`+", command))]))
        blocks.append("\n".join((f"{fence}sh", *map(clean, view.commands), fence)))
    hashes = [*view.fingerprints, *((f"recipe of {arm.name}", arm.recipe_hash) for arm in view.arms if arm.recipe_hash)]
    if hashes:
        blocks.append("\n".join(f"- {escape(name)}: `{clean(value).replace('`', '')}`" for name, value in hashes))
    return "\n\n".join(filter(None, blocks)) + "\n"


def verdict_table(view: StudyView) -> str:
    """Return the table of arms: change, effect, interval, verdict, mean, seeds, time and memory."""
    figures = Figures.of(view)
    unit = f" ({figures.difference_unit})" if figures.difference_unit else ""
    corrected = any(arm.corrected is not None for arm in view.arms)
    heads = (
        "arm",
        "change",
        f"{EXPECTED if view.pick else 'effect'}{unit}",
        *(("corrected",) if corrected else ()),
        "interval",
        "verdict",
        view.metric.name,
        "seeds",
        "time",
        "memory",
    )
    rows = []
    for arm in view.arms:
        sign = f"{SIGNS[arm.verdict]} " if arm.verdict else ""
        rows.append(
            (
                arm.name,
                change_words(view, arm) or "–",
                figures.number(arm.effect.value, sign=True) if arm.effect else "–",
                *((_corrected(arm, figures),) if corrected else ()),
                figures.span(arm.effect, sign=True) or "–",
                sign + verdict_words(arm, view.rule.mode),
                figures.score(arm.mean.value) if arm.mean else "–",
                f"{arm.done}/{arm.planned}" + (f", {arm.lost}" if arm.lost else ""),
                cost_words("seconds", arm, view.control),
                cost_words("memory", arm, view.control),
            )
        )
    return _table(heads, rows, right=(2, 3, 6, 7, 8, 9) if corrected else (2, 5, 6, 7, 8))


def _corrected(arm: ArmView, figures: Figures) -> str:
    return "–" if arm.corrected is None else figures.number(arm.corrected, sign=True)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> str:
    """Return a table; the columns at the places `right` are numbers."""
    rule = ("---:" if place in right else "---" for place in range(len(heads)))
    lines = (map(escape, heads), rule, *(map(escape, row) for row in rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
