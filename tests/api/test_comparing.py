"""`ablata.compare` of functions, as in a script or a notebook: called in this process, or in workers."""

from __future__ import annotations

import functools
import random
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ablata
from ablata.base.errors import AblataError, RunError, SettingsError


def noise(*numbers: object) -> float:
    return random.Random(repr(numbers)).gauss(0, 0.1)


def train(seed: int, lr: float = 0.1, width: int = 64) -> dict[str, float]:
    for step in range(3):
        ablata.log(step=step, loss=1 / (step + 1))
    return {"acc": 90 + random.Random(seed).gauss(0, 1) + (width - 64) / 16 + noise(seed, width, lr)}


def counted(calls: list[int]) -> Callable[[int, int], float]:
    """A function that notes its calls elsewhere than in what counts for its code."""

    def quality(seed: int, width: int = 64) -> float:
        __import__("builtins").__dict__.setdefault("_test_calls", []).append(seed)
        return 90 + seed / 10 + width / 16

    return quality


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds that `counted` functions were called with."""
    noted: list[int] = []
    monkeypatch.setattr("builtins._test_calls", noted, raising=False)
    return noted


def compare(function: Any = train, arms: Any = None, **options: Any) -> ablata.StudyResult:
    return ablata.compare(function, arms or {"wide": {"width": 128}}, **{"seeds": 3, "margin": 0.5, **options})


def test_a_function_and_its_changes_end_in_a_verdict_that_shows_itself(tmp_path: Path) -> None:
    result = compare(arms={"wide": {"width": 128}, "slow": ["lr=0.01"]}, seeds=5)
    assert result.verdicts == {"wide": "better", "slow": "equivalent"}
    assert [row["change"] for row in result.to_rows()] == ["", "width: 64 → 128", "lr: 0.1 → 0.01"]
    assert list(result.to_frame()["arm"]) == ["control", "wide", "slow"]
    assert "<b>wide</b> is better" in result._repr_html_()
    page = result.report(tmp_path / "r.html").read_text()
    assert "loss" in page, "curves"
    assert "ablata.compare(train, {" in page, "how to ask again"
    (run, *_) = ablata.runs(study=result.name)
    assert run["recipe"] == "train"
    assert [point["step"] for point in ablata.run(run["run"]).curves("loss")] == [0, 1, 2]


def test_values_of_a_function_are_switched_on_and_off_together(tmp_path: Path) -> None:
    factors = {"wide": {"width": 128}, "slow": {"lr": 0.01}}
    result = ablata.compare(train, factors=factors, seeds=2)
    assert result.verdicts == {"wide": "better", "slow": "undecided"}
    assert "ablata.compare(train, factors={" in result.report(tmp_path / "r.html").read_text()
    with pytest.raises(SettingsError, match="an arm to compare with the control, or factors"):
        ablata.compare(train, {"wide": {"width": 128}}, factors=factors, seeds=2)


def test_runs_that_are_recorded_are_used_again_and_those_of_an_edited_function_are_not(calls: list[int]) -> None:
    first = compare(counted([]))
    assert sorted(calls) == [0, 0, 1, 1, 2, 2]
    assert compare(counted([])).name == first.name
    compare(counted([]), {"wide": {"width": 128}, "narrow": {"width": 32}})
    assert sorted(calls) == [0, 0, 0, 1, 1, 1, 2, 2, 2], "the control and the wide arm were shared"
    scale = 2.0

    def edited(seed: int, width: int = 64) -> float:
        __import__("builtins")._test_calls.append(seed)
        return scale * (90 + seed / 10 + width / 16)

    edited.__name__ = "quality"
    other = compare(edited)
    assert other.name != first.name
    assert len(calls) == 15
    scale = 3.0
    assert compare(edited).name != other.name
    assert len(calls) == 21
    with pytest.raises(AblataError, match="another"):
        compare(edited, name=other.name)


def test_runs_on_other_inputs_are_not_used_again(calls: list[int], tmp_path: Path) -> None:
    data = tmp_path / "data.txt"
    data.write_text("1")
    first = compare(counted([]), inputs=[data])
    assert (len(calls), compare(counted([]), inputs=["data.txt"]).name) == (6, first.name)
    data.write_text("2")
    assert compare(counted([]), inputs=[data]).name != first.name
    assert len(calls) == 12
    with pytest.raises(AblataError, match="inputs"):
        compare(counted([]), inputs=[data], name=first.name)
    with pytest.raises(AblataError, match="must exist"):
        compare(counted([]), inputs=["no.txt"])


def test_arms_may_be_other_functions_and_hold_any_object() -> None:
    def with_rule(seed: int, rule: Callable[[float], float] = abs) -> float:
        return rule(noise(seed, "rule") - 5)

    arms = {
        "negative": {"rule": lambda value: value},
        "partial": functools.partial(with_rule, rule=float),
        "other": lambda seed: 40 + noise(seed),
    }
    result = compare(with_rule, arms, score="size")
    assert result.verdicts == {"negative": "worse", "partial": "worse", "other": "better"}
    changes = result.rows.column("change")
    assert changes[2:] == ['rule: null → "float"', "function: with_rule → lambda"]
    assert result.view.metric.name == "size"


def test_a_failing_arm_is_told_and_its_traceback_kept_and_a_failing_control_ends_the_study(home: Path) -> None:
    def fragile(seed: int, fail: bool = False) -> float:
        print("before", flush=True)
        if fail:
            raise ValueError("the network blew up")
        return 1.0 + noise(seed)

    result = compare(fragile, {"broken": {"fail": True}}, seeds=4)
    assert result.verdicts == {"broken": "unstable"}
    failed = [ablata.run(row["run"]) for row in result.runs() if row["state"] == "failed"]
    assert failed
    for run in failed:
        assert run.error is not None
        assert run.error.startswith("ValueError: the network blew up (test_comparing.py, line ")
        log = (run.folder / "output.log").read_text()
        assert "before\nTraceback" in log
        assert 'raise ValueError("the network blew up")' in log
        assert "studies/workers/functions.py" not in log
    with pytest.raises(RunError, match=r"The control must run to its end(.|\n)*blew up(.|\n)*output.log"):
        compare(functools.partial(fragile, fail=True), {"whole": {"fail": False}})


def test_a_control_that_failed_is_called_again_once_the_reason_may_be_gone(tmp_path: Path) -> None:
    data = tmp_path / "data.txt"

    def reading(seed: int, width: int = 64) -> float:
        return len(data.read_text()) + width + noise(seed, width)

    with pytest.raises(RunError, match="FileNotFoundError"):
        compare(reading)
    data.write_text("there")
    assert compare(reading).verdicts == {"wide": "better"}
    data.unlink()
    with pytest.raises(RunError, match="FileNotFoundError"):
        compare(reading, first_seed=10)
    data.write_text("there")
    arms = {"wide": {"width": 128}, "narrow": {"width": 32}}
    assert compare(reading, arms, first_seed=10).verdicts == {"wide": "better", "narrow": "worse"}


def test_what_is_no_finite_score_is_a_failed_run_in_words(subtests: pytest.Subtests) -> None:
    for value, words in {
        "float('nan')": "must be finite; it is nan",
        "'high'": "a number, or numbers by name; a str",
        "[0.1, 0.2]": "a number, or numbers by name; a list",
        "None": "it returned None",
        "sys.exit(3)": "SystemExit: 3",
        "{'acc': 'high'}": "a number, or numbers by name; a dict",
    }.items():
        scope: dict[str, Any] = {"sys": sys}
        exec(f"def bad(seed, width=1): return {value}", scope)
        with subtests.test(value=value), pytest.raises(RunError) as error:
            compare(scope["bad"], score="acc")
        assert words in str(error.value)


def test_a_score_may_be_handed_over_and_of_several_one_is_chosen() -> None:
    def handing(seed: int, width: int = 64) -> None:
        ablata.score(acc=width + noise(seed, width), other=float("inf"))
        ablata.score(size=1)

    with pytest.raises(SettingsError, match=r"returns acc, other, size(.|\n)*score=\"acc\""):
        compare(handing)
    result = compare(handing, score="acc")
    assert result.verdicts == {"wide": "better"}
    assert {"acc", "size"} <= set(result.runs().columns)

    def loss(seed: int, width: int = 64) -> dict[str, float]:
        for step, value in enumerate((3.0, 1.0, 2.0)):
            ablata.log(step=step, loss=value)
        return {"loss": width + noise(seed, width)}

    with pytest.raises(AblataError, match="lower"):
        compare(loss)
    lower = compare(loss, lower=True)
    assert lower.verdicts == {"wide": "worse"}
    best = ablata.run(lower.runs()[0]["run"]).best
    assert best == {"key": "loss", "value": 1.0, "step": 1, "why": "lowest loss of the curve: 1 at step 1"}

    def unclear(seed: int, width: int = 64) -> dict[str, float]:
        return dict(zip(["acc", "f1"], [width + noise(seed, width), 1.0], strict=True))

    with pytest.raises(SettingsError, match=r"returns acc, f1(.|\n)*score=\"acc\""):
        compare(unclear)
    assert compare(unclear, score="acc").verdicts == {"wide": "better"}


def test_what_a_function_without_a_text_returns_is_seen_at_its_first_run(calls: list[int]) -> None:
    program = "def typed(seed, width=64):\n  _test_calls.append(seed)\n  return {'quality': width + seed / 10}"
    scope: dict[str, Any] = {}
    exec(program, scope)
    result = compare(scope["typed"])
    assert result.view.metric.name == "quality"
    assert sorted(calls) == [0, 0, 1, 1, 2, 2], "the first run is a run of the study"


def test_mistakes_are_told_before_anything_runs(home: Path, subtests: pytest.Subtests) -> None:
    for arms, words in (
        ({"a": {"widht": 128}}, "did you mean width"),
        ({"a": {"width": "broad"}}, "width must be a whole number"),
        ({"a": {"width": 64.5}}, "width must be a whole number"),
        ({"a": {"lr": float("inf")}}, "finite"),
        ({"a": {"seed": 3}}, "given to every run"),
        ({"a": {"width": 64}}, "must change something"),
        ({"a": "width=3"}, "must be values of its arguments"),
        ({}, "There must be an arm"),
        ({"control": {"width": 3}}, "own name"),
    ):
        with subtests.test(arms=arms), pytest.raises(SettingsError, match=words):
            ablata.compare(train, arms, seeds=3)  # type: ignore[arg-type]
    for function, words in (
        (3, "must be a function"),
        (lambda seed, depth: 1, "depth has no default"),
        (lambda seed, depth, /: 1, "must have names"),
        (random.Random, "must be a function"),
    ):
        with subtests.test(function=function), pytest.raises(SettingsError, match=words):
            ablata.compare(function, {"a": {"width": 3}}, seeds=3)  # type: ignore[arg-type]
    assert not home.exists()


def test_a_function_without_a_seed_is_repeated_and_not_paired() -> None:
    def seedless(width: int = 64) -> float:
        return width + random.SystemRandom().random()

    with pytest.warns(UserWarning, match="unseeded repeats"):
        result = compare(seedless)
    assert result.verdicts == {"wide": "better"}
    assert "they take no seed" in str(ablata.report(result.name, "r.md").read_text())


def test_what_has_no_content_is_told_and_never_used_again(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:

        def writing(seed: int, width: int = 64) -> float:
            file.write("x")
            return width + noise(seed)

        names = set()
        for _ in range(2):
            with pytest.warns(UserWarning, match=r"writing uses file \(a TextIOWrapper\)"):
                names.add(compare(writing).name)
    assert len(names) == 2


def test_what_is_printed_is_kept_in_the_run_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    def loud(seed: int, width: int = 64) -> float:
        for line in range(20_000):
            print("line", line)
        print("to the error stream", file=sys.stderr)
        return width + noise(seed)

    result = compare(loud)
    said = capsys.readouterr()
    assert said.out == said.err == ""
    log = (ablata.run(result.runs()[0]["run"]).folder / "output.log").read_text()
    assert log.count("\n") == 20_001


def test_a_run_folder_is_given_to_a_function_that_takes_one() -> None:
    def writing(seed: int, run_dir: Path, width: int = 64) -> float:
        (run_dir / "weights.txt").write_text(str(width))
        return width + noise(seed)

    result = compare(writing)
    assert {(ablata.run(row["run"]).folder / "weights.txt").read_text() for row in result.runs()} == {"64", "128"}


def test_an_interrupt_loses_nothing_and_the_same_call_goes_on(calls: list[int]) -> None:
    def slow(seed: int, width: int = 64) -> float:
        noted = __import__("builtins")._test_calls
        noted.append(seed)
        if len(noted) == 4:
            signal.raise_signal(signal.SIGINT)
        return width + noise(seed, width)

    with pytest.raises(KeyboardInterrupt):
        compare(slow)
    assert len(calls) == 4
    states = [row["state"] for row in ablata.runs()]
    assert states.count("completed") == 3
    assert "running" not in states
    assert compare(slow).verdicts == {"wide": "better"}
    assert len(calls) == 7, "three were recorded, the interrupted one ran again"


def test_an_interrupt_that_a_function_swallows_still_ends_the_call() -> None:
    def swallowing(seed: int, width: int = 64) -> float:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            print("saving")
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        compare(swallowing)
    assert {row["state"] for row in ablata.runs()} == {"stopped", "waiting"}, "one had begun, the others had not"


def test_a_hanging_function_is_interrupted_after_its_time() -> None:
    def hanging(seed: int, seconds: float = 0.0) -> float:
        time.sleep(seconds)
        return 1 + noise(seed)

    began = time.monotonic()
    result = compare(hanging, {"slow": {"seconds": 600.0}}, timeout=1.0, seeds=4)
    assert time.monotonic() - began < 60
    assert result.verdicts == {"slow": "unstable"}
    errors = [str(ablata.run(row["run"]).error) for row in result.runs() if row["state"] == "failed"]
    assert errors
    assert all("must end within 1.0 s" in error for error in errors)


def test_a_comparison_may_be_asked_from_a_thread() -> None:
    found: list[ablata.StudyResult] = []
    thread = threading.Thread(target=lambda: found.append(compare()))
    thread.start()
    thread.join()
    assert found[0].verdicts == {"wide": "better"}


MODULE = """
import random
import ablata
from helper import gain

def train(seed, width=64, sleep=0.0):
    import os, time
    time.sleep(sleep)
    ablata.log(step=1, loss=0.5)
    print("in", os.getpid())
    rng = random.Random(repr((seed, width)))
    return {"acc": 90 + seed + gain(width) + rng.gauss(0, 0.1)}
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the user's own that imports another."""
    (tmp_path / "helper.py").write_text("def gain(width):\n    return width / 16\n")
    (tmp_path / "mine_compared.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("mine_compared", "helper"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import mine_compared  # type: ignore[import-not-found]

    yield mine_compared
    for name in ("mine_compared", "helper"):
        sys.modules.pop(name, None)


def test_workers_call_functions_that_they_find_and_runs_of_both_kinds_are_shared(module: Any, tmp_path: Path) -> None:
    here = compare(module.train)
    there = compare(module.train, {"wide": {"width": 128}, "wider": {"width": 256}}, workers=2)
    assert here.verdicts == {"wide": "better"}
    assert there.verdicts == {"wide": "better", "wider": "better"}
    assert len(ablata.runs()) == 9, "three of each, those of this process used again by the workers"
    folder = ablata.run(there.runs()[0]["run"]).folder
    assert {path.name for path in (folder / "code").glob("*.py")} == {"helper.py", "mine_compared.py"}
    assert ablata.run(there.runs()[0]["run"]).cost["peak_memory_bytes"] > 10**6
    with pytest.raises(SettingsError, match=r"find a function in a file(.|\n)*workers=0"):
        compare(lambda seed, width=64: width, workers=2)


def test_an_edit_of_the_file_after_its_import_never_takes_or_gives_a_score_of_the_other(
    module: Any, tmp_path: Path
) -> None:
    first = compare(module.train)
    (tmp_path / "helper.py").write_text("def gain(width):\n    return -width / 16\n")
    again = compare(module.train)
    assert again.verdicts == {"wide": "better"}, "what was imported was called"
    there = compare(module.train, workers=1)
    assert there.verdicts == {"wide": "worse"}, "what lies in the file was called"
    assert len({first.name, again.name, there.name}) == 3


@pytest.mark.slow
def test_a_script_that_compares_at_its_top_is_told_by_its_workers(tmp_path: Path) -> None:
    import subprocess

    script = textwrap.dedent("""
        import ablata
        def train(seed, width=64):
            return width + seed * width % 7 / 10
        {guard}result = ablata.compare(train, {{"wide": {{"width": 128}}}}, seeds=3, workers={workers})
        {guard}print(result.verdicts)
    """)
    for guard, workers, words in (
        ("", 0, "{'wide': 'better'}"),
        ('if __name__ == "__main__": ', 1, "{'wide': 'better'}"),
        ("", 1, 'if __name__ == "__main__":'),
    ):
        (tmp_path / "script.py").write_text(script.format(guard=guard, workers=workers))
        done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert words in done.stdout + done.stderr
