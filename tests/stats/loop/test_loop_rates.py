"""The figures of the rule at small counts: what is kept that helps nothing, what is gained, and for how many runs."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.stats.loop import LoopMode, LoopRule
from ablata.stats.loop.simulation import LoopsPlayed, ProposalMix, play_loops

GREEDY_GAIN = 6.5
"""True gain of one run each, kept if better, over a hundred proposals of the usual mix."""
USUAL = ProposalMix(help=0.2, harm=0.3, size=1.0)


def play(mode: LoopMode, mix: ProposalMix = USUAL, loops: int = 300, **options: float) -> LoopsPlayed:
    rng = np.random.default_rng(11)
    rule = LoopRule(margin=None, higher_is_better=True, mode=mode)
    return play_loops(rule, mix.draw(rng, 100, loops), rng, **options)  # type: ignore[arg-type]


def test_progress_gains_half_as_much_again_as_greed_and_a_tenth_of_what_it_keeps_is_useless() -> None:
    found = play(LoopMode.PROGRESS)
    assert found.useless_share <= 0.10
    assert found.gain.mean() >= 1.5 * GREEDY_GAIN
    assert found.runs.mean() < 265
    assert found.gain_per_100_runs > 1.1 * 3.36, "a plain sequential test"


@pytest.mark.parametrize(
    "mix",
    [
        USUAL,
        ProposalMix(help=0.1, harm=0.2, size=0.7),
        ProposalMix(help=0.2, harm=0.3, size=2.0),
        ProposalMix(help=0.0, harm=0.0, size=1.0),
    ],
)
def test_claims_are_false_in_less_than_a_tenth_whatever_is_proposed(mix: ProposalMix) -> None:
    found = play(LoopMode.CLAIM, mix, loops=150)
    assert found.useless_share <= 0.10
    if mix is USUAL:
        assert found.gain.mean() > 0.5 * GREEDY_GAIN


def test_seeds_that_proposal_and_baseline_share_do_no_harm() -> None:
    assert play(LoopMode.PROGRESS, loops=150, shared=0.5).useless_share <= 0.10
