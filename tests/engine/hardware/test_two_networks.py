"""One training between two machines, played by two network namespaces that only a cable of their own connects."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablata.records import Ledger

pytestmark = pytest.mark.slow
FIRST, SECOND, PORT = "10.213.7.1", "10.213.7.2", "29517"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def machines() -> Iterator[tuple[str, str]]:
    """The names of two network namespaces; skip where they cannot be made."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need ip and the rights of root")
    names = tuple(f"ablata{os.getpid()}{letter}" for letter in "ab")
    made: list[str] = []
    try:
        try:
            for name in names:
                ip("netns", "add", name)
                made.append(name)
            ip("link", "add", "cable0", "netns", names[0], "type", "veth", "peer", "name", "cable1", "netns", names[1])
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode()}")
        for number, address in enumerate((FIRST, SECOND)):
            ip("-n", names[number], "addr", "add", f"{address}/24", "dev", f"cable{number}")
            for device in (f"cable{number}", "lo"):
                ip("-n", names[number], "link", "set", device, "up")
        yield names
    finally:
        for name in made:
            ip("netns", "delete", name)


def test_two_machines_train_one_run_as_the_instructions_say(machines: tuple[str, str], tmp_path: Path) -> None:
    changes = ["train.epochs=1", "compute.device=cpu", "compute.threads=1"]
    processes = []
    for rank, name in enumerate(machines):
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(rank)]
        torchrun += ["--nproc-per-node", "1", "--master-addr", FIRST, "--master-port", PORT]
        environ = os.environ | {"ABLATA_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        environ["GLOO_SOCKET_IFNAME"] = f"cable{rank}"
        command = ["ip", "netns", "exec", name, *torchrun, "-m", "ablata", "train", "digits", *changes]
        with (tmp_path / f"log{rank}").open("w") as log:
            processes.append(subprocess.Popen(command, env=environ, stdout=log, stderr=log))
    try:
        for rank, process in enumerate(processes):
            assert process.wait(1200) == 0, (tmp_path / f"log{rank}").read_text()[-3000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    with Ledger(home=tmp_path / "home") as ledger:
        (run,) = ledger.runs.find()
        assert (run.state, (run.cost or {})["processes"]) == ("completed", 2)
