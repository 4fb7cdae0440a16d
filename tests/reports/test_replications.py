"""The page of the notebooks."""

from __future__ import annotations

from ablata.reports.replications import ClaimView, Finding, NotebookView, replications_page
from ablata.stats import Noise, visibility


def claim(name: str, claim: str, difference: float, finding: Finding | None = None) -> ClaimView:
    noise = Noise(variance=0.04, df=20)
    return ClaimView(
        question="warmup", text=f"{name} <b>matters</b>", lines=(7, 8), trial=name, change=f"{name} epochs",
        claim=claim, control=90.0, recorded=90.0 + difference, visible=visibility(difference, noise), finding=finding,
    )  # fmt: skip


def view(*claims: ClaimView) -> NotebookView:
    return NotebookView(
        name="book", title="A book", metric="top-1", studies=1, trials=5, planned=1, noise=Noise(variance=0.04, df=20),
        scale="Shorter.", claims=claims,
    )  # fmt: skip


def test_the_page_counts_what_cannot_be_seen_and_what_our_runs_confirm() -> None:
    found = Finding(verdict="worse", effect=-0.8, low=-1.2, high=-0.4, seeds=3)
    page = replications_page(
        [view(claim("a", "better", 0.3), claim("b", "worse", -2.0, found), claim("c", "same", 0.1))]
    )
    assert "Of 2 that call a change better or worse and whose noise is known, 1 rest on a difference" in page
    assert "Of 1 that our own runs decide, 1 come out as the notebook has them." in page
    assert "−0.80 [−1.20, −0.40], 3 seeds" in page
    assert "+0.30" in page
    assert "line 7, 8" in page


def test_what_comes_from_a_notebook_is_escaped() -> None:
    page = replications_page([view(claim("a", "better", 0.3))])
    assert "&lt;b&gt;matters&lt;/b&gt;" in page
    assert "<b>matters" not in page


def test_a_claim_without_figures_says_so() -> None:
    bare = ClaimView(
        question="q", text="t", lines=(1,), trial="x", change="y", claim="worse", control=None, recorded=None,
        visible=None, finding=None,
    )  # fmt: skip
    page = replications_page([view(bare)])
    assert all(words in page for words in ("no figure", "not run", "no difference recorded"))
