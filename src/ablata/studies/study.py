"""Study: a control, the changes to judge, and how they are judged; all fixed before the first run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ablata.base.errors import SettingsError, choices, listing, named, suggestion
from ablata.base.metric import Metric
from ablata.base.overrides import Overrides, override, override_texts
from ablata.base.settings import Settings, diff, expand, files_named, placed, settings_hash
from ablata.recipes.index import load_recipe
from ablata.records.questions.study_items import check_clusters
from ablata.records.rows import NewArm
from ablata.records.studies import NAME
from ablata.stats import RULE_VERSION, History, Mode, Rule
from ablata.stats.assumptions.aa_test import FEWEST_RUNS
from ablata.stats.items.calibration import FIRST_LOOK
from ablata.stats.margin import PERCENT
from ablata.stats.waves import EXTENDABLE
from ablata.studies.beginning import BEGIN, begun, begun_alike
from ablata.studies.factors import Factors
from ablata.studies.guards import GUARDS, Guard, parse_guard
from ablata.studies.identity import own_files
from ablata.studies.metric import judged_metric, parse_margin
from ablata.studies.picking import PICK, refuse_small_budget
from ablata.trainers.any import Outside
from ablata.trainers.command import Command
from ablata.trainers.function import Function

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

CONTROL = "control"
NoiseSource = Literal["scores", "items"]
NOISE_SOURCES: tuple[NoiseSource, ...] = ("scores", "items")
_DIGEST = re.compile(r"#[0-9a-f]{6,12}(?=\")")


@dataclass(frozen=True, kw_only=True)
class Study:
    """A question about changes to one recipe.

    Args:
        name: unique in the ledger; letters, digits, `_`, `-`, `.`, `+`.
        question: what is asked, a sentence for people.
        control: the recipe, command or function that every arm is compared with; a recipe may be named, as for `train`.
        arms: for each arm the overrides of the control that make it, such as `{"data.augment.flip": False}` or
            `("data.augment.flip=false",)`; or its recipe or command, or a recipe's name. Where the control is a
            command: values of its own keys, such as `{"lr": 0.3}`, `"git:REF"`, or another command's text; a function:
            values of its arguments, or another function.
        factors: in place of arms, changes that are switched on and off together: for each the overrides that make it.
            Each is judged averaged over the others; see `ablata.stats.factors.designs`. Then `first_look` is 2 blocks.
        cells: how many combinations of the factors are run, a power of two; None: the fewest that keep them apart.
        margin: the largest difference that does not matter, in the metric's unit; or `"10%"`, of the mean of the
            control's first runs. None: no arm is called equivalent.
        metric: what is compared: a score, one class's score, a cost, a curve, by name; see `judged_metric`. None: the
            control's own score.
        lower: whether lower is better; None: as the metric's name says.
        seeds: the most seeds an arm may use.
        mode: `claim` (5% family-wise false verdicts) or `screen` (20%, verdicts only lean).
        first_look: whole seed rows before the first verdict; None: 3, or 2 where the noise is read from items.
        futility: stop an arm that can hardly be settled any more.
        fixed: judge once, after all seeds of all arms, with no early stop of any kind.
        guards: quantities that an arm may not worsen by more than an allowed amount, such as `seconds:+3%`; an arm
            that is better goes on until they are answered, and its verdict says both.
        non_inferior: show of each arm that it is not worse than the control by more than the margin, which is then the
            metric's own guardrail; the study is judged once, after all seeds.
        pick: take the best of the control and the arms with a budget of `seeds` runs in all, which go where they are
            expected to change the choice; nothing is claimed.
        aa: run the control alone, `seeds` times, to see whether its noise is what the rule takes it for.
        extendable: keep most of the error rate for more seeds later (see `ablata.stats.waves`).
        fork: `auto`: steps that the control and arms have in common, since what tells them apart acts later, are
            trained once a seed; `never`: every run begins with its first step.
        begin: overrides of the control's recipe, such as `freeze=backbone` and `train.epochs=2`: so changed it is
            trained first, once a seed, and control and arms begin with its weights.
        first_seed: seeds count up from here.
        history: noise known from earlier studies, or None.
        noise: where each arm's noise is read from: the `scores`, or also the single `items` (images) of each run, which
            a few hundred of tell sooner; see `ablata.stats.items`. For one to three arms.
        clusters: which items belong together, such as the frames of a video: `folder`, or a regular expression of their
            names; None: as their record says.
        confirms: name of the factorial study whose best combination this one confirms, or None.
        commands: what to type to repeat the study, for its report.

    Raises:
        SettingsError: a name, a margin, a number of seeds or an override does not fit.
    """

    name: str
    question: str
    control: Recipe | Outside | Callable[..., Any] | str
    arms: Mapping[str, Overrides | Recipe | Outside | Callable[..., Any] | str] = field(default_factory=dict)
    factors: Mapping[str, Overrides] = field(default_factory=dict)
    cells: int | None = None
    margin: float | str | None = None
    metric: str | Metric | None = None
    lower: bool | None = None
    seeds: int = 5
    mode: Mode = Mode.CLAIM
    first_look: int | None = None
    futility: bool = True
    fixed: bool = False
    guards: tuple[str, ...] = ()
    non_inferior: bool = False
    pick: bool = False
    aa: bool = False
    extendable: bool = False
    fork: Literal["auto", "never"] = "auto"
    begin: tuple[str, ...] = ()
    first_seed: int = 0
    history: History | None = None
    noise: NoiseSource = "scores"
    clusters: str | None = None
    confirms: str | None = None
    commands: tuple[str, ...] = ()
    recipes: dict[str, Recipe | Outside] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.design is not None:
            cells = self.design.cells()
            if self.arms and self.arms != cells:
                raise SettingsError(
                    "A study has arms or factors", found=f"study {self.name} has both", do="leave out one of them"
                )
            object.__setattr__(self, "arms", cells)
        for name in (self.name, *self.arms):
            if not NAME.fullmatch(name):
                raise SettingsError(
                    "Names of studies and arms are made of letters, digits and _ - . +",
                    found=repr(name),
                    do="leave out spaces and other signs",
                )
        self._refuse_unfit_aa()
        if not (self.arms or self.aa):
            raise SettingsError(
                "A study must have at least one arm besides the control",
                found=f"study {self.name}",
                do="add --arm NAME:key=value",
            )
        if CONTROL in self.arms:
            raise SettingsError(
                f"`{CONTROL}` is the unchanged recipe's own name", found=f"an arm named {CONTROL}", do="rename that arm"
            )
        self._check_items()
        made = {CONTROL: begun(_recipe(CONTROL, self.control), self.begin)}
        object.__setattr__(self, "control", made[CONTROL])
        object.__setattr__(self, "recipes", made)
        kinds = {"factorial": self.design is not None, "a screening": self.mode is Mode.SCREEN, "an A/A test": self.aa}
        if self.extendable and (kind := next((told for told, is_so in kinds.items() if is_so), None)):
            raise SettingsError(
                "A study that can be extended has arms, and makes claims",
                found=f"study {self.name} is {kind}",
                do="leave extendable out",
            )
        self._refuse_unfit_guards()
        percent, judged = self.margin_percent, self.judged
        if percent is not None and judged.unit == "%":
            raise SettingsError(
                f"A margin in percent of the control's mean is for metrics in other units; {judged.key} is in percent",
                found=f"margin {self.margin}",
                do=f"margin {percent:g}, for a difference of {percent:g} points",
            )
        try:
            self.rule()
        except ValueError as error:
            raise SettingsError(str(error), found=f"study {self.name}", do="correct that value of the study") from None
        self._add_arms(made)
        for name, recipe in made.items():
            if not isinstance(recipe, Outside) and recipe.train.batch == "auto":
                raise SettingsError(
                    "A study compares batches that are numbers: one that a machine chooses differs from arm to arm",
                    found=f"train.batch=auto in {name}", do="train.batch=N; `ablata train` says which number fits here",
                )  # fmt: skip

    def _refuse_unfit_guards(self) -> None:
        kinds = {"factors": self.factors, "aa": self.aa, "extendable": self.extendable}
        if self.non_inferior and self.margin is None:
            raise SettingsError(
                "What is not worse can be told only with a margin", found=f"study {self.name} without one",
                do="--margin M, the largest loss that you would accept",
            )  # fmt: skip
        if self.is_guarded and (others := [kind for kind, given in kinds.items() if given]):
            raise SettingsError(
                "Guardrails are for studies and picks of arms, and not for those that go on in waves",
                found=f"study {self.name} with {others[0]}",
                do="leave it or the guardrails out",
            )
        guarded = [parse_guard(self.recipes[CONTROL], text).metric.key for text in self.guards]
        if len({*guarded, self.judged.key}) <= len(guarded) and guarded:
            raise SettingsError(
                "Each guardrail must be of a quantity of its own, and not of the metric",
                found=f"{listing(guarded)}, judged by {self.judged.key}",
                do="leave one out",
            )

    @property
    def parsed_guards(self) -> tuple[Guard, ...]:
        """The guardrails.

        Raises:
            SettingsError: one is written otherwise, or no run of the control records it.
        """
        asked = tuple(parse_guard(self.recipes[CONTROL], text) for text in self.guards)
        absolute, percent = parse_margin(self.margin)
        own = (Guard(self.judged, float(percent or absolute or 0.0), percent is not None),) if self.non_inferior else ()
        return (*own, *asked)

    @property
    def is_guarded(self) -> bool:
        """Whether it has guardrails."""
        return bool(self.guards) or self.non_inferior

    def _refuse_unfit_aa(self) -> None:
        if self.pick and (self.factors or self.aa or self.margin is not None or self.history or self.fixed):
            raise SettingsError(
                "A pick has arms and a budget of runs: it claims nothing, so it has no margin and no rule of verdicts",
                found=f"study {self.name} with factors, a margin, a history, aa or fixed",
                do="leave those out, or leave out pick",
            )
        if self.pick:
            refuse_small_budget(self.name, self.seeds, len(self.arms))
        if self.aa and (self.arms or self.factors):
            raise SettingsError(
                "The control against itself has no arms", found=f"study {self.name} with {listing(self.arms)}",
                do="--aa without --arm and --factor",
            )  # fmt: skip
        if self.aa and self.seeds < FEWEST_RUNS:
            raise SettingsError(
                f"The control against itself needs at least {FEWEST_RUNS} runs to tell anything",
                found=f"{self.seeds} seeds of study {self.name}", do="--seeds 10",
            )  # fmt: skip

    def _check_items(self) -> None:
        """Refuse items where they cannot count."""
        if self.noise not in NOISE_SOURCES:
            raise SettingsError(
                f"noise must be one of {choices(NOISE_SOURCES, self.noise)}",
                found=self.noise,
                do=suggestion(self.noise, NOISE_SOURCES),
            )
        beside = {"factors": self.factors, "a history": self.history, "no arms (aa)": self.aa, "a pick": self.pick}
        found = " and ".join(name for name, given in beside.items() if given)
        if self.noise == "items" and found:
            raise SettingsError(
                "The noise of a study of arms is read from its items, or known from earlier scores",
                found=f"study {self.name} has noise=items and {found}",
                do="leave noise or that out",
            )
        if self.clusters is not None:
            check_clusters(self.clusters)

    def _add_arms(self, made: dict[str, Recipe | Outside]) -> None:
        """Make the recipe of each arm, beside the control's."""
        control = made[CONTROL]
        for factor, change in self.factors.items():
            with named(f"factor {factor}"):
                _arm(factor, control, change)
        owners = {settings_hash(control): CONTROL}
        for name, changes in self.arms.items():
            with in_arm(name):
                made[name] = _arm(name, control, changes)
            if isinstance(control, Function) != isinstance(made[name], Function):
                raise SettingsError(
                    "A function must be compared with functions",
                    found=f"arm {name} of the control {control.name}: {_told(changes)}",
                    do="give the control as a function too, or the arm as values of its arguments",
                )
            owner = owners.setdefault(settings_hash(made[name]), name)
            if owner != name and (files := _files(made[name])) != _files(made[owner]):
                raise SettingsError(
                    "Files in one study must have different names, since a recipe tells them apart by those",
                    found=f"arms {owner} and {name}: {listing(map(str, sorted({*files, *_files(made[owner])})))}",
                    do="rename one of them",
                )
            if owner != name:
                raise SettingsError(
                    "Every arm must change something, and not the same as another",
                    found=f"arm {name} ({_told(changes)}) equals {owner}",
                    do="leave it out, or change something else",
                )

    @property
    def design(self) -> Factors | None:
        """The factors with their design; None for a study of arms.

        Raises:
            SettingsError: they fit no design.
        """
        return Factors.of(self.factors, self.cells) if self.factors else None

    @property
    def judged(self) -> Metric:
        """The metric that is compared."""
        return judged_metric(self.recipes[CONTROL], self.metric, lower=self.lower)

    @property
    def margin_percent(self) -> float | None:
        """The margin as a share of the control's mean, in percent; None where it is in the metric's unit."""
        return parse_margin(self.margin)[1]

    def rule(self) -> Rule:
        """Return the decision rule.

        Raises:
            ValueError: a figure is out of range.
        """
        design, once = self.design, self.fixed or self.aa or self.pick or self.non_inferior
        return Rule(
            margin=parse_margin(self.margin)[0],
            seeds=self.seeds,
            alpha=self.mode.alpha,
            first_look=max(2, self.seeds) if once else design.first_look if design else self._first_look,
            futility=self.futility and not once and design is None,
            higher_is_better=self.judged.higher_is_better,
            history=self.history,
        )

    @property
    def _first_look(self) -> int:
        usual = FIRST_LOOK if self.noise == "items" else Rule.first_look
        return usual if self.first_look is None else self.first_look

    @property
    def _unseeded(self) -> bool:
        """Whether a command or function takes no seed, so that runs of equal number have nothing in common."""
        return any(isinstance(recipe, Outside) and not recipe.is_seeded for recipe in self.recipes.values())

    def change(self, arm: str) -> tuple[str, ...]:
        """Return what an arm changes: its overrides, or how its recipe differs from the control."""
        changes = self.arms[arm]
        if isinstance(changes, Settings | str) or callable(changes) or isinstance(self.recipes[arm], Outside):
            return tuple(_differences(self.recipes[CONTROL], self.recipes[arm]))
        return tuple(override_texts(changes))

    def seed_row(self, row: int) -> int:
        """Return the seed of a row, counted from 0."""
        return self.first_seed + row

    def spec(self) -> dict[str, Any]:
        """Return what is fixed before launch, JSON-safe, as the ledger keeps it."""
        metric = self.judged
        return {
            "metric": {
                "key": metric.key,
                "name": metric.name,
                "split": metric.split,
                "protocol": metric.protocol,
                "unit": metric.unit,
                "higher_is_better": metric.higher_is_better,
            },
            "rule": self.rule().to_json(),
            "rule_version": RULE_VERSION,
            "mode": self.mode.value,
            "fixed": self.fixed,
            "first_seed": self.first_seed,
            "commands": list(self.commands or (f"ablata study run {self.name}",)),
            **({"other_metric": True} if metric != self.recipes[CONTROL].metric() else {}),
            **({PERCENT: self.margin_percent} if self.margin_percent is not None else {}),
            # Only where it is so: the specification of every other study stays what it was.
            **({"unseeded": True} if self._unseeded else {}),
            **({"design": design.to_json()} if (design := self.design) else {}),
            **({"aa": True} if self.aa else {}),
            **({PICK: True} if self.pick else {}),
            **({GUARDS: [guard.to_json() for guard in self.parsed_guards]} if self.is_guarded else {}),
            **({EXTENDABLE: True} if self.extendable else {}),
            **({"noise": self.noise} if self.noise != "scores" else {}),
            **({BEGIN: list(self.begin)} if self.begin else {}),
            **({"clusters": self.clusters} if self.clusters is not None else {}),
            **({"confirms": self.confirms} if self.confirms is not None else {}),
        }

    def new_arms(self) -> list[NewArm]:
        """Return the arms as the ledger takes them, the control first."""
        return [new_arm(name, self.recipes[CONTROL], recipe) for name, recipe in self.recipes.items()]


def new_arm(name: str, control: Recipe | Outside, recipe: Recipe | Outside) -> NewArm:
    """Return an arm as the ledger takes it: its recipe, and how that differs from the control's."""
    return NewArm(
        name=name,
        recipe_name=control.name,
        recipe=expand(placed(recipe)),
        recipe_hash=settings_hash(recipe),
        change=_differences(control, recipe),
        is_control=name == CONTROL,
    )


def _differences(control: Recipe | Outside, recipe: Recipe | Outside) -> list[str]:
    """Return what an arm changes, a line each: of functions the arguments, by their own names."""
    if isinstance(control, Command) and isinstance(recipe, Command):
        return recipe.changes(control)
    changes = diff(control, recipe)
    if not isinstance(control, Function) or not isinstance(recipe, Function):
        return [str(change) for change in changes]
    # Of another function what it shares with the control, or has beside it.
    shared = [f"values.{name}" for name in recipe.values]
    told = [change for change in changes if change.key in shared or change.key in ("timeout", "seeded")]
    lines = [_DIGEST.sub("", str(change)).removeprefix("values.") for change in told]
    if recipe.name != control.name or (recipe.function != control.function and not lines):
        lines.insert(0, f"function: {control.name} -> {recipe.name}")
    return lines


def in_arm(name: str) -> AbstractContextManager[None]:
    """Name an arm in the refusals of what is done for it; the control's need no name."""
    return nullcontext() if name == CONTROL else named(f"arm {name}")


def _arm(name: str, control: Recipe | Outside, changes: Any) -> Recipe | Outside:
    """Return the recipe of an arm that is given as changes of the control, or by itself.

    Raises:
        SettingsError: a change does not fit.
    """
    if callable(changes) and not isinstance(changes, Settings) and not isinstance(control, Function):
        return Function.of(changes)
    if isinstance(control, Outside) and not isinstance(changes, Settings):
        return control.arm(changes)
    if isinstance(changes, Settings | str):
        return begun_alike(_recipe(name, changes), control)
    return override(control, changes)


def _recipe(arm: str, given: object) -> Recipe | Outside:
    """Return an arm's recipe, command or function, or the recipe that its name stands for.

    Raises:
        SettingsError: it is neither, or there is no recipe of that name.
    """
    if isinstance(given, str):
        if "=" in given:
            raise SettingsError("Overrides are a list of texts, or values by key", found=f"arm {arm}: the text {given}",
                                do=f'["{given}"]')  # fmt: skip
        return load_recipe(given)
    if isinstance(given, Outside):
        return given
    if callable(given):
        return Function.of(given)
    from ablata.engine.recipe import Recipe

    if isinstance(given, Recipe):
        return given
    raise SettingsError(
        f"{'The control' if arm == CONTROL else f'Arm {arm}'} must be a recipe, its name, a command or a function",
        found=f"{type(given).__name__} {given!r}"[:120],
        do="give one of these, such as control=ablata.load_recipe('digits')",
    )


def _files(recipe: Recipe | Outside) -> set[Path]:
    return {*own_files(recipe), *(path for path, _ in files_named(recipe))}


def _told(changes: Overrides | Recipe | Outside | Callable[..., Any] | str) -> str:
    if isinstance(changes, Outside | str):
        return changes if isinstance(changes, str) else changes.text()
    if callable(changes):
        return str(getattr(changes, "__name__", repr(changes)))
    return "its recipe" if isinstance(changes, Settings) else " ".join(override_texts(changes)) or "no change"


def study_name(recipe: str) -> str:
    """Return the end of a recipe's name as a study's name can hold it: `my digits.py:small` as `my-digits.py-small`."""
    return re.sub(r"[^\w.+-]+", "-", recipe.replace("\\", "/").rpartition("/")[2]).strip("-.+")[:40] or "study"
