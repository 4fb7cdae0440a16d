from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import CheckpointError, DataError, SettingsError
from ablata.base.overrides import override
from ablata.engine.recipe import Recipe
from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.records.rows import RunRow
from ablata.records.run_folder.evaluations import later_scores
from ablata.studies.evaluation import evaluate_run
from ablata.studies.identity import new_run, recipe_code, record_environment, restore_run
from ablata.studies.workers.worker import work
from ablata.tasks.inference.resolve import find_model


@pytest.fixture
def trained(ledger: Ledger, quick: Recipe) -> RunRow:
    """A run that has completed."""
    run = ledger.runs.enqueue(new_run(ledger, quick, 0, record_environment(ledger)))
    assert work(ledger, idle_exit=True) == 1
    return ledger.runs.get(run.id)


def test_the_last_checkpoint_scores_what_the_run_recorded(ledger: Ledger, trained: RunRow) -> None:
    assert evaluate_run(ledger, trained.id[:6]).scores == pytest.approx(trained.scores, abs=1e-5)


def test_scores_that_cannot_be_kept_are_given_and_the_reason_told(
    ledger: Ledger, trained: RunRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, content: bytes) -> int:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_bytes", refused)
    found = evaluate_run(ledger, trained.id)
    assert found.scores["val/plain/top1"] == (trained.scores or {})["val/plain/top1"]
    assert found.not_kept.endswith("Read-only file system")
    assert "evaluations" in found.not_kept
    assert found.as_dict()["kept"] is False


def test_saved_predictions_give_the_scores_and_every_class(ledger: Ledger, trained: RunRow, tmp_path: Path) -> None:
    found = evaluate_run(ledger, trained.id, save_to=tmp_path / "new" / "predictions.npz")
    with np.load(tmp_path / "new" / "predictions.npz", allow_pickle=False) as saved:
        label, logits, index, classes = (saved[key] for key in ("label", "logits", "index", "classes"))
    assert logits.shape == (500, 10)
    assert sorted(index) == sorted(set(index))
    right = logits.argmax(1) == label
    assert found.scores["val/plain/top1"] == pytest.approx(100 * right.mean())
    expected = [100 * right[label == each].mean() for each in range(10)]
    assert found.class_scores == pytest.approx(expected, abs=1e-4)
    assert tuple(classes) == found.classes
    confusion = np.zeros((10, 10), dtype=int)
    np.add.at(confusion, (label, logits.argmax(1)), 1)
    np.testing.assert_array_equal(found.confusion, confusion)


def test_every_protocol_has_scores_of_its_own(ledger: Ledger, quick: Recipe) -> None:
    recipe = quick.model_copy(update={"protocols": ("mirror", "plain")})
    run = ledger.runs.enqueue(new_run(ledger, recipe, 0, record_environment(ledger)))
    assert work(ledger, idle_exit=True) == 1
    recorded = ledger.runs.get(run.id).scores
    both = evaluate_run(ledger, run.id)
    assert both.scores == pytest.approx(recorded, abs=1e-5)
    assert both.scores["val/mirror/loss"] != both.scores["val/plain/loss"]
    plain = evaluate_run(ledger, run.id, protocols=["plain"])
    assert set(plain.scores) == {name for name in recorded if name.startswith("val/plain/")}
    assert plain.class_scores != both.class_scores


def test_a_protocol_that_the_recipe_does_not_name_can_be_asked_for(ledger: Ledger, trained: RunRow) -> None:
    assert set(evaluate_run(ledger, trained.id, protocols=["mirror"]).scores) >= {"val/mirror/top1", "val/mirror/loss"}


def test_raw_weights_score_what_the_run_recorded_for_them(ledger: Ledger, quick: Recipe) -> None:
    averaged = override(quick, ["ema=ema", "ema.decay=0.9"])
    run = ledger.runs.enqueue(new_run(ledger, averaged, 0, record_environment(ledger)))
    assert work(ledger, idle_exit=True) == 1
    recorded = ledger.runs.get(run.id).scores or {}
    both = [evaluate_run(ledger, run.id, weights=weights).scores for weights in ("eval", "raw")]
    assert both[0] | both[1] == pytest.approx(recorded, abs=1e-5)


def test_what_cannot_be_evaluated_is_refused_in_words(ledger: Ledger, trained: RunRow, quick: Recipe) -> None:
    with pytest.raises(DataError, match="split must be one of train, val"):
        evaluate_run(ledger, trained.id, split="test")
    with pytest.raises(SettingsError, match=r"--protocol must be one of .*\n  found: ten-crop"):
        evaluate_run(ledger, trained.id, protocols=["ten-crop"])
    with pytest.raises(DataError, match="need a set of image files"):
        evaluate_run(ledger, trained.id, protocols=["ten_crop"])
    with pytest.raises(SettingsError, match="eval or raw"):
        evaluate_run(ledger, trained.id, weights="mean")
    with pytest.raises(SettingsError, match="last or best"):
        evaluate_run(ledger, trained.id, which="first")
    with pytest.raises(SettingsError, match="not what was trained"):
        evaluate_run(ledger, trained.id, ["model.width=8"])
    waiting = ledger.runs.enqueue(new_run(ledger, quick, 1, record_environment(ledger)))
    with pytest.raises(CheckpointError, match="must exist"):
        evaluate_run(ledger, waiting.id)


@pytest.mark.parametrize("which", ["last", "best"])
def test_a_damaged_checkpoint_or_another_runs_is_neither_scored_nor_used(
    ledger: Ledger, quick: Recipe, trained: RunRow, which: str
) -> None:
    run = ledger.runs.enqueue(new_run(ledger, quick, 1, record_environment(ledger)))
    assert work(ledger, idle_exit=True) == 1
    mine, other = (ledger.runs.folder(one) / f"{which}.safetensors" for one in (trained, run))
    uses = (
        lambda: evaluate_run(ledger, trained.id, which=which),
        lambda: find_model(ledger, trained.id, which),
    )
    for use in uses:
        use()
    shutil.copy(other, mine)
    for use in uses:
        with pytest.raises(CheckpointError, match=rf"by run {trained.id} itself(.|\n)*written by run {run.id}.*seed 1"):
            use()
    damaged = bytearray(other.read_bytes())
    damaged[-1000] ^= 4
    mine.write_bytes(damaged)
    for use in uses:
        with pytest.raises(CheckpointError, match=r"changed or damaged since"):
            use()


def mask_folder(folder: Path, shift: int) -> Path:
    """Write 6 training and 3 validation images, whose three classes are shifted by some numbers."""
    for number in range(9):
        split = "train" if number < 6 else "val"
        mask = np.random.default_rng(number).integers(0, 3, (4, 4), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
        for kind, array in (("images", np.stack([mask * 100] * 3, -1)), ("labels", (mask + shift) % 3)):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / kind / split / f"{number}.png")
    (folder / "classes.txt").write_text("0 ground\n1 disc\n2 box\n")
    return folder


SMALL = (
    "train.steps=2 train.batch=2 train.evaluate_every=0 data.augment.crop.height=32 data.augment.crop.width=32 "
    "model.width=8 model.blocks=1 model.exchanges=[1,1,1] loss=cross_entropy"
)


def test_a_run_is_scored_on_its_own_data_after_its_recipe_was_trained_on_others(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = []
    for name, shift in (("a", 0), ("b", 1)):
        mask_folder(tmp_path / name, shift)
        recipe = load_recipe("custom_segmentation", [f"data.root={name}", *SMALL.split()])
        runs.append(ledger.runs.enqueue(new_run(ledger, recipe, 0, record_environment(ledger))))
        assert work(ledger, idle_exit=True) == 1
    assert runs[0].recipe_hash == runs[1].recipe_hash
    monkeypatch.chdir("/")
    for run in map(ledger.runs.get, [run.id for run in runs]):
        found = evaluate_run(ledger, run.id)
        assert found.scores == pytest.approx(run.scores, abs=1e-4)
        assert found.data == found.run_data == run.data
        assert "the run's own data" in found.data_words()
    other = evaluate_run(ledger, runs[0].id, [f"data.root={tmp_path / 'b'}"])
    assert other.data == runs[1].data
    assert "other data" in other.data_words()
    scores = later_scores(ledger.runs.folder(runs[0]), runs[0].data)
    recorded = ledger.runs.get(runs[0].id).scores or {}
    assert scores["val/ss/miou"] == pytest.approx(recorded["val/ss/miou"], abs=1e-4)
    assert scores[f"data {runs[1].data}/val/ss/miou"] == other.scores["val/ss/miou"] != scores["val/ss/miou"]


NET = """
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self, num_classes: int, in_channels: int):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)
"""


def test_files_of_one_name_in_two_folders_stay_each_its_runs(ledger: Ledger, quick: Recipe, tmp_path: Path) -> None:
    runs = []
    for width in (4, 8):
        file = tmp_path / str(width) / "mine.py"
        file.parent.mkdir()
        file.write_text(NET.replace("WIDTH", str(width)))
        recipe = override(quick, [f"model={file}:Net"])
        runs.append(ledger.runs.enqueue(new_run(ledger, recipe, 0, record_environment(ledger))))
        assert work(ledger, idle_exit=True) == 1
    assert runs[0].recipe_hash == runs[1].recipe_hash
    for run in map(ledger.runs.get, [run.id for run in runs]):
        assert evaluate_run(ledger, run.id).scores == pytest.approx(run.scores, abs=1e-5)


def test_files_named_by_relative_paths_are_found_from_another_folder(
    ledger: Ledger, quick: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    monkeypatch.chdir(here)
    environment = record_environment(ledger)
    subset = override(quick, ["label_subset=label_subset", "label_subset.per_class=9"])
    teacher = ledger.runs.enqueue(new_run(ledger, subset, 0, environment))
    assert work(ledger, idle_exit=True) == 1
    shutil.copytree(ledger.runs.folder(teacher), here / "teacher")
    relative = ["label_subset.file=teacher/splits.json", "refine=refinement", "refine.start=teacher"]
    run = ledger.runs.enqueue(new_run(ledger, override(subset, relative), 0, environment))
    monkeypatch.chdir(there)
    assert work(ledger, idle_exit=True) == 1
    recorded, scores = ledger.runs.get(run.id).scores or {}, evaluate_run(ledger, run.id).scores
    assert {name: recorded.get(name) for name in scores} == pytest.approx(scores, abs=1e-5)
    monkeypatch.chdir(here)
    # It is one run, however the files are named.
    absolute = [f"{key}={here / value}" for key, value in (text.split("=") for text in relative) if "/" in value]
    same = override(subset, [*relative, *absolute, f"refine.start={here / 'teacher'}"])
    assert ledger.runs.enqueue(new_run(ledger, same, 0, environment)).id == run.id


def test_a_file_given_to_a_part_of_ones_own_counts_by_its_content(
    ledger: Ledger, quick: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\nfrom torch.nn import functional as F\n\n\n"
        "def loss(logits, labels, scale: Path = Path('scale.txt')):\n"
        "    return float(scale.read_text()) * F.cross_entropy(logits, labels)\n"
    )
    (tmp_path / "scale.txt").write_text("2")
    recipe = override(quick, ["loss=mine.py:loss", "loss.scale=scale.txt"])
    run = ledger.runs.enqueue(new_run(ledger, recipe, 0, record_environment(ledger)))
    monkeypatch.chdir("/")
    assert work(ledger, idle_exit=True) == 1
    assert ledger.runs.get(run.id).state == "completed"
    code = recipe_code(restore_run(ledger, run))
    (tmp_path / "scale.txt").write_text("3")
    assert recipe_code(restore_run(ledger, run)) != code == run.code


def recipe_of(ledger: Ledger, run: RunRow) -> Recipe:
    return restore_run(ledger, run)
