"""Chains of rounds as recipes: what each round is, what it shares, and what cannot be asked for."""

from __future__ import annotations

import pytest

from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.base.settings import settings_hash
from ablata.data.classification.digits import Digits
from ablata.data.transforms.mixup_cutmix import Cutmix, Mixup
from ablata.tasks.classification.task import Classify
from ablata.tasks.distillation.settings import round_data

PLAIN = override(Classify(), ["train.epochs=3", "data.augment.pad=1"])


def refined(*overrides: str) -> Classify:
    return override(PLAIN, ["refine=refinement", *overrides])


def chain(recipe: Classify) -> list[Classify]:
    found = [recipe]
    while (older := found[0].parent()) is not None:
        found.insert(0, older)
    return found


def test_round_zero_is_the_recipe_without_its_chain() -> None:
    first, *_ = chain(refined("refine.rounds=3"))
    assert settings_hash(first) == settings_hash(PLAIN)


def test_a_chain_has_one_run_a_round() -> None:
    rounds = chain(refined("refine.rounds=3"))
    assert [one.refine.rounds if one.refine else 0 for one in rounds] == [0, 1, 2, 3]
    assert len({settings_hash(one) for one in rounds}) == 4


def test_a_longer_chain_shares_the_beginning_of_a_shorter_one() -> None:
    short = refined("refine.rounds=1", "refine.epochs=[2,4]", "refine.mix_alpha=[0.3,0]")
    long = refined("refine.rounds=3", "refine.epochs=[2,4,6,8]", "refine.mix_alpha=[0.3,0]")
    assert [settings_hash(one) for one in chain(short)] == [settings_hash(one) for one in chain(long)[:2]]


def test_arms_with_different_teachers_share_round_zero() -> None:
    firsts = {settings_hash(chain(refined(f"refine.teacher={one}"))[0]) for one in ("static", "dynamic")}
    assert firsts == {settings_hash(PLAIN)}


def test_each_round_has_its_own_length_mixing_and_smoothing() -> None:
    rounds = chain(refined("refine.rounds=3", "refine.epochs=[5,2]", "refine.mix_alpha=[0.3,0,0.5]",
                           "refine.smoothing=[0.1,0]"))  # fmt: skip
    effective = [one.effective() for one in rounds]
    assert [one.train.epochs for one in effective] == [5, 2, 2, 2]
    mixes = [one.data.augment.mix for one in effective]
    assert [mix.alpha if isinstance(mix, Mixup) else None for mix in mixes] == [0.3, None, 0.5, 0.5]
    assert [one.loss.smoothing for one in effective] == [0.1, 0, 0, 0]


def test_effective_settings_are_their_own() -> None:
    once = refined("refine.epochs=[5,2]", "refine.mix_alpha=[0.3,0.1]").effective()
    assert settings_hash(once.effective()) == settings_hash(once)


def test_the_kind_of_mixing_stays() -> None:
    recipe = override(PLAIN, ["data.augment.mix=cutmix", "refine=refinement", "refine.mix_alpha=[1,0.5]"])
    mix = recipe.effective().data.augment.mix
    assert isinstance(mix, Cutmix)
    assert mix.alpha == 0.5


def test_an_early_stopped_teacher_keeps_its_schedule() -> None:
    first, second = chain(refined("refine.stop_epochs=1"))
    assert (first.train.stop_epochs, first.train.epochs) == (1, 3)
    assert second.train.stop_epochs is None


def test_later_rounds_see_all_images_where_asked() -> None:
    recipe = refined("label_subset=label_subset", "label_subset.per_class=9", "refine.images=all")
    first, second = (one.effective() for one in chain(recipe))
    assert first.label_subset is not None
    assert first.label_subset.per_class == 9
    assert second.label_subset is None


def test_later_rounds_train_on_the_target_set() -> None:
    first, second = (one.effective() for one in chain(refined("refine.target=digits", "refine.target.val=300")))
    found = [round_data(one) for one in (first, second)]
    assert all(isinstance(one, Digits) for one in found)
    assert [one.val for one in found] == [PLAIN.data.val, 300]  # type: ignore[union-attr]


def test_a_target_is_mixed_as_its_round_is() -> None:
    recipe = refined("refine.target=digits", "refine.mix_alpha=[0,0.5]").effective()
    assert round_data(recipe).augment.mix.alpha == 0.5


def test_online_and_given_teachers_have_no_chain() -> None:
    assert refined("refine.teacher=online", "refine.loss.label_weight=0.5").parent() is None
    assert refined("refine.start=somewhere").parent() is None
    assert len(chain(refined("refine.start=somewhere", "refine.rounds=2"))) == 2


def test_what_makes_no_sense_is_refused(subtests: pytest.Subtests) -> None:
    for overrides, words in [
        (["refine.teacher=online"], "label_weight must be above 0"),
        (["refine.teacher=online", "refine.loss.label_weight=0.5", "refine.rounds=2"], "refine.rounds must be 1"),
        (["refine.images=all", "refine.loss.label_weight=0.5"], "label_weight must be 0"),
        (["refine.target=digits", "refine.loss.label_weight=0.5"], "label_weight must be 0"),
        (["refine.target=persons"], "persons is one of identities"),
        (["refine.rounds=0"], "refine.rounds"),
        (["refine.loss.temperature=0"], "refine.loss.temperature"),
        (["refine.teacher=statik"], "static"),
    ]:
        with subtests.test(overrides=overrides, words=words), pytest.raises(SettingsError, match=words):
            refined(*overrides)
