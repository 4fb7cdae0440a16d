"""Names for studies that were given none: what they are of, and six digits of all that they ask."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import replace

from ablata.base.imported_files import files_digest
from ablata.base.settings import expand
from ablata.stats.assumptions.aa_test import FEWEST_RUNS
from ablata.studies.identity import outside_data, own_files, recipe_code
from ablata.studies.study import CONTROL, Study, study_name
from ablata.trainers.any import Outside


def aa_question(control: str) -> str:
    """Return the question of a study that runs its control alone."""
    return f"Is the noise of {control} what the decision rule takes it for?"


def against_itself(study: Study) -> Study:
    """Return the study that runs the control of a study alone, under its name with `-aa`."""
    return replace(
        study, name=f"{study.name}-aa", question=aa_question(study.recipes[CONTROL].name), arms={}, factors={},
        cells=None, margin=None, seeds=max(study.seeds, FEWEST_RUNS), fixed=False, history=None, aa=True, commands=(),
    )  # fmt: skip


def named_by_content(study: Study, label: str, budget: str | None = None) -> Study:
    """Return a study under a name made of a label and six digits of what it asks: arms, rule, seeds, and own code.

    An edited script or input asks anew, the same question again finds what is recorded of it.

    Args:
        study: the study.
        label: what it is of, such as a script's or a file's name.
        budget: the time that tells the number of seeds, which then does not count; None: it does.
    """
    rule = study.rule().to_json() | ({} if budget is None else {"seeds": budget})
    parts = [json.dumps(rule), study.mode.value, str(study.first_seed), study.question]
    parts += [study.judged.key] if study.metric is not None else []
    parts += [f"{study.margin_percent:g}%"] if study.margin_percent is not None else []
    parts += ["non-inferior"] if study.non_inferior else []
    parts += ["extendable"] if study.extendable else []
    parts += [study.noise] if study.noise != "scores" else []
    parts += [f"clusters {study.clusters}"] if study.clusters is not None else []
    for name, recipe in study.recipes.items():
        parts += [name, json.dumps(expand(recipe), sort_keys=True)]
        if isinstance(recipe, Outside):
            parts += [recipe_code(recipe), outside_data(recipe)]
        elif files := own_files(recipe):
            parts.append(files_digest(files))
    digits = hashlib.blake2b("\0".join(parts).encode(), digest_size=3).hexdigest()
    return replace(study, name=f"{study_name(label)}-{digits}")


def guarded(study: Study, texts: Sequence[str], *, named: bool, repeats: bool = True) -> Study:
    """Return a study with guardrails.

    Args:
        study: without.
        texts: as typed.
        named: whether its name was given; one that was made up says that it has guardrails, and which.
        repeats: whether its commands are to name them.

    Raises:
        SettingsError: one is wrong, or the study is judged otherwise.
    """
    words = shlex.join([word for text in texts for word in ("--guard", text)])
    commands = tuple(f"{line} {words}" for line in study.commands) if repeats else study.commands
    digits = hashlib.blake2b("\0".join(sorted(texts)).encode(), digest_size=2).hexdigest()
    name = study.name if named else f"{study.name}-guarded-{digits}"
    return replace(study, guards=tuple(texts), commands=commands, name=name)
