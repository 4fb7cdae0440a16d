"""A factorial study: changes joined by a design, cells run as arms, each change judged averaged over the others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablata.base.errors import SettingsError
from ablata.records import Ledger
from ablata.reports.collect import study_view
from ablata.reports.html import study_page
from ablata.reports.markdown import study_markdown
from ablata.studies.asking.adhoc import ask
from ablata.studies.asking.comparing import compare_commands
from ablata.studies.asking.documents import read_study
from ablata.studies.asking.typed import StudyTerms
from ablata.studies.assess import assess
from ablata.studies.factors import Factors
from ablata.studies.identity import new_run, record_environment
from ablata.studies.launch import create
from ablata.studies.planning.plan import plan_study
from ablata.studies.study import Study
from ablata.trainers.command import Command

End = Callable[..., None]
THREE = ("warm:a=1", "smooth:b=1", "flip:c=1")


def command_study(**parts: Any) -> Study:
    words = "python train.py --seed {seed} --a {a} --b {b} --c {c}"
    terms: dict[str, Any] = {"factors": THREE, "seeds": 3, "name": "three"} | parts
    return compare_commands([words], (), ["a=0", "b=0", "c=0"], StudyTerms(**terms), scores=["acc"], verb="study run")


def end_blocks(ledger: Ledger, study: Study, end: End, scores: np.ndarray) -> None:
    """End every run of whole seeds with the scores given, (seeds, cells)."""
    create(ledger, study)
    environment = record_environment(ledger)
    for row, block in enumerate(scores):
        for cell, value in zip(study.recipes, block, strict=True):
            new = new_run(ledger, study.recipes[cell], study.seed_row(row), environment)
            run = ledger.studies.enqueue(study.name, cell, new)
            end(run, None if np.isnan(value) else float(value), acc=float(value))


def made_up(study: Study, effects: list[float], seeds: int) -> np.ndarray:
    design = study.design
    assert design is not None
    rng = np.random.default_rng(0)
    mean = 90 + (design.design.signs > 0) @ np.array(effects)
    return np.asarray(mean + rng.normal(0, 1.0, (seeds, 1)) + rng.normal(0, 0.1, (seeds, design.design.cells)))


def test_cells_are_named_by_their_changes_and_hold_their_overrides() -> None:
    study = command_study()
    assert list(study.recipes) == ["control", "warm", "smooth", "warm+smooth", "flip", "warm+flip", "smooth+flip",
                                   "warm+smooth+flip"]  # fmt: skip
    made = study.recipes["warm+flip"]
    assert isinstance(made, Command)
    assert made.values == {"a": "1", "b": "0", "c": "1"}
    design = study.design
    assert design is not None
    assert Factors.from_json(study.spec()["design"]) == design
    assert study.rule().first_look == 2


def test_cells_with_long_names_are_numbered() -> None:
    cells = Factors.of({f"{'long' * 12}{i}": {f"key{i}": 1} for i in range(3)}).cells()
    assert list(cells) == [f"cell-{number:02d}" for number in range(1, 8)]


def test_a_recipe_is_asked_in_the_same_way() -> None:
    study = ask(
        "digits",
        (),
        (),
        StudyTerms(factors=("wide:model.width=32", "flat:model.depth=1", "flat:optim.lr=0.05"), seeds=3, margin=1),
    )
    assert study.change("wide+flat") == ("model.width=32", "model.depth=1", "optim.lr=0.05")
    assert "--factor wide:model.width=32" in study.commands[0]


def test_wrong_factors_are_refused_in_words() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"factors": ("one:a=1",)}, "2 to 16 changes"),
        ({"factors": ("one:a=1", "two:a=2")}, "keys of its own"),
        ({"factors": ("o+ne:a=1", "two:b=2")}, "Names of factors"),
        ({"factors": THREE, "cells": 12}, "power of two"),
        ({"factors": ("one a", "two:b=2")}, "NAME:key=value"),
        ({"factors": ("one:a=0", "two:b=2")}, "must change something"),
    ]
    for parts, words in wrong:
        with pytest.raises(SettingsError, match=words):
            command_study(**parts)
    with pytest.raises(SettingsError, match="arms or factors"):
        ask("digits", (), ("wide:model.width=32",), StudyTerms(factors=THREE, seeds=3, margin=None))


def test_the_changes_are_judged_once_a_block_is_whole(ledger: Ledger, end_run: End) -> None:
    study = command_study()
    end_blocks(ledger, study, end_run, made_up(study, [2.0, -2.0, 0.0], 3))
    judged = assess(ledger, "three")
    assert judged.rows == 3
    assert judged.factorial is not None
    assert [factor.verdict.value for factor in judged.factorial.factors] == ["better", "worse", "undecided"]
    assert [factor.effect for factor in judged.factorial.factors] == pytest.approx([2, -2, 0], abs=0.15)


def test_a_cell_that_lost_a_run_is_left_out_and_the_rest_tells_the_changes(ledger: Ledger, end_run: End) -> None:
    study = command_study()
    scores = made_up(study, [2.0, -2.0, 0.0], 3)
    scores[:2, 4] = np.nan
    end_blocks(ledger, study, end_run, scores)
    judged = assess(ledger, "three")
    assert judged.rows == 3
    assert judged.factorial is not None
    assert (judged.factorial.lost, judged.factorial.apart) == ((4,), ())
    assert [factor.verdict.value for factor in judged.factorial.factors] == ["better", "worse", "undecided"]
    assert [factor.effect for factor in judged.factorial.factors] == pytest.approx([2, -2, 0], abs=0.3)
    ledger.studies.add_look("three", judged.rows, judged.as_look())
    view = study_view(ledger, "three")
    assert [arm.verdict for arm in view.treatments] == ["better", "worse", "undecided"]
    page = study_page(view)
    assert "Left out, since runs of theirs left no score: flip" in page
    assert "interactions of three and more changes as nil" in page
    json.loads(json.dumps(judged.as_look()))


def test_too_many_lost_cells_leave_estimates_and_no_verdict(ledger: Ledger, end_run: End) -> None:
    study = command_study()
    scores = made_up(study, [2.0, -2.0, 0.0], 3)
    scores[:, [3, 5]] = np.nan
    end_blocks(ledger, study, end_run, scores)
    judged = assess(ledger, "three")
    assert judged.factorial is not None
    assert not judged.factorial.clear
    assert {factor.verdict.value for factor in judged.factorial.factors} == {"undecided"}
    assert [factor.effect for factor in judged.factorial.factors] == pytest.approx([2, -2, 0], abs=0.3)
    ledger.studies.add_look("three", judged.rows, judged.as_look())
    ledger.studies.finish("three")
    page = study_page(study_view(ledger, "three"))
    assert "Too few combinations are left" in page
    assert "no verdict falls" in page
    scores[:, 1:] = np.nan
    other = command_study(name="none", first_seed=10)
    end_blocks(ledger, other, end_run, scores)
    assert assess(ledger, "none").factorial is None


def test_a_lost_block_is_left_out_alone(ledger: Ledger, end_run: End) -> None:
    study = command_study()
    scores = made_up(study, [2.0, -2.0, 0.0], 3)
    scores[1] = np.nan
    end_blocks(ledger, study, end_run, scores)
    judged = assess(ledger, "three").factorial
    assert judged is not None
    assert (judged.lost, judged.apart, judged.factors[0].seeds) == ((), (1,), 2)


def test_the_report_shows_changes_interactions_and_cells(ledger: Ledger, end_run: End) -> None:
    study = command_study()
    end_blocks(ledger, study, end_run, made_up(study, [2.0, -2.0, 0.0], 3))
    looked = assess(ledger, "three")
    ledger.studies.add_look("three", looked.rows, looked.as_look())
    view = study_view(ledger, "three")
    assert [arm.name for arm in view.treatments] == ["warm", "smooth", "flip"]
    assert [arm.verdict for arm in view.treatments] == ["better", "worse", "undecided"]
    assert [str(change) for change in view.treatments[0].changes] == ["a: 0 → 1"]
    assert len(view.runs) == 24
    assert view.factorial is not None
    assert view.factorial.best in ("warm", "warm+flip")
    assert view.factorial.predicted in ("warm", "warm+flip")
    assert view.factorial.confirm == "ablata study confirm three"
    assert len(view.factorial.contrasts) == 7
    page = study_page(view)
    for words in (
        "Half-normal plot",
        "Interactions",
        "warm x smooth",
        "averaged over the others",
        "All 8 combinations",
    ):
        assert words in page, words
    assert "All 8 combinations" in study_markdown(view)


def test_a_change_of_a_part_shows_the_parts_that_it_replaces(ledger: Ledger) -> None:
    terms = StudyTerms(factors=("steps:schedule=step", "mixed:data.augment.mix=mixup"), seeds=2, margin=None)
    create(ledger, ask("digits", (), (), terms))
    (name,) = [row.name for row in ledger.studies.all()]
    view = study_view(ledger, name)
    assert [str(arm.changes[0]) for arm in view.treatments] == [
        'schedule.kind: "cosine" → "step"', 'data.augment.mix: null → "mixup"',
    ]  # fmt: skip


def test_the_plan_says_cells_and_what_is_confounded(ledger: Ledger) -> None:
    four = ("a:model.width=8", "b:model.depth=1", "c:optim.lr=0.05", "d:model.norm=none")
    study = ask(
        "digits", ("train.epochs=null", "train.steps=6"), (), StudyTerms(factors=four, cells=8, seeds=2, margin=None)
    )
    told = str(plan_study(ledger, study, workers=2))
    assert "8 cells, 2 seeds each" in told
    assert "a x b or c x d" in told
    assert "finds differences of" in told


def test_a_file_may_hold_factors(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "recipe: digits\nfactors:\n  wide: {model.width: 32}\n  flat: [model.depth=1]\nseeds: 2\n"
    )
    assert list(read_study(tmp_path / "s.yaml").arms) == ["wide", "flat", "wide+flat"]


def test_a_factorial_study_of_a_program_runs_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ablata.cli.main import main

    (tmp_path / "t.py").write_text(
        "import sys\ns, a, b = map(int, sys.argv[1:])\n"
        "print('acc:', 80 + 3 * a + 0.01 * ((7 * s + 3 * a + 5 * b) % 11))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "home"))
    words = ["--set", "a=0", "--set", "b=0", "--factor", "warm:a=1", "--factor", "flip:b=1", "--score", "acc"]
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "study",
                "run",
                "--command",
                f"{sys.executable} t.py {{seed}} {{a}} {{b}}",
                *words,
                "--seeds",
                "3",
                "--name",
                "f",
            ]
        )
    said = capfd.readouterr()
    assert ended.value.code in (0, None), said.err
    assert "2 changes in 4 combinations" in said.err
    assert "warm is better by 3.0" in said.out
    assert "All 4 combinations of the 2 changes run" in said.out


PROGRAM = """
import sys
s, a, b, c, d = map(int, sys.argv[1:])
print('acc:', 80 + 3 * a - 2 * b + 2 * a * c + 0.01 * ((7 * s + 3 * a + 5 * b + 2 * c + d) % 11))
"""


@pytest.mark.slow
def test_a_study_is_folded_over_and_its_best_combination_confirmed_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ablata.cli.main import main

    (tmp_path / "t.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "home"))

    def typed(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["study", *words])
        said = capfd.readouterr()
        return int(ended.value.code or 0), " ".join((said.out + said.err).split())

    changes = [word for key in "abcd" for word in ("--set", f"{key}=0", "--factor", f"on-{key}:{key}=1")]
    asked = ["run", "--command", f"{sys.executable} t.py {{seed}} {{a}} {{b}} {{c}} {{d}}", *changes, "--cells", "8"]
    asked += ["--score", "acc", "--seeds", "2", "--name", "f"]
    code, said = typed(*asked)
    assert code == 0, said
    assert "on-a x on-c or on-b x on-d" in said
    assert "On fresh seeds: ablata study confirm f" in said
    code, said = typed("extend", "f", "--foldover")
    assert code == 0, said
    assert "turned round in 8 further cells. Then on-a x on-b, on-a x on-c" in said
    assert "All 16 combinations of the 4 changes run" in said
    assert "Look again at on-a x on-c" in said
    with Ledger() as ledger:
        assert len(ledger.studies.cells("f")) == 32
        assert ledger.studies.get("f").spec["design"]["folded"] is not None
    assert typed("extend", "f", "--foldover")[0] == 2
    code, said = typed(*asked)
    assert code == 0, said
    code, said = typed("confirm", "f", "--seeds", "4")
    assert code == 0, said
    assert "on-a+on-c is better" in said
    assert "On fresh seeds on-a+on-c, predicted to be best, is better" in typed("report", "f")[1]
