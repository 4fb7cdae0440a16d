"""The start of a loop: its baseline run once, so that a wrong score is seen at once; then it is fixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ablata.base.errors import RunError, choices
from ablata.base.quantities import duration
from ablata.records.ledger import Ledger
from ablata.records.questions.judged import judged_values, recorded_names
from ablata.records.rows import LoopRow
from ablata.records.studies import check_name
from ablata.studies.identity import cache_folder, refuse_missing_programs, refuse_unfit
from ablata.studies.loops.plan import LoopPlan
from ablata.studies.loops.proposing import new_proposal
from ablata.studies.loops.running import RunTrainer
from ablata.studies.metric import refuse_unknown_class
from ablata.studies.workers.commands import OUTPUT
from ablata.trainers.command import Command


def start_loop(ledger: Ledger, plan: LoopPlan, say: Callable[[str], None] = lambda line: None) -> LoopRow:
    """Put a loop into the ledger, after one run of what it starts from; one that is there already must be the same.

    Args:
        ledger: where it is recorded.
        plan: what it is.
        say: called with a line about the run.

    Raises:
        RunError: the run failed, or recorded no such score; nothing was started.
        RecordError: another loop has this name.
        UserError: its data is missing, or its settings do not fit.
    """
    check_name(plan.name)
    refuse_missing_programs([plan.start])
    if is_known := any(row.name == plan.name for row in ledger.loops.all()):
        plan = _as_started(ledger, plan)
    start = new_proposal(ledger, plan.start, "the start", [], 0, plan.first_seed)
    refuse_unfit(ledger, plan.start, plan.first_seed)
    refuse_unknown_class(plan.start, plan.metric, cache_folder(ledger))
    if is_known:
        return ledger.loops.create(plan.name, plan.spec(), start, budget=plan.budget, first_seed=plan.first_seed)
    trainer = RunTrainer(ledger, say)
    new = trainer.identity(plan.start, plan.first_seed)
    known = ledger.runs.enqueue(new)
    if known.state == "diverged" and known.state_word == "failed":
        # What a program failed for may be mended.
        known = ledger.runs.reopen(known.id)
    run = trainer.ended(plan.start, known)
    if run.state != "completed":
        raise RunError(
            "What a loop starts from must run to its end",
            found=f"run {run.id}: {run.error}",
            do=f"mend the reason; all it printed is in {ledger.runs.folder(run) / OUTPUT}",
        )
    value = judged_values(ledger, plan.metric.key, [run]).get(run.id)
    if value is None:
        names = recorded_names(ledger, run)
        raise RunError(
            "The score of a loop must be one that its runs record",
            found=f"no {plan.metric.key} of run {run.id}; it has {choices(names, plan.metric.key)}",
            do="name one of these with --score",
        )
    took = duration((run.cost or {}).get("seconds"))
    say(f"the start, seed {plan.first_seed}: {plan.metric.name} {value:.6g} ({took})")
    loop = ledger.loops.create(plan.name, plan.spec(), start, budget=plan.budget, first_seed=plan.first_seed)
    ledger.loops.enqueue(plan.name, 0, "baseline", new)
    return loop


def _as_started(ledger: Ledger, plan: LoopPlan) -> LoopPlan:
    """Return a loop of commits that is asked for again as it was started, wherever its repository is now."""
    ref = ledger.loops.proposals(plan.name)[0].recipe.get("ref")
    if not isinstance(plan.start, Command) or plan.start.ref is None or ref is None:
        return plan
    return replace(plan, start=plan.start.model_copy(update={"ref": ref}))
