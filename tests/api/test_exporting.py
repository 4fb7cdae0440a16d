"""Runs and studies for other tools: tables that hold all, event files that TensorBoard reads, MLflow's runs."""

from __future__ import annotations

import csv
import importlib.util
import math
from pathlib import Path

import pytest

import ablata
from ablata.api.exporting import export_runs, export_to_mlflow
from ablata.base.errors import RecordError, SettingsError
from ablata.records import Ledger, NewArm, NewRun, RunWriter
from ablata.records.moving.event_files import _masked
from ablata.reports.terminal import curve_line
from ablata.studies.metric import judged_metric
from ablata.trainers.command import Command
from ablata.trainers.readers.tensorboard import read_events


@pytest.fixture
def lab(home: Path) -> list[str]:
    """A study of two arms and two seeds with curves; returns the runs' ids, arm by arm."""
    commands = {name: Command.of(f"train {{seed}} {name}", scores=["acc"]) for name in ("control", "wide")}
    metric = judged_metric(commands["control"], None)
    spec = {
        "metric": {"key": metric.key, "name": metric.name, "split": "", "protocol": "", "unit": "",
                   "higher_is_better": True},
        "rule": ablata.stats.Rule(seeds=2).to_json(), "rule_version": 1, "mode": "claim", "first_seed": 0,
    }  # fmt: skip
    ids = []
    with Ledger(home=home) as ledger:
        trees = {name: {"task": "command", "lr": 0.1 if name == "control" else 0.2} for name in commands}
        arms = [
            NewArm(name=name, recipe_name="net", recipe=trees[name], recipe_hash=name, is_control=name == "control")
            for name in commands
        ]
        ledger.studies.create("asked", "Is it better?", spec, arms)
        for name in commands:
            for seed in range(2):
                new = NewRun(recipe_name="net", recipe=trees[name], recipe_hash=name, code="command-1", data="d",
                             seed=seed, environment="e")  # fmt: skip
                with RunWriter.start(ledger, new) as writer:
                    losses = [(step, "train/loss", 1 / (step + 1)) for step in range(3)]
                    writer.metrics([*losses, (2, "acc [%]", 90.0 + seed)])
                    writer.finish("completed", scores={"acc": 90.5 + seed}, cost={"seconds": 2.0})
                ledger.studies.attach("asked", name, seed, writer.run.id)
                ids.append(writer.run.id)
    return ids


def test_tables_hold_every_run_its_settings_scores_and_cost_and_every_point(lab: list[str], tmp_path: Path) -> None:
    done = export_runs(csv=tmp_path / "runs.csv", curves=tmp_path / "points.csv")
    assert (done.runs, done.files) == (4, (tmp_path / "runs.csv", tmp_path / "points.csv"))
    rows = list(csv.DictReader((tmp_path / "runs.csv").read_text().splitlines()))
    assert [row["run"] for row in rows] == lab[::-1]
    assert {row["run"]: (row["lr"], row["acc"], row["studies"], row["cost/seconds"]) for row in rows} == {
        lab[0]: ("0.1", "90.5", "asked:control", "2.0"),
        lab[1]: ("0.1", "91.5", "asked:control", "2.0"),
        lab[2]: ("0.2", "90.5", "asked:wide", "2.0"),
        lab[3]: ("0.2", "91.5", "asked:wide", "2.0"),
    }
    points = list(csv.DictReader((tmp_path / "points.csv").read_text().splitlines()))
    assert len(points) == 16
    assert {"run": lab[0], "name": "train/loss", "step": "1", "value": "0.5"} in points
    assert export_runs(lab[0], csv=tmp_path / "one.csv").runs == 1
    assert export_runs(state="failed", csv=tmp_path / "none.csv").runs == 0
    with pytest.raises(SettingsError, match="what is written"):
        export_runs(lab[0])
    with pytest.raises(RecordError):
        export_runs("none", csv=tmp_path / "none.csv")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SettingsError, match=r"\.csv"):
        export_runs(csv=tmp_path / "notes.txt")


def test_event_files_hold_every_point_and_tensorboard_reads_them(lab: list[str], tmp_path: Path) -> None:
    done = export_runs(lab[0], tensorboard=tmp_path / "board")
    (file,) = done.files
    assert file.parent.name == f"net-seed0-{lab[0]}"
    found = [(name, value) for event in read_events(file) for name, value in event.items()]
    assert [value for name, value in found if name == "train/loss"] == pytest.approx([1, 1 / 2, 1 / 3])
    assert ("acc [%]", 90.0) in found
    again = file.read_bytes()
    assert export_runs(lab[0], tensorboard=tmp_path / "board").files == (file,)
    assert file.read_bytes() == again
    if importlib.util.find_spec("tensorboard"):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        board = EventAccumulator(str(file.parent))
        board.Reload()
        assert sorted(board.Tags()["scalars"]) == ["acc [%]", "train/loss"]
        assert [(point.step, point.value) for point in board.Scalars("train/loss")] == [
            (step, pytest.approx(1 / (step + 1))) for step in range(3)
        ]


def test_checksums_are_those_of_the_format() -> None:
    # CRC-32C of "123456789" is e3069283 (RFC 3720, B.4), here turned by 15 bits and shifted.
    crc = 0xE3069283
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert _masked(b"123456789") == masked.to_bytes(4, "little")


def test_a_curve_is_drawn_in_a_line_in_ascii_where_there_is_no_terminal() -> None:
    assert curve_line(range(7), [0, 1, 2, 3, 4, 5, 6], plain=True) == "0 _.-=+*# 6 (steps 0 to 6)"
    assert curve_line(range(3), [1.0, math.nan, 1.0], plain=True) == "1 _!_ 1 (steps 0 to 2)"
    assert "▁" in curve_line(range(3), [1.0, 2.0, 3.0])
    assert len(curve_line(range(1000), list(range(1000)), plain=True)) < 80


def test_mlflow_is_named_where_it_is_not_installed(lab: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(SettingsError) as caught:
        export_to_mlflow("asked", "sqlite:///mlflow.db")
    assert "ablata[mlflow]" in str(caught.value.do)


def test_mlflow_gets_an_experiment_with_a_run_for_each_arm_and_seed(lab: list[str], tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    export_to_mlflow("asked", uri)
    parents = export_to_mlflow("asked", uri)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("asked")
    found = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    assert len(found) == 6
    assert [found[parent].data.tags["ablata.verdict"] for parent in parents] == ["control", "not judged yet"]
    assert [found[parent].data.metrics["mean"] for parent in parents] == [91.0, 91.0]
    assert [one.path for one in client.list_artifacts(parents[0])] == ["asked.html"]
    children = [run for run in found.values() if run.data.tags.get("mlflow.parentRunId") == parents[1]]
    assert {run.data.tags["ablata.run"] for run in children} == set(lab[2:])
    assert all(run.data.params["lr"] == "0.2" and run.data.metrics["cost/seconds"] == 2 for run in children)
    history = client.get_metric_history(children[0].info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(step, 1 / (step + 1)) for step in range(3)]
