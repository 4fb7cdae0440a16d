from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ablata.trainers.live_code import live_digest, reads_as_on_disk


def typed(text: str, **names: Any) -> Callable[..., Any]:
    """The last function of a text, as typed into a notebook."""
    scope: dict[str, Any] = {"__name__": "notebook", **names}
    exec(textwrap.dedent(text), scope)
    return next(value for value in reversed(scope.values()) if callable(value))


def digest(thing: Any) -> str:
    found, blind = live_digest(thing)
    assert not blind
    return found


TRAIN = """
def helper(x):
    return x + SCALE

def train(seed, lr=0.1):
    return [helper(seed + i) * lr for i in range(3)]
"""


def test_every_edit_that_changes_what_is_computed_changes_the_digest(subtests: pytest.Subtests) -> None:
    first = digest(typed(TRAIN, SCALE=1))
    assert digest(typed(TRAIN, SCALE=1)) == first
    assert digest(typed("\n\n# a comment\n" + TRAIN, SCALE=1, unused=3)) == first
    for old, new in {
        "x + S": "x - S",
        "range(3)": "range(4)",
        "lr=0.1": "lr=0.2",
        "* lr": "* lr * 2",
        "i)": "2 * i)",
    }.items():
        with subtests.test(new=new):
            assert digest(typed(TRAIN.replace(old, new), SCALE=1)) != first
    assert digest(typed(TRAIN, SCALE=2)) != first
    assert digest(typed(TRAIN, SCALE=1.0)) != first


def test_values_of_closures_and_globals_count_by_their_content(subtests: pytest.Subtests) -> None:
    @dataclass
    class Config:
        lr: float = 0.1

    class Net(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(width, 1, bias=False)
            torch.nn.init.ones_(self.layer.weight)

    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "array": (lambda: np.arange(5), lambda: np.arange(5) + 1),
        "array's type": (lambda: np.zeros(2), lambda: np.zeros(2, dtype=np.float32)),
        "tensor": (lambda: torch.ones(3, dtype=torch.bfloat16), lambda: torch.zeros(3, dtype=torch.bfloat16)),
        "frame": (
            lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
            lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "z"]}),
        ),
        "set": (lambda: {"a", "b", "c"}, lambda: {"a", "b", "d"}),
        "object": (Config, lambda: Config(0.2)),
        "module": (lambda: Net(3), lambda: Net(4)),
        "estimator": (LogisticRegression, lambda: LogisticRegression(C=0.5)),
        "dataset": (
            lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(3)), batch_size=2),
            lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(3)), batch_size=3),
        ),
        "generator": (lambda: np.random.default_rng(1), lambda: np.random.default_rng(2)),
        "class": (lambda: Config, lambda: Net),
        "lambda": (lambda: lambda x: x, lambda: lambda x: -x),
        "method": (lambda: Config(0.1).__eq__, lambda: Config(0.3).__eq__),
        "partial": (lambda: functools.partial(max, 1), lambda: functools.partial(max, 2)),
        "library": (lambda: np.mean, lambda: np.median),
    }
    for name, (one, other) in pairs.items():
        with subtests.test(name=name):

            def using(value: Any) -> Callable[[int], Any]:
                return lambda seed: (value, seed)

            assert digest(using(one())) == digest(using(one()))
            assert digest(using(one())) != digest(using(other()))
            assert digest(typed("def train(seed): return VALUE", VALUE=one())) != digest(
                typed("def train(seed): return VALUE", VALUE=other())
            )


def test_the_digest_is_the_same_in_another_process(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import functools
        from dataclasses import dataclass, field
        from ablata.trainers.live_code import live_digest

        @dataclass
        class Config:
            names: list[str] = field(default_factory=list)
            @property
            def first(self): return self.names[0]
            @staticmethod
            def plain(): return {"a", "b", "c"}

        @functools.lru_cache
        def cached(x): return x in {"one", "two", "three"}

        CONFIG = Config(["x"])
        LOOP = []
        LOOP.append(LOOP)

        def train(seed, kinds=("a", "b")):
            return cached(seed), CONFIG.first, LOOP, train

        print(live_digest(train))
    """)
    (tmp_path / "one.py").write_text(program)
    answers = [
        subprocess.run(
            [sys.executable, "one.py"], cwd=tmp_path, capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert answers[0] == answers[1]
    assert "()" in answers[0], "blind to nothing"


def test_a_cache_that_a_function_fills_itself_is_no_part_of_it() -> None:
    text = """
    DATA = None
    def train(seed):
        global DATA
        if DATA is None:
            DATA = seed
        return DATA
    """
    train = typed(text)
    before = digest(train)
    train(3)
    assert digest(train) == before


def test_what_has_no_content_is_named(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        lock = threading.Lock()
        _, blind = live_digest(lambda seed: (file, lock))
    assert blind == ("file (a TextIOWrapper)", "lock (a lock)")


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_a_module_whose_file_was_edited_or_whose_names_were_set_is_not_as_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine_live.py"
    text = "RATE = 0.1\nCACHE = {}\nclass Net:\n    def go(self): return 1\ndef train(seed):\n    return RATE * seed\n"
    file.write_text(text)
    module = imported(file)
    monkeypatch.setitem(sys.modules, "mine_live", module)
    assert reads_as_on_disk(module.train)
    module.CACHE["filled"] = 1
    assert reads_as_on_disk(module.train)
    module.RATE = 0.2
    assert not reads_as_on_disk(module.train)
    module.RATE = 0.1
    for edited in (
        text.replace("RATE * seed", "RATE + seed"),
        text.replace("return 1", "return 2"),
        text.replace("0.1", "0.3"),
        "(",
    ):
        file.write_text(edited)
        assert not reads_as_on_disk(module.train)
    file.write_text(text)
    module.train = lambda seed: 0
    assert not reads_as_on_disk(module.train)
