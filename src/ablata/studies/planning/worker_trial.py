"""How many workers suit a machine, measured: one with all cores, beside several with their share of them.

More workers need no more steps of a training to agree on anything, but share memory and caches; which is faster depends
on the network. Each trial is started as a process of its own: threads and caches are then those of a worker.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablata.base.cores import usable_cores
from ablata.base.errors import RunError, SettingsError
from ablata.base.files import write_text
from ablata.records.rows import ArmRow, NewArm
from ablata.studies.identity import COMMAND_CODE
from ablata.studies.workers.pool import Workers, may_use_gpu
from ablata.trainers.function import FUNCTION_CODE

_READY, _GO = "ready", "go"


@dataclass(frozen=True)
class WorkerTrial:
    """Runs an hour for each number of workers that was tried.

    Attributes:
        cores: that were shared.
        rates: number of workers: runs an hour of all of them together, as extrapolated from a few steps.
    """

    cores: int
    rates: dict[int, float]

    @property
    def best(self) -> int:
        """The number of workers that does most."""
        return max(self.rates, key=lambda count: self.rates[count])

    def __str__(self) -> str:
        tried = ", ".join(
            f"{count}x{max(1, self.cores // count)}: {rate:.3g} runs an hour" for count, rate in self.rates.items()
        )
        return f"workers x threads, each tried for some seconds: {tried}; taken: {self.best}"


def workers_for(
    arms: Sequence[ArmRow | NewArm],
    wanted: int | Literal["auto"] | None,
    cache: Path,
    say: Callable[[str], None],
    *,
    gpu_memory: int | None = None,
) -> Workers:
    """Size the workers of a study; see `Workers.for_this_machine`.

    Args:
        arms: of the study.
        wanted: how many; None: one for each GPU or core; auto: on a processor, as many as a trial shows to do most.
        cache: of the lab.
        say: is told of the trial.
        gpu_memory: bytes that a run takes of a GPU.

    Raises:
        SettingsError: a trial is asked for of programs, or runs are to share a GPU that is not there.
        RunError: the trial failed.
    """
    gpu = may_use_gpu(arms)
    if wanted == "auto":
        refuse_untimed([arm.recipe.get("task") for arm in arms])
        size = Workers.for_this_machine(None, sys.maxsize, gpu=gpu, gpu_memory=gpu_memory)
        if size.gpus:
            return Workers.for_this_machine(None, len(arms), gpu=gpu, gpu_memory=gpu_memory)
        say(str(trial := try_workers(next(arm for arm in arms if arm.is_control), cache, size.count)))
        wanted = trial.best
    return Workers.for_this_machine(wanted, len(arms), gpu=gpu, gpu_memory=gpu_memory)


def refuse_untimed(tasks: Sequence[object]) -> None:
    """Refuse to choose the number of workers of a study that has programs.

    Raises:
        SettingsError: it has.
    """
    if named := next((task for task in tasks if task in (COMMAND_CODE, FUNCTION_CODE)), None):
        raise SettingsError(
            "The number of workers is chosen by timing some steps of a recipe", found=f"workers=auto and a {named}",
            do="give a number: --workers 2",
        )  # fmt: skip


def try_workers(arm: ArmRow | NewArm, cache: Path, most: int) -> WorkerTrial:
    """Time a few steps of a recipe in one process, then in two side by side, and so on as long as that gains.

    Measured once for each recipe, number of cores and lab.

    Args:
        arm: whose recipe is timed.
        cache: the lab's, for prepared data and for what was measured.
        most: workers that could be at work at once.

    Raises:
        RunError: a trial failed; its last words.
    """
    cores = usable_cores()
    path = cache / "workers" / f"{arm.recipe_hash}-{cores}.json"
    rates = _kept(path)
    count = max(rates, default=0) * 2 or 1
    while count <= min(cores, most) and (count == 1 or rates[count // 2] == max(rates.values())):
        rates[count] = 3600 * sum(1 / seconds for seconds in _side_by_side(arm, cache, count, cores // count))
        count *= 2
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(rates))
    return WorkerTrial(cores, {count: rate for count, rate in rates.items() if count <= most})


def _kept(path: Path) -> dict[int, float]:
    try:
        return {int(count): float(rate) for count, rate in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _side_by_side(arm: ArmRow | NewArm, cache: Path, count: int, threads: int) -> list[float]:
    """Return the seconds of a whole run in each of several processes that began their steps at once."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", __name__, str(threads), str(cache)]
    with ExitStack() as stack:
        trials = [
            stack.enter_context(
                subprocess.Popen(
                    command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    bufsize=0,
                )
            )
            for _ in range(count)
        ]  # fmt: skip
        for trial in trials:
            stack.callback(trial.kill)
            _say(trial, json.dumps(arm.recipe))
        for trial in trials:
            _heard(trial)
        for trial in trials:
            _say(trial, _GO)
        return [float(_heard(trial)) for trial in trials]


def _say(trial: subprocess.Popen[bytes], line: str) -> None:
    assert trial.stdin is not None
    with suppress(BrokenPipeError):  # why it has ended is read from what it said
        trial.stdin.write(f"{line}\n".encode())


def _heard(trial: subprocess.Popen[bytes]) -> str:
    assert trial.stdout is not None
    assert trial.stderr is not None
    line = trial.stdout.readline().decode()
    if not line:
        said = [one for one in trial.stderr.read().decode("utf-8", "replace").splitlines() if one.strip()]
        raise RunError(
            "Some steps of the control must run, to choose the number of workers",
            found=said[-1] if said else f"a process that ended with status {trial.wait()}",
            do="mend it, or give a number: --workers 1",
        )
    return line


def main() -> None:
    """Time a recipe that is read from standard input, once told to go."""
    from ablata.recipes.index import restore_recipe
    from ablata.studies.planning.timing import time_steps

    threads, cache = int(sys.argv[1]), Path(sys.argv[2])
    recipe = restore_recipe(json.loads(sys.stdin.readline()), source="the control")
    print(_READY, flush=True)
    sys.stdin.readline()
    print(time_steps(recipe, cache, threads)[0], flush=True)


if __name__ == "__main__":
    main()
