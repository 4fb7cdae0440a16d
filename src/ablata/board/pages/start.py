"""Start: forms for a study, a training and a comparison of programs, made from a recipe's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ablata.board.asked import Asked
from ablata.board.rendering import board_of, page
from ablata.board.schemas import allowed, described, is_reference, leaves, like_own, places_of, written_value
from ablata.board.sections import Action, ActionsSection, BoardFilterSection, Field, Setting, SettingsFormSection
from ablata.reports.html import Header
from ablata.reports.sections import Section

router = APIRouter()
_CLOSED = ("boolean", "null")
"""Types of few values."""


@router.get("/start")
def start(request: Request, recipe: str = "") -> HTMLResponse:
    """Show the forms; with a recipe, its settings beside them."""
    return start_page(request, recipe)


def start_page(
    request: Request,
    recipe: str,
    sent: Mapping[str, str] = MappingProxyType({}),
    errors: Mapping[str, str] = MappingProxyType({}),
) -> HTMLResponse:
    """Return the forms.

    Args:
        request: what the page answers.
        recipe: whose settings are shown; empty: none.
        sent: what a form held that was refused.
        errors: what is wrong with it, by the name of the field.
    """
    asked = board_of(request).asked
    names = [one["name"] for one in asked.get("recipes", "list", "--json") or []]
    choose = BoardFilterSection(
        title="Recipe",
        ident="recipe",
        action="/start",
        fields=(
            Field(
                name="recipe",
                label="recipe",
                value=recipe,
                choices=(("", "choose one"), *((name, name) for name in names)),
            ),
        ),
        hint="A file of your own is started from the command line: code is never run because a web page named it.",
    )
    sections: list[Section] = [choose]
    if recipe in names:
        shown = asked.get("recipes", "show", recipe, "--json")
        schema = asked.get("recipes", "show", recipe, "--schema")
        # A page that is about to load itself anew takes nothing that would be lost.
        if shown and (errors or not asked.waiting):
            sections.append(_form(recipe, shown["settings"], schema, sent, errors))
    sections.append(_own_studies(asked))
    header = Header(
        kind="Start",
        name=board_of(request).lab.home.parent.name,
        title="Start a study or a training",
        note="Recipes are being read; this page shows them in a moment."
        if asked.waiting
        else f"Nothing was started: {len(errors)} value{'s' * (len(errors) > 1)} below must be mended."
        if errors
        else "",
    )
    made = page(request, header, sections, live=False, status=422 if errors else 200)
    if asked.waiting and not errors:
        made.headers["Refresh"] = "2"
    return made


def _form(
    recipe: str, settings: Any, schema: Any, sent: Mapping[str, str], errors: Mapping[str, str]
) -> SettingsFormSection:
    """The settings of a recipe as a form: value, what it allows, what it is."""
    own = {key: written_value(value) for key, value in leaves(settings)}
    made = [_setting(schema or {}, key, own) for key in own if key not in ("task", "name")]
    more = Field(name="more", label="further settings, one a line", kind="lines",
                 hint="of a part that you have chosen above in place of the recipe's: loss.threshold=0.7")  # fmt: skip
    study: tuple[Field, ...] = (
        Field(name="name", label="name of the study", hint="letters, digits, . _ -"),
        Field(name="question", label="question"),
        Field(name="arm", label="name of the arm with the settings below", value="changed"),
        Field(name="arms", label="further arms, one a line", kind="lines", hint="wide:model.width=32"),
        Field(name="seeds", label="seeds", value="5", kind="number"),
        Field(name="margin", label="margin: the largest difference that does not matter"),
    )
    training: tuple[Field, ...] = (Field(name="seed", label="seed", value="0", kind="number"),)
    study, training, further = (
        tuple(replace(one, value=sent.get(one.name, one.value), error=errors.get(one.name, "")) for one in fields)
        for fields in (study, training, (more,))
    )
    made = [
        replace(one, value=sent.get(f"set.{one.key}", one.value), error=errors.get(f"set.{one.key}", ""))
        for one in made
    ]
    # What has to be mended is seen at once.
    made.sort(key=lambda one: not one.error)
    return SettingsFormSection(
        title=f"With {recipe}", ident="form", recipe=recipe, settings=tuple(made), study=study, training=training,
        more=further[0],
    )  # fmt: skip


def _setting(schema: dict[str, Any], key: str, own: Mapping[str, str]) -> Setting:
    """One setting of the form.

    Args:
        schema: the recipe's.
        key: dotted.
        own: all settings of the recipe as they are written.
    """
    written = own[key]
    schema = schema if places_of(schema, key, own) else like_own(key, written)
    every = places_of(schema, key, own)
    places = [one for one in every if not is_reference(one)]
    kinds = [one.get("type") for one in places]
    choices = [str(choice) for one in places for choice in one.get("enum", [one["const"]] if "const" in one else [])]
    if choices and "null" in kinds:
        choices.append("null")
    if kinds == ["boolean"]:
        choices = ["true", "false"]
    closed = bool(choices) and all("enum" in one or "const" in one or one.get("type") in _CLOSED for one in places)
    return Setting(
        key=key,
        value=written,
        choices=tuple(dict.fromkeys([written, *choices])) if closed else (),
        allows=allowed(every),
        words=described(schema, key, own),
    )


def _own_studies(asked: Asked) -> ActionsSection:
    found = asked.get("study", "list", "--json") or {}
    shipped = found.get("available", [])
    names = sorted(map(str, shipped), key=lambda name: name != "quickstart") or ["quickstart"]
    run = Action(
        title="Start it",
        action="/do/study/shipped",
        fields=(Field(name="name", label="study", value=names[0], choices=tuple((name, name) for name in names)),),
        command="ablata study run quickstart",
    )
    return ActionsSection(title="A study that comes with ablata", ident="shipped", actions=(run,))
