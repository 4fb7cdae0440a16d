"""A proposal tried: as few runs as the rule needs, then kept, discarded, left undecided, or crashed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablata.base.errors import AblataError, RecordError, RunError, SettingsError, listing
from ablata.base.quantities import counted, duration
from ablata.records.ledger import Ledger
from ablata.records.questions.judged import recorded_names
from ablata.records.rows import NewProposal, Outcome, ProposalRow, RunRole, RunRow
from ablata.stats.loop import Decision, LoopCost, LoopRule, More, expected_runs, judge_proposal, level_of
from ablata.studies.identity import refuse_unfit
from ablata.studies.loops.imported import refuse_imported
from ablata.studies.loops.proposing import ProposedChange, Trainers, is_same, new_proposal, remarks
from ablata.studies.loops.running import OVER, RunTrainer
from ablata.studies.loops.scores import GuardState, LoopScores
from ablata.studies.programs import changed_files
from ablata.studies.workers.commands import WORKTREES
from ablata.trainers.any import Outside
from ablata.trainers.command import Command
from ablata.trainers.function import Function
from ablata.trainers.git import lines_added, remove_worktree

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

_CHANCE_RUNS = 6
"""Further runs that a second chance brings."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is said of a proposal.

    Args:
        loop: its name.
        number: the proposal's place in the stream.
        text: what was tried.
        outcome: what became of it; None: it waits for a worker.
        reason: why, for people.
        trained: how many runs this answer took.
        seconds: how long they took together.
        is_old: it was answered from the ledger.
        result: how it was decided; see `ProposalRow.result`.
        notes: what the proposer may have overlooked.
        warnings: runs of the baseline or of the proposal that lie so far from the others that they may have gone wrong.
    """

    loop: str
    number: int
    text: str
    outcome: Outcome | None
    reason: str
    trained: int = 0
    seconds: float = 0.0
    is_old: bool = False
    result: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class LoopJudge:
    """Tries the proposals of a loop.

    Args:
        ledger: where it is.
        name: of the loop.
        trainers: what its proposals run, as far as that was made in this process.
        say: called with a line about what goes on.
        shares: other processes may train runs of the same proposal, so that each takes one that is free.
        launch: what they have in common, so that their times are compared; None: a new one.

    Raises:
        RecordError: there is no such loop, or it came from elsewhere.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        trainers: Trainers | None = None,
        say: Callable[[str], None] = lambda line: None,
        *,
        shares: bool = False,
        launch: str | None = None,
    ) -> None:
        refuse_imported(ledger, name)
        self.ledger, self.name, self.say = ledger, name, say
        self.rule = LoopRule.from_json(ledger.loops.get(name).spec["rule"])
        self.trainers = trainers or Trainers()
        self._runs, self._shares = RunTrainer(ledger, say, launch), shares
        self._trained: list[RunRow] = []

    def submit(
        self, text: str, change: ProposedChange, *, waits: bool = False
    ) -> tuple[ProposalRow, bool, tuple[str, ...]]:
        """Give a proposal its place in the stream.

        Args:
            text: what is tried.
            change: the change of the best so far.
            waits: leave it for a worker.

        Returns:
            The proposal, or the equal one there is; whether it is new; what may have been overlooked.

        Raises:
            UserError: it cannot be made or trained; nothing was recorded.
        """
        if not text.strip():
            raise SettingsError(
                "A proposal must say what is tried", found="no words", do='ablata loop try "what it is" ...'
            )
        loop, rows = self.ledger.loops.get(self.name), self.ledger.loops.proposals(self.name)
        base = rows[loop.best]
        best = self.trainers.of(base)
        made = change.applied(best)
        seed = int(loop.spec["first_seed"])
        new = new_proposal(self.ledger, made, text, change.texts(made), base.number, seed)
        self._refuse_changed_code(base, best)
        self.trainers.keep(made)
        row, is_new = self.ledger.loops.submit(
            self.name, new, self._level, same=lambda known: is_same(known, new), waits=waits
        )
        if is_new:
            try:
                refuse_unfit(self.ledger, made, seed)
            except AblataError as error:
                self._end(row, "crash", {"reason": _one_line(error)}, loop.best)
                row = self.ledger.loops.proposals(self.name)[row.number]
        return row, is_new, tuple(remarks(made, best, change))

    def _level(self, before: Sequence[ProposalRow]) -> float:
        tested = [row for row in before if row.number and row.outcome != "crash"]
        return level_of(self.rule, [None if row.outcome is None else row.outcome == "keep" for row in tested])

    def _refuse_changed_code(self, base: ProposalRow, best: Recipe | Outside) -> None:
        """Refuse to go on where the best so far would now run other code: its scores would be of two codes."""
        now = new_proposal(self.ledger, best, "", [], base.base, 0)
        if (now.code, now.data) != (base.code, base.data):
            raise RecordError(
                "The best so far must still be what it was: it is measured again beside every proposal",
                found=self._changed(base, best, now.code),
                do="bring it back and propose changes by --set; where a file is none of the program's, start a loop "
                "that says which are, with --source; a loop of changed files is started with --worktree, and proposes "
                "commits with --ref"
                if isinstance(best, Command)
                else "bring it back, or start another loop",
            )

    def _changed(self, row: ProposalRow, trainer: Recipe | Outside, code: str) -> str:
        """Say what of a proposal changed since it was submitted: its inputs, or which files of its code."""
        who = "the start" if row.number == 0 else f"proposal {row.number}"
        if code == row.code:
            names = listing(trainer.inputs) if isinstance(trainer, Command | Function) else ""
            return f"an input that {who} reads changed since{': ' * bool(names)}{names}"
        files = changed_files(self.ledger, trainer, row.code) if isinstance(trainer, Command) else ""
        return f"the code that {who} runs changed since{': ' * bool(files)}{files}"

    def answer_known(self, row: ProposalRow, text: str) -> Answer:
        """Return what the ledger says of a proposal that was made before, and is decided."""
        best = self.ledger.loops.get(self.name).best
        said = (row.result or {}).get("reason", "")
        name = "the start" if row.number == 0 else f"proposal {row.number}, “{row.text}”"
        outcome: Outcome = row.outcome or "undecided"
        if row.number == best and row.number and row.text == text:
            reason = f"kept before, and still the best: {said}"
        elif row.number == best:
            outcome, reason = "discard", f"identical to the baseline, {name}: nothing would differ"
        elif outcome == "keep":
            outcome, reason = "discard", f"it equals {name}, which was the best once and has been passed since"
        else:
            reason = f"it equals {name}, which was tried before: {outcome}, {said}"
        return Answer(
            loop=self.name, number=row.number, text=text, outcome=outcome, reason=reason.strip(), is_old=True,
            result=row.result,
        )  # fmt: skip

    def expected(self, row: ProposalRow) -> LoopCost:
        """Return how many runs a proposal will take from here on."""
        scores = LoopScores(self.ledger, self.name)
        return expected_runs(self._rule_of(row), scores.evidence(row.number), row.level)

    def decide(self, row: ProposalRow) -> Answer:
        """Run what the rule needs, record what becomes of a proposal, and return it.

        Raises:
            RunError: the baseline fails, so that nothing can be compared with it.
            KeyboardInterrupt: interrupted; the same call goes on.
        """
        self._trained, began = [], time.monotonic()
        trainer = self.trainers.of(row)
        while True:
            scores = LoopScores(self.ledger, self.name)
            if scores.lost(row.number, "trial"):
                run = scores.lost(row.number, "trial")[0]
                if self._end(row, "crash", {"reason": self._crash_words(run), "run": run.id}, scores.loop.best):
                    break
            step = judge_proposal(self._rule_of(row), scores.evidence(row.number), row.level)
            judged = self._whole(step, row, scores)
            if isinstance(judged, More) and (refused := self._over_budget(scores, row.number)):
                judged = "undecided", self._told(row, scores, None) | {"reason": refused}
            if isinstance(judged, More):
                self._run(row, trainer, judged, scores)
            elif self._end(row, judged[0], judged[1], scores.loop.best):
                break
        done = self.ledger.loops.proposals(self.name)[row.number]
        self._clear(done, trainer)
        return Answer(
            loop=self.name, number=row.number, text=row.text, outcome=done.outcome, trained=len(self._trained),
            reason=str((done.result or {}).get("reason", "")), seconds=time.monotonic() - began, result=done.result,
            warnings=LoopScores(self.ledger, self.name).warnings(int((done.result or {}).get("best", 0)), row.number),
        )  # fmt: skip

    def _rule_of(self, row: ProposalRow) -> LoopRule:
        chances = int((row.result or {}).get("chances", 0))
        return replace(self.rule, most_runs=self.rule.most_runs + chances * _CHANCE_RUNS)

    def _whole(
        self, step: More | Decision, row: ProposalRow, scores: LoopScores
    ) -> More | tuple[Outcome, dict[str, Any]]:
        """Return what follows from the rule's step together with guardrails and what a change saves."""
        if isinstance(step, More):
            return step
        outcome: Outcome = step.outcome
        told = self._told(row, scores, step)
        smaller = scores.loop.spec["smaller"]
        if step.verdict == "equivalent" and smaller and (saved := self._saved(row, scores, smaller)):
            outcome, told["reason"] = "keep", f"{told['reason']}, and {saved}"
        if outcome == "keep" and (guards := scores.guards(row.number)):
            told["guards"] = [guard.to_json() for guard in guards]
            broken = next((guard for guard in guards if guard.state == "beyond"), None)
            unsure = next((guard for guard in guards if guard.state == "open"), None)
            if broken is not None:
                outcome, told["reason"] = "discard", f"{told['reason']}; but {_guard_words(broken)}"
            elif unsure is not None and len(scores.of(row.number, "trial")) < self._rule_of(row).most_runs:
                beside = unsure.own + 1 - unsure.base
                return More(baseline=max(0, beside), proposal=1, reason=f"{unsure.key} is not certain yet")
            elif unsure is not None:
                outcome, told["reason"] = "undecided", f"{told['reason']}; but {_guard_words(unsure)}"
        return outcome, told

    def _saved(self, row: ProposalRow, scores: LoopScores, what: str) -> str | None:
        """Say what an equivalent proposal saves; None: nothing, as far as is known."""
        rows = self.ledger.loops.proposals(self.name)
        if what == "lines":
            first, second = rows[scores.loop.best].recipe["ref"], row.recipe["ref"]
            added = lines_added(Path(row.recipe["folder"]), first, second)
            return f"it has {counted(-added, 'line')} less" if added < 0 else None
        found = scores.saved(row.number, what)
        # Equal to the digit on both sides, as numbers of parameters are, leaves no doubt.
        if found is None or found.effect >= 0 or (found.high >= 0 and what == "time"):
            return None
        saved = counted(round(-found.effect), "parameter") if what == "parameters" else duration(-found.effect)
        return f"it has {saved} less" if what == "parameters" else f"a run takes {saved} less"

    def _told(self, row: ProposalRow, scores: LoopScores, step: Decision | None) -> dict[str, Any]:
        evidence, noise = scores.evidence(row.number), scores.noise()
        told: dict[str, Any] = {
            "best": scores.loop.best, "runs": len(evidence.proposal), "baseline_runs": len(evidence.baseline),
            "chances": int((row.result or {}).get("chances", 0)), "noise": noise.sd, "noise_df": noise.df,
        }  # fmt: skip
        if step is None:
            return told
        return told | {
            "verdict": step.verdict, "effect": step.effect, "interval": step.interval and list(step.interval),
            "confidence": step.confidence, "level": step.level,
            "p": step.p, "priority": step.priority, "reason": step.reason,
        }  # fmt: skip

    def _end(self, row: ProposalRow, outcome: Outcome, result: dict[str, Any], against: int) -> bool:
        """Record an outcome; False: the best is another one meanwhile."""
        fresh = max(LoopScores(self.ledger, self.name).seeds() | {row.first_seed - 1}) + 1
        return self.ledger.loops.decide(self.name, row.number, outcome, result, against=against, first_seed=fresh)

    def _over_budget(self, scores: LoopScores, row: int) -> str | None:
        """Say that the budget does not pay for another run; None: it does, or there is none."""
        budget, spent = scores.loop.budget, scores.seconds()
        if budget is None or spent + (scores.seconds_a_run() or 0.0) <= budget:
            return None
        each = scores.seconds_a_run()
        return (
            f"the budget is used up: {duration(spent)} of {duration(budget)} are spent, and a run takes "
            f"{duration(each)}; give the same ablata loop start {self.name} with a larger --budget, then ablata loop "
            f"retry {row}"
        )

    def _run(self, row: ProposalRow, trainer: Recipe | Outside, more: More, scores: LoopScores) -> None:
        """Train further runs, those of the baseline and of the proposal in turn."""
        rows = self.ledger.loops.proposals(self.name)
        best = rows[scores.loop.best]
        wanted = [("baseline", best, seed) for seed in self._seeds(scores, best, best, "baseline", more.baseline)]
        own = [("trial", row, seed) for seed in self._seeds(scores, best, row, "trial", more.proposal)]
        # The proposal's come first: one that crashes costs no run of the baseline.
        left: list[tuple[RunRole, ProposalRow, int]] = [*own, *wanted]  # type: ignore[list-item]
        while left:
            ended = 0
            for place, (role, proposal, seed) in enumerate(list(left)):
                is_own, is_last = role == "trial", place == len(left) - 1
                run = self._one(
                    proposal, trainer if is_own else self.trainers.of(best), seed, role,
                    waits=not self._shares or (is_last and not ended),
                )  # fmt: skip
                if run.state not in OVER:
                    continue
                left.remove((role, proposal, seed))
                ended += 1
                if run.state == "completed":
                    continue
                if is_own:
                    return
                raise RunError(
                    "The baseline must run to its end",
                    found=f"run {run.id}, seed {seed}: {run.error}",
                    do="mend the reason, then go on with the same command; all it printed is in "
                    f"{self.ledger.runs.folder(run)}",
                )

    def _seeds(self, scores: LoopScores, best: ProposalRow, row: ProposalRow, role: RunRole, count: int) -> list[int]:
        """Return the next seeds of a group: as far as can be those of the baseline, so that runs are paired."""
        # A run that was interrupted, or a baseline's that failed, is wanted still.
        used = scores.groups.get((row.number, role), {}).keys()
        # Of the best itself, what it was tried with was chosen for its score.
        # One that is tried again has seeds of its own: its first runs have decided already.
        seed, found = max(best.first_seed, row.first_seed) if role == "trial" else best.first_seed, list[int]()
        while len(found) < count:
            if seed not in used:
                found.append(seed)
            seed += 1
        return found

    def _one(
        self, row: ProposalRow, trainer: Recipe | Outside, seed: int, role: RunRole, *, waits: bool = True
    ) -> RunRow:
        """Train a run, and return it as it ended; as it is where another process trains it and nobody waits."""
        new = self._runs.identity(trainer, seed)
        if (new.code, new.data) != (row.code, row.data):
            raise RecordError(
                "A proposal must run the code and read the inputs that it was submitted with",
                found=self._changed(row, trainer, new.code),
                do="bring them back, and give the same command again",
            )
        run = self.ledger.loops.enqueue(self.name, row.number, role, new)
        was = run.state
        if role == "baseline" and run.state_word == "failed" and was == "diverged":
            # What a program failed for may be mended.
            run = self.ledger.runs.reopen(run.id)
        run = self._runs.ended(trainer, run, waits=waits)
        if run.state not in OVER:
            return run
        if was != "completed":
            self._trained.append(run)
        scores = LoopScores(self.ledger, self.name)
        value = scores.groups.get((row.number, role), {}).get(seed)
        who = "baseline" if role == "baseline" else f"proposal {row.number}"
        score = run.state_word if value is None else f"{scores.loop.spec['metric']['name']} {value:.6g}"
        self.say(f"{who}, seed {seed}: {score} ({duration((run.cost or {}).get('seconds'))})")
        return run

    def _crash_words(self, run: RunRow) -> str:
        if run.error:
            return f"its run with seed {run.seed} failed: {run.error}"
        key = self.ledger.loops.get(self.name).spec["metric"]["key"]
        names = ", ".join(recorded_names(self.ledger, run)) or "nothing"
        return f"its run with seed {run.seed} left no score {key}; it recorded {names}"

    def _clear(self, row: ProposalRow, trainer: Recipe | Outside) -> None:
        """Remove the git worktree of a proposal that was not kept."""
        rows = self.ledger.loops.proposals(self.name)
        used = [one for one in rows if one.state != "decided" or one.outcome == "keep"]
        if not isinstance(trainer, Command) or trainer.ref is None:
            return
        if not any(one.recipe.get("ref") == trainer.ref for one in used):
            remove_worktree(Path(trainer.folder), trainer.ref, self.ledger.home / WORKTREES)

    def second_chance(self, number: int | None = None) -> ProposalRow:
        """Open a proposal again that was not kept: the likeliest undecided one, or the one of a number.

        One that was discarded is a new proposal, with a level and runs of its own: its first runs decided against it,
        and may not count once more.

        Raises:
            SettingsError: there is none.
        """
        rows = self.ledger.loops.proposals(self.name)
        open_again = undecided(rows) if number is None else [row for row in rows if row.number == number]
        if number == 0 or not open_again or open_again[0].outcome not in ("undecided", "crash", "discard"):
            raise self._no_second_chance(number, rows)
        row = open_again[0]
        if row.outcome == "discard":
            return self._again(row)
        # One that the budget ended has not had its first chance.
        chances = int((row.result or {}).get("chances", 0)) + ("verdict" in (row.result or {}))
        if row.outcome == "crash":
            self._put_back(row)
        self.ledger.loops.reopen(self.name, row.number, {**(row.result or {}), "chances": chances})
        return self.ledger.loops.proposals(self.name)[row.number]

    def _no_second_chance(self, number: int | None, rows: Sequence[ProposalRow]) -> SettingsError:
        """Return the error for a proposal that cannot be tried again, with those that can."""
        can = [f"{row.number}" for row in rows[1:] if row.outcome in ("undecided", "crash", "discard")]
        many = f"{', '.join(can[:-1])} or {can[-1]}" if len(can) > 1 else "".join(can)
        do = f"ablata loop retry {can[-1]}: {many} can be tried again" if can else "propose a change: ablata loop try"
        known = next((row for row in rows if row.number == number), None)
        if number is None:
            found = "none is undecided"
        elif number == 0:
            found = "0 is the start, which is no proposal"
        elif known is None:
            found = f"no proposal {number}"
        elif known.outcome is None:
            found, do = f"proposal {number} is not decided yet", f"ablata loop work --loop {self.name}, which tries it"
        else:
            found = f"proposal {number} was kept"
        return SettingsError("Only a proposal that was not kept has a second chance", found=found, do=do)

    def _again(self, row: ProposalRow) -> ProposalRow:
        fresh = max(LoopScores(self.ledger, self.name).seeds(), default=row.first_seed) + 1
        given = {field.name: getattr(row, field.name) for field in fields(NewProposal)}

        def is_begun(known: ProposalRow) -> bool:
            return known.state != "decided" and known.content == row.content

        again, _ = self.ledger.loops.submit(
            self.name, NewProposal(**given), self._level, same=is_begun, first_seed=fresh
        )
        return again

    def _put_back(self, row: ProposalRow) -> None:
        for run in LoopScores(self.ledger, self.name).lost(row.number, "trial"):
            if run.state == "diverged":
                self.ledger.runs.reopen(run.id)


def undecided(rows: Sequence[ProposalRow]) -> list[ProposalRow]:
    """Return the proposals that stayed undecided, the likeliest first."""
    left = [row for row in rows if row.outcome == "undecided"]
    return sorted(left, key=lambda row: -float((row.result or {}).get("priority", 0.0)))


def _guard_words(guard: GuardState) -> str:
    if guard.worse is None:
        return f"{guard.key} could not be compared: no run of it and of the baseline were trained in one launch"
    worse, allowed = f"{guard.worse.effect:.4g}", f"{guard.allowed:.4g}"
    if guard.state == "beyond":
        return f"{guard.key} is worse by {worse}, and {allowed} is allowed"
    return f"{guard.key} is worse by {worse}, and may be worse by more than the {allowed} that is allowed"


def _one_line(error: AblataError) -> str:
    return f"{error.must}; {error.found}" if error.found else error.must
