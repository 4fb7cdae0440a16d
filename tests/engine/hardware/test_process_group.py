"""Two processes train like one: same losses, same global batch, every evaluation sample once, one of them writes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ablata.base.errors import SettingsError
from ablata.engine.checkpoints import LAST, load_checkpoint
from ablata.engine.hardware.precision import Precision, choose_precision
from ablata.engine.hardware.process_group import ProcessGroup, from_environment
from ablata.engine.reporting import Reporter
from ablata.engine.shardable import refuse_unshardable
from ablata.engine.train import train
from ablata.recipes.index import load_recipe

PROCESS = Path(__file__).with_name("distribution_process.py")
SHORT = ["train.epochs=null", "train.steps=8", "train.log_every=1", "train.evaluate_every=0", "data.val=501"]
TRAININGS = {
    "plain": ["digits", *SHORT, "model.norm=none"],
    "rich": [
        *("digits", *SHORT, "model.norm=none", "train.accumulate=2", "ema.decay=0.9", "train.clip=0.5"),
        *("data.augment.mix=both", "data.augment.cutout=2", "optim.lookahead.steps=3"),
    ],
    # Without ReLU: behind a normalisation, an input in its last bit above or below 0 changes a gradient by 1e-4.
    "batch_norm": ["digits", *SHORT, "model.activation=silu"],
    "precise": [
        *("digits", *SHORT, "model.activation=silu", "ema.decay=0.9"),
        *("train.precise_bn=true", "train.precise_bn.samples=200"),
    ],
    "sharded": [
        *("digits", *SHORT, "model.activation=silu", "compute.shard=true", "ema.decay=0.9", "train.clip=0.5"),
        *("train.precise_bn=true", "train.precise_bn.samples=200"),
    ],
    "uneven": ["digits", *SHORT, "train.batch=65"],
    "unfit": ["digits", *SHORT, "compute.shard=true", "optim.lookahead.steps=3", "compute.sync_batch_norm=false"],
}
TRAINED = [name for name in TRAININGS if name not in ("uneven", "unfit")]


class Curve(Reporter):
    """Keeps the points of the curves."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def metrics(self, rows: Any) -> None:
        self.rows += rows


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which two processes have trained."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "trainings.json").write_text(json.dumps(TRAININGS))
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [sys.executable, PROCESS, folder], env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    return folder


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    """Return what each of the two processes saw."""
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("name", TRAINED)
def test_two_processes_give_the_losses_of_one(
    ranks: list[dict[str, Any]], folder: Path, name: str, tmp_path: Path
) -> None:
    reference, *overrides = TRAININGS[name]
    alone = Curve()
    outcome = train(load_recipe(reference, overrides), 3, tmp_path / "alone", tmp_path, alone)
    together = {(step, key): value for step, key, value in ranks[0][name]["rows"]}
    expected = {(step, key): value for step, key, value in alone.rows}
    assert together.keys() == expected.keys()
    assert sum(key == "train/cross_entropy" for _, key in expected) == 8
    for point, value in expected.items():
        tolerance = {"rel": 1e-4} if "norm" in point[1] else {"abs": 1e-5}
        assert together[point] == pytest.approx(value, **tolerance), point
    assert ranks[0][name]["scores"] == pytest.approx(outcome.scores, abs=1e-5)
    one, two = load_checkpoint(tmp_path / "alone" / LAST), load_checkpoint(folder / name / LAST)
    for group in ("model", "ema", "model_statistics", "ema_statistics"):
        for key, tensor in one.groups.get(group, {}).items():
            torch.testing.assert_close(two.groups[group][key], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_every_process_ends_with_the_same_scores(ranks: list[dict[str, Any]], name: str) -> None:
    assert ranks[0][name]["scores"] == ranks[1][name]["scores"] != {}


def test_a_batch_that_does_not_divide_is_refused_by_every_process(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert "processes x train.accumulate = 2 x 1" in rank["uneven"]["error"]
        assert "train.batch=65" in rank["uneven"]["error"]


def test_processes_stop_together_and_go_on_exactly(ranks: list[dict[str, Any]], folder: Path) -> None:
    for rank in ranks:
        assert rank["cut"]["kind"] == "StoppedError"
        assert "Stopped after step 3 of 8" in rank["cut"]["error"]
    whole, resumed = load_checkpoint(folder / "rich" / LAST), load_checkpoint(folder / "cut" / LAST)
    for group, tensors in whole.groups.items():
        assert all(torch.equal(resumed.groups[group][name], tensor) for name, tensor in tensors.items())
    assert resumed.facts["scores"] == whole.facts["scores"]


def test_a_sharded_training_goes_on_exactly_and_unsharded_or_alone_to_rounding(
    ranks: list[dict[str, Any]], folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder / "sharded cut at 3", tmp_path / "alone")
    reference, *overrides = TRAININGS["sharded"]
    train(load_recipe(reference, overrides), 3, tmp_path / "alone", tmp_path)
    whole = load_checkpoint(folder / "sharded" / LAST)
    for place, error in ((folder / "sharded cut", 0.0), (folder / "unsharded", 1e-4), (tmp_path / "alone", 1e-4)):
        resumed = load_checkpoint(place / LAST)
        assert resumed.groups.keys() == whole.groups.keys()
        for group, tensors in whole.groups.items():
            for name, tensor in tensors.items():
                torch.testing.assert_close(resumed.groups[group][name], tensor, rtol=error, atol=error)


def test_what_cannot_be_sharded_is_refused_in_words_by_every_process(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert "optim=sgd with lookahead, compute.sync_batch_norm=false" in rank["unfit"]["error"]
        assert "compute.shard=false" in rank["unfit"]["error"]


def test_a_teacher_and_half_precision_are_refused_where_a_network_is_sharded() -> None:
    taught = load_recipe("digits", ["refine=refinement", "refine.teacher=static", "freeze=backbone"])
    half = Precision(torch.float16, "cuda", "asked for")
    with pytest.raises(SettingsError, match=r"fp16, freeze=backbone, refine, a teacher[^*]*refine=null"):
        refuse_unshardable(taught, half)
    refuse_unshardable(load_recipe("digits"), choose_precision("fp32", torch.device("cpu")))


def test_a_divergence_in_one_process_ends_all_of_them_for_the_same_reason(
    ranks: list[dict[str, Any]], folder: Path
) -> None:
    for rank in ranks:
        assert rank["poisoned"]["kind"] == "DivergedError"
        assert "loss term cross_entropy is not finite at step 2" in rank["poisoned"]["error"]
    assert not (folder / "poisoned" / LAST).exists()


def test_every_evaluation_sample_is_counted_once(ranks: list[dict[str, Any]]) -> None:
    shares = [rank["evaluation"]["index"] for rank in ranks]
    assert [len(share) for share in shares] == [251, 250]
    assert sorted(shares[0] + shares[1]) == list(range(501))
    assert [rank["evaluation"]["counted"] for rank in ranks] == [501, 501]


def test_only_the_first_process_writes_and_reports(ranks: list[dict[str, Any]], folder: Path) -> None:
    assert not (folder / "nobody writes here").exists()
    assert {f"{name}/{LAST}" for name in TRAINED} <= set(ranks[0]["written"])
    assert ranks[1]["written"] == []
    assert all(ranks[1][name]["rows"] == [] and ranks[1][name]["facts"] == {} for name in TRAINED)
    assert ranks[0]["plain"]["facts"]["processes"] == 2


def test_sums_and_words_reach_every_process(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["collectives"] == {
            "any": [True, False],
            "shared": {"rank": 0, "text": "größer"},
            "sum": [3.0, 4.0],
        }


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted by Linux's /proc")
def test_no_thread_of_the_group_outlives_it(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["threads in the group"] > 0
        assert rank["threads after the group"] == 0


def test_alone_nothing_is_exchanged() -> None:
    place = ProcessGroup()
    assert place.is_single
    assert place.is_main
    assert (place.any(True), place.any(False), place.broadcast_object([1])) == (True, False, [1])
    assert torch.equal(place.all_reduce_sum(torch.ones(2)), torch.ones(2))


def test_the_place_is_read_from_the_variables_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert from_environment() == ProcessGroup(0, 1, 0)
    monkeypatch.setenv("RANK", "5")
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert from_environment() == ProcessGroup(5, 8, 1)
    assert not from_environment().is_main


@pytest.mark.slow
def test_torchrun_trains_one_run_and_prints_the_learning_rate_once(tmp_path: Path) -> None:
    said = torchrun(tmp_path, "train.epochs=1", "optim.scaling=linear", "optim.reference_batch=128")
    flat = " ".join(said.split())
    assert flat.count("learning rate 0.05 = 0.1 x linear scale of batch 64 / reference batch 128") == 1, said
    assert flat.count("val/plain/top1 =") == 1
    (run,) = (tmp_path / "home" / "runs").iterdir()
    assert load_checkpoint(run / LAST).facts["step"] == 20


@pytest.mark.slow
def test_torchrun_trains_a_chain_of_rounds(tmp_path: Path) -> None:
    said = torchrun(tmp_path, "train.epochs=1", "refine=refinement", "refine.teacher=static")
    assert said.count("beside its teacher") == 1, said
    assert len(list((tmp_path / "home" / "runs").iterdir())) == 2


def torchrun(folder: Path, *overrides: str) -> str:
    """Train the digits in two processes and return what they printed."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"),
        *(f"--master-port={free_port()}", "-m", "ablata", "train", "digits", *overrides),
    ]
    environment = os.environ | {"ABLATA_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
