"""The notebooks' conclusions and our verdicts as Markdown, a table a notebook."""

from __future__ import annotations

from collections.abc import Sequence

from ablata.reports.replications.claims import ClaimView, NotebookView, OwnStudy
from ablata.reports.replications.page import claims_section, summary


def replications_markdown(views: Sequence[NotebookView]) -> str:
    """Return one Markdown document with a section a notebook."""
    return "\n".join(line for view in views for line in _notebook(view))


def _notebook(view: NotebookView) -> list[str]:
    section = claims_section(view)
    lines = [f"# {_text(view.title)}: what was concluded, and what we found", ""]
    lines += ["".join(piece.text for piece in summary([view])), "", _text(section.caption), ""]
    lines += [
        "**Small scale is not full scale.** A verdict says what a change does in the short training named below, not "
        "what it does in the notebook's own.",
        "",
        "| line | change | said | recorded | could one run a side show it? | our verdict | our effect | by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows = [row for group in section.groups for row in group.rows]
    lines += [_row(claim, [cell.text for cell in row.cells]) for claim, row in zip(view.claims, rows, strict=True)]
    lines += ["", *(f"- {_text(sentence)}" for sentence in section.sentences)]
    if view.own:
        lines += ["", "## What we ran", "", "| study | what | runs | noise of one run | margin | conclusions | made |"]
        lines += ["|---|---|---:|---:|---:|---:|---|", *map(_study, view.own), ""]
        lines += [f"    {study.command}" for study in view.own]
    return [*lines, ""]


def _row(claim: ClaimView, cells: Sequence[str]) -> str:
    found = claim.finding
    effect = by = ""
    verdict = cells[3]
    if found is not None:
        if found.effect is not None and found.low is not None and found.high is not None:
            effect = f"{found.effect:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
        verdict = found.verdict if claim.agreement == "undecided" else f"{found.verdict} ({claim.agreement})"
        turned = ", taken back" if found.reverse else ""
        by = f"{found.study}: {found.change}{turned}"
    lines = ", ".join(map(str, claim.lines))
    texts = (lines, f"{claim.question}: {claim.change}", claim.claim, cells[1], cells[2], verdict, effect, by)
    return f"| {' | '.join(map(_text, texts))} |"


def _study(study: OwnStudy) -> str:
    noise = "–" if study.noise is None else "{:.2f} [{:.2f}, {:.2f}]".format(study.noise.sd, *study.noise.interval())
    margin = "–" if study.margin is None else f"{study.margin:g}"
    texts = (study.name, study.setup, str(study.runs), noise, margin, str(study.claims), study.made)
    return f"| {' | '.join(map(_text, texts))} |"


def _text(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
