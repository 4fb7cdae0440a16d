"""Fixtures for all rooms: where real data sets lie, and a cache that tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

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
