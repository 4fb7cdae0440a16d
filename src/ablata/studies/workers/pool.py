"""The local worker processes of a study: how many, how they are started, replaced and ended."""

from __future__ import annotations

import glob
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ablata.base.cores import usable_cores
from ablata.base.errors import RunError, SettingsError
from ablata.records.ledger import Ledger
from ablata.records.processes import worker_name
from ablata.records.rows import ArmRow, NewArm
from ablata.records.writer import new_launch
from ablata.studies.workers.together import Together

_MOST_DEATHS = 4
_WORKER_BYTES = 10**9
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Workers:
    """How many local worker processes, how many processor threads for each, and the GPUs they take in turn.

    Attributes:
        count, threads: of them, and of each.
        gpus: names of GPUs; one that several workers share stands here as often.
        gpu_memory: bytes of its GPU that each may take; None: all.
    """

    count: int
    threads: int
    gpus: tuple[str, ...] = ()
    gpu_memory: int | None = None

    @staticmethod
    def for_this_machine(wanted: int | None, runs: int, *, gpu: bool = True, gpu_memory: int | None = None) -> Workers:
        """Size the workers: one for each GPU, or several within its memory, else one for each core that memory allows.

        Args:
            wanted: a number of workers that overrides all that, or None.
            runs: how many runs can go on at once (the arms of a row); more workers would stand idle.
            gpu: whether the recipes may use one.
            gpu_memory: bytes that a run takes of a GPU, so that several share one; None: each has one to itself.

        Raises:
            SettingsError: runs are to share a GPU where none can be used, or none has so much memory.
        """
        cores, gpus = usable_cores(), _gpus() if gpu else ()
        if gpu_memory is not None:
            gpus = _shared(gpus, gpu_memory)
        most = len(gpus) or max(1, min(cores, available_bytes() // _WORKER_BYTES))
        count = wanted or max(1, min(most, runs))
        return Workers(count, max(1, cores // count), gpus, gpu_memory)


class Pool:
    """Keeps a study's local workers alive. Use it as a context: leaving it asks them to save and waits for them.

    Args:
        ledger: where the study is.
        study: its name.
        workers: how many processes.
        trust_code: whether they may run code that came with an imported study.
        together: how many runs each trains together.
    """

    def __init__(
        self,
        ledger: Ledger,
        study: str,
        workers: Workers,
        *,
        trust_code: bool = False,
        together: Together | None = None,
    ) -> None:
        self.log = ledger.home / "logs" / f"{study}.log"
        self._ledger, self._study, self._workers, self._trust = ledger, study, workers, trust_code
        self._together = together or Together()
        self._launch = new_launch()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._useful: set[str] = set()
        self._deaths = 0

    def lost_one(self) -> bool:
        """Tell whether a worker has ended since the last `keep`."""
        return any(process.poll() is not None for process in self._processes.values())

    def keep(self, owners: set[str], to_train: int) -> dict[str, int]:
        """Start the workers that are missing.

        Args:
            owners: names of workers that hold or held a run of the study.
            to_train: runs that wait or run; no more workers than these are started.

        Returns:
            Names of the workers that ended since the last call, with their exit statuses.

        Raises:
            RunError: workers end before they take a run, one after the other.
        """
        self._useful |= owners
        ended: dict[str, int] = {}
        for place, process in list(self._processes.items()):
            if process.poll() is None:
                continue
            del self._processes[place]
            name = worker_name(process.pid)
            ended[name] = process.returncode
            self._deaths = 0 if name in self._useful else self._deaths + 1
        if self._deaths >= _MOST_DEATHS:
            raise RunError(
                "Workers must be able to start",
                found=f"{self._deaths} ended one after the other without a run; the last words: {self._last_words()}",
                do=f"read {self.log}, mend the reason, then go on with: ablata study run {self._study}",
            )
        for place in range(self._workers.count):
            if place not in self._processes and len(self._processes) < to_train:
                self._processes[place] = self._start(place)
        return ended

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        """Ask the workers to save and end; insist after half a minute, or at once if interrupted meanwhile."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        try:
            for process in self._processes.values():
                process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            for process in self._processes.values():
                process.kill()
                process.wait()

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        threads = str(self._workers.threads)
        command = [sys.executable, "-m", "ablata", "worker", "--study", self._study, "--threads", threads]
        command += ["--parent", str(os.getpid()), *(["--trust-code"] if self._trust else [])]
        command += ["--launch", self._launch, "--beside", str(self._workers.count), "--together", str(self._together)]
        environment = os.environ | {
            "ABLATA_HOME": str(self._ledger.home),
            "ABLATA_DB": self._ledger.address,
            "OMP_NUM_THREADS": threads,
            **({"ABLATA_STORE": url} if (url := self._ledger.files.url) else {}),
        }
        if self._workers.gpu_memory is not None:
            command += ["--gpu-memory", str(self._workers.gpu_memory / 10**9)]
        if gpus := self._workers.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # A session of its own: an interrupt from the keyboard reaches the parent alone, which asks each once.
            return subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        said = [line.strip() for line in lines if line.strip()]
        return " | ".join(said[-3:]) or "nothing"


def may_use_gpu(arms: Sequence[ArmRow | NewArm]) -> bool:
    """Tell whether any arm's recipe may run on a GPU."""
    return any(arm.recipe.get("compute", {"device": "auto"})["device"] != "cpu" for arm in arms)


def available_bytes() -> int:
    """Return how much memory can be taken without swapping; very much where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return sys.maxsize
    found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return int(found) * 1024 if found else sys.maxsize


def _gpu_count() -> int:
    """Return how many GPUs can be used; torch, which knows, is loaded only where there is one."""
    count = len(glob.glob("/dev/nvidia[0-9]*"))
    if not count or find_spec("torch") is None:
        return count
    import torch

    return torch.cuda.device_count()


def _shared(gpus: tuple[str, ...], each: int) -> tuple[str, ...]:
    """Name each GPU as often as runs of so many bytes fit on it: all have one first, then all a second one."""
    fit = [size // each for size in _gpu_bytes(len(gpus))]
    if not any(fit):
        raise SettingsError(
            "Runs share a GPU where there is one with memory for them",
            found=f"--pack {each / 10**9:g}, "
            + (f"and the largest of {len(gpus)} has {max(_gpu_bytes(len(gpus))) / 10**9:.1f} GB" if gpus else "no GPU"),
            do="leave --pack out" + ", or set a smaller one" * bool(gpus),
        )
    return tuple(name for turn in range(max(fit)) for name, most in zip(gpus, fit, strict=True) if turn < most)


def _gpu_bytes(count: int) -> list[int]:
    """Return the memory of each GPU that can be used."""
    if not count:
        return []
    import torch  # it has been asked for their number already

    return [torch.cuda.get_device_properties(place).total_memory for place in range(count)]


def _gpus() -> tuple[str, ...]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = _gpu_count()
    names = [part.strip() for part in named.split(",")] if named else [str(index) for index in range(count)]
    return tuple(names[:count])
