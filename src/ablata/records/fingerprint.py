"""What makes two runs comparable: the code they ran, and the machine and libraries they ran on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ablata.base.cores import usable_cores

PACKAGE = Path(__file__).resolve().parents[1]
COMPUTING = ("base", "structures", "nn", "models", "losses", "data", "metrics", "engine", "tasks")
"""The rooms whose code a training runs. Recipes are not among them: a recipe counts by its expanded settings."""
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless", "pillow", "scipy")
INSTRUCTIONS = (
    "avx2",
    "avx512f",
    "avx512_bf16",
    "avx512_fp16",
    "avx512_vnni",
    "amx_bf16",
    "amx_tile",
    "asimd",
    "bf16",
    "sve",
)
NUMERIC = ("machine", "processor", "instructions", "libraries", "accelerators", "driver", "processes")
"""The parts of an environment that change figures: not its name, its number of cores or its memory. `processes` is how
many train one run together, added by whoever starts them."""


@cache
def code_fingerprint(package: Path = PACKAGE) -> str:
    """Return the hash of the source files that a training runs, as 32 hexadecimal digits; computed once per process.

    Args:
        package: the package's folder; ablata's own unless given. Its folders of `COMPUTING` count.
    """
    hasher = hashlib.sha256()
    files = [path for room in COMPUTING for path in (package / room).rglob("*.py")]
    for path in sorted(files, key=lambda path: path.relative_to(package).as_posix()):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        hasher.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()[:32]


def environment() -> dict[str, Any]:
    """Return a JSON-safe description of this machine and its libraries, without importing any of them.

    Keys: host, python, platform, machine, processor, instructions (those of `INSTRUCTIONS` the processor has), cores,
    memory_bytes, libraries (name to version, None if absent), accelerators (names of GPUs), driver (version of the
    NVIDIA driver, or None).
    """
    processor = _processor_text()
    return {
        "host": platform.node(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(processor),
        "instructions": sorted(set(INSTRUCTIONS) & set(" ".join(_values(processor, "flags|Features")[:1]).split())),
        "cores": usable_cores(),
        "memory_bytes": _memory_bytes(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "accelerators": _accelerators(Path("/proc/driver/nvidia")),
        "driver": _driver(Path("/proc/driver/nvidia")),
    }


def environment_class(description: dict[str, Any]) -> str:
    """Return the hash of what matters for pairing runs by their figures, as 16 hexadecimal digits.

    Runs of one seed are paired only within a class: same processor model, accelerators, driver and libraries.

    Args:
        description: as `environment` returns it.
    """
    numeric = {key: description.get(key) for key in NUMERIC}
    return hashlib.sha256(json.dumps(numeric, sort_keys=True).encode()).hexdigest()[:16]


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _processor_text() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ""


def _values(text: str, key: str) -> list[str]:
    return re.findall(rf"^(?:{key})[ \t]*:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE)


def _processor(text: str) -> str:
    """Return the processor's name with its family and model numbers: a virtual machine may hide all but those."""
    names = _values(text, "model name|cpu model|Processor")
    numbers = [f"{key} {value}" for key in ("cpu family", "model") for value in _values(text, key)[:1]]
    return ", ".join([names[0] if names else platform.processor(), *numbers])


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _accelerators(folder: Path) -> list[str]:
    """Return the model names of the GPUs the NVIDIA driver lists; empty without that driver."""
    texts = [path.read_text(errors="replace") for path in sorted(folder.glob("gpus/*/information"))]
    return sorted(found[1].strip() for text in texts if (found := re.search(r"^Model:\s*(.+)$", text, re.MULTILINE)))


def _driver(folder: Path) -> str | None:
    try:
        text = (folder / "version").read_text(errors="replace")
    except OSError:
        return None
    found = re.search(r"(?:Kernel Module|NVRM version).*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return found[1] if found else None
