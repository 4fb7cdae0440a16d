"""Malformed archives and settings, thrown at the readers by a seeded generator: refused in words, nothing half done."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ablata.api.moving import import_study
from ablata.api.runs import compare_runs, find_runs
from ablata.api.runs import run as find_run
from ablata.api.studies import report_text, study_status
from ablata.base.errors import UserError
from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.records.moving.exporting import export_study
from ablata.reports.collect import study_view
from ablata.reports.collect_runs import run_views
from ablata.reports.console import plain_lines
from ablata.reports.terminal import runs_json, runs_table, study_report
from ablata.studies.launch import StudyRunner
from ablata.studies.study import Study
from ablata.studies.workers.pool import Workers

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, 2**70, 0.5, -0.0, 1e308, 1e-320),
    *("", "x", "0", "nan", "../../escaped", "/etc/passwd", "\x1b[2J", "\0", "\ud800", "n" * 5000, "name with space"),
    *([], {}, [[]], {"x": 1}, [None], {"$float": "nan"}, {"$float": "inf"}, {"$float": "-inf"}, {"$float": []}),
)


@pytest.fixture
def archive(
    ledger: Ledger,
    recorded: Callable[..., Study],
    end_run: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A study that was judged, in an archive; a seed damages the same of it each time, hence ids in their order."""
    numbers = itertools.count()
    monkeypatch.setattr("ablata.records.runs.new_run_id", lambda: f"run{next(numbers):07}")
    study = recorded()

    def watch() -> None:
        for cell in ledger.studies.cells(study.name):
            if cell.run.state == "waiting":
                end_run(cell.run, 90.0 + cell.seed + len(cell.arm))
                folder = ledger.runs.folder(cell.run)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "recipe.txt").write_text("recipe")

    StudyRunner(ledger, study.name, Workers(0, 1), watch).run()
    return export_study(ledger, study.name, tmp_path / "good.ablata").path


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path to a value inside JSON."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def damage(value: Any, draw: random.Random) -> None:
    """Replace, remove, double or rename one value somewhere inside."""
    *way, last = draw.choice(list(places(value)))
    for key in way:
        value = value[key]
    kind = draw.randrange(8)
    if kind == 0 and isinstance(value, dict):
        del value[last]
    elif kind == 1 and isinstance(value, dict):
        value[str(draw.choice(HOSTILE))[:40]] = value.pop(last)
    elif kind == 0:
        value.pop(last)
    elif kind == 1:
        value.append(copy.deepcopy(value[last]))
    else:
        value[last] = copy.deepcopy(draw.choice(HOSTILE))


def write(path: Path, entries: dict[str, bytes], draw: random.Random) -> None:
    """Write an archive whose manifest is honest about its damaged entries, or itself damaged."""
    manifest = json.loads(entries["manifest.json"])
    others = {name: data for name, data in entries.items() if name != "manifest.json"}
    manifest["entries"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in others.items()
    }
    if draw.random() < 0.1:
        damage(manifest, draw)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (others | {"manifest.json": json.dumps(manifest).encode()}).items():
            archive.writestr(zipfile.ZipInfo(name), data)
    if draw.random() < 0.05:
        content = bytearray(path.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content[: draw.randrange(len(content))] if draw.random() < 0.5 else content)


def read_all(ledger: Ledger) -> None:
    """Do what people do with a ledger: list, show, compare, report."""
    rows = find_runs(ledger)
    plain_lines(runs_table(run_views(ledger, rows), plain=True))
    json.dumps(runs_json(run_views(ledger, rows)))
    for row in rows[:2]:
        json.dumps(find_run(row.id, ledger=ledger).facts(), default=str)
    compare_runs(rows[0].id, rows[-1].id, ledger=ledger)
    for study in ledger.studies.all():
        plain_lines(study_report(study_view(ledger, study.name), plain=True))
        json.dumps(study_status(ledger, study.name))
        for form in ("markdown", "html", "json"):
            report_text(ledger, study.name, form)


def throw(archive: Path, folder: Path, seed: int, template: Path) -> bool:
    """Import one damaged archive into an empty lab and read what came in; return whether it was taken."""
    draw = random.Random(seed)
    with zipfile.ZipFile(archive) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        name = draw.choice([name for name in entries if name.endswith(".json") and name != "manifest.json"])
        value = json.loads(entries[name])
        if value:
            damage(value, draw)
        entries[name] = json.dumps(value).encode()
    if draw.random() < 0.1:
        name = draw.choice(list(entries))
        entries[f"{name}{draw.choice(('/x', '/../y', ' ', chr(27), 'n' * 300))}"] = b"x"
    write(folder / "bad.ablata", entries, draw)
    home = folder / "lab"
    shutil.copytree(template, home)
    before = sorted(home.rglob("*"))
    try:
        with Ledger(home=home) as ledger:
            try:
                import_study(folder / "bad.ablata", ledger=ledger)
            except UserError:
                assert (ledger.studies.all(), ledger.runs.find()) == ([], [])
                left = [path for path in home.rglob("*") if path not in before and "ledger.sqlite3" not in path.name]
                assert left == []
                return False
            read_all(ledger)
            return True
    finally:
        assert sorted(path.name for path in folder.iterdir()) == ["bad.ablata", "lab"]
        shutil.rmtree(home)


def throw_all(archive: Path, tmp_path: Path, seeds: range) -> None:
    with Ledger(home=tmp_path / "template"):
        pass
    (folder := tmp_path / "inner").mkdir()
    taken = 0
    for seed in seeds:
        try:
            taken += throw(archive, folder, seed, tmp_path / "template")
        except Exception as error:
            raise AssertionError(f"archive of seed {seed}: {type(error).__name__}: {error}") from error
    # A generator that damages nothing, or everything beyond recognition, would find nothing.
    assert 0 < taken < len(seeds)


@pytest.mark.slow
def test_a_damaged_archive_is_refused_whole_or_can_be_read(archive: Path, tmp_path: Path) -> None:
    throw_all(archive, tmp_path, range(25))


@pytest.mark.slow
def test_very_many_damaged_archives_are_refused_whole_or_can_be_read(archive: Path, tmp_path: Path) -> None:
    throw_all(archive, tmp_path, range(1000, 1250))


def override_of(draw: random.Random, keys: list[str]) -> str:
    """One `key=value` that nobody meant."""
    key = draw.choice(keys)
    if draw.random() < 0.3:
        place = draw.randrange(len(key) + 1)
        key = key[:place] + draw.choice(("", ".", "=", "x", "\0", "..")) + key[place:]
    value = draw.choice(HOSTILE)
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def throw_settings(seeds: range) -> None:
    keys = [".".join(map(str, path)) for path in places(load_recipe("digits").model_dump(mode="json"))]
    refused = 0
    for seed in seeds:
        draw = random.Random(seed)
        overrides = [override_of(draw, keys) for _ in range(draw.choice((1, 1, 2, 4)))]
        try:
            load_recipe("digits", overrides)
        except UserError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"settings of seed {seed}, {overrides}: {type(error).__name__}: {error}") from error
    assert 0 < refused < len(seeds)


def test_settings_nobody_meant_are_refused_in_words() -> None:
    throw_settings(range(100))


@pytest.mark.slow
def test_very_many_settings_nobody_meant_are_refused_in_words() -> None:
    throw_settings(range(1000, 1600))
