"""The page of the notebooks."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

from ablata.reports.replications.claims import ClaimView, Finding, NoiseView, NotebookView, OwnStudy
from ablata.reports.replications.markdown import replications_markdown
from ablata.reports.replications.page import replications_page, summary
from ablata.stats import Noise

MakeClaim = Callable[..., ClaimView]
MakeNotebook = Callable[..., NotebookView]
FOUND = Finding(verdict="worse", effect=-0.8, low=-1.2, high=-0.4, seeds=3)


class Rows(HTMLParser):
    """Collects the marks of the rows, the choices of the filter, and every id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.marks: list[list[str]] = []
        self.choices: list[str] = []
        self.idents: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "tr" and "data-marks" in given:
            self.marks.append(given["data-marks"].split())
        if given.get("type") == "radio":
            self.choices.append(given["value"])
        if "id" in given:
            self.idents.append(given["id"])


def told(*views: NotebookView) -> str:
    return "".join(piece.text for piece in summary(views))


def test_the_top_says_how_many_conclusions_chance_explains_and_what_repeating_gave(
    make_claim: MakeClaim, make_notebook: MakeNotebook
) -> None:
    words = told(
        make_notebook(
            make_claim("a", "better", 0.3),
            make_claim("b", "worse", -2.0, finding=FOUND),
            make_claim("c", "same", 0.1, finding=FOUND),
            make_claim("d", "failed", None),
            make_claim("e", "better", 0.2, visible=None, noise=None),
        )
    )
    assert "5 trials, and 5 conclusions" in words
    assert "Of 2 that call a change better or worse, and whose noise is known, 1 rest on" in words
    assert "7 seeds a side or more" in words
    assert "repeated 2 at a small scale with several seeds: 1 confirmed, 1 contradicted, 0 undecided." in words


def test_without_known_noise_or_runs_the_top_says_so(make_claim: MakeClaim, make_notebook: MakeNotebook) -> None:
    words = told(make_notebook(make_claim("a", "better", 0.3, visible=None, noise=None)))
    assert "not known yet" in words
    assert "None has been repeated here yet." in words


def test_every_row_can_be_filtered_and_every_choice_has_rows(
    make_claim: MakeClaim, make_notebook: MakeNotebook
) -> None:
    claims = (
        make_claim("a", "better", 0.3, finding=FOUND),
        make_claim("b", "worse", 2.0),
        make_claim("c", "same", 0.1),
        make_claim("d", "failed", None),
        make_claim("e", "better", None),
    )
    rows = Rows(replications_page([make_notebook(*claims), make_notebook(*claims, name="other")]))
    assert len(rows.marks) == 10
    assert rows.choices[0] == ""
    assert set(rows.choices[1:]) == {mark for marks in rows.marks for mark in marks}
    assert len(set(rows.idents)) == len(rows.idents)


def test_a_row_puts_three_things_side_by_side(make_claim: MakeClaim, make_notebook: MakeNotebook) -> None:
    page = replications_page([make_notebook(make_claim("five", "worse", -0.3, finding=FOUND))])
    row = re.search(r'<tr class="claim".*?</tr>', page, re.DOTALL)
    assert row is not None
    for words in ("five epochs", "said to be worse", "−0.30", "89.7 beside 90 (none)", "chance does as much (±0.59)",
                  "−0.80 [−1.20, −0.40], 3 seeds; confirmed"):  # fmt: skip
        assert words in row[0]
    assert "lines 7, 8 · warmup: Does warm-up help?" in page
    assert "Noise of one run: 0.20 [0.15, 0.29], from 12 runs." in page


def test_conclusions_of_one_place_stand_under_it_together(make_claim: MakeClaim, make_notebook: MakeNotebook) -> None:
    claims = [make_claim(name, "same", 0.1, text="All alike.") for name in "abc"]
    page = replications_page([make_notebook(*claims, loose=(("Nothing works.", (9,)),))])
    assert page.count("<q>All alike.</q>") == 1
    assert "Said of no single trial: “Nothing works.” (line 9)." in page


def test_a_nominal_trial_stands_apart_and_counts_as_not_repeated(
    make_claim: MakeClaim, make_notebook: MakeNotebook
) -> None:
    view = make_notebook(make_claim("a", "better", 0.3, nominal=True), nominal=(("warmup.a", (7,)),))
    page = replications_page([view])
    assert (
        "Nominal, so that no run repeats them, the settings not being what the author changed: warmup.a (line 7)."
        in page
    )
    assert "1 nominal. " in page
    assert "None has been repeated here yet." in told(view)


def test_what_comes_from_a_notebook_is_escaped(make_claim: MakeClaim, make_notebook: MakeNotebook) -> None:
    page = replications_page([make_notebook(make_claim('a"><b>', "better", 0.3))])
    assert "&lt;b&gt;matters&lt;/b&gt;" in page
    assert "<b>" not in page


def test_the_page_names_the_number_of_notebooks_and_no_address_outside_it(
    make_claim: MakeClaim, make_notebook: MakeNotebook
) -> None:
    page = replications_page([make_notebook(make_claim("a", "better", 0.3), name=name) for name in "xyz"])
    assert "What three notebooks concluded" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_difference_that_both_sides_find_small_counts_for_neither(make_claim: MakeClaim) -> None:
    same = Finding(verdict="equivalent", effect=0.1, low=-0.5, high=0.7, seeds=2, margin=1.0)
    for claim, difference, agreement in (
        ("better", 0.3, "no larger"),
        ("worse", -0.9, "no larger"),
        ("better", 2.0, "contradicted"),
        ("same", 0.3, "confirmed"),
        ("better", None, "contradicted"),
    ):
        assert make_claim("a", claim, difference, finding=same).agreement == agreement


def test_what_was_repeated_stands_with_its_noise_and_its_basis(
    make_claim: MakeClaim, make_notebook: MakeNotebook
) -> None:
    own = OwnStudy(
        name="book.factors", setup="a small network", runs=64, noise=Noise(variance=0.64, df=31), unit="%", margin=1.5,
        claims=1, made="2026-01-01, a processor", command="ablata replicate run book --scale short",
    )  # fmt: skip
    found = Finding(
        verdict="worse", effect=-0.8, low=-1.2, high=-0.4, seeds=2, basis="64 runs, averaged", study="book.factors",
        change="wide", reverse=True, margin=1.5,
    )  # fmt: skip
    lost = Finding(verdict="unstable", effect=None, low=None, high=None, seeds=2)
    guide = NoiseView(noise=Noise(variance=4.0, df=9), source="16 runs", stand_in=True)
    view = make_notebook(
        make_claim("a", "worse", -0.3, finding=found),
        make_claim("b", "failed", None, finding=lost),
        make_claim("c", "better", 0.3, noise=guide, visible=None),
        own=(own,),
    )
    page = replications_page([view])
    assert "64 runs, averaged; confirmed" in page
    assert "0.64 to 1.06" in page
    assert "that of our short runs on other data is 2" in page
    text = replications_markdown([view])
    assert "| worse (confirmed) | -0.80 [-1.20, -0.40] | book.factors: wide, taken back |" in text
    assert "| unstable (confirmed) |  |" in text
    assert "0.80 [0.64, 1.06]" in text
