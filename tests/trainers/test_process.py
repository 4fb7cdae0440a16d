"""Programs run to their end: output, status, time limit, process group, memory."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ablata.base.errors import SettingsError
from ablata.trainers.process import Ended, last_lines, run_program


def run(tmp_path: Path, *arguments: str, **options: object) -> Ended:
    return run_program(arguments, folder=tmp_path, environment=os.environ, output=tmp_path / "output.log", **options)  # type: ignore[arg-type]


def test_output_and_status_are_kept_and_nothing_goes_through_a_shell(tmp_path: Path) -> None:
    code = "import sys; print(sys.argv[1]); print('to stderr', file=sys.stderr); sys.exit(3)"
    ended = run(tmp_path, sys.executable, "-uc", code, "$HOME; echo `x` *")
    assert (ended.status, ended.reason) == (3, None)
    assert last_lines(tmp_path / "output.log") == ["$HOME; echo `x` *", "to stderr"]


def test_a_program_beyond_its_time_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_DFL); time.sleep(600)"
    script = f'"{sys.executable}" -c "{code}" & echo $! > child; wait'
    ended = run(tmp_path, "sh", "-c", script, timeout=1.0)
    assert ended.reason == "timeout"
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text():
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child lives on")


def test_a_program_is_ended_for_a_reason_from_outside(tmp_path: Path) -> None:
    ended = run(tmp_path, sys.executable, "-c", "import time; time.sleep(600)", watch=lambda: "asked")
    assert ended.reason == "asked"
    assert ended.status != 0


def test_memory_is_that_of_the_program(tmp_path: Path) -> None:
    ended = run(tmp_path, sys.executable, "-c", "import time; x = bytearray(200_000_000); time.sleep(1)")
    assert 200e6 < ended.memory < 600e6


def test_gpu_memory_is_that_of_all_processes_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for answer, peak in {
        'read pid < pid; echo "$pid, 300"; echo "1, 999"; echo "$pid, 20"; echo "$pid, [N/A]"; touch answered': 320,
        "echo No devices were found; touch answered; exit 6": 0,
        "touch answered; exec sleep 60": 0,
    }.items():
        stub.write_text(f"#!/bin/sh\ncd {tmp_path}\n{answer}\n")
        stub.chmod(0o755)
        ended = run(
            tmp_path, "sh", "-c", "rm -f answered; echo $$ > pid; until [ -e answered ]; do sleep 0.1; done; sleep 0.6"
        )
        assert (ended.status, ended.gpu_memory) == (0, peak * 2**20)


def test_what_is_no_program_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="can be started") as told:
        run(tmp_path, "no-such-program", "x")
    assert "sh -c" in str(told.value)


def test_two_hundred_programs_end_one_after_the_other(tmp_path: Path) -> None:
    assert {run(tmp_path, "true").status for _ in range(100)} == {0}
    assert {run(tmp_path, "false").status for _ in range(100)} == {1}
