from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ablata.notebooks.reader import read_text
from ablata.notebooks.reader.ledger import keep
from ablata.notebooks.reader.page import notes_page
from ablata.records import Ledger

NOTES = """mixup <b>alpha</b>=0.2: 71.25 - 提高不少
<script>alert(1)</script>
cutmix:
说明 "mixup" & 其他都差不多
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An open, empty ledger."""
    with Ledger(home=tmp_path) as opened:
        yield opened


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def test_nothing_from_the_notes_becomes_markup() -> None:
    page = notes_page([read_text(NOTES, "<i>x</i>.txt")])
    parser = Tags()
    parser.feed(page)
    assert not {"script", "i", "link", "img"} & set(parser.tags)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "http" not in page


def test_every_line_stands_on_the_page_with_what_was_read() -> None:
    page = notes_page([read_text(NOTES)])
    for line in range(1, 5):
        assert f'<td class="number">{line}</td>' in page
    for words in ("71.25", "better", "data.augment.mix=mixup", "not understood", "plan"):
        assert words in page


def test_a_long_log_is_a_page_of_few_rows() -> None:
    log = "".join(f"Iter [{i}/9000] loss: 0.5, acc: 0.25\n" for i in range(1, 9000))
    assert notes_page([read_text(log)]).count("<tr") < 10


def test_the_ledger_keeps_trials_plans_remarks_and_the_whole_text(ledger: Ledger) -> None:
    keep(ledger, read_text(NOTES, "a.txt"))
    entries = ledger.notes.find()
    assert [(entry.line, entry.kind) for entry in entries] == [(1, "trial"), (2, "remark"), (3, "plan"), (4, "remark")]
    assert entries[0].scores == {"score": 71.25}
    assert entries[0].claim == {"verdict": "better"}
    assert ledger.notes.text("a.txt") == NOTES.rstrip("\n")
    keep(ledger, read_text("ema: 70.5", "a.txt"))
    assert [entry.label for entry in ledger.notes.find()] == ["ema"]
