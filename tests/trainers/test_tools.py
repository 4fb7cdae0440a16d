"""Files that training tools and trackers wrote themselves (`tools/README.md` says which versions) are read."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from ablata.base.errors import DataError
from ablata.trainers.given import GivenRuns
from ablata.trainers.readers.protobuf import BrokenMessageError, fields
from ablata.trainers.readers.tensorboard import read_events
from ablata.trainers.reading import read_given

TOOLS = Path(__file__).parent / "tools"
SCORES = {("base", 0): 0.7268, ("base", 1): 0.7422, ("wide", 0): 0.7982, ("wide", 1): 0.7903}
"""What the drawn curves of most of the tools end in."""


def _found(given: GivenRuns) -> dict[tuple[str, int | None], float]:
    return {(run.arm, run.seed): run.scores[given.score] for run in given.runs}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as made:
        made.executescript((TOOLS / "mlflow.sql").read_text())
    return path


def test_each_tools_own_files_give_arms_seeds_and_scores(database: Path, subtests: pytest.Subtests) -> None:
    drawn = {
        "tensorboard": ("val/acc", 1),
        "mlruns": ("val_acc", 1),
        "wandb": ("val.acc", 1),
        "keras": ("val_accuracy", 1),
        "timm": ("eval_top1", 100),
        "mmengine": ("accuracy/top1", 100),
    }
    for tool, (score, factor) in drawn.items():
        with subtests.test(tool=tool):
            found = _found(read_given(TOOLS / tool, score=score))
            assert found == {cell: pytest.approx(factor * value) for cell, value in SCORES.items()}
    trained = {
        "lightning": ("val_acc", [0.828125, 0.53125, 0.890625, 0.78125]),
        "transformers": ("eval_accuracy", [0.625, 0.53125, 0.75, 0.59375]),
        "ultralytics": ("metrics/mAP50(B)", [0, 0, 0, 0]),
    }
    for tool, (score, scores) in trained.items():
        with subtests.test(tool=tool):
            given = read_given(TOOLS / tool, score=score)
            assert [run.scores[given.score] for run in given.runs] == scores
            assert [run.seed for run in given.runs] == [0, 1, 0, 1]
    for place in (database, database.parent):
        assert _found(read_given(place, score="val_acc")) == SCORES


def test_a_best_value_is_taken_from_the_whole_curve(database: Path) -> None:
    for place, score in ((TOOLS / "mlruns", "val_acc"), (TOOLS / "wandb", "val.acc"), (database, "val_acc")):
        least = _found(read_given(place, score=score, take="min"))
        assert least["base", 0] == 0.6186
        assert _found(read_given(place, score=score, take="max")) == SCORES


def test_runs_that_did_not_end_are_left_out_and_a_setting_can_name_the_arm(database: Path) -> None:
    for place in (TOOLS / "mlruns", database):
        given = read_given(place, score="val_acc", arm_from="width")
        assert given.arms == ("width=16", "width=32")
        assert any("1 run that did not end" in note for note in given.notes)
    with pytest.raises(DataError, match="its settings are"):
        read_given(database, score="val_acc", arm_from="depth")


def test_keras_event_files_of_one_run_lie_in_a_folder_for_each_split(tmp_path: Path) -> None:
    source = next((TOOLS / "tensorboard").rglob("*tfevents*"))
    for split in ("train", "validation"):
        folder = tmp_path / "base" / "seed1" / split
        folder.mkdir(parents=True)
        (folder / source.name).write_bytes(source.read_bytes())
    given = read_given(tmp_path, score="validation/val/acc")
    assert [(run.arm, run.seed) for run in given.runs] == [("base", 1)]


def test_what_lies_beside_the_runs_of_a_tool_is_no_run(tmp_path: Path) -> None:
    shutil.copytree(TOOLS / "mlruns", tmp_path / "mlruns")
    experiment = next((tmp_path / "mlruns").glob("*"))
    model = experiment / "models" / "m-1"
    (model / "metrics").mkdir(parents=True)
    (model / "meta.yaml").write_text("model_id: m-1\nname: net\n")
    (model / "metrics" / "val_acc").write_text("1 0.99 0 data digest\n")
    (experiment / "base" / "metrics").mkdir(parents=True)
    (experiment / "base" / "meta.yaml").write_text(
        "run_id: x\nrun_name: base-seed7\nlifecycle_stage: deleted\nstatus: 3\n"
    )
    assert _found(read_given(tmp_path / "mlruns", score="val_acc")) == SCORES
    shutil.copytree(TOOLS / "tensorboard", tmp_path / "runs")
    for file in list((tmp_path / "runs").rglob("*tfevents*")):
        again = file.parent / "1796008401.1234567"
        again.mkdir()
        shutil.copy(file, again)
    assert len(read_given(tmp_path / "runs", score="val/acc").runs) == 4


def test_an_event_file_may_be_cut_off_anywhere(tmp_path: Path) -> None:
    source = next((TOOLS / "tensorboard").rglob("*tfevents*"))
    whole = source.read_bytes()
    path = tmp_path / source.name
    known = list(read_events(source))
    assert [name for point in known for name in point] == ["val/acc", "train/loss"] * 3
    first = 16 + struct.unpack_from("<Q", whole)[0]
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        if 12 <= end < first:
            with pytest.raises(DataError, match="first record"):
                list(read_events(path))
        else:
            found = list(read_events(path))
            assert found == known[: len(found)]


def test_tensors_of_one_number_are_scalars(tmp_path: Path) -> None:
    def message(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    def written(*tensors: bytes) -> bytes:
        values = b"".join(message(1, message(1, b"acc") + message(8, tensor)) for tensor in tensors)
        event = message(5, values)
        return struct.pack("<Q", len(event)) + b"crc1" + event + b"crc2"

    one = b"\x08\x01" + message(4, struct.pack("<f", 0.5))
    packed = b"\x08\x01" + message(2, b"") + message(5, struct.pack("<f", 0.25))
    double = b"\x08\x02" + message(4, struct.pack("<d", 2.0))
    vector = b"\x08\x01" + message(2, message(2, b"\x08\x01")) + message(4, struct.pack("<f", 9.0))
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(written(one, packed, vector, double))
    assert list(read_events(path)) == [{"acc": 0.5}, {"acc": 0.25}, {"acc": 2.0}]


def test_what_is_no_message_is_refused() -> None:
    for broken in (b"\x80", b"\x0a\x05ab", b"\x09abc", b"\x0b", b"\xff" * 12):
        with pytest.raises(BrokenMessageError):
            list(fields(broken))


def test_files_of_another_kind_are_told(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1.host").write_text("not at all an event file, though it is named as one")
    with pytest.raises(DataError, match="must be TensorBoard's"):
        read_given(tmp_path)
    (tmp_path / "events.out.tfevents.1.host").unlink()
    (tmp_path / "run-a.wandb").write_bytes(b"nothing")
    with pytest.raises(DataError, match="Weights & Biases"):
        read_given(tmp_path)
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as made:
        made.execute("CREATE TABLE things (name TEXT)")
    with pytest.raises(DataError, match="must be MLflow's"):
        read_given(other)


def test_a_log_of_weights_and_biases_may_cross_blocks_and_be_cut_off(tmp_path: Path) -> None:
    source = next((TOOLS / "wandb").rglob("*.wandb")).read_bytes()
    note = b"\x72" + b"\xf0\xd4\x03" + b"n" * 60_016
    """A record of another kind, of field 14, longer than a block."""
    cut, place, parts = [], len(source), [note]
    while parts[0]:
        room = 32 * 2**10 - place % (32 * 2**10) - 7
        part, parts[0] = parts[0][:room], parts[0][room:]
        kind = {(True, False): 2, (False, False): 3, (False, True): 4, (True, True): 1}[not cut, not parts[0]]
        cut.append(b"crc " + struct.pack("<HB", len(part), kind) + part)
        place += 7 + len(part)
    last = b"\x12\x0f\x0a\x0d\x0a\x05extra\x82\x01\x037.5"
    ending = b"crc " + struct.pack("<HB", len(last), 1) + last
    path = tmp_path / "base" / "run-x.wandb"
    path.parent.mkdir()
    path.write_bytes(source + b"".join(cut) + ending)
    assert read_given(tmp_path, score="extra").runs[0].scores["extra"] == 7.5
    path.write_bytes(source + b"".join(cut) + ending[:-3])
    assert "extra" not in read_given(tmp_path, score="val.acc").runs[0].scores


def test_the_csv_of_a_chart_has_a_column_for_each_run(tmp_path: Path) -> None:
    path = tmp_path / "wandb_export_2026-11-30T10_00_00.000+01_00.csv"
    names = [f"{arm}-seed{seed} - val.acc{end}" for arm in ("base", "wide") for seed in (0, 1) for end in ("", "__MIN")]
    rows = [["1", *["0.5"] * 8], ["2", *["0.7268", "0", "0.7422", "0", "0.7982", "0", "0.7903", "0"]]]
    path.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in (["Step", *names], *rows)))
    assert _found(read_given(path)) == SCORES
    runs = tmp_path / "wandb_export_runs.csv"
    head = '"Name","State","Notes","User","Tags","Created","Runtime","Sweep","seed","width","val.acc"'
    lines = [f'"{arm}-{seed}","finished","-","me","","2026","{9 + seed}","","{seed}","16","{SCORES[arm, seed]}"'
             for arm, seed in SCORES]  # fmt: skip
    runs.write_text("\n".join([head, *lines]))
    found = read_given(runs, score="val.acc", arm_from="Name")
    assert [(run.arm, run.seed) for run in found.runs] == [(f"{arm}-{seed}", seed) for arm, seed in SCORES]
