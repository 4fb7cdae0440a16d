"""A network that is cut between a ledger and its database: whoever knows that it comes back waits for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ablata.records import Ledger, NewRun


class Cable:
    """A way to a port of this machine that can be pulled out: connections through it break, and none can be made."""

    def __init__(self, port: int) -> None:
        self.target, self.is_cut = port, False
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self.listener.accept()
                if self.is_cut:
                    here.close()
                    continue
                there = socket.create_connection(("127.0.0.1", self.target))
                self.open += [here, there]
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=_carry, args=(one, other), daemon=True).start()

    def cut(self) -> None:
        self.is_cut = True
        for end in self.open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.is_cut = False

    def close(self) -> None:
        self.listener.close()
        for end in self.open:
            end.close()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while content := one.recv(65536):
            other.sendall(content)
    with suppress(OSError):
        other.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def cable(postgres_server: str) -> Iterator[Cable]:
    made = Cable(int(postgres_server.rpartition(":")[2]))
    yield made
    made.close()


@pytest.mark.postgres
def test_what_is_written_while_the_network_is_cut_arrives_once_it_is_mended(
    cable: Cable, postgres_schema: Callable[[str], str], postgres_server: str, new_run: Callable[..., NewRun],
    tmp_path: Path,
) -> None:  # fmt: skip
    address = postgres_schema("cut").replace(postgres_server.rpartition(":")[2], str(cable.port), 1)
    with Ledger(address, home=tmp_path) as ledger:
        run = ledger.runs.enqueue(new_run())
        claim = ledger.leases.claim_run(run.id, "tester:1", 60)
        cable.cut()
        mended = threading.Timer(2.0, cable.mend)
        mended.start()
        ledger.leases.finish(run.id, claim.attempt, "completed", scores={"val/plain/top1": 90.0})
        assert not mended.is_alive(), "it waited"
        assert ledger.runs.get(run.id).scores == {"val/plain/top1": 90.0}
        assert ledger.runs.enqueue(new_run()).id == run.id
