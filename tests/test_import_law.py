"""The law of the rooms: who may import whom, at any depth of a file, and what starts without torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import ablata

ROOT = Path(ablata.__file__).parent
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "tools"}

ABOVE_TASKS = {"base", "stats", "records", "structures", "nn", "models", "losses", "data", "metrics", "engine"}

LAW: dict[str, set[str]] = {
    # errors, settings, seeds, atomic files; no torch
    "base": set(),
    # contrasts, intervals, the sequential rule; pure functions; no torch
    "stats": {"base"},
    # the ledger, run folders, export and import; no torch
    "records": {"base"},
    # typed batches, targets, predictions
    "structures": {"base"},
    # blocks used by two or more models
    "nn": {"base", "structures"},
    # one published model a file
    "models": {"base", "structures", "nn"},
    # one loss a file
    "losses": {"base", "structures", "nn"},
    # datasets, transforms, loaders
    "data": {"base", "structures"},
    # accuracy, mean IoU, AP, retrieval
    "metrics": {"base", "structures"},
    # Recipe, Task interface, the one training loop
    "engine": {"base", "structures", "nn", "records", "data"},
    # join model, loss, metric: all above
    "tasks": ABOVE_TASKS,
    # functions that return a full Recipe: all above
    "recipes": {
        "base",
        "stats",
        "records",
        "structures",
        "nn",
        "models",
        "losses",
        "data",
        "metrics",
        "engine",
        "tasks",
    },
    # what a study can judge beside recipes: scores that exist, readers of other tools' logs; no torch
    "trainers": {"base", "records"},
    # Study, plan, launch, collect, decide
    "studies": {"base", "stats", "records", "engine", "recipes", "trainers"},
    # five hand-written notebooks restated and run as studies
    "notebooks": {"base", "records", "recipes", "studies"},
    # hand-written notes read into records; no torch
    "notebooks.reader": {"base", "records"},
    # tables, figures, HTML from records and verdicts; no torch
    "reports": {"base", "stats", "records"},
    # the lab in a browser; no torch
    "board": {"base", "records", "reports"},
    # what `import ablata` gives: each command as one function; joins studies with reports, so it stands above both
    "api": ABOVE_TASKS | {"tasks", "recipes", "trainers", "studies", "reports"},
    # conformance suites that users inherit: all above
    "testing": ABOVE_TASKS | {"tasks", "recipes"},
    # parse, call, print: all; imported by nobody
    "cli": ABOVE_TASKS | {"tasks", "recipes", "trainers", "studies", "notebooks", "reports", "board", "api"},
}
"""Room: the other rooms it may import, as the table of the design has it; a sub-room with a dot, where it may less."""

_DATA_KINDS = {"io", "transforms", "loading"}
_TASK_BASES = {"class_weights", "dataset_task", "networks", "own_scores", "preview"}
"""Files beside the tasks' folders."""

_DRAWN_WITH = {"console", "figures", "html", "plots", "sections", "view", "words"}
"""Files beside the folders of reports, and plots: what every page and table is drawn with."""

_SPOKEN_WITH = {"asking", "console", "help", "settings"}
"""Files of the command line that every command reads and prints with."""

_STORES = {"database", "events", "home", "ledger", "metrics", "rows", "runs", "studies", "tables", "values"}
"""Files of records: the ledger and its stores."""

SUB_ROOMS: dict[str, dict[str, set[str]]] = {
    "stats": {
        # special functions
        "distributions": {"table"},
        # what single items say of a score
        "items": {"calibration", "contrasts", "distributions", "intervals", "jsonable", "rule", "table"},
        # a stream of proposals, one after another against the best so far
        "loop": {"contrasts", "distributions", "jsonable", "rounding", "table"},
        # what the rule takes for granted, measured
        "assumptions": {"calibration", "contrasts", "distributions", "jsonable", "rule", "simulation", "table"},
        # several changes on or off at once
        "factors": {"calibration", "contrasts", "distributions", "jsonable", "rounding", "rule", "table"},
        # single runs, one of each setting
        "logs": {"contrasts", "distributions", "jsonable", "noise", "table"},
    },
    "data": {
        # encoded images and videos to pixels
        "io": set(),
        # random changes of images, alone or with their labels
        "transforms": {"io"},
        # the base of data sets, loaders, splits, caches
        "loading": {"io", "transforms"},
        # what the values of label files mean
        "labels": {"io", "loading"},
        # sets of one kind of label each: none knows of another
        "classification": _DATA_KINDS,
        "segmentation": _DATA_KINDS | {"labels"},
        "detection": _DATA_KINDS,
        "reid": _DATA_KINDS,
        # sets of all kinds that are drawn by a program
        "synthetic": _DATA_KINDS | {"labels", "classification", "segmentation", "detection", "reid"},
        # annotation tools' formats, read into the sets above and written
        "formats": _DATA_KINDS | {"labels", "classification", "segmentation", "detection", "reid"},
        # pictures of samples and their labels
        "drawing": _DATA_KINDS | {"labels", "classification", "segmentation", "detection", "reid", "synthetic"},
        # checking, counting and converting label files
        "label_tools": _DATA_KINDS
        | {"labels", "classification", "segmentation", "detection", "reid", "synthetic", "drawing", "formats"},
    },
    "nn": {
        # fast paths, each with its measured reason
        "kernels": set(),
    },
    "models": {
        # files of pretrained weights, their names, where they come from
        "weights": set(),
        # networks of named feature maps
        "backbones": {"weights"},
        # classifiers, semantic segmentation and detection on any backbone: none knows of another
        "classification": {"backbones"},
        "segmentation": {"backbones"},
        "detection": {"backbones"},
    },
    "losses": {
        # `plain`: what a user's own function or module must be
        "classification": {"plain"},
        "embedding": {"plain"},
        "segmentation": set(),
        # beside a loss of segmentation
        "contrastive": {"segmentation"},
    },
    "engine": {
        # devices, precision, memory, processes
        "hardware": set(),
        # optimisers, schedules, EMA
        "optim": {"hardware"},
        # several trainings of one network as one
        "together": {"loop", "recipe"},
    },
    "tasks": {
        # teachers and students
        "distillation": _TASK_BASES,
        # one folder a task: none knows of another
        "classification": _TASK_BASES | {"distillation"},
        "reid": _TASK_BASES | {"distillation"},
        "segmentation": _TASK_BASES,
        "detection": _TASK_BASES,
        # the base of users' own tasks
        "simple": _TASK_BASES,
        # trained networks of any task, found again, exported
        "inference": {"any", "distillation"},
    },
    "records": {
        # steps from one schema of the database to the next
        "migrations": {"tables"},
        # what lies in a run's folder
        "run_folder": _STORES,
        # what is asked across runs
        "questions": _STORES | {"run_folder"},
        # the files of runs between folders and a store that all machines reach
        "stored": {"database", "home", "leases", "rows", "runs", "tables"},
        # studies, loops and runs between ledgers and folders
        "moving": _STORES | {"run_folder", "loops"},
    },
    "studies": {
        # how a study is written down: a command line, a file, commands
        "asking": {"study", "metric", "identity"},
        # scores that exist, judged
        "given": {"study", "metric"},
        # processes that take runs from the ledger: recipes, programs, functions
        "workers": {"assess", "chain", "identity"},
        # workers as jobs of a cluster
        "cluster": {"workers"},
        # before any training: length, cost, noise
        "planning": {
            "assess",
            "beginning",
            "chain",
            "evidence",
            "forks",
            "guards",
            "identity",
            "metric",
            "study",
            "workers",
        },
        # research loops: proposals judged one after another
        "loops": {
            "asking",
            "chain",
            "guards",
            "identity",
            "metric",
            "programs",
            "workers",
        },
        # our own studies
        "catalogue": {"study"},
    },
    "cli": {
        # commands that end in verdicts
        "studies": _SPOKEN_WITH | {"runs"},
        # data sets checked, counted, drawn and converted
        "data": _SPOKEN_WITH,
    },
    "reports": {
        # what a page draws
        "plots": {"figures", "run_views", "view", "words"},
        # one folder a kind of report, and what a verdict rests on: none knows of another
        "factorial": _DRAWN_WITH,
        "trial_log": _DRAWN_WITH,
        "standing": _DRAWN_WITH,
        "items": _DRAWN_WITH | {"visuals"},
        "replications": _DRAWN_WITH,
        "loops": _DRAWN_WITH,
    },
}
"""Room: its sub-rooms, lowest first, each with the other sub-rooms of the room that it may import. A file beside the
sub-rooms may import all of them; none of them may import it, but where it is named."""

ENTRY = {"__init__", "__main__"}
"""Files of the package itself, in no room: the names of `import ablata`, and `python -m ablata`."""


def sources() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = ("ablata", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """Yield every name that a file imports, wherever in the file it does so, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                stem = package[: len(package) - node.level + 1]
                base = ".".join([*stem, base]) if base else ".".join(stem)
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def offences(source: str, module: str, law: Mapping[str, set[str]] = LAW) -> list[str]:
    """Return what a file imports against the law, as sentences."""
    room = room_of(module, law)
    allowed = {room, *law[room]}
    found = []
    for name, line in imports(ast.parse(source), module, is_package=False):
        parts = name.split(".")
        if parts[0] != "ablata" or len(parts) == 1 or any(f"{name}.".startswith(f"ablata.{one}.") for one in allowed):
            continue
        if (ROOT / parts[1]).is_dir():
            found.append(f"{module}, line {line}: {room} may not import {parts[1]} ({name})")
    return found


def sub_room_offences(source: str, module: str) -> list[str]:
    """Return what a file of a sub-room imports from its room against the sub-rooms' law, as sentences."""
    _, room, sub_room, *_ = [*module.split("."), "", ""]
    laws = SUB_ROOMS.get(room, {})
    if sub_room not in laws:
        return []
    found = []
    for name, line in imports(ast.parse(source), module, is_package=False):
        parts = name.split(".")
        if parts[:2] != ["ablata", room] or len(parts) == 2:
            continue
        if parts[2] != sub_room and parts[2] not in laws[sub_room]:
            found.append(f"{module}, line {line}: {room}/{sub_room} may not import {room}/{parts[2]} ({name})")
    return found


def room_of(module: str, law: Mapping[str, set[str]] = LAW) -> str:
    """Return the innermost room that a module lies in."""
    return max((one for one in law if f"{module}.".startswith(f"ablata.{one}.")), key=len)


def test_every_room_of_the_package_stands_in_the_law() -> None:
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms == {room for room in LAW if "." not in room}
    assert all(ROOT.joinpath(*room.split(".")).is_dir() for room in LAW)
    assert {path.stem for path in ROOT.glob("*.py")} <= ENTRY


def test_rooms_import_only_what_the_law_allows() -> None:
    in_rooms = [path for path in sources() if path.parent != ROOT]
    found = [offence for path in in_rooms for offence in offences(path.read_text(encoding="utf-8"), name_of(path))]
    assert not found, "\n".join(found)


def test_every_sub_room_of_a_room_with_a_law_stands_in_it() -> None:
    for room, laws in SUB_ROOMS.items():
        folders = {path.name for path in (ROOT / room).iterdir() if path.is_dir() and any(path.glob("*.py"))}
        assert folders == set(laws)


def test_sub_rooms_import_only_what_their_law_allows() -> None:
    found = [
        offence for path in sources() for offence in sub_room_offences(path.read_text(encoding="utf-8"), name_of(path))
    ]
    assert not found, "\n".join(found)


def test_only_recipes_and_commands_know_a_tasks_folder() -> None:
    own = set(SUB_ROOMS["tasks"]) - {"simple", "inference"}
    allowed = {"tasks", "recipes", "cli", "testing"}
    found = [
        f"{name_of(path)}, line {line}: {name}"
        for path in sources()
        if name_of(path).split(".")[1:2] not in [[room] for room in allowed]
        for name, line in imports(ast.parse(path.read_text(encoding="utf-8")), name_of(path), is_package=False)
        if name.split(".")[:2] == ["ablata", "tasks"] and {*name.split(".")[2:3]} & own
    ]
    assert not found, "\n".join(found)


def test_the_law_of_sub_rooms_sees_siblings_and_files_beside_them() -> None:
    for source in (
        "from ablata.data.synthetic.scenes import Scenes",
        "def late():\n    from ..drawing import overlay",
        "from ablata.data import label_tools",
        "from ablata.data.any import AnyData",
    ):
        assert len(sub_room_offences(source, "ablata.data.detection.voc")) == 1
        assert not sub_room_offences(source, "ablata.data.any")


def test_the_law_sees_every_form_of_import(subtests: pytest.Subtests) -> None:
    for source in [
        "from ablata.engine.task import Task",
        "import ablata.engine.task",
        "from ablata import engine",
        "def late():\n    from ablata.engine.task import Task",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ablata.engine.task import Task",
        "from ..engine import task",
        "from ..engine.task import Task",
    ]:
        with subtests.test(source=source):
            assert len(offences(source, "ablata.data.memory")) == 1
            assert not offences(source, "ablata.tasks.classify")


def test_the_law_holds_a_sub_room_to_less_than_its_room() -> None:
    for source in ("from ablata.studies.study import Study", "from ablata.notebooks.notebook import load_notebook"):
        assert len(offences(source, "ablata.notebooks.reader.page")) == 1
        assert not offences(source, "ablata.notebooks.studies")


def test_nobody_imports_the_command_line() -> None:
    assert not [room for room, allowed in LAW.items() if "cli" in allowed]


def test_the_law_itself_has_an_order() -> None:
    for law in (LAW, *SUB_ROOMS.values()):
        TopologicalSorter(law).prepare()


def test_no_files_import_each_other_in_a_circle() -> None:
    known = {name_of(path): path for path in sources()}
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        targets = {target for target, _ in imports(tree, name, path.stem == "__init__")}
        # `from ablata.stats import plan` names a module's content; its module is what is imported.
        modules = {target if target in known else target.rpartition(".")[0] for target in targets}
        graph[name] = (modules & known.keys()) - {name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    assert not [path for path in ROOT.rglob("*") if path.stem.strip("_") in DRAWERS]


def test_nothing_in_the_package_unpickles() -> None:
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    found = []
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [f"{path}:{line} {name}" for name, line in imports(tree, name_of(path), False)
                  if name.partition(".")[0] in forbidden]  # fmt: skip
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        found += [f"{path}:{call.lineno} {ast.unparse(call)}" for call in calls
                  if ast.unparse(call.func) in ("torch.load", "torch.save", "eval", "exec", "yaml.load")
                  and "weights_only=True" not in map(ast.unparse, call.keywords)]  # fmt: skip
    assert not found, "\n".join(found)


def modules_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('loaded:', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_rooms_that_read_records_start_without_torch() -> None:
    rooms = ("base", "stats", "records", "notebooks.reader", "reports", "board")
    names = [name_of(path) for path in sources() if path.parent != ROOT and room_of(name_of(path)) in rooms]
    names = [name for name in names if ".migrations" not in name]
    loaded = modules_after("\n".join(f"import {name}" for name in [*names, "ablata.cli.main"]))
    assert {"ablata.cli.main", "ablata.records.ledger", "ablata.reports.study"} <= loaded
    assert not loaded & {"torch", "torchvision", "timm", "sklearn"}


def test_a_recipe_is_loaded_without_libraries_that_it_does_not_use() -> None:
    loaded = modules_after("from ablata.recipes.index import load_recipe\nload_recipe('digits')")
    assert "ablata.tasks.classification.task" in loaded
    assert not loaded & {"timm", "sklearn"}


def test_help_appears_without_torch() -> None:
    loaded = modules_after(
        "from ablata.cli.main import main\nsys.argv = ['ablata', '--help']\ntry:\n    main()\nexcept SystemExit: pass"
    )
    assert "ablata.cli.main" in loaded
    assert not loaded & {"torch", "sklearn", "scipy", "sqlalchemy"}
