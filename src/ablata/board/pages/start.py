"""Start: forms for a study, a training and a comparison of programs, made from a recipe's own settings."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ablata.board.asked import Asked
from ablata.board.rendering import board_of, page
from ablata.board.sections import Action, ActionsSection, BoardFilterSection, Field, Setting, SettingsFormSection
from ablata.reports.html import Header
from ablata.reports.sections import Section

router = APIRouter()
_CLOSED = ("boolean", "null")
"""Types of few values."""
_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@router.get("/start")
def start(request: Request, recipe: str = "") -> HTMLResponse:
    """Show the forms; with a recipe, its settings beside them."""
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
        if shown and not asked.waiting:
            sections.append(_form(recipe, shown["settings"], schema))
    sections.append(_own_studies(asked))
    header = Header(
        kind="Start",
        name=board_of(request).lab.home.parent.name,
        title="Start a study or a training",
        note="Recipes are being read; this page shows them in a moment." if asked.waiting else "",
    )
    made = page(request, header, sections, live=False)
    if asked.waiting:
        made.headers["Refresh"] = "2"
    return made


def _form(recipe: str, settings: Any, schema: Any) -> SettingsFormSection:
    """The settings of a recipe as a form: value, what it allows, what it is."""
    made = tuple(_setting(schema or {}, key, value) for key, value in leaves(settings) if key not in ("task", "name"))
    study = (
        Field(name="name", label="name of the study", hint="letters, digits, . _ -"),
        Field(name="question", label="question"),
        Field(name="arm", label="name of the arm with the settings below", value="changed"),
        Field(name="arms", label="further arms, one a line", kind="lines", hint="wide:model.width=32"),
        Field(name="seeds", label="seeds", value="5", kind="number"),
        Field(name="margin", label="margin: the largest difference that does not matter"),
    )
    training = (Field(name="seed", label="seed", value="0", kind="number"),)
    return SettingsFormSection(
        title=f"With {recipe}", ident="form", recipe=recipe, settings=made, study=study, training=training
    )


def _setting(schema: dict[str, Any], key: str, value: Any) -> Setting:
    written = written_value(value)
    places = _at(schema, key)
    kinds = [one.get("type") for one in places]
    choices = [str(choice) for one in places for choice in one.get("enum", [one["const"]] if "const" in one else [])]
    if choices and "null" in kinds:
        choices.append("null")
    if kinds == ["boolean"]:
        choices = ["true", "false"]
    closed = bool(choices) and all(
        "enum" in one or "const" in one or one.get("type") in ("boolean", "null") for one in places
    )
    return Setting(
        key=key,
        value=written,
        choices=tuple(dict.fromkeys([written, *choices])) if closed else (),
        allows=allowed(schema, key),
        words=described(schema, key),
    )


def written_value(value: Any) -> str:
    """Write a value as it is typed after `key=`: text without quotation marks, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


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


def leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return every plain value of a tree under its dotted key."""
    if isinstance(tree, dict) and tree:
        return [
            leaf for key, value in tree.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, tree)]


def allowed(schema: dict[str, Any], key: str) -> str:
    """Say what a setting allows, as its JSON schema has it."""
    found = [_allows(one) for one in _at(schema, key)]
    return " | ".join(dict.fromkeys(filter(None, found)))


def described(schema: dict[str, Any], key: str) -> str:
    """Return a setting's description."""
    return next((str(one["description"]) for one in _at(schema, key) if "description" in one), "")


def _allows(one: dict[str, Any]) -> str:
    if "const" in one:
        return str(one["const"])
    if "enum" in one:
        return ", ".join(map(str, one["enum"]))
    limits = [f"{sign} {one[name]:g}" for name, sign in _LIMITS.items() if name in one]
    return " ".join([str(one.get("type", "")), *limits]).strip()


def _at(schema: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the parts of a schema that describe a dotted key: several where a part of the recipe has kinds."""
    places = _resolved(schema, schema)
    for part in key.split("."):
        places = [
            deeper for place in places if part in place.get("properties", {})
            for deeper in _resolved(schema, place["properties"][part])
        ]  # fmt: skip
    return places


def _resolved(schema: dict[str, Any], place: dict[str, Any]) -> list[dict[str, Any]]:
    """Follow references and alternatives; a description beside a reference is kept."""
    if "$ref" in place:
        name = str(place["$ref"]).rpartition("/")[2]
        told = {"description": place["description"]} if "description" in place else {}
        return [{**one, **told} for one in _resolved(schema, schema.get("$defs", {}).get(name, {}))]
    for kind in ("anyOf", "oneOf"):
        if kind in place:
            told = {"description": place["description"]} if "description" in place else {}
            return [{**one, **told} for each in place[kind] for one in _resolved(schema, each)]
    return [place]
