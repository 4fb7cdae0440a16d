"""Fixtures for all rooms: where real data sets lie, and a cache that tests share."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; look at their diff")


def pytest_configure(config: pytest.Config) -> None:
    """Hear interrupts: a suite started in the background ignores them, and so would every process it starts. And time
    no example: a busy machine would fail one."""
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Tell whether golden files are to be written rather than compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def data_home() -> Path:
    """Return the folder of real data sets that ABLATA_DATA names; skip where it names none."""
    named = os.environ.get("ABLATA_DATA")
    if not named:
        pytest.skip("real data sets are needed: set ABLATA_DATA to the folder that holds them")
    home = Path(named).expanduser().resolve()
    assert home.is_dir(), f"ABLATA_DATA must name a folder of data sets, found {named}"
    return home


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder that lives as long as the test run."""
    return tmp_path_factory.mktemp("cache")


def _server_binaries() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """A Postgres server of its own folder and port, without a password.

    Args:
        binaries: the folder of its programs.
        folder: for its files; made by the caller, and removed by it.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries, self.folder, self.port = binaries, folder, _free_port()
        # The server refuses to run as root, so that root becomes the user its package made.
        self.user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self.user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(folder, "postgres", "postgres")
        self.call("initdb", "--username=ablata", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")

    @property
    def address(self) -> str:
        """Its address, without a database's name."""
        return f"postgresql://ablata@127.0.0.1:{self.port}"

    def call(self, program: str, *arguments: str) -> None:
        command = [str(self.binaries / program), "-D", str(self.folder / "data"), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False, **self.user
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        # A log file, because a server that kept the test's output pipe open would keep the call from returning.
        self.call("pg_ctl", "start", "-w", "-l", str(self.folder / "log"), "-o", settings)

    def stop(self) -> None:
        self.call("pg_ctl", "stop", "-m", "immediate")

    def kill(self) -> None:
        """Kill its first process; the others see that it is gone, and end."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 60
        while any(Path(f"/proc/{one}").exists() for one in [str(pid), *children]):
            assert time.monotonic() < end, "the server's processes do not end"
            time.sleep(0.05)


@contextmanager
def _running_server() -> Iterator[PostgresServer]:
    binaries = _server_binaries()
    if binaries is None:
        pytest.skip("no Postgres server under /usr/lib/postgresql")
    folder = Path(tempfile.mkdtemp(prefix="ablata-postgres-"))
    try:
        server = PostgresServer(binaries, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a Postgres server of this test session, without a database's name."""
    with _running_server() as server:
        yield server.address


@pytest.fixture
def mortal_postgres() -> Iterator[PostgresServer]:
    """A Postgres server of one test, which may kill it."""
    with _running_server() as server:
        yield server


@pytest.fixture
def postgres_schema(postgres_server: str) -> Callable[[str], str]:
    """A function that returns the address of a new empty database of a name on that server."""

    def create(name: str) -> str:
        import psycopg

        # A schema of its own, which is far quicker to make than a database.
        schema = f"{name}_{os.urandom(4).hex()}"
        with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        return f"{postgres_server}/postgres?options=-csearch_path%3D{schema}"

    return create
