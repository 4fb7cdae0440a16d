"""Device and precision (fp32, bf16, fp16): what the machine does fast, and the autocast contexts."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from ablata.base.errors import SettingsError


@dataclass(frozen=True)
class Precision:
    """Precision of forward passes: weights stay fp32, convolutions and matrix products run in `dtype`.

    Args:
        dtype: torch.float32, torch.bfloat16 or torch.float16.
        device_type: `cpu` or `cuda`.
        why: a sentence for the log.
    """

    dtype: torch.dtype
    device_type: str
    why: str

    @property
    def name(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[self.dtype]

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context for forward passes and losses."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype)


def choose_device(wanted: str, local_rank: int = 0) -> torch.device:
    """Return the device a setting names.

    Args:
        wanted: `auto`, or a torch device such as `cpu` or `cuda:1`.
        local_rank: which of a machine's GPUs belongs to this process.

    Raises:
        SettingsError: the device does not exist here.
    """
    if wanted == "auto":
        return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise SettingsError(
            "compute.device must be auto, cpu or cuda:N",
            found=f"compute.device={wanted}",
            do="compute.device=auto takes a GPU where there is one",
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = f"compute.device={wanted}, and this machine has {torch.cuda.device_count()} CUDA devices"
        raise SettingsError("compute.device must exist on this machine", found=found, do="use compute.device=auto")
    return device


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """Return the precision for a device.

    Args:
        wanted: `auto`, `fp32`, `bf16` or `fp16`.
        device: where the model runs.

    Raises:
        SettingsError: fp16 on a processor, where its convolutions are missing or slow.
    """
    kind = device.type
    if wanted == "fp16" and kind != "cuda":
        found = f"compute.precision=fp16 on {kind}"
        raise SettingsError("fp16 needs a CUDA device", found=found, do="use bf16 or auto")
    if wanted != "auto":
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]
        return Precision(dtype, kind, "as the recipe says")
    if kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return Precision(torch.bfloat16, kind, "the GPU computes bf16")
    if kind == "cpu" and (unit := _processor_bf16()):
        return Precision(torch.bfloat16, kind, f"the processor has {unit}")
    return Precision(torch.float32, kind, "no bf16 unit found")


def _processor_bf16() -> str | None:
    """Return the name of the CPU's bf16 unit; without one, bf16 is emulated and slower than fp32."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    return next((unit for flag, unit in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16")) if flag in flags), None)
