"""Studies written down in a YAML or TOML file, of a recipe or of a command."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ablata.base.errors import SettingsError
from ablata.base.files import read_text
from ablata.base.quantities import parse_duration
from ablata.base.settings import ON_DISK, Settings, restore
from ablata.base.yaml_files import YamlFileError, parse_yaml
from ablata.recipes.index import load_recipe
from ablata.stats import Mode
from ablata.studies.asking.naming import named_by_content
from ablata.studies.study import Study
from ablata.trainers.command import Command
from ablata.trainers.given import lower_is_better
from ablata.trainers.score_source import parse_score

ENDINGS = (".yaml", ".yml", ".toml")
"""How the names of such files end."""
Changes = str | tuple[str, ...] | dict[str, Any]
_PROGRAM = ("score", "lower", "timeout", "input", "source", "folder")


class StudyDocument(Settings):
    """What such a file holds. Its keys are the options of `ablata study run`, with `_` for `-`."""

    recipe: str | None = None
    """The recipe of the control; or `command`."""
    command: str | tuple[str, ...] | None = None
    """The program of the control, such as `python train.py --seed {seed} --lr {lr}`."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Settings of the recipe, or values of the command's own keys, for the control and every arm."""
    arms: dict[str, Changes] = Field(default_factory=dict)
    """For each arm what it changes: values by key; of a command also `git:REF`, or another command."""
    factors: dict[str, tuple[str, ...] | dict[str, Any]] = Field(default_factory=dict)
    """In place of arms: changes that are switched on and off together, each judged averaged over the others."""
    cells: int | None = None
    """How many combinations of the factors run; null: the fewest that keep them apart."""
    seeds: Annotated[int, Field(ge=1)]
    first_seed: Annotated[int, Field(ge=0)] = 0
    margin: float | str | None = None
    """In the metric's unit, or a text such as `10%`, of the control's mean."""
    metric: str | None = None
    """What is compared in place of the control's own score, such as `seconds` or `val/plain/loss`."""
    guard: str | tuple[str, ...] = ()
    """Quantities that an arm may not worsen by more than an allowed amount, such as `seconds:+3%`."""
    begin: str | tuple[str, ...] = ()
    """Of a recipe: what makes the training that comes first, once a seed, and whose weights all begin with."""
    noise: Literal["scores", "items"] = "scores"
    """Where each arm's noise is read from: its scores alone, or its single images too."""
    clusters: str | None = None
    """Which items belong together: `folder`, or a regular expression of their names."""
    screen: bool = False
    force_fixed: bool = False
    extendable: bool = False
    name: str | None = None
    """What the study is recorded under; by default the file's name and six digits of what it asks."""
    question: str | None = None
    score: str | tuple[str, ...] = ()
    """Where a command's scores are read; the first is judged."""
    lower: bool | None = None
    timeout: str | float | None = None
    input: str | tuple[str, ...] = ()
    source: str | tuple[str, ...] = ()
    folder: Annotated[str, ON_DISK] = "."
    """The folder that a command works in."""


def is_document(reference: str) -> bool:
    """Tell whether what names a study is such a file."""
    return Path(reference).suffix.lower() in ENDINGS


def read_study(path: Path) -> Study:
    """Return the study that a file holds; its paths are relative to the present folder, as on a command line.

    Raises:
        SettingsError: there is no such file, it is not YAML or TOML, or a key or value is wrong.
    """
    asked = restore(StudyDocument, _tree(path), source=str(path))
    if (asked.recipe is None) == (asked.command is None):
        raise SettingsError(
            "A study's file must say its control: a recipe or a command",
            found=f"{path}: {'neither' if asked.recipe is None else 'both'}",
            do="for example command: python train.py --seed {seed}",
        )
    of_metric = () if asked.metric is None else ("lower",)
    given = [key for key in _PROGRAM if key in asked.model_fields_set and key not in of_metric]
    if asked.recipe is not None and given:
        raise SettingsError(
            f"{given[0]} belongs to a command",
            found=f"{path} has the recipe {asked.recipe}",
            do="leave it out, or give `command` in place of `recipe`",
        )
    control = load_recipe(asked.recipe, asked.set) if asked.recipe is not None else _command(asked, path)
    study = Study(
        name=asked.name or "unnamed",
        question=asked.question or f"Does it help: {', '.join(asked.factors or asked.arms)}?",
        control=control,
        arms=asked.arms,
        factors=asked.factors,
        cells=asked.cells,
        seeds=asked.seeds,
        first_seed=asked.first_seed,
        margin=asked.margin,
        metric=asked.metric,
        lower=asked.lower if asked.recipe is not None else None,
        mode=Mode.SCREEN if asked.screen else Mode.CLAIM,
        fixed=asked.force_fixed,
        extendable=asked.extendable,
        guards=_several(asked.guard),
        begin=_several(asked.begin),
        noise=asked.noise,
        clusters=asked.clusters,
    )
    return study if asked.name else named_by_content(study, path.stem)


def renamed(study: Study, path: Path, budget: str | None) -> Study:
    """Return a study whose parts were changed since it was read, under a name of its own where the file gives none."""
    return study if _tree(path).get("name") else named_by_content(study, path.stem, budget)


def _command(asked: StudyDocument, path: Path) -> Command:
    scores = _several(asked.score)
    if not scores:
        raise SettingsError("A program's score must be named", found=f"no score in {path}", do="score: val_acc")
    timeout = parse_duration(asked.timeout, "timeout: 10m") if isinstance(asked.timeout, str) else asked.timeout
    made = Command.of(
        asked.command or "",
        scores=scores,
        values={key: value if isinstance(value, str) else json.dumps(value) for key, value in asked.set.items()},
        lower=lower_is_better(parse_score(scores[0]).label, asked.lower),
        timeout=timeout,
        inputs=_several(asked.input),
        sources=_several(asked.source),
        folder=str(Path(asked.folder).absolute()),
    )
    return made.model_copy(update={"name": made.program})


def _several(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given


def _tree(path: Path) -> dict[str, Any]:
    try:
        text = read_text(path)
        tree = tomllib.loads(text) if path.suffix.lower() == ".toml" else parse_yaml(text)
    except OSError as error:
        raise SettingsError(
            "A study's file must be one that can be read",
            found=f"{path}: {error.strerror}",
            do="see that you may read it, and that its disk is there",
        ) from None
    except (YamlFileError, ValueError, RecursionError) as error:
        kind = "TOML" if path.suffix.lower() == ".toml" else "YAML"
        told = " ".join(str(error).split())
        raise SettingsError(
            f"A study's file must be {kind}", found=f"{path}: {told}", do="mend the line that is named"
        ) from None
    if not isinstance(tree, dict):
        raise SettingsError(
            "A study's file must hold keys and values",
            found=f"{path}: {type(tree).__name__}",
            do="begin with lines such as recipe: digits",
        )
    # A date is a text to us.
    return {str(key): value for key, value in json.loads(json.dumps(tree, default=str)).items()}
