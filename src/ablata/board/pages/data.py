"""Data sets that runs have used, and what can be looked at in them: counts, faults, a batch with its labels."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ablata.base.errors import RecordError
from ablata.base.quantities import counted
from ablata.board.pages.ages import ago
from ablata.board.rendering import Board, address, board_of, page
from ablata.board.sections import Action, ActionsSection, AlertSection, Field, OutputSection
from ablata.board.started import StartedCommand
from ablata.reports.html import Header
from ablata.reports.sections import Image, ImageSection, Section, TableCell, TableSection

router = APIRouter()
LOOKS = ("stats", "check", "preview")
"""What `ablata data` says of a data set."""
_AUGMENTATION = "data.augment."
_STEPS = 20
_KINDS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".gif": "gif", ".webp": "webp", ".bmp": "bmp"}
"""What browsers show, by the file's ending."""
_IMAGE_ENDING = re.compile(r"\.(?:png|jpe?g|gif|webp|bmp)\b", re.IGNORECASE)
_NAME_BEGINS = re.compile(r"^|: |, |\(| and ")
_MOST_IMAGES, _LARGEST_IMAGE = 12, 2_000_000
_LONGEST_CAPTION = 160
"""Signs; of a longer line an image is told the problem and its own name alone."""


@dataclass(frozen=True)
class DataSet:
    """A data set that runs have used: its kind, where it lies, its fingerprint, the recipe to look at it with.

    Args:
        kind, root, fingerprint, recipe: see above; the root is empty where the data lies in no folder.
        runs: how many used it.
        augmentation: settings of its augmentation in the newest of them, as JSON by dotted key.
    """

    kind: str
    root: str
    fingerprint: str
    recipe: str
    runs: int
    augmentation: tuple[tuple[str, str], ...] = ()

    @property
    def target(self) -> tuple[str, ...]:
        """What is said after `ablata data stats`: the folder, or the recipe of data that lies in none."""
        return (self.root,) if self.root else (self.recipe,)


@router.get("/data")
def data(request: Request) -> HTMLResponse:
    """List the data sets of the lab's runs, and what was found out about data from here."""
    board = board_of(request)
    sets = data_sets(board)
    rows = tuple(
        (
            TableCell(text=one.kind, link=address("data", "set", fingerprint=one.fingerprint), class_="arm"),
            TableCell(text=one.root or "drawn or shipped, no folder", class_="code"),
            TableCell(text=one.recipe),
            TableCell(text=str(one.runs), order=one.runs, class_="number"),
            TableCell(text=one.fingerprint[:16], class_="code"),
        )
        for one in sets
    )
    columns = ("Data", "Folder", "Recipe", "Runs", "Fingerprint")
    caption = "" if rows else "No run has used any data yet."
    sections: list[Section] = [
        TableSection(title="Used by runs", ident="used", columns=columns, rows=rows, caption=caption),
        ActionsSection(
            title="Look at a folder or recipe", ident="do", actions=tuple(_look(look, "") for look in LOOKS)
        ),
        _looked_at(board),
    ]
    title = f"{counted(len(sets), 'data set')}"
    return page(request, Header(kind="Lab", name=board.lab.home.parent.name, title=title), sections)


@router.get("/data/set")
def data_set(request: Request, fingerprint: str) -> HTMLResponse:
    """Show one data set: what was found out about it, and what can be."""
    board = board_of(request)
    one = next((one for one in data_sets(board) if one.fingerprint == fingerprint), None)
    if one is None:
        raise RecordError("Data must be a set that a run has used", found=fingerprint, do="choose one under Data")
    sections: list[Section] = []
    for look in LOOKS:
        made = next(
            (
                each
                for each in board.started.all()
                if each.arguments[:2] == ("data", look) and one.target[0] in each.arguments
            ),
            None,
        )
        if made is not None:
            sections += shown(board, made, look)
    actions = (*(_look(look, one.target[0]) for look in LOOKS[:2]), _augmented(one, ()))
    sections.append(ActionsSection(title="Look at it", ident="do", actions=actions))
    header = Header(
        kind="Data",
        name=one.kind,
        title=one.root or one.recipe,
        facts=(("runs", str(one.runs)), ("fingerprint", one.fingerprint), ("recipe", one.recipe)),
        links=(("all data", "/data"),),
    )
    return page(request, header, sections)


def data_sets(board: Board) -> list[DataSet]:
    """Return the data sets of the lab's runs, those of most runs first."""
    found: dict[str, tuple[str, str, str]] = {}
    counts: dict[str, int] = {}
    augmentations: dict[str, tuple[tuple[str, str], ...]] = {}
    for one in board.lab.runs().runs:
        if "data.kind" not in one.settings or not one.row.data:
            continue
        counts[one.row.data] = counts.get(one.row.data, 0) + 1
        root = one.settings.get("data.root", "").strip('"')
        kind = one.settings["data.kind"].strip('"')
        found.setdefault(one.row.data, (kind, "" if root == "null" else root, one.row.recipe_name))
        changes = tuple((key, value) for key, value in one.settings.items() if key.startswith(_AUGMENTATION))
        augmentations.setdefault(one.row.data, changes)
    made = [
        DataSet(kind, root, mark, recipe, counts[mark], augmentations[mark])
        for mark, (kind, root, recipe) in found.items()
    ]
    return sorted(made, key=lambda one: (-one.runs, one.kind, one.fingerprint))


def shown(board: Board, command: StartedCommand, look: str) -> list[Section]:
    """Return what a look at data has found: its output, and the image that a preview has drawn."""
    sections: list[Section] = []
    if command.failed:
        sections.append(AlertSection(title="It failed", ident=f"{look}-failed", lines=(command.words,)))
    drawn = board.started.file(command, ".png")
    if look == "preview" and drawn.is_file():
        source = "data:image/png;base64," + base64.b64encode(drawn.read_bytes()).decode("ascii")
        image = Image(alt="a batch of the data set with its labels", caption=command.text, source=source)
        sections.append(ImageSection(title="Preview", ident="preview", images=(image,)))
    said = board.started.output(command)
    if look == "check" and (images := named_images(said, command.arguments[2:])):
        sections.append(ImageSection(title="Images it names", ident="named", images=images, class_="small"))
    state = "looking…" if command.runs else ago(command.began)
    if said or look != "preview":
        sections.append(
            OutputSection(title="What it says", ident=look, text=said or "…", caption=f"{command.text}, {state}")
        )
    return sections


def named_images(said: str, arguments: Sequence[str]) -> tuple[Image, ...]:
    """Return the first image files that a check of data names, with what it says of each.

    Args:
        said: what it says, a line for each problem.
        arguments: what it looked at: a folder, or settings with `data.root=FOLDER`. No file outside is shown.
    """
    roots = [Path(word.partition("data.root=")[2] or word).expanduser() for word in arguments]
    roots = [root.resolve() for root in roots if root.is_dir()]
    found: dict[Path, str] = {}
    for line in said.splitlines() if roots else ():
        problem = line.removeprefix("note: ").partition(": ")[0]
        for ending in _IMAGE_ENDING.finditer(line):
            file = _file_that_ends(line[: ending.end()], roots)
            if file is not None:
                found.setdefault(file, line if len(line) <= _LONGEST_CAPTION else f"{problem}: {file.name}")
        if len(found) >= _MOST_IMAGES:
            break
    return tuple(
        Image(alt=file.name, caption=line, source=f"data:image/{_KINDS[file.suffix.lower()]};base64,{_encoded(file)}")
        for file, line in list(found.items())[:_MOST_IMAGES]
    )


def _file_that_ends(text: str, roots: Sequence[Path]) -> Path | None:
    """Return the file under a root whose name ends a text: names may hold spaces, commas and parentheses."""
    for begin in _NAME_BEGINS.finditer(text):
        for root in roots:
            with suppress(OSError, ValueError):
                file = (root / text[begin.end() :]).resolve()
                if file.is_relative_to(root) and file.is_file() and 0 < file.stat().st_size <= _LARGEST_IMAGE:
                    return file
    return None


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode("ascii")


def _looked_at(board: Board) -> TableSection:
    looked = [one for one in board.started.all() if one.arguments[:1] == ("data",)]
    rows = tuple(
        (
            TableCell(text=one.text, link=address("data", "look", one.id), class_="code"),
            TableCell(text=one.words, class_="diverged" if one.failed else ""),
            TableCell(text=ago(one.began)),
        )
        for one in looked
    )
    caption = "" if rows else "Nothing was looked at from here yet."
    return TableSection(
        title="Looked at", ident="looked", columns=("Command", "State", "When"), rows=rows, caption=caption
    )


@router.get("/data/look/{name}")
def look(request: Request, name: str) -> HTMLResponse:
    """Show what one look at data has found."""
    board = board_of(request)
    command = board.started.get(name)
    kind = command.arguments[1] if len(command.arguments) > 1 else "stats"
    header = Header(kind="Data", name=kind, title=command.text, links=(("all data", "/data"),))
    sections = shown(board, command, kind)
    one = next((one for one in data_sets(board) if one.recipe in command.arguments), None)
    if kind == "preview" and one is not None:
        again = _augmented(one, command.arguments)
        sections.append(ActionsSection(title="Draw it otherwise", ident="do", actions=(again,)))
    return page(request, header, sections)


def _look(kind: str, target: str) -> Action:
    words = {"stats": "Count", "check": "Find faults", "preview": "Draw a batch"}
    fields: tuple[Field, ...] = (
        Field(name="target", label="folder or recipe", value=target, kind="hidden" if target else "text"),
    )
    if kind == "preview":
        fields += (
            Field(name="settings", label="settings to change, one a line", kind="lines", hint="data.augment.flip=true"),
            Field(name="step", label="training step", value="0", kind="number"),
        )
    command = f"ablata data {kind} {target or 'FOLDER'}" + (" --output preview.png" if kind == "preview" else "")
    return Action(title=words[kind], action=f"/do/data/{kind}", fields=fields, command=command)


def _augmented(one: DataSet, arguments: Sequence[str]) -> Action:
    """A batch of a data set with other settings of its augmentation: a slider for each number.

    Args:
        one: the data set.
        arguments: of the command that drew it last: where its sliders stand.
    """
    stood = dict(word.split("=", 1) for word in arguments if "=" in word)
    fields = [Field(name="target", label="", value=one.recipe, kind="hidden")]
    if one.root:
        fields.append(Field(name="set.data.root", label="", value=one.root, kind="hidden"))
    for key, value in one.augmentation:
        was = Field(name=f"was.{key}", label="", value=value.strip('"'), kind="hidden")
        fields += [was, _slider(key, value, stood.get(key, value.strip('"')))]
    step = Field(name="step", label="training step", value=stood.get("--step", "0"), kind="number")
    command = f"ablata data preview {one.recipe} KEY=VALUE --output preview.png"
    return Action(title="Draw a batch", action="/do/data/preview", fields=(*fields, step), command=command, wide=True)


def _slider(key: str, value: str, now: str) -> Field:
    """The field of one setting: a slider for a number, a choice for yes and no, else text.

    Args:
        key: the setting.
        value: the recipe's own, as JSON.
        now: where it stands.
    """
    label, name = key.removeprefix(_AUGMENTATION), f"set.{key}"
    if value in ("true", "false"):
        return Field(name=name, label=label, value=now, choices=(("true", "true"), ("false", "false")))
    try:
        number, place = float(value), float(now)
    except ValueError:
        return Field(name=name, label=label, value=now)
    if number < 0:
        return Field(name=name, label=label, value=now)
    if value.isdecimal():
        return Field(name=name, label=label, value=now, kind="range", limits=(0, max(8, 2 * number, place), 1))
    # A slider stands on multiples of its step alone: the recipe's own value must be one.
    step, times = (number / _STEPS, max(2, math.ceil(1 / number))) if number else (1 / _STEPS, 1)
    limits = (0, max(round(step * _STEPS * times, 6), place), round(step, 6))
    return Field(name=name, label=label, value=now, kind="range", limits=limits)
