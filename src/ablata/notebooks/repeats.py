"""Short studies that answer many of a notebook's conclusions at once: small networks, short trainings, several seeds.

Each notebook has one file of them, `repeated/NAME.yaml`. Overrides are written as in the notebook's own file and may
use its fragments. What a study compares is small on purpose, so that a processor's core answers a dozen conclusions in
under an hour; what holds there need not hold in a full training.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml
from pydantic import Field, model_validator

from ablata.base.errors import SettingsError
from ablata.base.settings import Settings, restore
from ablata.notebooks.notebook import Notebook, load_notebook

if TYPE_CHECKING:
    from ablata.studies.study import Study

_FOLDER = Path(__file__).parent / "repeated"


class ClaimAnswer(Settings):
    """A conclusion about one trial, and how a change of a short study bears on it."""

    question: str
    """Of the notebook."""
    trial: str
    """Of the question."""
    reverse: bool = False
    """The change takes back what the trial did, so that its effect counts with the other sign."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `question/trial`, or `-question/trial` where the change takes the trial's back."""
        question, _, trial = text.removeprefix("-").partition("/")
        return cls(question=question, trial=trial, reverse=text.startswith("-"))


class ShortChange(Settings):
    """One change of a short study."""

    settings: str
    """Overrides on top of the study's base."""
    answers: tuple[str, ...] = ()
    """What it bears on, each `question/trial`, or `-question/trial` where it takes back what the trial did."""

    @property
    def parsed(self) -> tuple[ClaimAnswer, ...]:
        """The conclusions that it bears on."""
        return tuple(ClaimAnswer.parse(text) for text in self.answers)


class ShortStudy(Settings):
    """A study of several changes, together (`factors`) or each alone (`arms`), or of none, for the noise (`aa`)."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    """Unique among the notebook's questions and short studies."""
    title: str
    """What is asked, a sentence."""
    setup: str
    """What is trained, and how much smaller that is than the notebook's, half a sentence."""
    recipe: str | None = None
    """Another recipe than the notebook's; null: that one."""
    base: str = ""
    """Overrides of the recipe that all runs share."""
    margin: float = Field(gt=0)
    """The largest difference that does not matter at that length, in the metric's unit."""
    seeds: int = Field(ge=2)
    """The most that are run."""
    cells: int | None = None
    """How many combinations of the factors are run; null: the fewest that the product takes by itself."""
    factors: dict[str, ShortChange] = Field(default_factory=dict)
    """Changes by name, each judged averaged over the others."""
    arms: dict[str, ShortChange] = Field(default_factory=dict)
    """Changes by name, each alone beside the base."""
    aa: bool = False
    """The base against itself."""

    @property
    def changes(self) -> dict[str, ShortChange]:
        """The changes by name."""
        return self.factors or self.arms

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if bool(self.factors) + bool(self.arms) + self.aa != 1:
            raise ValueError(f"{self.name} must have factors or arms, or be aa")
        return self


class ShortStudies(Settings):
    """The short studies of a notebook."""

    studies: tuple[ShortStudy, ...] = Field(min_length=1)
    """In the order in which they are run."""


@cache
def load_short_studies(name: str) -> tuple[ShortStudy, ...]:
    """Return the short studies of a notebook.

    Raises:
        SettingsError: there is no such notebook, its file is wrong, or an answer names no conclusion.
    """
    return read_short_studies(_FOLDER / f"{name}.yaml", load_notebook(name))


def read_short_studies(path: Path, notebook: Notebook) -> tuple[ShortStudy, ...]:
    """Read a file of short studies, and check it against its notebook.

    Raises:
        SettingsError: it is no YAML, an entry is wrong, or an answer names no conclusion of the notebook.
    """
    try:
        tree: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError(
            "A file of short studies must be YAML", found=f"{path}: {error}", do="mend the line that is named"
        ) from None
    studies = restore(ShortStudies, tree, source=str(path)).studies
    claimed = {
        (question.name, trial)
        for question in notebook.questions
        for conclusion in question.conclusions
        for trial in conclusion.claims
    }
    taken = {question.name for question in notebook.questions}
    for study in studies:
        if study.name in taken:
            raise SettingsError(
                "Studies of a notebook must have names of their own",
                found=f"{study.name}: {path}",
                do="rename one of them",
            )
        taken.add(study.name)
        for name, change in study.changes.items():
            for answer in change.parsed:
                if (answer.question, answer.trial) not in claimed:
                    raise SettingsError(
                        f"An answer must name a trial of {notebook.name} that a conclusion is about, as question/trial",
                        found=f"{study.name}.{name}: {answer.question}/{answer.trial}",
                        do="take the names from `ablata replicate show`",
                    )
    return studies


def short_study_name(notebook: Notebook, short: ShortStudy) -> str:
    """Return the name that a short study has in the ledger."""
    return f"{notebook.name}.{short.name}"


def short_study(notebook: Notebook, short: ShortStudy) -> Study:
    """Return a short study as one that can be run.

    Raises:
        SettingsError: a setting does not fit.
    """
    from ablata.recipes.index import load_recipe
    from ablata.studies.study import Study

    changes = {name: tuple(notebook.overrides(change.settings)) for name, change in short.changes.items()}
    return Study(
        name=short_study_name(notebook, short),
        question=short.title,
        control=load_recipe(short.recipe or notebook.recipe, notebook.overrides(short.base)),
        arms=changes if short.arms else {},
        factors=changes if short.factors else {},
        cells=short.cells,
        margin=short.margin,
        seeds=short.seeds,
        aa=short.aa,
        commands=(f"ablata replicate run {notebook.name} --scale short --study {short.name}",),
    )
