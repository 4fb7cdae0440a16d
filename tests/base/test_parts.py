"""Open parts: built-in kinds, classes of a user's file, plain things, and what is said of those that do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError
from torch import nn

from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.base.parts import NamedPart, OpenPart, PlainPart, part_name, settings_for, user_modules
from ablata.base.settings import Settings, diff, expand, json_schema, restore, settings_hash
from ablata.base.user_code import references

OWN = '''
from ablata.losses.classification.base import LabelLossSettings
from ablata.losses.classification.cross_entropy import CrossEntropy


class Poly(CrossEntropy):
    """A loss derived from a built-in one."""

    epsilon: float = 1.0
    pairs: tuple[int, ...] = (1, 2)


class Stranger:
    """Derived from nothing that fits."""


def gauss(logits, labels, width: float = 2.0, steps: tuple = (1, 2)):
    return logits.sum()
'''


class Small(Settings):
    kind: Literal["small"] = "small"
    width: Annotated[int, Field(ge=1)] = 4


class Large(Settings):
    kind: Literal["large"] = "large"
    width: Annotated[int, Field(ge=1)] = 40


class Plain(PlainPart):
    """Settings of a plain function."""


def adapt(thing: Any, reference: str) -> type[Plain]:
    """Make the settings class of a function of two tensors."""
    if not callable(thing) or isinstance(thing, type):
        raise SettingsError("It must be a function", found=reference)
    return settings_for(Plain, thing, reference, ("logits", "labels"), incidental=("root",))


AnySize = Annotated[Small | Large, OpenPart()]


class Toy(Settings):
    size: AnySize = Small()
    maybe: AnySize | None = None
    act: Literal["relu", "gelu"] | NamedPart = "relu"
    metrics: tuple[NamedPart, ...] = ()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


def recipe() -> Any:
    from ablata.recipes.index import load_recipe

    return load_recipe("digits")


def test_built_in_kinds_are_taken_as_by_a_tagged_union() -> None:
    assert override(Toy(), ["size=large", "size.width=7"]).size == Large(width=7)
    assert override(Toy(), ["maybe=small"]).maybe == Small()
    for wrong in ("size=larg", "size.with=3", "maybe.width=3", "size.width=0", "act=rely"):
        with pytest.raises(SettingsError):
            override(Toy(), [wrong])
    with pytest.raises(SettingsError, match="did you mean size=large"):
        override(Toy(), ["size=larg"])


def test_an_own_class_takes_overrides_and_comes_back_from_its_tree(own: Path) -> None:
    made = override(recipe(), [f"loss={own}:Poly", "loss.epsilon=2", "loss.smoothing=0.1", "loss.pairs=[3]"])
    assert (made.loss.epsilon, made.loss.smoothing, made.loss.pairs) == (2.0, 0.1, (3,))
    assert made.loss.kind == f"{own}:Poly"
    assert part_name(made.loss) == "Poly"
    again = restore(type(made), expand(made), source="a test")
    assert again == made
    assert references(expand(made)) == [f"{own}:Poly"]
    assert [module.__file__ for module in user_modules(made)] == [str(own)]


def test_an_own_class_is_told_apart_in_python_too(own: Path) -> None:
    from ablata.base.user_code import resolve

    poly = resolve(f"{own}:Poly")
    made = recipe().model_copy(update={"loss": poly(epsilon=3.0)})
    assert expand(made)["loss"]["kind"] == f"{own}:Poly"
    assert type(made)(**{**{name: getattr(made, name) for name in type(made).model_fields}}).loss.epsilon == 3.0


def test_the_folder_of_a_file_is_no_part_of_what_is_asked_for(own: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "own.py").write_text(OWN)
    here, there = (override(recipe(), [f"loss={file}:Poly"]) for file in (own, elsewhere / "own.py"))
    assert settings_hash(here) == settings_hash(there)
    assert [str(change) for change in diff(recipe(), here)] == ['loss.kind: "cross_entropy" -> "own.py:Poly"']


def test_what_does_not_fit_is_refused_in_words(own: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found\n")
    cases = {
        f"loss={own}:Pol": "did you mean",
        f"loss={own}:Stranger": "must be",
        f"loss={tmp_path}/none.py:Poly": "must exist",
        f"loss={tmp_path}/broken.py:Poly": "line 1: ModuleNotFoundError",
        "loss=nowhere.to.be:Found": "must be installed",
        "loss=crossentropy": "did you mean loss=cross_entropy",
    }
    for wrong, told in cases.items():
        with pytest.raises(SettingsError, match=told):
            override(recipe(), [wrong])
    with pytest.raises(SettingsError, match="epsilon must be a number"):
        override(recipe(), [f"loss={own}:Poly", "loss.epsilon=much"])
    with pytest.raises(SettingsError, match=r"did you mean loss\.epsilon"):
        override(recipe(), [f"loss={own}:Poly", "loss.epsilo=1"])


def test_an_argument_whose_default_is_no_setting_keeps_it_and_tuples_stay_tuples(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "from torch import nn\n\n\nclass Odd(nn.Module):\n"
        "    def __init__(self, num_classes, names=('a', 'b'), pads=((1, 2), (3, 4)), act=nn.ReLU, size=len):\n"
        "        super().__init__()\n        self.given = names, pads, act, size\n"
    )
    made = override(recipe(), [f"model={tmp_path / 'odd.py'}:Odd", "model.names=x,y"])
    assert made.model.ARGUMENTS == ("names", "pads")
    assert restore(type(made), json.loads(json.dumps(expand(made))), source="a test") == made
    assert made.model.build(3, 1).network.given == (("x", "y"), ((1, 2), (3, 4)), nn.ReLU, len)
    with pytest.raises(SettingsError, match="act must be a key"):
        override(made, ["model.act=relu"])


def test_a_plain_functions_arguments_are_its_settings(own: Path) -> None:
    made = override(recipe(), [f"loss={own}:gauss", "loss.width=3"])
    assert made.loss.arguments() == {"width": 3.0, "steps": (1, 2)}
    assert restore(type(made), expand(made), source="a test") == made
    with pytest.raises(SettingsError, match="must be a number"):
        override(recipe(), [f"loss={own}:gauss", "loss.width=wide"])


def test_arguments_without_default_must_be_given_and_those_of_place_do_not_count() -> None:
    def made(logits: Any, labels: Any, depth: int, root: str = "here", odd: Any = None) -> None:
        return None

    kind = settings_for(Plain, made, "file.py:made", ("logits", "labels"), incidental=("root",))
    assert set(kind.model_fields) == {"kind", "depth", "root", "odd"}
    with pytest.raises(ValidationError, match="depth"):
        kind()
    assert settings_hash(kind(depth=1, root="a")) == settings_hash(kind(depth=1, root="b"))
    assert settings_hash(kind(depth=1)) != settings_hash(kind(depth=2))


def test_words_and_references_live_in_one_field(own: Path) -> None:
    made = override(Toy(), [f"act={own}:gauss", f"metrics={own}:gauss"])
    assert made.act == f"{own}:gauss"
    assert made.metrics == (f"{own}:gauss",)
    assert references(expand(made)) == [f"{own}:gauss"]
    with pytest.raises(SettingsError):
        override(Toy(), [f"act={own}:nothing"])


def test_the_schema_of_an_open_part_has_every_built_in_kind_and_a_reference() -> None:
    class Sized(Settings):
        size: AnySize = Small()

    alternatives = json_schema(Sized)["properties"]["size"]["anyOf"]
    kinds = [one["properties"]["kind"] for one in alternatives]
    assert [kind.get("const") for kind in kinds] == [Small().kind, Large().kind, None]
    assert kinds[-1]["pattern"] == ":"
