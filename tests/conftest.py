"""Fixtures for all rooms: where real data sets lie, and a cache that tests share."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a Postgres server of this test session, without a database's name."""
    binaries = _server_binaries()
    if binaries is None:
        pytest.skip("no Postgres server under /usr/lib/postgresql")
    # The server refuses to run as root, so that root becomes the user its package made.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="ablata-postgres-"))
    if user:
        shutil.chown(folder, "postgres", "postgres")
    port = _free_port()

    def call(program: str, *arguments: str) -> None:
        command = [str(binaries / program), "-D", str(folder / "data"), *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False, **user)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        call("initdb", "--username=ablata", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        # A log file, because a server that kept the test's output pipe open would keep the call from returning.
        call("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", settings)
        try:
            yield f"postgresql://ablata@127.0.0.1:{port}"
        finally:
            call("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


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
