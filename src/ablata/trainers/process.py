"""A program run to its end: its output kept, its process group ended with it, its time and memory measured."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ablata.base.errors import RunError, SettingsError
from ablata.base.printable import terminal_text
from ablata.records.processes import worker_name
from ablata.trainers.gpu_memory import GpuMemory

_FIRST_WAIT, _LONGEST_WAIT = 0.005, 0.25
_GRACE_SECONDS = 5.0
_MEMORY_SECONDS = 0.5
_START_SECONDS = 0.1
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended.

    Args:
        status: its exit status; negative: the signal that ended it.
        seconds: wall time.
        memory: largest resident memory of the program and all it started, in bytes, as far as was seen; 0: not seen.
        gpu_memory: their largest GPU memory, over all GPUs, in bytes, as far as was seen; 0: none was seen.
        reason: `timeout` or what `stop` said, where it was ended from outside; None where it ended by itself.
    """

    status: int
    seconds: float
    memory: int
    gpu_memory: int
    reason: str | None


def run_program(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    output: Path,
    mark: Path | None = None,
    timeout: float | None = None,
    watch: Callable[[], str | None] = lambda: None,
) -> Ended:
    """Run a program and wait for it.

    Args:
        arguments: program and arguments, without a shell.
        folder: its working folder.
        environment: all of its environment.
        output: the file that takes what it prints to standard output and standard error, in the order it comes.
        mark: a file that names the program while it runs, so that one whose parent was killed is found and ended
            before the next begins; None: nobody looks for it.
        timeout: seconds after which it is ended; None waits for ever.
        watch: called a few times a second; a reason to end the program, or None.

    Raises:
        SettingsError: the program is not there.
        RunError: it is, but is no program.
    """
    if mark is not None:
        end_left_over(mark)
    # What the system tells of an ended program counts this process's memory before the program took its place.
    own, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    process = _start(arguments, folder, environment, output)
    if mark is not None:
        mark.write_text(f"{worker_name(process.pid)} {_start_time(process.pid)}")
    gpu = GpuMemory(lambda: group_processes(process.pid))
    try:
        memory, reason = _wait(process, began, own, gpu, timeout, watch)
    finally:
        gpu.close()
        _signal_group(process.pid, signal.SIGKILL)
        if process.returncode is None:
            process.kill()
            process.wait()
        if mark is not None:
            mark.unlink(missing_ok=True)
    seconds = time.monotonic() - began
    return Ended(status=process.returncode, seconds=seconds, memory=memory, gpu_memory=gpu.peak, reason=reason)


def _start(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path
) -> subprocess.Popen[bytes]:
    try:
        with output.open("ab") as sink:
            # A session of its own: all that it starts ends with it, and an interrupt reaches the parent alone.
            return subprocess.Popen(
                arguments, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            raise RunError(
                "A command must be a program",
                found=f"{arguments[0]}: {error.strerror}; a script begins with #!, as in #!/bin/sh",
                do="correct the path, or make it executable: chmod +x FILE",
            ) from None
        raise _no_program(arguments[0], error.strerror or str(error)) from None


def refuse_missing_program(arguments: Sequence[str], folder: Path) -> None:
    """Refuse a command whose program is not on this machine, before anything is run or recorded.

    Args:
        arguments: program and arguments, without a shell.
        folder: its working folder.

    Raises:
        SettingsError: there is no such program, or it may not be executed.
    """
    program = arguments[0]
    path = folder / program
    if "/" not in program:
        if shutil.which(program) is None:
            raise _no_program(program, "no such program in the folders of PATH")
    elif not path.is_file():
        raise _no_program(program, f"no such file in {folder}" if not os.path.isabs(program) else "no such file")
    elif not os.access(path, os.X_OK):
        raise SettingsError(
            "A command must be a program that can be started",
            found=f"{program}: the file may not be executed",
            do=f"chmod +x {program}, or begin the command with what runs it: sh {program}",
        )


def _no_program(program: str, found: str) -> SettingsError:
    return SettingsError(
        "A command must be a program that can be started",
        found=f"{program}: {found}",
        do="mend its name; words of a shell, as && or export, need one: sh -c '...'",
    )


def _wait(
    process: subprocess.Popen[bytes],
    began: float,
    own: int,
    gpu: GpuMemory,
    timeout: float | None,
    watch: Callable[[], str | None],
) -> tuple[int, str | None]:
    """Wait for a program, and return its peak memory in bytes and why it was ended, if it was.

    Args:
        process: the program.
        began: when it was started.
        own: peak memory of this process before, in KiB.
        gpu: looked at while the program runs.
        timeout, watch: see `run_program`.
    """
    reason: str | None = None
    memory, looked, asked_to_end, wait = 0, 0.0, 0.0, _FIRST_WAIT
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        now = time.monotonic() - began
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return max(memory, usage.ru_maxrss * 1024 if usage.ru_maxrss > own else 0), reason
        # Before that a program has hardly begun, and tells of nothing but its own start.
        if now > _START_SECONDS and now - looked >= min(_MEMORY_SECONDS, now / 4):
            memory, looked = max(memory, group_memory(process.pid)), now
        gpu.look()
        if reason is None:
            reason = "timeout" if timeout is not None and now > timeout else watch()
            if reason is not None:
                _end_group(process.pid)
                asked_to_end = time.monotonic()
        elif time.monotonic() - asked_to_end > _GRACE_SECONDS:
            _signal_group(process.pid, signal.SIGKILL)
        time.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT)


def end_left_over(mark: Path) -> None:
    """End the program that a file names, with all it started, if its parent was killed and left it running here."""
    try:
        name, _, began = mark.read_text().partition(" ")
        number = int(name.rpartition(":")[2])
    except (OSError, ValueError):
        return
    # A number is not given to another process as long as its group lives, so that a group without its first process
    # is the one that was left over.
    if worker_name(number) == name and began and _start_time(number) in (began, ""):
        _signal_group(number, signal.SIGKILL)
    mark.unlink(missing_ok=True)


def _start_time(process: int) -> str:
    """Return when a process began, in ticks since the machine did; empty where there is no such process or no /proc."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def group_processes(group: int) -> set[int]:
    """Return the ids of all processes that are in a process group now; none where there is no /proc."""
    found = set()
    with suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                with suppress(OSError, ValueError, IndexError):
                    stat = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                    if int(stat[2]) == group:
                        found.add(int(entry.name))
    return found


def group_memory(group: int) -> int:
    """Return the peak resident memory of all processes that are in a process group now, in bytes; 0 if not known."""
    total = 0
    for process in group_processes(group):
        with suppress(OSError):
            peak = _PEAK.search(Path(f"/proc/{process}/status").read_text())
            total += int(peak[1]) * 1024 if peak else 0
    return total


def last_lines(output: Path, count: int = 15, most: int = 20_000) -> list[str]:
    """Return the last lines that a program printed, without those that are empty or of marks alone."""
    with suppress(OSError), output.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - most))
        lines = terminal_text(file.read().decode("utf-8", "replace")).splitlines()
        # Lines of ^ and ~ only point at a place in the line above.
        return [line.rstrip() for line in lines if line.strip(" ^~")][-count:]
    return []


def _end_group(group: int) -> None:
    _signal_group(group, signal.SIGTERM)
    # A program that was stopped cannot hear that it should end.
    _signal_group(group, signal.SIGCONT)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
