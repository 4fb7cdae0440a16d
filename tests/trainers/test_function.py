from __future__ import annotations

import functools
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from ablata.base.errors import RunError, SettingsError
from ablata.base.settings import expand, restore, settings_hash
from ablata.trainers.function import Function, read_result
from ablata.trainers.returned_names import returned_names


class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"


def train(
    seed: int,
    size: tuple[int, int] = (8, 8),
    mode: Mode = Mode.FAST,
    act: Literal["relu", "gelu"] = "relu",
    folder: Path = Path("data"),
    rate: float = 1,
    depth=2,
    device="cuda:0",
    pair=(1, 2),
    optimiser: type = torch.optim.SGD,
) -> Any:
    return locals()


def test_values_come_back_as_the_types_that_the_function_has() -> None:
    function = Function.of(train)
    changed = function.arm({"size": (4, 4), "mode": Mode.SLOW, "act": "gelu", "depth": np.int64(3), "pair": [3, 4]})
    restored = restore(Function, expand(changed), source="a test")
    assert settings_hash(restored) == settings_hash(changed) != settings_hash(function)
    for one in (changed, restored):
        got = one.run(7, Path("run"))
        assert got == {
            "seed": 7, "size": (4, 4), "mode": Mode.SLOW, "act": "gelu", "folder": Path("data"), "rate": 1.0,
            "depth": 3, "device": "cuda:0", "pair": (3, 4), "optimiser": torch.optim.SGD,
        }  # fmt: skip
        assert type(got["depth"]) is int
    assert function.arm(["depth=4", "act=gelu"]).values["depth"] == 4
    assert function.arm({"depth": 0.5}).run(0, Path())["depth"] == 0.5


def test_an_object_as_a_value_binds_a_function_to_its_process() -> None:
    function = Function.of(train)
    assert function.is_importable
    bound = function.arm({"optimiser": torch.optim.Adam})
    assert not bound.is_importable
    assert bound.run(0, Path())["optimiser"] is torch.optim.Adam
    assert bound.arm({"depth": 3}).run(0, Path())["optimiser"] is torch.optim.Adam
    assert len({settings_hash(function.arm({"optimiser": one})) for one in (torch.optim.Adam, torch.optim.AdamW)}) == 2
    with pytest.raises(SettingsError, match="can be called there alone"):
        restore(Function, expand(bound), source="a test").find()


def test_a_function_with_other_keywords_takes_any_and_one_with_required_arguments_needs_them() -> None:
    def free(seed: int, **options: Any) -> Any:
        return options

    assert Function.of(free).arm({"anything": [1, {"a": 2}]}).run(0, Path()) == {"anything": [1, {"a": 2}]}

    def needing(seed: int, depth: int) -> Any:
        return depth

    with pytest.raises(SettingsError, match=r"functools.partial\(needing, depth=...\)"):
        Function.of(needing)
    assert Function.of(functools.partial(needing, depth=3)).run(0, Path()) == 3


def test_results_are_numbers_by_name() -> None:
    assert read_result(torch.tensor(0.5, requires_grad=True), "acc") == {"acc": 0.5}
    assert read_result({"acc": np.float32(0.5), "history": [1, 2], "model": object()}, "score") == {"acc": 0.5}
    assert read_result(None, "acc") == {}
    for wrong in ("0.5", [0.5, 0.6], {"history": []}, object(), (0.1, 0.2)):
        with pytest.raises(RunError, match="a number, or numbers by name"):
            read_result(wrong, "acc")


def test_the_names_of_scores_are_read_from_the_text_where_it_tells(tmp_path: Path) -> None:
    def named(seed: int) -> Any:
        def inner() -> Any:
            return {"other": 1}

        if seed:
            return {"acc": inner()["other"]}
        return dict(acc=1.0, f1=2.0)  # noqa: C408

    def number(seed: int) -> Any:
        return float(seed) / 2

    def variable(seed: int) -> Any:
        scores = {"acc": seed}
        return scores

    def handing(seed: int) -> None:
        from ablata import score

        score(acc=seed)

    assert returned_names(named) == ["acc", "f1"]
    assert returned_names(number) == []
    assert returned_names(variable) is None
    assert returned_names(handing) == ["acc"]
    assert returned_names(lambda seed: {"acc": seed}) is None
    assert returned_names(max) is None
