"""A loop of a function: what is kept, discarded, left undecided, answered from the ledger, and gained."""

from __future__ import annotations

import copy
import json
import random
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ablata
from ablata.api.housekeeping import remove_loop, rename_loop
from ablata.api.moving import export_loop, import_loop
from ablata.base.errors import RecordError, RunError, SettingsError
from ablata.records import Ledger
from ablata.records.moving.archive import write_archive
from ablata.records.rows import LoopRun
from ablata.reports.collect_runs import run_views
from ablata.reports.loops.words import results_tsv
from ablata.studies.loops.running import RunTrainer


def train(seed: int, gain: float = 0.0, noise: float = 0.1, fail: bool = False) -> dict[str, float]:
    if fail:
        raise RuntimeError("the network blew up")
    return {"acc": 90 + gain + random.Random(f"{seed} {gain}").gauss(0, noise)}


@pytest.fixture
def loop(tmp_path: Path) -> Callable[..., ablata.Loop]:
    """A function that opens the loop `tune` in a home of the test's own."""

    def open_(function: Callable[..., object] | None = train, **given: object) -> ablata.Loop:
        return ablata.Loop(function, "tune", home=tmp_path / "home", progress=False, **{"margin": 0.2, **given})  # type: ignore[arg-type]

    return open_


def _runs(tmp_path: Path) -> list[LoopRun]:
    with Ledger(home=tmp_path / "home") as ledger:
        return ledger.loops.runs("tune")


def test_a_change_that_helps_is_kept_and_the_next_is_judged_against_fresh_runs_of_it(
    loop: Callable[..., ablata.Loop], tmp_path: Path
) -> None:
    tune = loop()
    kept = tune.try_({"gain": 2.0}, "more")
    assert (kept.outcome, kept.number, tune.best.sets) == ("keep", 1, ("gain=2.0",))
    tried_with = {one.seed for one in _runs(tmp_path) if one.number == 1}
    worse = tune.try_({"gain": 1.0}, "less")
    assert worse.outcome == "discard"
    view = tune.view
    best = view.proposals[1]
    assert best.fresh is not None
    assert best.fresh.runs >= 1
    assert best.confirmed is not None
    assert abs(best.confirmed.value - 2) < 0.3
    fresh = {one.seed for one in _runs(tmp_path) if (one.number, one.role) == (1, "baseline")}
    assert fresh, "it is measured anew"
    assert not fresh & tried_with, "its lucky runs are not what it is measured by"


def test_a_loop_of_what_takes_no_seed_says_that_its_runs_are_repeats(loop: Callable[..., ablata.Loop]) -> None:
    def repeated(gain: float = 0.0) -> dict[str, float]:
        return {"acc": 90 + gain + random.random()}

    with pytest.warns(UserWarning, match="it takes no seed: its runs are unseeded repeats"):
        loop(repeated)


def test_equal_proposals_are_answered_from_the_ledger(loop: Callable[..., ablata.Loop]) -> None:
    loop().try_({"gain": 2.0}, "more")
    loop().try_({"gain": -2.0}, "worse")
    tune = loop()
    count = tune.view.runs
    again, other, same, start = (
        tune.try_({"gain": gain}, text)
        for gain, text in ((-2.0, "worse once more"), (2.0, "more"), (2.0, "the same by another name"), (0.0, "back"))
    )
    assert [one.outcome for one in (again, other, same, start)] == ["discard", "keep", "discard", "discard"]
    assert "tried before" in again.reason
    assert "identical to the baseline" in same.reason
    assert "it equals the start" in start.reason
    assert tune.view.runs == count
    assert len(tune.rows) == 2, "none of them is a proposal of its own"


def test_a_crash_is_an_outcome_and_has_a_second_chance(loop: Callable[..., ablata.Loop]) -> None:
    tune = loop()
    crash = tune.try_({"fail": True}, "broken")
    assert (crash.outcome, "blew up" in crash.reason) == ("crash", True)
    assert tune.retry(1).outcome == "crash"
    with pytest.raises(SettingsError, match="that was not kept has a second chance"):
        tune.retry()


def test_a_run_of_a_proposal_that_went_wrong_is_named(loop: Callable[..., ablata.Loop]) -> None:
    def wild(seed: int, gain: float = 0.0) -> dict[str, float]:
        return train(seed, gain) if seed != 1 or not gain else {"acc": 10.0}

    answer = loop(wild).try_({"gain": 0.3}, "more")
    assert answer.outcome == "discard"
    (warning,) = answer.warnings
    assert "seed 1 of proposal 1 scored 10, far from the other one" in warning
    assert "ablata loop retry 1" in warning


def test_an_undecided_proposal_goes_on_with_more_runs_where_it_has_a_second_chance(
    loop: Callable[..., ablata.Loop], tmp_path: Path
) -> None:
    tune = loop()
    tune.try_({"gain": 2.0}, "more", waits=True)
    with Ledger(home=tmp_path / "home") as ledger:
        ended = {"verdict": "undecided", "reason": "its runs were used up", "priority": 1.0}
        assert ledger.loops.decide("tune", 1, "undecided", ended, against=0, first_seed=0)
    assert tune.try_({"gain": 2.0}, "more").outcome == "undecided", "answered from the ledger"
    assert "ablata loop retry 1" in repr(tune)
    again = tune.retry()
    assert (again.outcome, again.result and again.result["chances"]) == ("keep", 1)


def test_a_start_that_fails_or_has_no_such_score_starts_nothing(loop: Callable[..., ablata.Loop]) -> None:
    with pytest.raises(RunError, match="starts from must run to its end"):
        loop(lambda seed: 1 / 0, score="acc")
    with pytest.raises(RunError, match="must be one that its runs record"):
        loop(train, score="auc", lower=False)
    with pytest.raises(RecordError, match="must be in the ledger"):
        loop(None)
    loop()
    with pytest.raises(RecordError, match=r"started with margin 0\.2, not 0\.3"):
        loop(margin=0.3)


def test_a_budget_ends_a_proposal_undecided_and_a_larger_one_goes_on(loop: Callable[..., ablata.Loop]) -> None:
    tune = loop(budget=1e-9)
    ended = tune.try_({"gain": 2.0}, "more")
    assert (ended.outcome, "budget is used up" in ended.reason, ended.trained) == ("undecided", True, 0)
    assert loop(budget="1h").retry(1).outcome == "keep"


def test_what_may_not_become_worse_discards_a_change_that_helps(loop: Callable[..., ablata.Loop]) -> None:
    def costly(seed: int, gain: float = 0.0) -> dict[str, float]:
        return train(seed, gain) | {"size": 10 + 5 * gain + 0.01 * seed}

    tune = loop(costly, score="acc", guards=("size:+10%",))
    large = tune.try_({"gain": 2.0}, "twice as large")
    assert (large.outcome, "but size is worse by" in large.reason) == ("discard", True)
    assert tune.try_({"gain": 0.15}, "a little larger").outcome != "crash"


def test_a_change_that_makes_no_difference_is_kept_where_it_saves_parameters(loop: Callable[..., ablata.Loop]) -> None:
    def sized(seed: int, parameters: int = 1000) -> dict[str, float]:
        return {"acc": train(seed)["acc"] + random.Random(parameters + seed).gauss(0, 0.01), "parameters": parameters}

    tune = loop(sized, score="acc", margin=0.5, prefer_smaller="parameters")
    smaller = tune.try_({"parameters": 500}, "half of them")
    assert (smaller.outcome, "500 parameters less" in smaller.reason) == ("keep", True)
    assert tune.try_({"parameters": 900}, "more again").outcome != "keep"
    with pytest.raises(SettingsError, match="only with a margin"):
        loop(sized, score="acc", margin=None, prefer_smaller="time")


def test_proposals_wait_for_a_worker_which_goes_on_with_what_another_left(
    loop: Callable[..., ablata.Loop], tmp_path: Path
) -> None:
    tune = loop()
    for gain in (2.0, -2.0):
        assert tune.try_({"gain": gain}, f"gain {gain}", waits=True).outcome is None
    with Ledger(home=tmp_path / "home") as ledger:
        begun = ledger.loops.take("tune")
        assert begun is not None
        assert begun.number == 1, "and its worker is killed"
    assert {answer.number: answer.outcome for answer in tune.work()} == {1: "keep", 2: "discard"}
    assert [row["number"] for row in tune.rows] == [1, 2]


def test_a_proposal_is_judged_against_the_best_there_is_when_it_is_decided(
    loop: Callable[..., ablata.Loop], tmp_path: Path
) -> None:
    tune = loop()
    tune.try_({"gain": 1.0}, "some", waits=True)
    tune.try_({"gain": 2.0}, "more")
    (late,) = tune.work()
    assert (late.outcome, tune.view.proposals[1].against) == ("discard", 2)


def _interrupted(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def test_the_gain_is_confirmed_by_fresh_runs_and_the_loop_is_read_as_a_log(
    loop: Callable[..., ablata.Loop], tmp_path: Path
) -> None:
    tune = loop()
    with pytest.raises(SettingsError, match="must have kept a change"):
        tune.confirm()
    tune.try_({"gain": 2.0}, "more\tand more")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunTrainer, "ended", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune.confirm(2)
    (left,) = {one.seed for one in _runs(tmp_path) if one.role == "confirm"}
    found = tune.confirm(4)
    seeds = [one.seed for one in _runs(tmp_path) if one.role == "confirm"]
    assert sorted(seeds) == sorted([*range(left, left + 4)] * 2), "it goes on with the seed that it was killed at"
    assert (found.start_runs, found.gain.runs) == (4, 4)
    assert abs(found.gain.value - 2) < 0.3
    count = tune.view.runs
    assert tune.confirm(4) == found
    assert tune.view.runs == count, "what confirmed the same two counts"
    log = tmp_path / "results.tsv"
    log.write_text(results_tsv(tune.view))
    assert log.read_text().splitlines()[0] == "commit\tacc\tmemory_gb\tstatus\tdescription\truns\tnoise"
    judged = ablata.judge(log)
    assert "as it was given" in repr(judged), "the loop's own noise"
    assert judged.verdicts == {"more and more": "beyond chance"}  # type: ignore[union-attr]
    page = tune.report(tmp_path / "loop.html").read_text()
    assert "What did 1 proposal gain?" in page
    assert "1 proposal: 1 kept" in repr(tune)


def test_runs_of_a_loop_are_not_removed(loop: Callable[..., ablata.Loop], tmp_path: Path) -> None:
    loop().try_({"gain": 2.0}, "more")
    with Ledger(home=tmp_path / "home") as ledger:
        (run, *_) = ledger.runs.find()
        with pytest.raises(RecordError, match="in loop tune"):
            ablata.lab.remove_runs(run.id, confirm=lambda plan: True, ledger=ledger)


def test_a_discarded_proposal_is_tried_again_as_a_new_one_with_runs_of_its_own(
    loop: Callable[..., ablata.Loop], tmp_path: Path
) -> None:
    tune = loop()
    assert tune.try_({"gain": -2.0}, "worse").outcome == "discard"
    again = tune.retry(1)
    assert (again.outcome, again.number, tune.view.tried[1].text) == ("discard", 2, "worse")
    first, second = ({one.seed for one in _runs(tmp_path) if one.number == number} for number in (1, 2))
    assert second, "runs of its own"
    assert not first & second
    with pytest.raises(SettingsError, match="no proposal 7"):
        tune.retry(7)


def test_times_are_compared_within_a_launch_alone(loop: Callable[..., ablata.Loop], tmp_path: Path) -> None:
    pauses = {"now": 0.0}

    def paced(seed: int, gain: float = 0.0) -> dict[str, float]:
        time.sleep(pauses["now"] + (0.03 if gain > 2 else 0.0))
        return train(seed, gain)

    tune = loop(paced, score="acc", guards=("seconds:+200%",))
    assert tune.try_({"gain": -2.0}, "worse").outcome == "discard"
    pauses["now"] = 0.02  # the machine is busier than when the baseline was measured
    kept = tune.try_({"gain": 2.0}, "better, and as fast")
    assert kept.outcome == "keep", kept.reason
    launches = {
        role: {one.run.launch for one in _runs(tmp_path) if one.role == role and one.number in (0, 2)}
        for role in ("trial", "baseline")
    }
    assert launches["trial"] < launches["baseline"], "the baseline was run once more beside it"


def test_a_change_that_makes_no_difference_is_kept_where_it_saves_time(loop: Callable[..., ablata.Loop]) -> None:
    def timed(seed: int, pause: float = 0.05) -> dict[str, float]:
        time.sleep(pause)
        return {"acc": 90 + random.Random(f"{seed} {pause}").gauss(0, 0.01)}

    tune = loop(timed, score="acc", margin=0.5, prefer_smaller="time")
    faster = tune.try_({"pause": 0.0}, "without the pause")
    assert (faster.outcome, "a run takes" in faster.reason) == ("keep", True), faster.reason
    assert tune.try_({"pause": 0.06}, "longer").outcome == "discard"


def test_a_loop_is_renamed_removed_and_carried_elsewhere_where_it_can_be_read_alone(
    loop: Callable[..., ablata.Loop], tmp_path: Path
) -> None:
    loop().try_({"gain": 2.0}, "more")
    file = tmp_path / "loop.ablata"
    with Ledger(home=tmp_path / "home") as ledger:
        rename_loop("tune", "tuned", ledger=ledger)
        (view, *_) = run_views(ledger)
        assert view.studies[0].startswith("loop tuned:")
        runs = len(ledger.runs.find())
        assert export_loop("tuned", file, ledger=ledger).runs == runs
    with Ledger(home=tmp_path / "other") as other:
        assert import_loop(file, ledger=other).taken == runs
        assert import_loop(file, ledger=other).taken == 0, "harmless once more"
        read = ablata.Loop(name="tuned", ledger=other, progress=False)
        assert "1 proposal: 1 kept" in repr(read)
        for ask in (lambda: read.try_({"gain": 3.0}, "x"), lambda: read.confirm(), lambda: read.work()):
            with pytest.raises(RecordError, match="goes on where it was started"):
                ask()
        with pytest.raises(RecordError, match="ablata loop import"):
            ablata.lab.import_study(file, ledger=other)
        removed = remove_loop("tuned", ledger=other)
        assert removed is not None
        assert (len(removed.runs), other.runs.find(), other.loops.all()) == (runs, [], [])
    with Ledger(home=tmp_path / "home") as ledger:
        with pytest.raises(RecordError, match="name must be its own"):
            import_loop(file, ledger=ledger)
        remove_loop("tuned", keep_runs=True, ledger=ledger)
        assert len(ledger.runs.find()) == runs


def test_a_loop_that_was_tampered_with_is_not_imported(loop: Callable[..., ablata.Loop], tmp_path: Path) -> None:
    loop().try_({"gain": 2.0}, "more")
    with Ledger(home=tmp_path / "home") as ledger:
        export_loop("tune", tmp_path / "loop.ablata", ledger=ledger)
    with zipfile.ZipFile(tmp_path / "loop.ablata") as archive:
        entries = {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}
    told = json.loads(entries["loop.json"])
    spoils: tuple[Callable[[dict[str, Any]], object], ...] = (
        lambda file: file["loop"].update(best=7),
        lambda file: file["loop"].update(name="../x"),
        lambda file: file["loop"]["spec"].update(rule={"margin": "x"}),
        lambda file: file["proposals"][1]["result"].update(effect="much"),
        lambda file: file["proposals"][1].update(base=5),
        lambda file: file["runs"].append(file["runs"][0]),
        lambda file: file["proposals"][0].update(created=1e300),
    )
    for spoil in spoils:
        spoilt = copy.deepcopy(told)
        spoil(spoilt)
        write_archive(tmp_path / "bad.ablata", {**entries, "loop.json": json.dumps(spoilt).encode()}.items(), {})
        with Ledger(home=tmp_path / "other") as other:
            with pytest.raises(RecordError):
                import_loop(tmp_path / "bad.ablata", ledger=other)
            assert (other.loops.all(), other.runs.find()) == ([], [])
