"""Messages: a choice of many names is told in short, the likeliest first; a sentence says of which key it is."""

from __future__ import annotations

from ablata.base.errors import at_key, choices


def test_a_choice_of_few_is_told_whole_and_one_of_many_by_the_five_likeliest() -> None:
    few = ["b", "a", "d", "c", "f", "e"]
    assert choices(few, "e") == "b, a, d, c, f, e"
    assert choices([], "e") == "nothing"
    many = [*(f"unet_{size}" for size in range(20)), "resnet18", "resnet34"]
    told = choices(many, "Resnet43")
    assert told.startswith("resnet34, resnet18, ")
    assert told.endswith(" and 17 more")
    assert len(told.split(", ")) == 5


def test_a_sentence_names_its_key_once() -> None:
    assert at_key("loss", "It must be one of a, b") == "loss must be one of a, b"
    assert at_key("loss", "A loss must return a scalar") == "loss: A loss must return a scalar"
    assert at_key("", "It must be one of a, b") == "It must be one of a, b"
