"""Overrides from the command line: values, parts, and errors that name the key."""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field, model_validator

from ablata.base.errors import SettingsError
from ablata.base.overrides import override, parse_value
from ablata.base.settings import INCIDENTAL, Settings, as_text, diff, expand, json_schema, restore, settings_hash


class CrossEntropy(Settings):
    kind: Literal["cross_entropy"] = "cross_entropy"
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Ohem(Settings):
    kind: Literal["ohem"] = "ohem"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.7
    minimum: int = 16


class Average(Settings):
    decay: float = 0.999


class Model(Settings):
    width: Annotated[int, Field(ge=1)] = 16
    upsample: Literal["nearest", "bilinear"] = "bilinear"
    strides: tuple[int, ...] = (1, 2)


class Toy(Settings):
    model: Model = Model()
    loss: Annotated[CrossEntropy | Ohem, Field(discriminator="kind")] = CrossEntropy()
    ema: Average | None = None
    aux: Annotated[CrossEntropy | Ohem, Field(discriminator="kind")] | None = None
    lr: Annotated[float, Field(gt=0)] = 0.1
    clip: Annotated[float, Field(gt=0, le=5)] | Literal["off"] | None = None
    flip: bool = True
    root: Annotated[str | None, INCIDENTAL] = None
    threads: Annotated[int, INCIDENTAL] | None = None
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Toy:
        if self.low > self.high:
            raise ValueError(f"low <= high must hold, got low={self.low}, high={self.high}")
        return self


def test_values_are_read_by_their_form(subtests: pytest.Subtests) -> None:
    for text, value in [
        ("1", 1),
        ("1e-2", 0.01),
        (".5", 0.5),
        ("-3", -3),
        ("true", True),
        ("None", None),
        ("1,2", [1, 2]),
        ("[1, 2]", [1, 2]),
        ("[a, b]", ["a", "b"]),
        ("nearest", "nearest"),
        ("a/b.zip", "a/b.zip"),
        ("[]", []),
    ]:
        with subtests.test(text=text, value=value):
            assert parse_value(text) == value


def test_plain_values_lists_booleans_and_null_are_set() -> None:
    toy = override(Toy(), ["lr=1", "flip=false", "model.strides=2,2,2", "root=12", "model.upsample=nearest"])
    assert (toy.lr, toy.flip, toy.model.strides, toy.root, toy.model.upsample) == (
        1.0,
        False,
        (2, 2, 2),
        "12",
        "nearest",
    )
    assert override(toy, ["root=null"]).root is None


def test_a_key_below_a_part_that_was_emptied_is_set_or_refused_in_words() -> None:
    assert override(Toy(), ["model={}", "model.width=4"]).model == Model(width=4)
    with pytest.raises(SettingsError, match="aux"):
        override(Toy(), ["aux={}", "aux.threshold=0.5", "aux.inner.deeper=1"])


@pytest.mark.parametrize("order", [["loss=ohem", "loss.threshold=0.6"], ["loss.threshold=0.6", "loss=ohem"]])
def test_a_part_is_chosen_by_name_and_then_set_in_any_order(order: list[str]) -> None:
    assert override(Toy(), order).loss == Ohem(threshold=0.6)


def test_choosing_the_kind_a_part_already_has_keeps_its_values() -> None:
    toy = Toy(loss=Ohem(threshold=0.5))
    assert override(toy, ["loss=ohem"]).loss == Ohem(threshold=0.5)


class Length(Settings):
    ALTERNATIVES: ClassVar[tuple[str, ...]] = ("epochs", "steps")
    epochs: float | None = 2.0
    steps: int | None = None


class Timed(Settings):
    length: Length = Length()


def test_of_alternatives_the_one_that_is_given_switches_the_others_off() -> None:
    by_steps = override(Timed(), ["length.steps=5"])
    assert by_steps.length == Length(epochs=None, steps=5)
    assert override(by_steps, ["length.epochs=3"]).length == Length(epochs=3.0, steps=None)
    assert override(Timed(), ["length.steps=null"]).length == Length()
    assert override(by_steps, []).length == by_steps.length


@pytest.mark.parametrize("order", [["length.steps=5", "length.epochs=3"], ["length.epochs=3", "length.steps=5"]])
def test_alternatives_given_together_are_left_for_the_settings_to_refuse(order: list[str]) -> None:
    assert override(Timed(), order).length == Length(epochs=3.0, steps=5)


def test_a_part_written_as_a_mapping_says_which_it_is() -> None:
    for text in ("{}", '{"smoothing": 0.1}'):
        with pytest.raises(SettingsError, match=r"loss must say which it is: one of cross_entropy, ohem"):
            override(Toy(), [f"loss={text}"])
    assert override(Toy(), ['loss={"kind": "ohem", "minimum": 4}']).loss == Ohem(minimum=4)


def test_an_optional_part_is_switched_on_and_off() -> None:
    assert override(Toy(), ["ema=true"]).ema == Average()
    assert override(Toy(), ["ema.decay=0.9"]).ema == Average(decay=0.9)
    assert override(Toy(ema=Average()), ["ema=null"]).ema is None
    assert override(Toy(), ["aux=ohem"]).aux == Ohem()


def test_a_key_of_the_part_that_was_replaced_is_not_proposed_again() -> None:
    with pytest.raises(SettingsError) as caught:
        override(Toy(), ["loss=ohem", "loss.smoothing=0.1"])
    assert "did you mean" not in str(caught.value)
    assert "smoothing is a key of cross_entropy: choose one, such as loss=cross_entropy" in str(caught.value)


def test_an_error_names_the_key_the_value_and_what_is_allowed(subtests: pytest.Subtests) -> None:
    for argument, words in [
        ("lr=fast", ["lr must be a number > 0", "lr=fast"]),
        ("lr=-1", ["lr must be a number > 0"]),
        ("lr=true", ["lr must be a number"]),
        ("model.widht=8", ["model.widht", "model.width"]),
        ("widht=8", ["widht", "flip"]),
        ("width=8", ["model.width"]),
        ("model.width=1.5", ["model.width must be a whole number >= 1"]),
        ("model.upsample=nearst", ["one of nearest, bilinear", "did you mean model.upsample=nearest?"]),
        ("loss=ohm", ["one of cross_entropy, ohem", "did you mean loss=ohem?"]),
        ("loss.threshold=0.6", ["loss.threshold", "loss=ohem"]),
        ("loss.kind=ohem", ["loss.kind must stay cross_entropy", "write loss=ohem"]),
        ("loss.kind=ohm", ["write loss=ohem"]),
        ("loss.kind=7", ["choose loss=cross_entropy"]),
        ("loss.kind=./mine.py:Loss", ["loss.kind must stay cross_entropy"]),
        ("aux.threshold=0.6", ["aux is off", "aux=ohem"]),
        ("lr.value=3", ["lr is a value"]),
        ("flip=1", ["flip must be true or false"]),
        ("lr", ["key=value"]),
        ("low=3", ["low <= high must hold"]),
        ("clip=6", ["clip must be a number > 0 and <= 5 or off or null", "clip=6"]),
        ("lr=nan", ["lr must be a number"]),
        ("model=null", ["model must be"]),
    ]:
        with subtests.test(argument=argument, words=words):
            with pytest.raises(SettingsError) as caught:
                override(Toy(), [argument])
            for word in words:
                assert word in str(caught.value)


def test_the_hash_ignores_where_the_data_lies_and_on_how_many_threads_and_nothing_else() -> None:
    toy = Toy()
    assert settings_hash(override(toy, ["root=/a", "threads=2"])) == settings_hash(toy)
    for change in ("lr=0.2", "flip=false", "loss=ohem", "model.strides=[1]", "ema=true"):
        assert settings_hash(override(toy, [change])) != settings_hash(toy)


def test_settings_survive_expansion_and_restoration() -> None:
    toy = override(Toy(), ["loss=ohem", "ema=true", "model.strides=3,4"])
    assert restore(Toy, expand(toy), source="a test") == toy
    tree = expand(toy)
    tree["loss"]["threshold"] = 7
    with pytest.raises(SettingsError, match=r"loss\.threshold must be a number > 0 and < 1"):
        restore(Toy, tree, source="a test")


def test_diff_lists_changed_keys_with_both_values() -> None:
    changes = diff(Toy(), override(Toy(), ["loss=ohem", "lr=0.2"]))
    shown = {change.key: (change.old, change.new) for change in changes}
    assert shown["lr"] == ("0.1", "0.2")
    assert shown["loss.kind"] == ('"cross_entropy"', '"ohem"')
    assert set(shown) == {"lr", "loss.kind"}


def test_diff_lists_of_a_part_of_another_kind_what_is_not_its_default() -> None:
    changes = diff(Toy(), override(Toy(), ["loss=ohem", "loss.threshold=0.5"]))
    default = json.dumps(expand(override(Toy(), ["loss=ohem"]))["loss"]["threshold"])
    assert [str(change) for change in changes] == [
        'loss.kind: "cross_entropy" -> "ohem"',
        f"loss.threshold: {default} -> 0.5",
    ]


def test_the_text_form_has_one_line_a_setting_and_the_schema_every_alternative() -> None:
    assert 'loss.kind = "cross_entropy"\n' in as_text(Toy())
    assert {"CrossEntropy", "Ohem"} <= set(json_schema(Toy)["$defs"])


def test_settings_are_frozen_and_refuse_unknown_keys() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Toy().lr = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="Extra inputs"):
        Toy(nothing=1)  # type: ignore[call-arg]


class Heads(Settings):
    kind: Literal["heads"] = "heads"
    each: tuple[CrossEntropy, ...] = (CrossEntropy(smoothing=0.1),)


class WithHeads(Settings):
    part: Annotated[Heads | Ohem, Field(discriminator="kind")] = Ohem()


def test_a_part_that_is_chosen_has_its_list_of_parts() -> None:
    assert override(WithHeads(), ["part=heads"]).part == Heads()
