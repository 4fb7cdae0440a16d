"""Folders of runs as other tools write them: figures, arms and seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from ablata.base.errors import DataError
from ablata.trainers.run_folders import read_run_folders

Write = Callable[[Path, float], None]


def _ultralytics(folder: Path, score: float) -> None:
    folder.mkdir(parents=True)
    head = "                  epoch,             train/loss,       metrics/mAP50(B)"
    lines = [f"{epoch:>23},{1 / epoch:>23},{score - 2 + epoch:>23}" for epoch in (1, 2)]
    (folder / "results.csv").write_text("\n".join([head, *lines]))


def _lightning(folder: Path, score: float) -> None:
    place = folder / "lightning_logs" / "version_0"
    place.mkdir(parents=True)
    (place / "metrics.csv").write_text(
        f"epoch,step,train_loss,val_acc\n0,9,0.5,\n0,9,,{score - 1}\n1,19,0.4,\n1,19,,{score}\n"
    )
    (place / "hparams.yaml").write_text("lr: 0.1\n")


def _timm(folder: Path, score: float) -> None:
    place = folder / "20240101-120000-resnet18-224"
    place.mkdir(parents=True)
    (place / "summary.csv").write_text(f"epoch,train_loss,eval_top1\n0,2.0,{score - 1}\n1,1.0,{score}\n")


def _keras(folder: Path, score: float) -> None:
    folder.mkdir(parents=True)
    (folder / "training.log").write_text(f"epoch,loss,val_accuracy\n0,1.0,{score - 1}\n1,0.5,{score}\n")


def _huggingface(folder: Path, score: float) -> None:
    folder.mkdir(parents=True)
    history = [
        {"loss": 1.0, "step": 10},
        {"eval_accuracy": score - 1, "step": 10},
        {"eval_accuracy": score, "step": 20},
    ]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 20, "log_history": history}))


def _mmengine(folder: Path, score: float) -> None:
    place = folder / "20240101_120000" / "vis_data"
    place.mkdir(parents=True)
    lines = [{"lr": 0.1, "loss": 2.0, "step": 1}, {"coco/bbox_mAP": score, "step": 2}]
    (place / "scalars.json").write_text("\n".join(map(json.dumps, lines)))


def _detectron2(folder: Path, score: float) -> None:
    """As its JSONWriter has it: a restart goes on in the file, scores stand apart, sizes without boxes are NaN."""
    folder.mkdir(parents=True)
    steps = [{"data_time": 0.004, "fast_rcnn/cls_accuracy": 0.5, "iteration": at, "lr": 1e-5, "rank_data_time": 0.004,
              "time": 0.36, "total_loss": 2.1} for at in (19, 19, 39)]  # fmt: skip
    scores = {"bbox/AP": score, "bbox/AP-cat": score, "bbox/APl": math.nan, "bbox/APs": math.nan}
    lines = [
        *steps,
        scores | {"bbox/AP": 1.0, "iteration": 40},
        steps[-1] | {"iteration": 59},
        scores | {"iteration": 60},
    ]
    (folder / "metrics.json").write_text("\n".join(map(json.dumps, lines)) + '\n{"iteration": 5')


def _wandb(folder: Path, score: float) -> None:
    place = folder / "wandb" / "offline-run-20240101_120000-ab12cd34" / "files"
    place.mkdir(parents=True)
    (place / "wandb-summary.json").write_text(json.dumps({"val": {"acc": score}, "_step": 20}))
    (place / "config.yaml").write_text("lr:\n  value: 0.1\n")


LAYOUTS: dict[str, tuple[Write, str]] = {
    "ultralytics": (_ultralytics, "metrics/mAP50(B)"),
    "Lightning": (_lightning, "val_acc"),
    "timm": (_timm, "eval_top1"),
    "Keras": (_keras, "val_accuracy"),
    "Hugging Face": (_huggingface, "eval_accuracy"),
    "mmengine": (_mmengine, "coco/bbox_mAP"),
    "detectron2": (_detectron2, "bbox/AP"),
    "Weights & Biases": (_wandb, "val.acc"),
}


def test_each_tools_folders_give_arm_seed_and_last_score(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for tool, (write, score) in LAYOUTS.items():
        for naming in ("{arm}/seed{seed}", "{arm}_seed{seed}", "{arm}-s{seed}"):
            with subtests.test(tool=tool, naming=naming):
                root = tmp_path / tool / naming.replace("/", "+").replace("{", "").replace("}", "")
                for arm, level in (("base", 90.0), ("wide", 91.0)):
                    for seed in (0, 1, 12):
                        write(root / naming.format(arm=arm, seed=seed), level + seed / 100)
                given = read_run_folders(root, score=score)
                assert {(run.arm, run.seed, run.scores[given.score]) for run in given.runs} == {
                    (arm, seed, level + seed / 100)
                    for arm, level in (("base", 90.0), ("wide", 91.0))
                    for seed in (0, 1, 12)
                }


def test_the_best_of_a_curve_counts_where_it_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "metrics.csv").write_text("epoch,acc\n0,80\n1,95\n2,90\n")
    found = {
        take: read_run_folders(tmp_path, score="acc", take=take).runs[0].scores["acc"]
        for take in ("last", "max", "min")
    }
    assert found == {"last": 90, "max": 95, "min": 80}


def test_settings_tell_the_seed_and_can_name_the_arm(tmp_path: Path) -> None:
    for number, (optimiser, seed) in enumerate([("sgd", 3), ("sgd", 4), ("adam", 3)]):
        _keras(tmp_path / f"train{number}", 90 + number)
        (tmp_path / f"train{number}" / "args.yaml").write_text(f"optimizer: {optimiser}\nseed: {seed}\n")
    given = read_run_folders(tmp_path, score="val_accuracy", arm_from="optimizer")
    assert [(run.arm, run.seed) for run in given.runs] == [
        ("optimizer=sgd", 3),
        ("optimizer=sgd", 4),
        ("optimizer=adam", 3),
    ]
    with pytest.raises(DataError, match="--arm-from optimiser must be a setting"):
        read_run_folders(tmp_path, score="val_accuracy", arm_from="optimiser")


def test_settings_that_cannot_be_read_are_told_and_the_next_file_of_them_counts(tmp_path: Path) -> None:
    for seed, text in enumerate(("lr: [0.1\n", "- a\n- b\n", "lr: 0.1\nseed: 2\n")):
        folder = tmp_path / f"run{seed}"
        _timm(folder, 70 + seed)
        place = next(folder.iterdir())
        (place / "args.yaml").write_text(text)
        (place / "config.json").write_text(json.dumps({"seed": seed}))
    given = read_run_folders(tmp_path, score="eval_top1")
    assert sorted(run.seed for run in given.runs if run.seed is not None) == [0, 1, 2]
    (note,) = [note for note in given.notes if note.startswith("settings that could not be read")]
    assert "run0/20240101-120000-resnet18-224/args.yaml (" in note
    assert "run1/20240101-120000-resnet18-224/args.yaml (no keys with values)" in note
    assert "run2" not in note


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold files of figures"):
        read_run_folders(tmp_path)
    _keras(tmp_path / "a", 90)
    _lightning(tmp_path / "b", 90)
    with pytest.raises(DataError, match="1 do not"):
        read_run_folders(tmp_path, score="val_acc")
    with pytest.raises(DataError, match="which score"):
        read_run_folders(tmp_path / "a")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "trainer_state.json").write_text("[1]")
    with pytest.raises(DataError, match="log_history"):
        read_run_folders(tmp_path, score="val_acc")
