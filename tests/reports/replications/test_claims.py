"""What one run a side says for a conclusion, and the images of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from ablata.reports.replications.claims import ClaimView, Finding, NotebookView
from ablata.reports.replications.drawing import strip, strip_reach, swarm
from ablata.reports.replications.page import claims_section

MakeClaim = Callable[..., ClaimView]
MakeNotebook = Callable[..., NotebookView]
UNKNOWN = {"visible": None, "noise": None}


def test_a_conclusion_stands_by_claim_difference_and_noise(
    make_claim: MakeClaim, make_notebook: MakeNotebook, subtests: pytest.Subtests
) -> None:
    for claim, difference, parts, standing, answer in [
        ("better", 2.0, {}, "shown", "Yes"),
        ("worse", -2.0, {}, "shown", "Yes"),
        ("better", 0.3, {}, "hidden", "No"),
        ("better", -0.3, {}, "hidden", "point the other way"),
        ("worse", 2.0, {}, "contrary", "The opposite"),
        ("same", 0.1, {}, "same", "up to 0.69 looks like this"),
        ("same", 2.0, {}, "same", "No, they differ"),
        ("failed", None, {}, "failed", "Yes"),
        ("failed", -60.0, {}, "failed", "Yes"),
        ("better", None, {}, "bare", "no difference is recorded"),
        ("better", 0.3, UNKNOWN, "unknown", "only if the noise of one run is below 0.11"),
        ("better", 0.0, {}, "hidden", "equal figures"),
    ]:
        with subtests.test(claim=claim, difference=difference, parts=parts, standing=standing, answer=answer):
            made = make_claim("a", claim, difference, **parts)
            assert made.standing == standing
            seen = claims_section(make_notebook(made)).groups[0].rows[0].cells[2]
            assert answer in f"{seen.text}; {seen.note}"


@pytest.mark.parametrize(
    ("claim", "verdict", "agreement"),
    [
        ("better", "better", "confirmed"),
        ("same", "equivalent", "confirmed"),
        ("failed", "unstable", "confirmed"),
        ("better", "equivalent", "contradicted"),
        ("same", "better", "contradicted"),
        ("worse", "undecided", "undecided"),
    ],
)
def test_our_verdict_confirms_or_contradicts(make_claim: MakeClaim, claim: str, verdict: str, agreement: str) -> None:
    found = Finding(verdict=verdict, effect=0.1, low=-0.2, high=0.4, seeds=3)
    assert make_claim("a", claim, 0.3, finding=found).agreement == agreement
    assert make_claim("a", claim, 0.3).agreement is None


def test_counts_of_a_notebook_add_up(make_claim: MakeClaim, make_notebook: MakeNotebook) -> None:
    claims = [make_claim("a", "better", 2.0), make_claim("b", "better", 0.2), make_claim("c", "same", None)]
    view = make_notebook(*claims)
    assert [view.count(one) for one in ("shown", "hidden", "bare")] == [1, 1, 1]
    assert len(view.noises) == 1


def test_a_strip_shows_the_difference_inside_or_outside_its_band(make_claim: MakeClaim) -> None:
    claims = [make_claim("a", "better", 0.3), make_claim("b", "same", 0.8), make_claim("c", "worse", -25.0)]
    reach = strip_reach(claims)
    assert reach >= 1.79 * 0.59
    within, outside, far = (ElementTree.fromstring(strip(claim, reach)) for claim in claims)
    assert [len(one.findall("rect[@class='margin']")) for one in (within, outside, far)] == [1, 1, 1]
    assert far.find("path[@class='interval worse']") is not None
    assert within.find("path[@class='interval better']") is None


def test_a_swarm_has_a_sign_for_each_weighed_conclusion_and_none_overlap(
    make_claim: MakeClaim, make_notebook: MakeNotebook
) -> None:
    claims = [make_claim(f"{place}", "better", 0.1 * place) for place in range(30)]
    view = make_notebook(*claims, make_claim("x", "failed", None), make_claim("y", "worse", -0.1, **UNKNOWN))
    for width in (1024, 340):
        drawn = swarm([view, make_notebook(make_claim("z", "better", None), name="empty")], width=width, ident="s")
        places = re.findall(r'd="M([\d.]+) ([\d.]+)l[^"]*Z"', drawn)
        assert len(places) == len(set(places)) == 30
        assert "book: 6 of 30 within the noise" in drawn
        assert "empty" not in drawn
