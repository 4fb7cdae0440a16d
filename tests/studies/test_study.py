from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ablata.base.errors import SettingsError
from ablata.base.settings import settings_hash
from ablata.engine.recipe import Recipe
from ablata.stats import Mode, Rule
from ablata.studies.asking.adhoc import ask, change
from ablata.studies.asking.typed import StudyTerms
from ablata.studies.index import load_study, study_entries
from ablata.studies.study import Study
from ablata.trainers.command import Command

Make = Callable[..., Study]


def test_every_arm_is_the_control_with_its_changes(make_study: Make, quick: Recipe) -> None:
    study = make_study()
    assert list(study.recipes) == ["control", "wide", "slow"]
    assert study.recipes["control"] == quick
    assert study.recipes["wide"].model_dump()["model"]["width"] == 6
    arms = study.new_arms()
    assert [arm.is_control for arm in arms] == [True, False, False]
    assert [arm.change for arm in arms] == [[], ["model.width: 4 -> 6"], ["optim.lr: 0.1 -> 0.01"]]
    assert len({arm.recipe_hash for arm in arms}) == 3


def test_what_does_not_fit_is_refused_in_words(make_study: Make, subtests: pytest.Subtests) -> None:
    for parts, words in [
        ({"name": "a b"}, "made of letters"),
        ({"name": "../up"}, "made of letters"),
        ({"name": "-rf"}, "made of letters"),
        ({"arms": {"a/b": ("model.width=6",)}}, "made of letters"),
        ({"arms": {"<b>": ("model.width=6",)}}, "made of letters"),
        ({"arms": {}}, "at least one arm"),
        ({"arms": {"control": ("model.width=6",)}}, "own name"),
        ({"arms": {"same": ("model.width=4",)}}, "equals control"),
        ({"arms": {"a": ("model.width=6",), "b": ("model.width=6",)}}, "equals a"),
        ({"arms": {"places": ("train.evaluate_batch=9",)}}, "equals control"),
        ({"arms": {"typo": ("model.wdth=6",)}}, "model.wdth must be a key"),
        ({"arms": {"text": "model.width=6"}}, "list of texts"),
        ({"arms": {"nothing": "no_such_recipe"}}, "no_such_recipe"),
        ({"control": 3}, "The control must be a recipe"),
        ({"margin": 0.0}, "A margin must be a number above 0"),
        ({"margin": float("nan")}, "A margin must be a number above 0"),
        ({"seeds": 0}, "`seeds`"),
    ]:
        with subtests.test(parts=parts, words=words), pytest.raises(SettingsError, match=words):
            make_study(**parts)


def test_a_screening_study_allows_more_errors_and_a_fixed_one_looks_once(make_study: Make) -> None:
    assert make_study().rule().alpha == 0.05
    assert make_study(mode=Mode.SCREEN).rule().alpha == 0.20
    fixed = make_study(fixed=True, seeds=7).rule()
    assert (fixed.first_look, fixed.futility, list(fixed.looks)) == (7, False, [7])


def test_an_asked_study_repeats_by_its_own_command() -> None:
    import shlex

    made = ask(
        "digits",
        ["train.epochs=1"],
        ["a:model.width=8", "a:optim.lr=0.05", "b:data.augment.pad=0"],
        StudyTerms(seeds=3, margin=0.5, first_seed=10, question="Does it help?"),
    )
    assert made.arms == {"a": ("model.width=8", "optim.lr=0.05"), "b": ("data.augment.pad=0",)}
    (command,) = made.commands
    words = shlex.split(command)
    assert words[:5] == ["ablata", "study", "run", "--recipe", "digits"]
    options = list(zip(words[3::2], words[4::2], strict=True))
    again = ask(
        "digits",
        [value for option, value in options if option == "--set"],
        [value for option, value in options if option == "--arm"],
        StudyTerms(
            seeds=int(dict(options)["--seeds"]),
            margin=float(dict(options)["--margin"]),
            first_seed=int(dict(options)["--first-seed"]),
            question=dict(options)["--question"],
        ),
    )
    assert again == made


def test_a_made_up_name_tells_questions_apart_and_can_be_a_files(tmp_path: Path) -> None:
    file = tmp_path / "my digits.py"
    file.write_text("from ablata.recipes.index import load_recipe\ndef small():\n    return load_recipe('digits')\n")
    one = ask(f"{file}:small", [], ["a:model.width=8"], StudyTerms(seeds=3, margin=0.5))
    two = ask(f"{file}:small", [], ["a:model.width=9"], StudyTerms(seeds=3, margin=0.5))
    assert one.name != two.name
    assert one.name.startswith("my-digits.py-small-")


@pytest.mark.parametrize("arm", ["x", "x:", ":model.width=8", "x:model.width", "model.width=8:x=1"])
def test_an_arm_is_written_name_colon_key_equals_value(arm: str) -> None:
    with pytest.raises(SettingsError, match="NAME:key=value"):
        ask("digits", [], [arm], StudyTerms(seeds=3, margin=0.5))


def test_a_recipe_is_taken_by_its_name_as_control_and_as_arm(make_study: Make, quick: Recipe) -> None:
    named = make_study(control="digits", arms={"quick": quick, "wide": {"model.width": 64}})
    assert named.recipes["control"].name == "digits"
    assert named.judged == quick.metric()
    assert make_study(arms={"whole": "digits"}).recipes["whole"] == named.recipes["control"]


def test_an_arm_option_holds_one_setting_and_says_how_to_give_two(subtests: pytest.Subtests) -> None:
    for arm in ("a:model.depth=1,model.width=8", "a:model.depth=1, model.width=8", "a:model.width=8,loss=focal"):
        with subtests.test(arm=arm), pytest.raises(SettingsError, match="one setting") as told:
            ask("digits", [], [arm], StudyTerms(seeds=3, margin=0.5))
        assert str(told.value.do).startswith("--arm a:model.")
        assert str(told.value.do).count("--arm a:") == 2
    with pytest.raises(SettingsError, match="each key once"):
        ask("digits", [], ["a:model.width=8", "a:model.width=9"], StudyTerms(seeds=3, margin=0.5))


def test_fewer_seeds_than_the_first_look_are_told_to_decide_nothing() -> None:
    assert Rule(seeds=3).too_few_seeds is None
    assert "1 seed decides nothing: the first verdict needs 3" in str(Rule(seeds=1).too_few_seeds)
    assert "2 seeds decide nothing" in str(Rule(seeds=2).too_few_seeds)


def test_the_number_of_seeds_is_never_guessed_and_a_margin_may_be_left_out() -> None:
    with pytest.raises(SettingsError) as told:
        ask("digits", [], ["a:model.width=8"], StudyTerms(seeds=None, margin=1.0))
    assert told.value.found == "no --seeds"
    study = ask("digits", [], ["a:model.width=8"], StudyTerms(seeds=3, margin=None))
    assert study.rule().margin is None
    assert "--margin" not in study.commands[0]
    assert Rule.from_json(study.spec()["rule"]) == study.rule()


def test_a_written_study_can_be_changed_in_parts(make_study: Make) -> None:
    study = make_study()
    assert change(study, [], StudyTerms()) is study
    changed = change(study, ["model.width=5"], StudyTerms(seeds=9, screen=True, name="other"))
    assert (changed.seeds, changed.mode, changed.name, changed.margin) == (9, Mode.SCREEN, "other", study.margin)
    assert settings_hash(changed.recipes["slow"]) != settings_hash(study.recipes["slow"])


def test_every_study_of_the_package_can_be_made_and_says_what_it_asks() -> None:
    assert [entry.name for entry in study_entries()]
    for entry in study_entries():
        study = load_study(entry.name)
        assert study.name == entry.name
        assert study.question.endswith("?")
        assert entry.summary


def test_a_study_of_a_users_file_is_found_and_anything_else_refused(tmp_path: Path) -> None:
    file = tmp_path / "studies.py"
    file.write_text(
        "from ablata.recipes.index import load_recipe\n"
        "from ablata.studies.study import Study\n"
        "def mine():\n"
        "    return Study(name='mine', question='?', control=load_recipe('digits'),\n"
        "                 arms={'a': ['model.width=8']}, margin=1.0)\n"
        "def other():\n"
        "    return 3\n"
    )
    assert load_study(f"{file}:mine").name == "mine"
    with pytest.raises(SettingsError, match="must return a Study"):
        load_study(f"{file}:other")
    with pytest.raises(SettingsError, match="did you mean quickstart"):
        load_study("quickstrat")


def test_what_does_not_fit_in_an_arm_or_factor_names_it(make_study: Make) -> None:
    for changes in ({"optim.lr": "abc"}, ("optim.lrr=0.1",), ("optim.kind=adamw",), "digitz"):
        with pytest.raises(SettingsError, match=r"arm wide\b") as caught:
            make_study(arms={"wide": changes})
        assert str(caught.value).count("arm wide") == 1
    with pytest.raises(SettingsError, match=r"optim\.lr=abc, in factor fast"):
        make_study(arms={}, factors={"fast": ("optim.lr=abc",), "b": ("model.width=6",)})
    control = Command.of("python train.py --seed {seed} --lr {lr}", scores=("acc",), values={"lr": "0.1"}, lower=False)
    with pytest.raises(SettingsError, match=r"arm wide\b"):
        make_study(control=control, arms={"wide": {"lrr": 1}})
