"""Studies in YAML and TOML files, as somebody types them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.base.errors import SettingsError
from ablata.stats import Mode
from ablata.studies.index import load_study
from ablata.trainers.command import Command

SCRIPT = """
import random, sys
seed, lr = int(sys.argv[1]), float(sys.argv[2])
print("loss:", 1 - lr)
print("acc:", random.Random(seed).gauss(90, 1) + 5 * lr + random.Random(f"{seed} {lr}").gauss(0, 0.01))
"""
YAML = f"""
question: Does a larger learning rate help?
command: {sys.executable} train.py {{seed}} {{lr}}
set:
  lr: 0.1
arms:
  big:
    lr: 0.9
  fixed: {sys.executable} train.py {{seed}} 0.5
score: [acc, loss]
seeds: 3
margin: 0.5
timeout: 1m
"""
TOML = """
name = "wider"
recipe = "digits"
seeds = 4
screen = true
set = {"train.steps" = 6}
[arms.wide]
"model.width" = 6
[arms.slow]
optim.lr = 0.01
"""


@pytest.fixture(autouse=True)
def _script() -> None:
    Path("train.py").write_text(SCRIPT)
    Path("lr.yaml").write_text(YAML)
    Path("wider.toml").write_text(TOML)


def test_a_study_of_a_command_is_run_from_a_yaml_file_and_changed_by_options(ablata: Callable[..., Any]) -> None:
    first = ablata("study", "run", "lr.yaml")
    assert first.status == 0, first.err
    assert "Does a larger learning rate help?" in first.out
    assert "big is better by" in first.out
    assert "fixed is better by" in first.out
    runs = len(json.loads(ablata("runs", "list", "--json").out))
    assert "is finished" in ablata("study", "run", "lr.yaml").err
    assert "is better by" in ablata("study", "run", "lr.yaml", "--seeds", "4", "--set", "lr=0.2").out
    assert len(json.loads(ablata("runs", "list", "--json").out)) > runs, "other values are another question"
    Path("train.py").write_text(SCRIPT.replace("5 * lr", "-5 * lr"))
    assert "big is worse by" in ablata("study", "run", "lr.yaml").out, "an edited script asks anew"


def test_a_study_of_a_recipe_is_read_from_a_toml_file() -> None:
    study = load_study("wider.toml")
    assert (study.name, study.seeds, study.margin, study.mode) == ("wider", 4, None, Mode.SCREEN)
    assert study.change("wide") == ("model.width=6",)
    assert study.change("slow") == ("optim.lr=0.01",)
    assert study.recipes["wide"].train.steps == 6  # type: ignore[union-attr]


def test_a_command_in_a_file_is_the_command_as_typed() -> None:
    control = load_study("lr.yaml").recipes["control"]
    assert isinstance(control, Command)
    assert control.values == {"lr": "0.1"}
    assert control.timeout == 60
    assert control.scores == ("acc", "loss")
    assert control.folder == str(Path.cwd())


def test_what_is_wrong_in_a_file_is_told_with_the_nearest_key(subtests: pytest.Subtests) -> None:
    for old, new, words in (
        ("margin: 0.5", "margni: 0.5", "did you mean margin"),
        ("seeds: 3", "seeds: many", "seeds must be a whole number >= 1"),
        ("seeds: 3", "", "seeds must be given"),
        ("lr: 0.9", "rl: 0.9", "the command has lr"),
        ("command:", "command: [", "must be YAML"),
        ("command:", "recipe:", "score belongs to a command"),
        ("score: [acc, loss]", "", "score must be named"),
        ("score: [acc, loss]", "recipe: digits", "both"),
        ("timeout: 1m", "timeout: soon", "s, m, h or d"),
        ("margin: 0.5", "margin: .nan", "margin"),
        (YAML, "just a text", "keys and values"),
        (YAML, "arms: !!python/object:os.system {}", "must be YAML"),
    ):
        with subtests.test(new=new):
            Path("lr.yaml").write_text(YAML.replace(old, new))
            with pytest.raises(SettingsError, match=words):
                load_study("lr.yaml")
    with pytest.raises(SettingsError, match="can be read"):
        load_study("none.yaml")
