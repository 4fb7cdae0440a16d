from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ablata.base.errors import RecordError
from ablata.records import Ledger, NewArm, NewRun
from ablata.records.moving.archive import MANIFEST
from ablata.records.moving.exporting import export_study
from ablata.records.moving.importing import import_study

Build = Callable[..., NewRun]
Tamper = Callable[[dict[str, bytes]], object]


@pytest.fixture
def elsewhere(fresh_address: Callable[[str], str], tmp_path: Path) -> Iterator[Ledger]:
    """Another, empty ledger with a home of its own."""
    with Ledger(fresh_address("elsewhere"), home=tmp_path / "elsewhere") as opened:
        yield opened


@pytest.fixture
def train(ledger: Ledger) -> Callable[..., None]:
    """A function that claims the next run, writes curves, events and files about it, and ends it."""

    def end(state: str = "completed", *, on: Ledger = ledger) -> None:
        claim = on.leases.claim("worker", 60)
        assert claim is not None
        points = [(step, "loss", value) for step, value in enumerate([1.0, float("nan"), float("inf")])]
        on.metrics.log(claim.run.id, claim.attempt, points)
        on.events.add("info", "evaluated", "once", run_id=claim.run.id)
        folder = on.runs.folder(claim.run)
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "scores.json").write_text("{}")
        (folder / "checkpoints" / "state.json").write_text("{}")
        (folder / "weights.safetensors").write_bytes(b"w" * 100)
        (folder / "large.bin").write_bytes(b"l" * 2000)
        (folder / "link").symlink_to("/etc/passwd")
        on.leases.finish(claim.run.id, claim.attempt, state, scores={"accuracy": float(claim.run.seed)})  # type: ignore[arg-type]

    return end


@pytest.fixture
def study(ledger: Ledger, new_run: Build, arms: list[NewArm], train: Callable[..., None]) -> str:
    """A study with a completed, a diverged, a failed and a waiting run, a look and a stopped arm."""
    ledger.studies.create("s", "does it help?", {"margin": 0.1}, arms)
    ledger.environments.record("e1", {"cores": 2})
    for seed in (0, 1):
        for arm, recipe in (("control", "base"), ("nearest", "nearest")):
            ledger.studies.enqueue("s", arm, new_run(seed=seed, recipe=recipe))
    for state in ("completed", "diverged", "failed"):
        train(state)
    ledger.studies.add_look("s", 1, {"nearest": "unstable"})
    return "s"


def content(ledger: Ledger, name: str = "s") -> str:
    """Everything a study says, without what belongs to one ledger."""
    cells = [(cell.arm, cell.seed, cell.run.id, cell.run.state, cell.run.scores) for cell in ledger.studies.cells(name)]
    curves = ledger.metrics.of_study(name)
    events = ledger.events.find(study=name)
    parts = (ledger.studies.get(name), ledger.studies.arms(name), cells, curves, ledger.studies.looks(name), events)
    return repr(parts)


def test_a_study_arrives_whole_on_another_ledger(ledger: Ledger, elsewhere: Ledger, study: str, tmp_path: Path) -> None:
    exported = export_study(ledger, study, tmp_path / "s.ablata", max_file_bytes=1000)
    imported = import_study(elsewhere, tmp_path / "s.ablata")
    assert content(elsewhere) == content(ledger)
    assert (exported.runs, exported.files, imported.taken, imported.shared) == (4, 3, 4, 0)
    assert elsewhere.environments.get("e1") == {"cores": 2}
    for cell in elsewhere.studies.cells(study)[:2]:
        assert (elsewhere.runs.folder(cell.run) / "scores.json").read_text() == "{}"
    reasons = {item.path.split("/", 2)[2]: item.reason for item in exported.left_out}
    assert reasons == {
        "checkpoints/state.json": "a checkpoint",
        "weights.safetensors": "a checkpoint",
        "large.bin": "too large",
        "link": "a link",
    }
    with zipfile.ZipFile(tmp_path / "s.ablata") as archive:
        manifest = json.loads(archive.read(MANIFEST))
    assert len(manifest["left_out"]) == len(exported.left_out) == 12


def test_checkpoints_go_along_when_asked(ledger: Ledger, elsewhere: Ledger, study: str, tmp_path: Path) -> None:
    export_study(ledger, study, tmp_path / "s.ablata", checkpoints=True)
    import_study(elsewhere, tmp_path / "s.ablata")
    run = elsewhere.runs.find(state="completed")[0]
    assert (elsewhere.runs.folder(run) / "weights.safetensors").read_bytes() == b"w" * 100
    assert not (elsewhere.runs.folder(run) / "link").exists()


def test_importing_twice_and_importing_at_home_change_nothing(
    ledger: Ledger, elsewhere: Ledger, study: str, tmp_path: Path
) -> None:
    export_study(ledger, study, tmp_path / "s.ablata")
    import_study(elsewhere, tmp_path / "s.ablata")
    for target in (elsewhere, ledger):
        before, rows = content(target), target.runs.find()
        again = import_study(target, tmp_path / "s.ablata")
        assert (again.taken, again.shared) == (0, 4)
        assert content(target) == before
        assert target.runs.find() == rows


def test_equal_content_gives_equal_bytes(ledger: Ledger, study: str, tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        export_study(ledger, study, tmp_path / name)
        digests.append(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_a_later_export_brings_what_is_new(
    ledger: Ledger, elsewhere: Ledger, study: str, train: Callable[..., None], tmp_path: Path
) -> None:
    export_study(ledger, study, tmp_path / "early")
    import_study(elsewhere, tmp_path / "early")
    train("completed")
    ledger.runs.requeue(ledger.runs.find(state="failed")[0].id)
    ledger.studies.add_look(study, 2, {"nearest": "worse"})
    ledger.studies.stop_arm(study, "nearest", "worse", "decided")
    ledger.studies.finish(study)
    export_study(ledger, study, tmp_path / "late")
    import_study(elsewhere, tmp_path / "late")
    assert elsewhere.studies.get(study) == ledger.studies.get(study)
    assert elsewhere.studies.arms(study) == ledger.studies.arms(study)
    assert elsewhere.studies.looks(study) == ledger.studies.looks(study)
    assert repr(elsewhere.metrics.of_study(study)) == repr(ledger.metrics.of_study(study))


def test_a_run_that_has_ended_brings_its_own_settings_and_one_to_be_trained_takes_those_of_here(
    ledger: Ledger, elsewhere: Ledger, study: str, new_run: Build, tmp_path: Path
) -> None:
    elsewhere.runs.enqueue(new_run(seed=7, recipe="nearest"))
    for cell in ledger.studies.cells(study):
        ledger.runs.place(cell.run.id, {"name": cell.arm, "root": f"/there/{cell.seed}"})
    export_study(ledger, study, tmp_path / "s.ablata")
    import_study(elsewhere, tmp_path / "s.ablata")
    assert [arm.recipe for arm in elsewhere.studies.arms(study)] == [{"name": "base"}, {"name": "nearest"}]
    for here, there in zip(ledger.studies.cells(study), elsewhere.studies.cells(study), strict=True):
        ended = here.run.state != "waiting"
        wanted = ledger.runs.settings(here.run) if ended else {"name": "nearest"}
        assert elsewhere.runs.settings(there.run) == wanted


def test_an_equal_run_that_is_here_is_shared(
    ledger: Ledger, elsewhere: Ledger, study: str, new_run: Build, tmp_path: Path
) -> None:
    done = elsewhere.runs.enqueue(new_run(seed=0))
    claim = elsewhere.leases.claim("worker", 60)
    assert claim is not None
    elsewhere.leases.finish(done.id, claim.attempt, "completed", scores={"accuracy": 9.0})
    waiting = elsewhere.runs.enqueue(new_run(seed=0, recipe="nearest"))
    export_study(ledger, study, tmp_path / "s.ablata")
    imported = import_study(elsewhere, tmp_path / "s.ablata")
    assert (imported.taken, imported.shared) == (3, 1)
    runs = {(cell.arm, cell.seed): cell.run for cell in elsewhere.studies.cells(study)}
    assert runs["control", 0].id == done.id
    assert runs["control", 0].scores == {"accuracy": 9.0}, "a completed run stays as it is"
    assert elsewhere.metrics.of_runs([done.id]) == []
    assert runs["nearest", 0].id == waiting.id
    assert runs["nearest", 0].state == "diverged", "a waiting run takes the result that came"
    assert (elsewhere.runs.folder(runs["nearest", 0]) / "scores.json").exists()
    assert len(elsewhere.runs.find()) == 4


def test_another_study_of_the_same_name_is_refused_and_nothing_is_imported(
    ledger: Ledger, elsewhere: Ledger, study: str, arms: list[NewArm], tmp_path: Path
) -> None:
    elsewhere.studies.create(study, "does it help?", {"margin": 0.2}, arms)
    export_study(ledger, study, tmp_path / "s.ablata")
    with pytest.raises(RecordError, match=r"spec\.margin"):
        import_study(elsewhere, tmp_path / "s.ablata")
    assert elsewhere.runs.find() == []


def test_other_runs_in_the_cells_of_the_same_study_are_refused(
    ledger: Ledger, elsewhere: Ledger, study: str, new_run: Build, arms: list[NewArm], tmp_path: Path
) -> None:
    elsewhere.studies.create(study, "does it help?", {"margin": 0.1}, arms)
    elsewhere.studies.enqueue(study, "control", new_run(environment="e2"))
    export_study(ledger, study, tmp_path / "s.ablata")
    with pytest.raises(RecordError, match="run of arm 'control', seed 0"):
        import_study(elsewhere, tmp_path / "s.ablata")
    assert len(elsewhere.runs.find()) == 1


def rewrite(source: Path, target: Path, change: Tamper, *, honest: bool) -> None:
    """Copy an archive with changed entries; `honest` makes the manifest agree with them."""
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    if honest:
        manifest = json.loads(entries[MANIFEST])
        manifest["entries"] = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in entries.items()
            if name != MANIFEST
        }
        entries[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def edit(name: str, change: Callable[[Any], object]) -> Tamper:
    """A change of one JSON entry."""

    def apply(entries: dict[str, bytes]) -> None:
        value = json.loads(entries[name])
        change(value)
        entries[name] = json.dumps(value).encode()

    return apply


def run_id(entries: dict[str, bytes]) -> str:
    """The id of an archive's first run."""
    return str(json.loads(entries["runs.json"])["runs"][0]["id"])


DISHONEST: dict[str, Tamper] = {
    "other scores": edit("runs.json", lambda runs: runs["runs"][0].update(scores={"accuracy": 1.0})),
    "an entry more": lambda entries: entries.update({"runs/x/y": b""}),
    "an entry less": lambda entries: entries.pop("runs.json"),
    "no manifest": lambda entries: entries.pop(MANIFEST),
    "a newer version": edit(MANIFEST, lambda manifest: manifest.update(version=2)),
    "another format": edit(MANIFEST, lambda manifest: manifest.update(format="zip")),
    "a manifest that is a list": lambda entries: entries.update({MANIFEST: b"[]"}),
    "a key twice": lambda entries: entries.update({MANIFEST: b'{"version":2,' + entries[MANIFEST][1:]}),
    "a manifest nested too deep": lambda entries: entries.update({MANIFEST: b"[" * 100_000}),
}

HONEST: dict[str, Tamper] = {
    "a name that climbs": lambda entries: entries.update({"runs/../../evil": b"x"}),
    "an absolute name": lambda entries: entries.update({"/tmp/evil": b"x"}),
    "a name with a drive": lambda entries: entries.update({"C:/evil": b"x"}),
    "a name with backslashes": lambda entries: entries.update({"runs\\..\\evil": b"x"}),
    "a run id that is a path": edit("runs.json", lambda runs: runs["runs"][0].update(id="../../evil")),
    "an unknown state": edit("runs.json", lambda runs: runs["runs"][0].update(state="golden")),
    "a seed no column holds": edit("runs.json", lambda runs: runs["runs"][0].update(seed=2**70)),
    "a cell without its run": edit("study.json", lambda study: study["cells"][0].__setitem__(2, "absent")),
    "an arm twice": edit("study.json", lambda study: study["arms"].append(study["arms"][0])),
    "a recipe that is missing": edit("runs.json", lambda runs: runs["recipes"].clear()),
    "a text as a cost": edit("runs.json", lambda runs: runs["runs"][0].update(cost={"seconds": "long"})),
    "a cost below zero": edit("runs.json", lambda runs: runs["runs"][0].update(cost={"seconds": -1.0})),
    "a list as a score": edit("runs.json", lambda runs: runs["runs"][0].update(scores={"accuracy": [1.0]})),
    "a truth as a score": edit("runs.json", lambda runs: runs["runs"][0].update(scores={"accuracy": True})),
    "a text as progress": edit("runs.json", lambda runs: runs["runs"][0].update(progress={"step": "far"})),
    "a time no calendar shows": edit("runs.json", lambda runs: runs["runs"][0].update(created=1e300)),
    "a time that is no number": edit("study.json", lambda study: study["study"].update(created={"$float": "nan"})),
    "half a character": edit("runs.json", lambda runs: runs["runs"][0].update(recipe_name="\ud800")),
    "a name that leaves the home": edit("study.json", lambda study: study["study"].update(name="../../escaped")),
    "an arm's name that leaves": edit("study.json", lambda study: study["arms"][0].update(name="../x")),
    "a name with a control character": edit("study.json", lambda study: study["study"].update(name="x\x1b[2J")),
    "a file's name with one": lambda entries: entries.update({f"runs/{run_id(entries)}/x\x1b[2J": b"x"}),
    "a file below a file": lambda entries: entries.update(
        {f"runs/{run_id(entries)}/f": b"x", f"runs/{run_id(entries)}/f/g": b"x"}
    ),
    "a file's name no disk holds": lambda entries: entries.update({f"runs/{run_id(entries)}/{'n' * 300}": b"x"}),
    "a specification nested too deep": edit(
        "study.json", lambda study: study["study"]["spec"].update(x=json.loads("[" * 200 + "]" * 200))
    ),
    "rows of another shape": lambda entries: entries.update({"study.json": b'{"$float": []}'}),
}


@pytest.mark.parametrize("what", [*DISHONEST, *HONEST])
def test_a_damaged_or_hostile_file_is_refused_and_nothing_is_written(
    ledger: Ledger, elsewhere: Ledger, study: str, tmp_path: Path, what: str
) -> None:
    export_study(ledger, study, tmp_path / "good")
    rewrite(tmp_path / "good", tmp_path / "bad", {**DISHONEST, **HONEST}[what], honest=what in HONEST)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(RecordError):
        import_study(elsewhere, tmp_path / "bad")
    assert elsewhere.runs.find() == []
    assert elsewhere.studies.all() == []
    assert {path for path in tmp_path.rglob("*") if "elsewhere.sqlite3" not in path.name} <= before


def test_a_failure_after_files_were_placed_takes_them_back_and_the_replaced_ones_come_again(
    ledger: Ledger, elsewhere: Ledger, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_study(ledger, study, tmp_path / "good")
    first = ledger.runs.find(study=study)[0]
    kept = elsewhere.home / "runs" / first.id / "recipe.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("what was here")
    before = sorted(elsewhere.home.rglob("*"))

    def full(*parts: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ablata.records.moving.placing.sync_folder", full)
    with pytest.raises(RecordError, match="No space left"):
        import_study(elsewhere, tmp_path / "good")
    assert elsewhere.runs.find() == []
    assert sorted(elsewhere.home.rglob("*")) == before
    assert kept.read_text() == "what was here"
    monkeypatch.undo()
    # What an import leaves that was killed.
    (elsewhere.home / ".import.0123abcd" / "files").mkdir(parents=True)
    os.utime(elsewhere.home / ".import.0123abcd", (0, 0))
    import_study(elsewhere, tmp_path / "good")
    assert not [path for path in elsewhere.home.iterdir() if path.name.startswith(".")]


def test_a_small_file_of_very_many_values_is_refused_before_it_is_read(
    elsewhere: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "bad", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, b"[" + b"[]," * 3_000_000 + b"[]]")
    monkeypatch.setattr("ablata.records.moving.archive.decode", lambda text: pytest.fail("it was read"))
    with pytest.raises(RecordError, match="more than 5,000,000 values"):
        import_study(elsewhere, tmp_path / "bad")
    with zipfile.ZipFile(tmp_path / "bad", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(MANIFEST, b"{}")
    with pytest.raises(RecordError, match="compressed in another way"):
        import_study(elsewhere, tmp_path / "bad")


def test_no_flipped_byte_goes_unnoticed(ledger: Ledger, elsewhere: Ledger, study: str, tmp_path: Path) -> None:
    export_study(ledger, study, tmp_path / "good")
    good = (tmp_path / "good").read_bytes()
    import_study(elsewhere, tmp_path / "good")
    before = content(elsewhere)
    refused = 0
    for position in range(0, len(good), 37):
        damaged = bytearray(good)
        damaged[position] ^= 0x55
        (tmp_path / "bad").write_bytes(damaged)
        try:
            import_study(elsewhere, tmp_path / "bad")
        except RecordError:
            refused += 1
        # A byte nothing depends on, such as a date in the zip's directory, may pass; its content may not differ.
        assert content(elsewhere) == before
    assert refused > 0.5 * len(range(0, len(good), 37))
    for length in range(0, len(good), 397):
        (tmp_path / "bad").write_bytes(good[:length])
        with pytest.raises(RecordError):
            import_study(elsewhere, tmp_path / "bad")


def test_a_file_that_unpacks_to_too_much_is_refused_unread(
    ledger: Ledger, elsewhere: Ledger, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_study(ledger, study, tmp_path / "s.ablata")
    monkeypatch.setattr("ablata.records.moving.archive.LIMIT_BYTES", 1000)
    with pytest.raises(RecordError, match="more than the 1,000 allowed"):
        import_study(elsewhere, tmp_path / "s.ablata")
    monkeypatch.undo()
    monkeypatch.setattr("ablata.records.moving.archive.LIMIT_JSON_BYTES", 1000)
    with pytest.raises(RecordError, match="larger than 1,000"):
        import_study(elsewhere, tmp_path / "s.ablata")
    monkeypatch.undo()
    monkeypatch.setattr(
        "ablata.records.moving.importing.shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})
    )
    with pytest.raises(RecordError, match="has 10 free"):
        import_study(elsewhere, tmp_path / "s.ablata")


def test_an_absent_file_or_study_is_an_error_in_words(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no file"):
        import_study(ledger, tmp_path / "absent")
    with pytest.raises(RecordError, match="no study 'absent'"):
        export_study(ledger, "absent", tmp_path / "s.ablata")
    assert not (tmp_path / "s.ablata").exists()


@pytest.mark.slow
def test_an_import_that_is_killed_leaves_all_as_it_was_or_all_of_it(
    new_run: Build, arms: list[NewArm], train: Callable[..., None], tmp_path: Path
) -> None:
    with Ledger(home=tmp_path / "there") as there:
        there.studies.create("s", "does it help?", {"margin": 0.1}, arms)
        there.studies.enqueue("s", "control", new_run(seed=0, recipe="base"))
        train(on=there)
        export_study(there, "s", tmp_path / "s.ablata")
    with Ledger(home=tmp_path / "here") as here:
        waiting = here.runs.enqueue(new_run(seed=0, recipe="base"))
        folder = here.runs.folder(waiting)
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text("what was here")
        (folder / "log.txt").write_text("what stays")
    program = Path(__file__).with_name("killed_imports.py")
    words = [sys.executable, str(program), str(tmp_path / "here"), str(tmp_path / "s.ablata")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    outcomes = done.stdout.strip()
    assert re.fullmatch(r"-{10,}\+{3,}", outcomes), outcomes
