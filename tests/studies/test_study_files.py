"""Study files, spoilt at random: each is a study or refused in words."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.spoiling import spoilt, spoilt_bytes

from ablata.base.errors import UserError
from ablata.studies.index import load_study

_STUDIES: tuple[dict[str, Any], ...] = (
    {
        "question": "Does it help?", "command": "python train.py {seed} {lr}", "set": {"lr": 0.1}, "score": ["acc"],
        "arms": {"big": {"lr": 0.9}, "fixed": "python train.py {seed} 0.5", "same": ["lr=0.2"]}, "seeds": 3,
        "margin": 0.5, "timeout": "1m", "guard": ["seconds:+3%"], "input": "train.py",
    },
    {
        "name": "wider", "recipe": "digits", "seeds": 4, "screen": True, "set": {"train.steps": 6}, "margin": "10%",
        "arms": {"wide": {"model.width": 6}, "slow": {"optim": {"lr": 0.01}}}, "metric": "seconds",
    },
    {
        "recipe": "digits", "seeds": 2, "factors": {"wide": {"model.width": 6}, "slow": ["optim.lr=0.01"]},
        "cells": 4, "noise": "items", "clusters": "folder",
    },
)  # fmt: skip


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {_toml(one)}" for key, one in value.items()) + "}"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else json.dumps(value)


def _spoilt_file(folder: Path, seed: int) -> Path:
    """Write a study's file with some of its values or bytes spoilt."""
    random, tree = np.random.default_rng(seed), dict(_STUDIES[seed % len(_STUDIES)])
    changed = spoilt(tree, random) if random.random() < 0.7 else tree
    path = folder / f"study.{'yaml' if random.random() < 0.5 else 'toml'}"
    if path.suffix == ".yaml":
        text = yaml.dump(changed, Dumper=yaml.SafeDumper) if random.random() < 0.8 else json.dumps(changed)
    else:
        text = "\n".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in changed.items())
    content = text.encode("utf-8", "surrogatepass")
    path.write_bytes(spoilt_bytes(content, random) if random.random() < 0.4 else content)
    return path


def _several(folder: Path, seeds: range) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        path = _spoilt_file(folder, seed)
        try:
            study = load_study(str(path))
            assert [study.change(arm) for arm in study.arms]
            outcomes["read"] += 1
        except UserError as error:
            outcomes["refused" if error.must and len(str(error)) < 3000 else str(error)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    assert set(outcomes) <= {"read", "refused"}
    return outcomes


@pytest.fixture(autouse=True)
def _program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("print('acc:', 1)")


def test_spoilt_study_files_are_read_or_refused_in_words(tmp_path: Path) -> None:
    outcomes = _several(tmp_path, range(30))
    assert min(outcomes["read"], outcomes["refused"]) > 1


@pytest.mark.slow
def test_spoilt_study_files_of_a_minute_are_read_or_refused_in_words(tmp_path: Path) -> None:
    end, seed = time.monotonic() + 60, 1000
    while time.monotonic() < end:
        _several(tmp_path, range(seed, seed + 20))
        seed += 20


def test_an_unknown_key_is_answered_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("control: digits\narms:\n  x: {optim.lr: 0.2}\nseeds: 3\n")
    with pytest.raises(UserError, match=r"control must be a known key(.|\n)*choose one of .*recipe"):
        load_study(str(tmp_path / "s.yaml"))
