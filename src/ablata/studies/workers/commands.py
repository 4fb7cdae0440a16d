"""Run a claimed command: its program, output, curves, score and cost, and how else it may end."""

from __future__ import annotations

import glob
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablata.base.errors import AblataError, DataError, LeaseLostError, RunError, SettingsError, StoppedError
from ablata.base.quantities import duration
from ablata.engine.reporting import Reporter
from ablata.records.run_folder.items import write_items
from ablata.records.writer import RunWriter
from ablata.trainers.command import Command
from ablata.trainers.git import worktree_folder
from ablata.trainers.hooks import HOOK_FILE, handed_over
from ablata.trainers.items_file import ITEM_FILES, find_items_file, read_items_file
from ablata.trainers.output_curves import points
from ablata.trainers.process import Ended, last_lines, run_program
from ablata.trainers.score_source import read_score

WORKTREES = "worktrees"
"""The folder of the lab's home with the git worktrees of arms that are refs."""
OUTPUT = "output.log"
"""The file of a run's folder that holds what its program printed."""
_MARK = "program"
_FLUSH_SECONDS = 2.0
_SHOWN_LINES = 5
_MOST_OUTPUT = 64 * 2**20


class _Tail:
    """The lines that are added to a file, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._rest = b""

    def lines(self, *, whole: bool = False) -> list[str]:
        """Return the lines that came since the last call; with `whole` a last one without an end, too."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            content = file.read(_MOST_OUTPUT)
        self._read += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        if whole:
            lines.append(self._rest)
        return [line.decode("utf-8", "replace") for line in lines]


class _Follower:
    """Reads what a program prints and hands over while it runs, and writes its curves to the ledger."""

    def __init__(self, writer: RunWriter, folder: Path, stop: Reporter) -> None:
        self._writer, self._stop = writer, stop
        self._output, self._handed = _Tail(folder / OUTPUT), _Tail(folder / HOOK_FILE)
        self.scores: dict[str, float] = {}
        self._flushed = time.monotonic()

    def watch(self) -> str | None:
        """Return why the program is to end, or None; write new points every two seconds."""
        if self._writer.lost:
            return "lost"
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()
        return self._stop.stop_reason()

    def flush(self, *, whole: bool = False) -> None:
        """Write the points of the lines that came; with `whole` those of a last line without an end, too."""
        self._flushed = time.monotonic()
        handed, scores = handed_over(self._handed.lines(whole=whole))
        self.scores |= scores
        found = [*points(self._output.lines(whole=whole)), *handed]
        if found:
            self._writer.metrics(found)
            self._writer.progress({"step": found[-1][0], "losses": {name: value for _, name, value in found[-8:]}})


def execute_command(writer: RunWriter, command: Command, stop: Reporter, *, beside: int = 1) -> bool:
    """Run a claimed command to its end and record its scores and cost, or how else it ended.

    Args:
        writer: the claim; it is finished, or given back, when this returns.
        command: what is run.
        stop: asked for a reason to stop.
        beside: how many workers run side by side.

    Returns:
        Whether it completed; a program that failed is recorded as a run without a score.

    Raises:
        StoppedError: asked to stop; the run waits in the ledger and starts again.
        LeaseLostError: another worker has it.
        UserError: the program cannot be started.
    """
    folder = writer.folder.absolute()
    output = folder / OUTPUT
    for file in (output, folder / HOOK_FILE, *(folder / name for name in ITEM_FILES)):
        set_aside(file)
    writer.truncate_metrics(-1)
    where = working_folder(command, writer.ledger.home)
    arguments = command.argument_list(seed=writer.run.seed, run_dir=folder, device=_device())
    follower = _Follower(writer, folder, stop)
    output.touch()
    try:
        ended = run_program(
            arguments,
            folder=where,
            environment=_environment(writer.run.seed, folder),
            output=output,
            mark=folder / _MARK,
            timeout=command.timeout,
            watch=follower.watch,
        )
    except (RunError, SettingsError) as error:
        # Another machine may have a program that this one lacks; what is no program, or not in a ref, is so anywhere.
        if isinstance(error, SettingsError) and command.ref is None:
            raise
        return _failed(writer, error, {})
    if ended.reason == "lost":
        raise LeaseLostError("Another worker took the run over", found=f"run {writer.run.id}")
    follower.flush(whole=True)
    if ended.reason == "asked":
        writer.release("asked to stop")
        raise StoppedError("The program was ended as asked", found=f"run {writer.run.id}", do="start it again")
    cost = {"seconds": ended.seconds, "workers": float(beside)}
    if ended.memory:
        cost["peak_memory_bytes"] = float(ended.memory)
    if ended.gpu_memory:
        cost["peak_gpu_memory_bytes"] = float(ended.gpu_memory)
    try:
        scores = _scores(command, ended, output, follower.scores, (folder, where))
    except AblataError as error:
        return _failed(writer, error, cost)
    _keep_items(writer, folder)
    writer.finish("completed", scores=scores, cost=cost)
    return True


def _failed(writer: RunWriter, error: AblataError, cost: dict[str, float]) -> bool:
    """Record a run without a score, and return False."""
    told = f"{error.must}; {error.found}" if error.found else error.must
    writer.event("warning", "failed", told)
    writer.finish("diverged", error=told, cost=cost)
    return False


def _keep_items(writer: RunWriter, folder: Path) -> None:
    """Keep what the program said of single items; a file that cannot be read costs nothing else."""
    try:
        if (file := find_items_file(folder)) is not None:
            write_items(folder, read_items_file(file), writer.held)
    except (DataError, OSError) as error:
        told = f"{error.must}; {error.found}" if isinstance(error, DataError) else str(error)
        writer.event("warning", "items", f"its items are not used: {told}")


def _scores(
    command: Command, ended: Ended, output: Path, handed: Mapping[str, float], folders: Sequence[Path]
) -> dict[str, Any]:
    """Return the scores by name: those that were asked for, and what else the program handed over.

    Raises:
        RunError: the program failed, took too long, or left no score.
    """
    said = " | ".join(last_lines(output, _SHOWN_LINES)) or "it printed nothing"
    if ended.reason == "timeout":
        raise RunError(
            f"A run must end within {duration(command.timeout)}",
            found=f"it was ended; last lines: {said}",
            do="give it more by --timeout, or make it shorter",
        )
    if ended.status != 0:
        how = f"exit status {ended.status}" if ended.status > 0 else f"signal {-ended.status}"
        raise RunError(
            "The program must end with status 0",
            found=f"{how}; last lines: {said}",
            do="mend the program, then: ablata study run NAME --again ARM",
        )
    with output.open("rb") as file:
        file.seek(max(0, output.stat().st_size - _MOST_OUTPUT))
        text = file.read().decode("utf-8", "replace")
    asked = {source.label: read_score(source, text, folders, handed) for source in command.sources_of_scores}
    return {name: value for name, value in handed.items() if math.isfinite(value)} | asked


def working_folder(command: Command, home: Path) -> Path:
    """Return the folder that a command works in: its own, or a git worktree of its ref under the lab's home.

    Raises:
        SettingsError: the folder is gone, or git cannot make the worktree.
    """
    folder = Path(command.folder)
    if not folder.is_dir():
        raise SettingsError(
            "A command's working folder must exist",
            found=f"no {folder}",
            do="bring it back, or ask anew from the folder where it is now",
        )
    return folder if command.ref is None else worktree_folder(folder, command.ref, home / WORKTREES)


def _environment(seed: int, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("ABLATA_HOME", "ABLATA_DB")}
    return kept | {"ABLATA_SEED": str(seed), "ABLATA_RUN_DIR": str(folder), "PYTHONUNBUFFERED": "1"}


def _device() -> str:
    """Return what a program's `{device}` is: the launcher gives each worker the GPU that it shall use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return "cuda" if glob.glob("/dev/nvidia[0-9]*") else "cpu"
    return "cpu" if named.strip() in ("", "-1") else "cuda"


def set_aside(output: Path) -> None:
    """Keep what an earlier attempt printed or handed over under another name."""
    if output.exists():
        number = 1
        while (older := output.with_name(f"{output.stem}.{number}{output.suffix}")).exists():
            number += 1
        output.replace(older)
