"""A research loop in Python: the judge that a person, a program or an agent calls for each proposed change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ablata.api.comparing import with_first_score
from ablata.api.opening import LedgerAddress, open_ledger, warn
from ablata.api.progress import progress_console
from ablata.api.rows import ResultRows
from ablata.base.errors import SettingsError, listing
from ablata.base.files import PAGE, refuse_other_kind, write_text
from ablata.base.overrides import Overrides
from ablata.base.quantities import counted, duration, parse_duration
from ablata.base.user_code import refuse_while_importing
from ablata.recipes.index import load_recipe
from ablata.records.ledger import Ledger
from ablata.records.rows import ProposalRow
from ablata.reports.console import plain_lines
from ablata.reports.loops.collect import loop_view
from ablata.reports.loops.page import loop_page
from ablata.reports.loops.view import ConfirmedGain, LoopView, ProposalView
from ablata.reports.loops.words import loop_status
from ablata.stats.loop import LoopCost
from ablata.studies.loops.confirming import confirm
from ablata.studies.loops.plan import plan_loop
from ablata.studies.loops.proposing import ProposedChange, Trainers
from ablata.studies.loops.scores import LoopScores
from ablata.studies.loops.side_workers import LoopHelpers
from ablata.studies.loops.starting import start_loop
from ablata.studies.loops.trying import Answer, LoopJudge
from ablata.trainers.any import Outside
from ablata.trainers.command import GIT
from ablata.trainers.function import Function

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from ablata.engine.recipe import Recipe


class Loop:
    """One proposed change after another against the best so far, kept or discarded by a rule for the whole stream.

        loop = ablata.Loop(train, name="tune", margin=0.2)
        answer = loop.try_({"lr": 0.3}, "a higher learning rate")
        print(answer.outcome, answer.reason)

    The same call again goes on with the loop of that name. A proposal takes as few runs as the rule needs; one that was
    tried before is answered without a run.

    Args:
        start: what it starts from: a function that trains and returns its score, as for `compare`; a recipe or its
            name; or a command. None: the loop of this name, which is there already.
        name: of the loop.
        score: the score that is judged; None: the one that the function returns, or the recipe's own.
        lower: lower scores are better; None: higher ones, unless the name sounds like a loss, which is refused.
        margin: the largest difference that does not matter, in the score's unit; None: none.
        mode: `progress`: each proposal is held against a level of its own; `claim`: at most a tenth of all kept changes
            are no improvement.
        budget: training time after which nothing more is run, such as `"8h"`.
        guards: quantities that a kept change may not worsen by more than this, such as `seconds:+3%`.
        prefer_smaller: keep changes that make no difference and save `lines`, `parameters` or `time`.
        worktree: of a command: each proposal is a git commit, run in a worktree under the lab's home.
        timeout, inputs: of a function, see `compare`.
        first_seed: seeds count up from here.
        commands: what to type to start it again.
        home: the lab's home folder; None: `ABLATA_HOME`, or `.ablata`.
        progress: True: shown; False: not; None: shown in a terminal and in a notebook. Or the console to show it on.
        ledger: where it is recorded; None: the lab's own.

    Raises:
        SettingsError: an argument or the function is wrong; nothing was started.
        RunError: what it starts from failed, or recorded no such score.
        RecordError: another loop has this name.
    """

    def __init__(
        self,
        start: Callable[..., Any] | Recipe | Outside | str | None = None,
        name: str = "loop",
        *,
        score: str | None = None,
        lower: bool | None = None,
        margin: float | str | None = None,
        mode: str = "progress",
        budget: str | float | None = None,
        guards: Sequence[str] = (),
        prefer_smaller: str | None = None,
        worktree: bool = False,
        timeout: float | None = None,
        inputs: Sequence[str | Path] = (),
        first_seed: int = 0,
        commands: Sequence[str] = (),
        home: str | Path | None = None,
        progress: bool | Console | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        refuse_while_importing()
        self.name = name
        self._given, self._home = ledger, None if home is None else Path(home)
        self._console = progress_console(progress) if progress is None or isinstance(progress, bool) else progress
        made = _trainer(start, score, lower, timeout, inputs)
        with self._opened() as opened:
            if isinstance(made, Function) and made.is_score_unclear:
                made = with_first_score(opened, made, first_seed, lower)
            self._trainers = Trainers(made if isinstance(made, Function) else None)
            if made is None:
                opened.loops.get(name)
            else:
                if isinstance(made, Outside) and not made.is_seeded:
                    self._note("it takes no seed: its runs are unseeded repeats, which differ by chance alone")
                seconds = budget if budget is None or isinstance(budget, int | float) else parse_duration(budget, "8h")
                plan = plan_loop(
                    name, made, score=score, lower=lower, margin=margin, mode=mode, smaller=prefer_smaller,
                    worktree=worktree, budget=seconds, guards=tuple(guards), first_seed=first_seed,
                    commands=tuple(commands),
                )  # fmt: skip
                start_loop(opened, plan, self._say)
            self._address = LedgerAddress.of(opened)

    @contextmanager
    def _opened(self) -> Iterator[Ledger]:
        if self._given is None and self._home is not None:
            with Ledger(home=self._home) as own:
                yield own
        else:
            with open_ledger(self._given) as opened:
                yield opened

    def _say(self, line: str) -> None:
        self._console.print(Text(line))

    def try_(
        self,
        change: Overrides | Callable[..., Any] | str,
        text: str,
        *,
        sets: Sequence[str] = (),
        waits: bool = False,
        workers: int = 1,
        expect: Callable[[ProposalRow, LoopCost], None] | None = None,
    ) -> Answer:
        """Try a change of the best so far, and say what became of it. Killed in the middle, the same call goes on.

        Args:
            change: other values of the function's arguments or the recipe's settings, such as `{"lr": 0.3}`; another
                function; or `git:REF`, the command with the files of a commit.
            text: what is tried, for people.
            sets: with `git:REF`: values of the command's own keys beside it.
            waits: only give it its place in the stream, for `work`.
            workers: processes that train its runs side by side; more than one needs what others can make again.
            expect: called before the first run with how many are expected.

        Raises:
            UserError: the change does not fit; nothing was recorded.
            RunError: the baseline failed, so that nothing can be compared with it.
        """
        if isinstance(change, str):
            if not change.startswith(GIT):
                raise SettingsError(
                    "A change must be overrides, a function, or git:REF",
                    found=repr(change),
                    do='give {"key": value}, a function, or "git:BRANCH"',
                )
            made = ProposedChange(ref=change.removeprefix(GIT), sets=tuple(sets))
        elif callable(change):
            made = ProposedChange(function=change)
        else:
            made = ProposedChange(sets=change)
        with self._opened() as ledger:
            helpers = LoopHelpers(ledger, self.name, workers)
            judge = LoopJudge(ledger, self.name, self._trainers, self._say, shares=workers > 1, launch=helpers.launch)
            row, is_new, notes = judge.submit(text, made, waits=waits)
            for line in notes:
                self._note(line)
            if row.state == "decided" and not is_new:
                return judge.answer_known(row, text)
            if waits:
                return Answer(
                    loop=self.name, number=row.number, text=text, outcome=None, notes=notes,
                    reason="it waits for a worker",
                )  # fmt: skip
            with helpers.beside(row):
                return self._decided(judge, row, expect)

    def _decided(
        self, judge: LoopJudge, row: ProposalRow, expect: Callable[[ProposalRow, LoopCost], None] | None
    ) -> Answer:
        if row.state != "decided" and expect is not None:
            expect(row, judge.expected(row))
        return judge.decide(row) if row.state != "decided" else judge.answer_known(row, row.text)

    def retry(
        self, number: int | None = None, *, expect: Callable[[ProposalRow, LoopCost], None] | None = None
    ) -> Answer:
        """Give a proposal that was not kept a second chance: the likeliest undecided one, or the one of a number.

        A discarded one is tried as a new proposal, with runs of its own.

        Raises:
            SettingsError: there is none.
        """
        with self._opened() as ledger:
            judge = LoopJudge(ledger, self.name, self._trainers, self._say)
            return self._decided(judge, judge.second_chance(number), expect)

    def work(
        self, most: int | None = None, *, only: int | None = None, launch: str | None = None,
        told: Callable[[Answer], None] | None = None,
    ) -> list[Answer]:  # fmt: skip
        """Try the proposals that wait, in the order they were submitted, and those that were begun and left.

        Several of these side by side share the runs of a proposal that is under way.

        Args:
            most: proposals at most; None: all.
            only: the number of one to help with.
            launch: what processes have in common whose times are compared; None: a new one.
            told: is called with each answer as soon as it is there.
        """
        done: list[Answer] = []
        with self._opened() as ledger:
            judge = LoopJudge(ledger, self.name, self._trainers, self._say, shares=True, launch=launch)
            while most is None or len(done) < most:
                row = ledger.loops.take(self.name, [one.number for one in done], only)
                if row is None:
                    break
                done.append(judge.decide(row))
                if told is not None:
                    told(done[-1])
        return done

    def confirm(self, runs: int | None = None) -> ConfirmedGain:
        """Run the start and the best again with fresh seeds, and return the honest gain.

        Args:
            runs: of each side.

        Raises:
            SettingsError: nothing was kept yet.
            RunError: a run failed.
        """
        with self._opened() as ledger:
            confirm(ledger, self.name, runs, self._trainers, self._say)
            found = loop_view(ledger, self.name).confirmed
        assert found is not None, "both sides have just been run"
        return found

    @property
    def view(self) -> LoopView:
        """All that is known of it, as its report shows it."""
        with self._opened() as ledger:
            return loop_view(ledger, self.name)

    @property
    def best(self) -> ProposalView:
        """The best so far: its number, its commit or settings, its scores."""
        view = self.view
        return view.proposals[view.best]

    def report(self, path: str | Path) -> Path:
        """Write the page and return its path."""
        refuse_other_kind(Path(path), PAGE)
        write_text(Path(path), loop_page(self.view))
        return Path(path)

    def __repr__(self) -> str:
        return plain_lines(loop_status(self.view, plain=True))

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()

    def expectation(self, row: ProposalRow, cost: LoopCost) -> str:
        """Return how many runs a proposal will take, and what is left of the budget, in a sentence."""
        with self._opened() as ledger:
            scores = LoopScores(ledger, self.name)
        runs = (f"{cost.least} to " if cost.least < cost.most else "") + counted(cost.most, "run")
        each, budget = scores.seconds_a_run(), scores.loop.budget
        told = f"{self.name} #{row.number}, {row.text}: {runs}, about {cost.mean:.2g}"
        told += f" ({duration(cost.mean * each)})" if each is not None else ""
        left = "" if budget is None else f"; {duration(max(budget - scores.seconds(), 0.0))} of the budget are left"
        return told + left

    def _note(self, line: str) -> None:
        if self._console.quiet:
            warn(line)
        else:
            self._say(f"note: {line}")

    @property
    def rows(self) -> ResultRows:
        """A row for each proposal."""
        return ResultRows([_row(one) for one in self.view.tried])

    def to_rows(self) -> list[dict[str, Any]]:
        """Return `rows` as a list of dictionaries."""
        return list(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Return `rows` as a data frame; pandas must be installed."""
        return self.rows.to_frame()


def _trainer(
    start: Callable[..., Any] | Recipe | Outside | str | None,
    score: str | None,
    lower: bool | None,
    timeout: float | None,
    inputs: Sequence[str | Path],
) -> Recipe | Outside | None:
    if isinstance(start, str):
        return load_recipe(start)
    if start is None or isinstance(start, Outside) or not callable(start):
        return start
    return Function.of(start, score=score, lower=lower, timeout=timeout, inputs=inputs, here=True)


def _row(one: ProposalView) -> dict[str, Any]:
    claimed = one.claimed
    return {
        "number": one.number, "text": one.text, "change": one.change, "outcome": one.outcome or one.state,
        "verdict": one.verdict, "score": one.score, "effect": claimed.value if claimed else None,
        "low": claimed.low if claimed else None, "high": claimed.high if claimed else None, "runs": one.runs,
        "reason": one.reason,
    }  # fmt: skip


def loop_here(ledger: Ledger | None = None) -> str:
    """Return the name of the loop that a command in the working folder means where it names none.

    That is the newest whose program lies in this folder or in one above it, or that has no folder, as a recipe's.

    Raises:
        SettingsError: there is none.
    """
    with open_ledger(ledger, create=False) as opened:
        loops = opened.loops.all()
        for loop in loops:
            folder = opened.loops.proposals(loop.name)[0].recipe.get("folder")
            if folder is None or Path.cwd().is_relative_to(Path(folder).resolve()):
                return loop.name
    if not loops:
        raise SettingsError(
            "A loop must have been started", found="none in this lab",
            do="ablata loop start NAME --command 'python train.py --seed {seed}' --score acc --margin 0.2, "
            "or set ABLATA_HOME to the lab that has it",
        )  # fmt: skip
    raise SettingsError(
        "A loop's commands must be called in the folder of its program, or name it",
        found=f"{listing(loop.name for loop in loops[:5])}, of other folders than {Path.cwd()}",
        do=f"--loop {loops[0].name}",
    )
