"""What the board can do: each action is one command of ablata's, started as if it had been typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from ablata.base.errors import RecordError, SettingsError, UserError
from ablata.board.form_checks import wrong_fields
from ablata.board.pages.data import LOOKS
from ablata.board.pages.start import start_page
from ablata.board.rendering import Board, address, board_of
from ablata.board.schemas import leaves, written_value
from ablata.records.studies import check_name

router = APIRouter(prefix="/do")
_MOST_BYTES = 100_000
_CHANGE = re.compile(r"[A-Za-z_][\w.@-]*=\S.*")
_ARM = re.compile(r"\w[\w.+-]*:[A-Za-z_][\w.@-]*=\S.*")
_CODE = re.compile(r"=.*[\w/]:[A-Za-z_]")
"""A value that names a class in a file or package."""


class RefusedError(UserError):
    """A form that did not come from a page of this board, or a board that only reads."""


async def sent(request: Request) -> dict[str, str]:
    """Return the fields of a form that one of the board's pages has sent.

    Raises:
        RefusedError: the board only reads, or the form is none of its own.
    """
    board = board_of(request)
    if board.access.read_only:
        raise RefusedError(
            "This board was started with --read-only and only shows the lab",
            do="start it without --read-only to use its forms",
        )
    body = await request.body()
    if len(body) > _MOST_BYTES:
        raise RefusedError(
            "A form must be small", found=f"{len(body)} bytes", do="use the command line for settings as long as that"
        )
    fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if not board.access.allows_form(request, fields):
        raise RefusedError("A form must come from a page of this board", do="load the page again, then send it again")
    return fields


Fields = Annotated[dict[str, str], Depends(sent)]


@router.post("/study")
def start_study(request: Request, fields: Fields) -> Response:
    """Start a study of a recipe's arms.

    Raises:
        SettingsError: no setting was changed, or an arm's name, a line or the recipe is wrong.
    """
    board = board_of(request)
    if wrong := _wrong(board, fields):
        return start_page(request, _recipe(fields), fields, wrong)
    arm = fields.get("arm", "").strip() or "changed"
    arms = [f"{arm}:{change}" for change in _changes(board, fields)]
    arms += map(_with_part, _lines(fields, "arms", _ARM, "wide:model.width=32"))
    if not arms:
        raise SettingsError(
            "A study needs an arm with a changed setting", found="none", do="change a setting, or add an arm"
        )
    if not _ARM.fullmatch(arms[0]):
        raise SettingsError("An arm's name must be letters, digits, . _ + or -", found=arm, do="rename the arm")
    arguments = ["study", "run", "--recipe", _recipe(fields)]
    arguments += [word for value in arms for word in ("--arm", value)]
    for option in ("name", "question", "seeds", "margin"):
        if value := fields.get(option, "").strip():
            arguments.append(f"--{option}={value}")
    return _started(board, arguments)


@router.post("/study/shipped")
def start_shipped(request: Request, fields: Fields) -> Response:
    """Start a study that comes with ablata."""
    return _started(board_of(request), ["study", "run", _study(fields.get("name", ""))])


@router.post("/study/{name}/run")
def run_study(request: Request, name: str, fields: Fields) -> Response:
    """Go on with a study."""
    return _started(board_of(request), ["study", "run", _recorded(board_of(request), name)])


@router.post("/study/{name}/stop")
def stop_study(request: Request, name: str, fields: Fields) -> Response:
    """Ask the study's launcher, wherever it is, to save and end."""
    return _started(board_of(request), ["study", "stop", _recorded(board_of(request), name)])


@router.post("/study/{name}/cancel")
def cancel_study(request: Request, name: str, fields: Fields) -> Response:
    """End a study with what it has."""
    _sure(fields, f"what is left of study {name}")
    return _started(board_of(request), ["study", "cancel", _recorded(board_of(request), name), "--yes"])


@router.post("/study/{name}/extend")
def extend_study(request: Request, name: str, fields: Fields) -> Response:
    """Go on with a study's undecided arms, with more seeds."""
    seeds = fields.get("seeds", "").strip()
    if not seeds.isdecimal():
        raise SettingsError("Seeds must be a whole number", found=seeds or "nothing", do="enter a number such as 10")
    return _started(board_of(request), ["study", "extend", _recorded(board_of(request), name), f"--seeds={seeds}"])


@router.post("/study/{name}/rename")
def rename_study(request: Request, name: str, fields: Fields) -> Response:
    """Give a study another name."""
    new = _study(fields.get("new", ""))
    return _started(board_of(request), ["study", "rename", _recorded(board_of(request), name), new, "--yes"])


@router.post("/study/{name}/remove")
def remove_study(request: Request, name: str, fields: Fields) -> Response:
    """Remove a study and the runs that nothing else needs."""
    _sure(fields, f"study {name}")
    return _started(board_of(request), ["study", "rm", _recorded(board_of(request), name), "--yes"])


@router.post("/train")
def train(request: Request, fields: Fields) -> Response:
    """Start a training."""
    board = board_of(request)
    # What is a study's own is not looked at.
    own = {name: value for name, value in fields.items() if name in ("seed", "more") or name.startswith("set.")}
    if wrong := _wrong(board, own | {"recipe": _recipe(fields)}):
        return start_page(request, _recipe(fields), fields, wrong)
    seed = fields.get("seed", "0").strip() or "0"
    return _started(board, ["train", _recipe(fields), *_changes(board, fields), f"--seed={seed}"])


@router.post("/run/{run_id}/resume")
def resume(request: Request, run_id: str, fields: Fields) -> Response:
    """Go on with a run from its last checkpoint."""
    row = board_of(request).lab.ledger.runs.get(run_id)
    return _started(board_of(request), ["train", "--resume", row.id])


@router.post("/run/{run_id}/stop")
def stop_run(request: Request, run_id: str, fields: Fields) -> Response:
    """Ask a training to save and end."""
    return _started(board_of(request), ["runs", "stop", board_of(request).lab.ledger.runs.get(run_id).id])


@router.post("/run/{run_id}/cancel")
def cancel_run(request: Request, run_id: str, fields: Fields) -> Response:
    """Cancel a run that waits."""
    return _started(board_of(request), ["runs", "cancel", board_of(request).lab.ledger.runs.get(run_id).id])


@router.post("/run/{run_id}/remove")
def remove_run(request: Request, run_id: str, fields: Fields) -> Response:
    """Remove a run."""
    row = board_of(request).lab.ledger.runs.get(run_id)
    _sure(fields, f"run {row.id}")
    return _started(board_of(request), ["runs", "rm", row.id, "--yes"])


@router.post("/data/{look}")
def look_at_data(request: Request, look: str, fields: Fields) -> Response:
    """Count, check or draw a data set.

    Raises:
        SettingsError: it is neither a folder nor a recipe of the package.
    """
    target = fields.get("target", "").strip()
    if look not in LOOKS or not target or target.startswith("-") or ".py" in target:
        raise SettingsError(
            "Data must be given as a folder or as the name of a recipe",
            found=target or "nothing",
            do="enter a folder on this machine, or a recipe's name such as digits",
        )
    board = board_of(request)
    arguments = ["data", look, target, *_lines(fields, "settings", _CHANGE, "data.augment.flip=true")]
    arguments += _moved(fields)
    if look == "preview":
        arguments.append(f"--step={fields.get('step', '0').strip() or '0'}")
    command = board.started.start(arguments, drawn=look == "preview")
    return RedirectResponse(address("data", "look", command.id), status_code=303)


@router.post("/started/{name}/stop")
def stop(request: Request, name: str, fields: Fields) -> Response:
    """Ask a started command to finish its step and end."""
    board = board_of(request)
    board.started.stop(board.started.get(name))
    return RedirectResponse(address("machine", "started", name), status_code=303)


def _started(board: Board, arguments: Sequence[str]) -> Response:
    command = board.started.start(arguments)
    return RedirectResponse(address("machine", "started", command.id), status_code=303)


def _recipe(fields: Mapping[str, str]) -> str:
    """A recipe that comes with the package: a file's code is never run because a form named it."""
    name = fields.get("recipe", "")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise SettingsError(
            "A recipe must be one of those in the list", found=name or "nothing", do="choose one under Start"
        )
    return name


def _changes(board: Board, fields: Mapping[str, str]) -> list[str]:
    """Return the settings of a form that are not the recipe's own, as `key=value`."""
    own = _own_settings(board, fields)
    changed = [
        f"{name.removeprefix('set.')}={value.strip()}"
        for name, value in fields.items()
        if name.startswith("set.") and value.strip() != own.get(name.removeprefix("set."))
    ]
    changes = [*_plain(changed), *_lines(fields, "more", _CHANGE, "loss.threshold=0.7")]
    return sorted(map(_with_part, changes), key=lambda one: "." in one.partition("=")[0])


def _with_part(change: str) -> str:
    """A setting as it is typed: a part of another kind is `loss=focal`, not `loss.kind=focal`."""
    return re.sub(r"\.kind=", "=", change, count=1)


def _own_settings(board: Board, fields: Mapping[str, str]) -> dict[str, str]:
    known = board.asked.get("recipes", "show", _recipe(fields), "--json") or {}
    return {key: written_value(value) for key, value in leaves(known.get("settings", {}))}


def _wrong(board: Board, fields: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong with a form, by field, as far as the recipe's schema tells."""
    schema = board.asked.get("recipes", "show", _recipe(fields), "--schema")
    return wrong_fields(fields, _own_settings(board, fields), schema)


def _moved(fields: Mapping[str, str]) -> list[str]:
    """Return the sliders of a form that no longer stand where they stood, as `key=value`, and the set's own folder."""
    moved = [
        f"{name.removeprefix('set.')}={value.strip()}"
        for name, value in fields.items()
        if name.startswith("set.") and value.strip() != fields.get(f"was.{name.removeprefix('set.')}", "").strip()
    ]
    return _plain(moved)


def _plain(changes: list[str]) -> list[str]:
    """Return changes of settings, each checked to name no code."""
    for one in changes:
        if not _CHANGE.fullmatch(one) or _CODE.search(one):
            raise SettingsError("A setting in a form must be a plain value", found=one,
                                do="give files of code on the command line: a form never runs code")  # fmt: skip
    return changes


def _study(name: str) -> str:
    try:
        check_name(name)
    except RecordError as error:
        raise SettingsError(error.must, found=error.found, do=error.do) from error
    return name


def _recorded(board: Board, name: str) -> str:
    return board.lab.ledger.studies.get(name).name


def _sure(fields: Mapping[str, str], what: str) -> None:
    if not fields.get("sure"):
        raise SettingsError(f"The box must be ticked to remove {what}", found="not ticked; nothing was removed",
                            do="tick it, and send the form again")  # fmt: skip


def _lines(fields: Mapping[str, str], name: str, form: re.Pattern[str], example: str) -> list[str]:
    """Read the lines of a field; each must have its form, so that none is taken for an option or for a file of code."""
    lines = [line.strip() for line in fields.get(name, "").splitlines() if line.strip()]
    for line in lines:
        if not form.fullmatch(line) or _CODE.search(line):
            raise SettingsError(
                f"A line must look like {example}", found=line, do="write one setting a line, without quotes or options"
            )
    return lines
