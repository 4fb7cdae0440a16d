"""What was known when a study was fixed: runs that had ended, arms judged before, and so which arms are exploratory."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any

from ablata.base.errors import listing
from ablata.base.settings import settings_hash
from ablata.records.ledger import Ledger
from ablata.records.questions.account import BEFORE, EXPLORATORY, SEEN, account_of
from ablata.stats.wording import seeds
from ablata.studies.identity import new_run, record_environment
from ablata.studies.study import CONTROL, Study

UNDECIDED = "undecided"


def known_before(ledger: Ledger, study: Study) -> dict[str, Any]:
    """Return what a specification says of what was known before; nothing where nothing was.

    `seen` counts the runs of each arm that had ended. An arm is `exploratory`, with the reason, where it and the
    control had ended at a seed of the study: whoever asked could have looked first. `judged_before` lists what earlier
    studies said of the same questions.
    """
    ended = _ended(ledger, study)
    counts = {name: len(seeds) for name, seeds in ended.items() if seeds}
    earlier = account_of(ledger, study.new_arms(), study.judged.key, without=study.name)
    exploratory = _exploratory(study, ended)
    return {
        **({SEEN: counts} if counts else {}),
        **({EXPLORATORY: exploratory} if exploratory else {}),
        **({BEFORE: [one.to_json() for one in earlier]} if earlier else {}),
    }


def known_sentences(ledger: Ledger, study: Study) -> tuple[str, ...]:
    """Return what a plan says of what is known before: earlier judgements, arms that would be exploratory."""
    earlier = account_of(ledger, study.new_arms(), study.judged.key, without=study.name)
    told = [f"{one.arm} was judged in {one.study}: {one.verdict} after {seeds(one.seeds)}" for one in earlier]
    exploratory = _exploratory(study, _ended(ledger, study))
    if study.name in {row.name for row in ledger.studies.all()} or not exploratory:
        return tuple(told)
    for reason in dict.fromkeys(exploratory.values()):
        arms = listing(arm for arm, why in exploratory.items() if why == reason)
        told.append(f"{arms} would be exploratory, no claim: {reason}")
    open_ends = [one for one in earlier if one.verdict == UNDECIDED and one.arm in exploratory]
    more = next((one.study for one in open_ends if one.extendable and one.seeds < study.seeds), None)
    if more is not None:
        told.append(f"a claim within the same 5%: ablata study extend {more} --seeds {study.seeds}")
    else:
        told.append(f"a claim needs seeds that are new to the lab: --first-seed {_fresh(ledger, study)}")
    return tuple(told)


def _fresh(ledger: Ledger, study: Study) -> int:
    """Return the first seed from which on no arm has a run."""
    hashes = {settings_hash(recipe) for recipe in study.recipes.values()}
    return 1 + max((run.seed for key in hashes for run in ledger.runs.find(recipe=key)), default=study.first_seed - 1)


def _ended(ledger: Ledger, study: Study) -> dict[str, set[int]]:
    """Return the seeds at which each arm has a run that ended."""
    environment = record_environment(ledger)
    done = {run.identity for run in ledger.runs.find(state=("completed", "diverged"))}
    planned = [study.seed_row(row) for row in range(study.seeds)]
    found = {}
    for name, recipe in study.recipes.items():
        new = new_run(ledger, recipe, study.first_seed, environment)
        found[name] = {seed for seed in planned if replace(new, seed=seed).identity in done}
    return found


def _exploratory(study: Study, ended: Mapping[str, Set[int]]) -> dict[str, str]:
    """Return the arms that could have been judged before they were asked about, each with the reason."""
    if study.design is not None:
        whole = set.intersection(*map(set, ended.values()))
        told = f"all cells had run at {len(whole)} of {study.seeds} seeds before this was asked"
        return dict.fromkeys(study.factors, told) if whole else {}
    both = {name: len(ended[CONTROL] & ended[name]) for name in study.arms}
    return {
        name: f"{count} of {study.seeds} seeds of it and the control had run before this was asked"
        for name, count in both.items()
        if count
    }
