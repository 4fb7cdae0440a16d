"""What a command line says about a study: its name, or its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import typer

from ablata.base.errors import SettingsError
from ablata.base.quantities import parse_duration
from ablata.cli.console import note

if TYPE_CHECKING:
    from ablata.records.ledger import Ledger
    from ablata.studies.asking.typed import StudyTerms
    from ablata.studies.study import Study

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="A study's name, a YAML or TOML file, or path/to/file.py:function; none with --recipe or --command.",
    ),
]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", metavar="NAME", help="The recipe of the control, in place of a study's name.")
]
CommandOption = Annotated[
    str | None,
    typer.Option(
        "--command",
        metavar="COMMAND",
        help="A program as the control, such as 'python train.py --seed {seed} --lr {lr}'.",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the control and of every arm."),
]
Arms = Annotated[
    list[str] | None,
    typer.Option(
        "--arm",
        metavar="NAME:KEY=VALUE",
        help="An arm: the control with this setting. The same name again adds a setting to it. With commands also "
        "NAME=COMMAND, or NAME=git:REF for the control's command there.",
    ),
]
FactorTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--factor",
        metavar="NAME:KEY=VALUE",
        help="In place of arms: a change that is switched on and off together with the others, and judged averaged "
        "over them. The same name again adds a setting to it.",
    ),
]
Cells = Annotated[
    int | None,
    typer.Option(
        "--cells", help="How many combinations of the factors run; by default the fewest that keep them apart."
    ),
]
Scores = Annotated[
    list[str] | None,
    typer.Option(
        "--score",
        metavar="NAME",
        help="Where a program's score is: a name in the output, FILE.json:KEY, FILE.csv:COLUMN, or regex:PATTERN. "
        "Several are recorded, the first is judged.",
        show_default=False,
    ),
]
Lower = Annotated[
    bool | None, typer.Option("--lower/--higher", help="Which scores are better; of a recipe's own score it is known.")
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="TIME", help="Longest time of a program's run, such as 90s, 10m or 2h."),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", metavar="PATH", help="A file or folder that a program reads; a changed one is another run."
    ),
]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source", metavar="PATH", help="A file or folder of a program's code; by default git's state, or the script."
    ),
]
Seeds = Annotated[
    int | None, typer.Option(min=1, help="Seeds of each arm at most; an arm that is decided earlier stops.")
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget", metavar="TIME", help="In place of --seeds: as many seeds as fit into this time, such as 30m."
    ),
]
Pilot = Annotated[
    int | None,
    typer.Option(
        "--pilot",
        min=1,
        help="Run the control at this many seeds first and say how noisy and how long a run is, and how many seeds the "
        "question needs. Without --seeds or --budget, end there.",
    ),
]
Effect = Annotated[
    float | None,
    typer.Option("--effect", help="The smallest effect you want to find, for the plan; by default the margin."),
]
FirstSeed = Annotated[int | None, typer.Option(min=0, help="The first seed; 0 by default.")]
Margin = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER|PERCENT",
        help="The largest difference that does not matter to you, in the metric's unit, or 10% of the control's mean; "
        "without it, no arm is called equivalent.",
    ),
]
MetricName = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="What is compared, in place of the recipe's own score: another score (val/plain/loss), one class's "
        "(iou/car), seconds, seconds_per_epoch, images_per_second, peak_memory, or a curve's last value (train/loss).",
    ),
]
Aa = Annotated[
    bool,
    typer.Option(
        "--aa",
        help="Run the control against itself: 10 runs of it, or --seeds, that say whether its noise is what the rule "
        "takes it for.",
    ),
]
Guards = Annotated[
    list[str] | None,
    typer.Option(
        "--guard",
        metavar="NAME:AMOUNT",
        help="A quantity that an arm may not worsen by more than this, such as seconds:+3% or val/plain/loss:+0.01; "
        "an arm that is better goes on until this is answered, and its verdict says both.",
    ),
]
Again = Annotated[
    list[str] | None,
    typer.Option(
        "--again",
        metavar="ARM",
        help="Run the failed runs of this arm again: the reason lay outside the program, such as a full disk or a file "
        "that was missing, and is gone. The report says so.",
    ),
]
Begin = Annotated[
    list[str] | None,
    typer.Option(
        "--begin",
        metavar="KEY=VALUE",
        help="Train the control so changed first, once a seed, such as freeze=backbone and train.epochs=2; the control "
        "and all arms begin with its weights.",
    ),
]
Fork = Annotated[
    str | None,
    typer.Option(
        "--fork",
        metavar="auto|never",
        help="Whether arms that act late share their first steps with the control, trained once a seed: by "
        "default they do.",
        show_default=False,
    ),
]
Screen = Annotated[
    bool,
    typer.Option("--screen", help="Quick look: in up to 20% of such studies a verdict may be wrong, instead of 5%."),
]
Fixed = Annotated[bool, typer.Option("--force-fixed", help="Judge once, after all seeds; no arm stops early.")]
Extendable = Annotated[
    bool,
    typer.Option(
        "--extendable",
        help="Keep most of the 5% of false verdicts for more seeds later, by `ablata study extend`; these seeds then "
        "decide only what is plain.",
    ),
]
WithHistory = Annotated[
    bool, typer.Option("--history", help="Use the noise between seeds that earlier studies of this recipe measured.")
]
NoiseFrom = Annotated[
    str | None,
    typer.Option(
        "--noise",
        metavar="scores|items",
        help="Where each arm's noise is read from: its scores alone, or also the single images that its runs got right "
        "and wrong, which tell it sooner; for one to three arms.",
    ),
]
ClusterRule = Annotated[
    str | None,
    typer.Option(
        "--clusters",
        metavar="folder|PATTERN",
        help="Which images belong together, such as the frames of a video: those in one folder, or with one match of a "
        "regular expression in their name, such as '^([^_]+)_'.",
    ),
]
WorkerCount = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Worker processes on this machine; by default one for each GPU or core."),
]
WorkersOrAuto = Annotated[
    str | None,
    typer.Option(
        "--workers", metavar="N|auto",
        help="Worker processes on this machine; by default one for each GPU or core. auto: times some steps to choose.",
    ),
]  # fmt: skip
Pack = Annotated[
    float | None,
    typer.Option(
        metavar="GB", min=0.1,
        help="Put as many runs on each GPU at once as fit, each with so much of its memory, which it cannot exceed.",
    ),
]  # fmt: skip
SaveAs = Annotated[str | None, typer.Option("--name", metavar="NAME", help="The name to record the study under.")]
TogetherOption = Annotated[
    str,
    typer.Option(
        metavar="auto|never|N",
        help="Train up to N runs of one network as one in each worker; auto: 8 where that is faster.",
    ),
]
StoreAddress = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Keep the files of runs here for other machines: a shared folder, s3://..., gs://...; "
        "by default ABLATA_STORE, or the one that the lab has.",
    ),
]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run Python code that came with an imported study or an exported folder.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Overwrite a file that exists.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")]
Question = Annotated[str | None, typer.Option(help="The question, for the report.")]


@dataclass(frozen=True, kw_only=True)
class CommandOptions:
    """What a command line says about programs; None and empty where not given."""

    scores: tuple[str, ...] = ()
    lower: bool | None = None
    timeout: float | None = None
    inputs: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        scores: Sequence[str] | None,
        lower: bool | None,
        timeout: str | None,
        inputs: Sequence[str] | None,
        sources: Sequence[str] | None,
    ) -> Self:
        """Return the options as typed.

        Raises:
            SettingsError: the time is none.
        """
        seconds = None if timeout is None else parse_duration(timeout, "--timeout 10m")
        return cls(
            scores=tuple(scores or ()), lower=lower, timeout=seconds, inputs=tuple(inputs or ()),
            sources=tuple(sources or ()),
        )  # fmt: skip

    def without_direction(self) -> dict[str, Any]:
        """Return the options as arguments of `compare_commands`, whose terms say which scores are better."""
        return {name: value for name, value in vars(self).items() if name != "lower"}


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """The parts of a command line that name or describe a study; None, empty and False where not given."""

    name: str | None
    recipe: str | None
    command: str | None = None
    program: CommandOptions = CommandOptions()
    sets: tuple[str, ...]
    arms: tuple[str, ...]
    factors: tuple[str, ...] = ()
    cells: int | None = None
    seeds: int | None
    first_seed: int | None
    margin: str | None
    metric: str | None = None
    screen: bool
    fixed: bool
    extendable: bool = False
    history: bool
    save_as: str | None
    question: str | None
    budget: str | None = None
    pilot: int | None = None
    aa: bool = False
    noise: str | None = None
    clusters: str | None = None
    fork: str | None = None
    guards: tuple[str, ...] = ()
    begin: tuple[str, ...] = ()

    @property
    def only_named(self) -> bool:
        """Whether nothing but a name is given."""
        return self.name is not None and self == replace(_NOTHING, name=self.name)

    @property
    def has_seeds(self) -> bool:
        """Whether the number of seeds is given, or a written study has one."""
        return self.seeds is not None or self.name is not None

    def study(self, ledger: Ledger, *, planning: bool = False) -> Study:
        """Return the study.

        Args:
            ledger: where it is, or will be.
            planning: take a number of seeds where none is given, to speak of.

        Raises:
            SettingsError: both a name and --recipe are given, or neither, or a part is missing or wrong.
        """
        from ablata.studies.asking.adhoc import ask
        from ablata.studies.asking.comparing import compare_commands
        from ablata.studies.asking.naming import guarded

        self._refuse_unfit_aa()
        if self.seeds is not None and self.budget is not None:
            raise SettingsError(
                "Give --seeds or --budget, not both",
                found=f"--seeds {self.seeds} --budget {self.budget}",
                do="leave one of them out",
            )
        given = {"study": self.name, "--recipe": self.recipe, "--command": self.command}
        told = [f"{what} {value}" for what, value in given.items() if value is not None]
        if len(told) != 1:
            raise SettingsError(
                "Name a study, or ask ad hoc with --recipe or --command and --arm or --factor",
                found=" and ".join(told) or "none of them",
                do="ablata study run NAME, or --recipe RECIPE --arm NAME:key=value --seeds N --margin M",
            )
        direction = None if self.metric is None else self.program.lower
        if self.command is None and self.program != CommandOptions(lower=direction):
            raise SettingsError(
                "--score, --timeout, --input and --source need a program, --lower a program or --metric", found=told[0],
                do="--command 'python train.py --seed {seed}', or --metric NAME",
            )  # fmt: skip
        if self.command is not None:
            terms, program = self._terms(self.program.lower, planning), self.program.without_direction()
            made = compare_commands([self.command], self.arms, self.sets, terms, verb="study run", **program)
        elif self.recipe is not None:
            made = ask(self.recipe, self.sets, self.arms, self._terms(direction, planning))
        else:
            made = self._changed(replace(self._terms(direction), seeds=self._seeds, budget=None))
        if self.guards:
            named = self.save_as is not None or self.name is not None
            made = guarded(made, self.guards, named=named, repeats=self.name is None)
        if self.fork is not None:
            typed = made.commands if self.name else tuple(f"{line} --fork {self.fork}" for line in made.commands)
            made = replace(made, fork=self._checked_fork(made), commands=typed)
        return _with_history(ledger, made) if self.history else made

    def _checked_fork(self, study: Study) -> Any:
        from ablata.studies.study import CONTROL
        from ablata.trainers.any import Outside

        if self.fork not in ("auto", "never"):
            raise SettingsError("--fork must be auto or never", found=str(self.fork), do="--fork auto, or leave it out")
        if isinstance(study.recipes[CONTROL], Outside):
            raise SettingsError(
                "--fork is for recipes: of a program nobody knows from which step its settings act",
                found=f"--fork {self.fork} for {study.name}",
                do="leave --fork out",
            )
        return self.fork

    def _refuse_unfit_aa(self) -> None:
        others = {"--budget": self.budget, "--pilot": self.pilot, "--margin": self.margin, "--arm": self.arms}
        others |= {"--factor": self.factors, "--history": self.history, "--force-fixed": self.fixed}
        others |= {"--screen": self.screen}
        for option, value in others.items() if self.aa else ():
            if value:
                raise SettingsError(
                    "--aa runs the control alone, and takes only a number of runs", found=f"--aa with {option}",
                    do="--aa --seeds 10",
                )  # fmt: skip

    @property
    def _seeds(self) -> int | None:
        return AA_RUNS if self.aa and self.seeds is None else self.seeds

    def _terms(self, lower: bool | None, planning: bool = False) -> StudyTerms:
        """Return the terms; a number of seeds stands in where a pilot, a budget or the plan will tell it."""
        from ablata.studies.asking.typed import StudyTerms

        told_later = self._seeds is None and (planning or self.budget is not None or self.pilot is not None)
        return StudyTerms(
            seeds=STAND_IN if told_later else self._seeds, budget=self.budget if told_later else None,
            first_seed=self.first_seed, margin=self.margin, metric=self.metric, lower=lower,
            factors=self.factors, cells=self.cells, screen=self.screen, fixed=self.fixed, extendable=self.extendable,
            aa=self.aa, name=self.save_as, question=self.question, noise=self.noise, clusters=self.clusters,
            begin=self.begin,
        )  # fmt: skip

    def _changed(self, terms: StudyTerms) -> Study:
        from ablata.studies.asking.adhoc import change
        from ablata.studies.asking.documents import is_document, renamed
        from ablata.studies.asking.naming import against_itself
        from ablata.studies.index import load_study

        for option, texts in (("--arm", self.arms), ("--factor", self.factors)):
            if texts:
                raise SettingsError(
                    f"{option} belongs to a study asked with --recipe or --command",
                    found=f"{option} {texts[0]} for study {self.name}",
                    do="leave it out; or ask anew with --recipe NAME in place of the study's name",
                )
        written = load_study(str(self.name))
        if self.aa:
            written = against_itself(written)
        made = change(written, self.sets, terms)
        changed = made is not written or self.budget is not None
        if changed and self.save_as is None and is_document(str(self.name)):
            made = renamed(made, Path(str(self.name)), self.budget)
        return made if made.commands else replace(made, commands=(self._command(),))

    def _command(self) -> str:
        """Return what to type to ask a written study again."""
        from ablata.studies.asking.typed import command_line

        options = {"--set": self.sets, "--guard": self.guards, **self._terms(self.program.lower).typed()}
        options |= {"--seeds": self.seeds, "--budget": self.budget, "--fork": self.fork, "--history": self.history}
        return command_line(["ablata", "study", "run", str(self.name)], options)


STAND_IN = 5
"""The number of seeds that a plan speaks of where none was given."""
AA_RUNS = 10
"""Runs of the control against itself, where their number was not given."""
_NOTHING = StudyRequest(
    name=None, recipe=None, sets=(), arms=(), seeds=None, first_seed=None, margin=None,
    screen=False, fixed=False,
    history=False, save_as=None, question=None,
)  # fmt: skip


def _with_history(ledger: Ledger, study: Study) -> Study:
    """Return the study with the noise it was created with, if it has been, else with that of earlier studies."""
    from ablata.stats import rule_of
    from ablata.studies.planning.plan import with_history

    recorded = {row.name: row for row in ledger.studies.all()}.get(study.name)
    if recorded is not None:
        return replace(study, history=rule_of(recorded.spec).history)
    found = with_history(ledger, study)
    if found is study:
        note("no earlier study of this recipe, metric and length: its noise cannot count")
    return found


def worker_count(text: str | None) -> int | Literal["auto"] | None:
    """Return the number of workers that `--workers` names.

    Raises:
        SettingsError: it is neither a number of at least 1 nor `auto`.
    """
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise SettingsError("--workers must be a number of at least 1, or auto", found=text, do="--workers 2")
