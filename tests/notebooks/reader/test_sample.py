"""The hand-checked sample: 150 lines of five notebooks, drawn by a seeded choice, read before the reader was written.

sample.tsv holds notebook, line, kind, label, scores, claim of each. A long label stands as its first and last signs.
The label, scores and claim of a line are those of the trial it belongs to. Scores are `name=value`, parts by `/`,
series by `,`; figures by class are `name[count]=first`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from ablata.notebooks.reader import NotedScore, NotesReading, read_file

NOTEBOOKS = ("bisenet", "contrastive_seg", "imagenet", "label_refinery", "relation_rcnn")
SAMPLE = Path(__file__).with_name("sample.tsv")
pytestmark = pytest.mark.realdata


@cache
def reading_of(path: Path) -> NotesReading:
    return read_file(path)


def written(scores: list[NotedScore]) -> str:
    """Write scores as the sample has them, figures in Python's shortest form."""
    words = []
    for score in scores:
        if score.form == "classes":
            words.append(f"{score.name}[{len(score.values)}]={score.values[0]!r}")
        else:
            figures = ("," if score.form == "series" else "/").join(map(repr, score.values))
            words.append(f"{score.name}={figures}" if score.name else figures)
    return " ".join(words)


def as_floats(text: str) -> str:
    return re.sub(r"(?<![\w.@])\d+(?:\.\d+)?(?![\w\].]*[=\]])", lambda found: repr(float(found[0])), text)


def same_label(expected: str, found: str) -> bool:
    start, cut, end = expected.partition("…")
    return found.startswith(start) and found.endswith(end) if cut else found == expected


def test_at_least_95_of_100_sampled_lines_are_right_in_label_scores_and_claim(folder: Path) -> None:
    rows = [line.split("\t") for line in SAMPLE.read_text(encoding="utf-8").splitlines()[1:]]
    wrong = []
    for notebook, number, kind, label, scores, claim in rows:
        reading = reading_of(folder / f"{notebook}.txt")
        line = reading.lines[int(number) - 1]
        trial = reading.trials[line.trial] if line.trial is not None else None
        found = (line.kind, line.label, written(trial.scores) if trial else "", (trial or line).claim or "")
        if not same_label(label, found[1]) or (as_floats(scores), claim) != found[2:]:
            wrong.append((notebook, number, (kind, label, scores, claim), found))
    assert len(rows) == 150
    assert len(wrong) <= 0.05 * len(rows), wrong


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_line_of_a_notebook_has_a_kind_and_at_most_one_in_twenty_is_not_understood(
    folder: Path, notebook: str
) -> None:
    path = folder / f"{notebook}.txt"
    reading = reading_of(path)
    texts = path.read_text(encoding="utf-8").split("\n")
    assert [line.text for line in reading.lines] == (texts[:-1] if not texts[-1] else texts)
    filled = [line for line in reading.lines if line.text.strip()]
    assert sum(reading.counts.values()) == len(reading.lines)
    assert all((line.kind == "blank") == (not line.text.strip()) for line in reading.lines)
    assert reading.counts["unknown"] <= 0.05 * len(filled)
