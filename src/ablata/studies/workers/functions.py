"""Run a claimed function: its call, what it prints and hands over, its scores and cost, and how else it may end."""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from ablata.base.errors import AblataError, LeaseLostError, StoppedError
from ablata.base.imported_files import relative_names
from ablata.base.quantities import duration
from ablata.engine.reporting import Reporter
from ablata.records.fingerprint import PACKAGE
from ablata.records.run_folder.code import keep_code
from ablata.records.writer import RunWriter
from ablata.studies.workers.commands import OUTPUT, set_aside
from ablata.trainers.function import Function, read_result
from ablata.trainers.hooks import handing_to

_LOOK_SECONDS = 0.1
_FLUSH_SECONDS = 2.0
_SHOWN_CURVES = 8


def execute_function(
    writer: RunWriter, function: Function, stop: Reporter, *, beside: int = 1, own_process: bool = False
) -> bool:
    """Call a claimed function and record its scores and cost, or how else it ended.

    Nothing is seeded: the function is given its seed. What it prints goes to the run's folder, with the traceback if it
    raises.

    Args:
        writer: the claim; it is finished, or given back, when this returns.
        function: what is called.
        stop: asked for a reason to stop.
        beside: how many workers run side by side.
        own_process: this process is there for runs alone, so that its memory is theirs.

    Returns:
        Whether it completed; a function that raised or returned no score is recorded as a run without one.

    Raises:
        StoppedError: asked to stop; the run waits in the ledger and starts again.
        LeaseLostError: another worker has it.
        KeyboardInterrupt: interrupted from the keyboard; the run waits in the ledger.
    """
    folder = writer.folder.absolute()
    set_aside(folder / OUTPUT)
    writer.truncate_metrics(-1)
    keep_code(writer.folder, relative_names(function.files()), fence=writer.held)
    recorder = _Recorder(writer)
    watch = _Watch(writer, recorder, stop, function.timeout)
    began = time.monotonic()
    peak = _Peak() if own_process else None
    scores: dict[str, float] = {}
    error: str | None = None
    with (folder / OUTPUT).open("w", buffering=1, encoding="utf-8", errors="backslashreplace") as output:
        try:
            with redirect_stdout(output), redirect_stderr(output), handing_to(recorder), watch:
                result = function.run(writer.run.seed, folder)
            scores = recorder.scores | read_result(result, function.score)
        except KeyboardInterrupt:
            if watch.reason is None:
                raise
        except (Exception, SystemExit) as raised:
            error = _told(raised, output.write)
    cost = {"seconds": time.monotonic() - began, "workers": float(beside)}
    cost |= peak.cost() if peak is not None else {}
    if watch.reason == "lost":
        raise LeaseLostError("Another worker took the run over", found=f"run {writer.run.id}")
    recorder.flush()
    if watch.reason == "interrupted":
        raise KeyboardInterrupt
    if watch.reason == "asked":
        writer.release("asked to stop")
        raise StoppedError("The function was interrupted as asked", found=f"run {writer.run.id}", do="start it again")
    if watch.reason == "timeout":
        error = f"A run must end within {duration(function.timeout)}; it was interrupted"
    error = error or _unfit(function, scores)
    if error is not None:
        writer.event("warning", "failed", error)
        writer.finish("diverged", error=error, cost=cost)
        return False
    writer.finish("completed", scores={name: one for name, one in scores.items() if math.isfinite(one)}, cost=cost)
    return True


def _unfit(function: Function, scores: Mapping[str, float]) -> str | None:
    """Say what is wrong with the scores; None: nothing, or the judged one is missing among others."""
    if not scores:
        return "A function must return its score, or hand it to ablata.score; it returned None"
    judged = scores.get(function.score, 0.0)
    return None if math.isfinite(judged) else f"The score {function.score} must be finite; it is {judged}"


def _told(raised: BaseException, write: Callable[[str], Any]) -> str:
    """Write the traceback of what a function raised, its own frames alone, and return it in a line."""
    frames = traceback.extract_tb(raised.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(f"{PACKAGE}{os.sep}")]
    write("Traceback (most recent call last):\n" + "".join(traceback.format_list(own)))
    write("".join(traceback.format_exception_only(raised)))
    if isinstance(raised, AblataError):
        return f"{raised.must}; {raised.found}" if raised.found else raised.must
    where = f" ({os.path.basename(own[-1].filename)}, line {own[-1].lineno}, in {own[-1].name})" if own else ""
    return f"{type(raised).__name__}: {str(raised)[:500]}{where}"


class _Recorder:
    """Keeps what a function hands over, and writes its curves to the ledger when it is told to."""

    def __init__(self, writer: RunWriter) -> None:
        self._writer, self._lock = writer, threading.Lock()
        self._points: list[tuple[int, str, float]] = []
        self.scores: dict[str, float] = {}

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keep a point of each curve."""
        with self._lock:
            self._points += [(step, name, value) for name, value in values.items()]

    def score(self, values: Mapping[str, float]) -> None:
        """Keep scores."""
        self.scores |= values

    def flush(self) -> None:
        """Write the points that came since the last time."""
        with self._lock:
            points, self._points = self._points, []
        if points:
            self._writer.metrics(points)
            losses = {name: value for _, name, value in points[-_SHOWN_CURVES:]}
            self._writer.progress({"step": points[-1][0], "losses": losses})


class _Watch:
    """Looks after a function while it runs: writes its curves, and interrupts it where there is a reason to.

    Only Python's main thread can be interrupted. Elsewhere the reason is found once the function has ended.
    """

    def __init__(self, writer: RunWriter, recorder: _Recorder, stop: Reporter, timeout: float | None) -> None:
        self.reason: str | None = None
        self._writer, self._recorder, self._stop, self._timeout = writer, recorder, stop, timeout
        self._ended = threading.Event()
        self._main = threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}
        self._thread = threading.Thread(target=self._look, name=f"watch {writer.run.id}", daemon=True)

    def __enter__(self) -> Self:
        if self._main:
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(handler := signal.getsignal(number)) or number == signal.SIGINT:
                    self._before[number] = handler
                    signal.signal(number, self._interrupt)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._ended.set()
        for number, handler in self._before.items():
            # A handler that was put in place meanwhile stays.
            if signal.getsignal(number) == self._interrupt:
                signal.signal(number, handler)
        self._thread.join()
        self.reason = self.reason or self._stop.stop_reason()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Raise in the function; a signal from elsewhere is heard by whoever listened before, too."""
        if self._ended.is_set():
            return
        if self.reason is None:
            before = self._before[number]
            if before is signal.SIG_IGN:
                return
            self.reason = "interrupted"
            if callable(before):
                with suppress(KeyboardInterrupt):
                    before(number, frame)
            self.reason = self._stop.stop_reason() or "interrupted"
        raise KeyboardInterrupt

    def _look(self) -> None:
        began = flushed = time.monotonic()
        while not self._ended.wait(_LOOK_SECONDS):
            now = time.monotonic()
            reason = "lost" if self._writer.lost else self._stop.stop_reason()
            if reason is None and self._timeout is not None and now - began > self._timeout:
                reason = "timeout"
            if now - flushed > _FLUSH_SECONDS:
                flushed = now
                try:
                    self._recorder.flush()
                except LeaseLostError:
                    reason = "lost"
            if reason is not None and self.reason is None:
                self.reason = reason
                if self._main:
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


class _Peak:
    """The peak memory of this process from now on, and of a GPU where torch uses one."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._cuda = getattr(sys.modules.get("torch"), "cuda", None)
        if self._cuda is not None and self._cuda.is_initialized():
            self._cuda.reset_peak_memory_stats()

    def cost(self) -> dict[str, float]:
        """Return the figures of a run's cost."""
        cuda = getattr(sys.modules.get("torch"), "cuda", None)
        if cuda is not None and cuda.is_initialized():
            return {"peak_memory_bytes": float(cuda.max_memory_allocated())}
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return {"peak_memory_bytes": float(line.split()[1]) * 1024}
        return {"peak_memory_bytes": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024}
