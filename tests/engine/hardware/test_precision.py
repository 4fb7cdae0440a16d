"""Devices and number formats: what is chosen, what is refused, and that the choice reaches the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ablata.base.errors import SettingsError
from ablata.engine.hardware import precision
from ablata.engine.hardware.precision import choose_device, choose_precision
from ablata.models.classification.small_resnet import SmallResNet

CPU = torch.device("cpu")


def with_flags(monkeypatch: pytest.MonkeyPatch, folder: Path, flags: str) -> None:
    (folder / "cpuinfo").write_text(f"processor : 0\nflags : fpu {flags} sse\n")
    monkeypatch.setattr(precision, "Path", lambda name: folder / Path(name).name)


@pytest.mark.parametrize(
    ("flags", "name", "why"),
    [
        ("amx_bf16 avx512_bf16", "bf16", "AMX"),
        ("avx512_bf16", "bf16", "AVX512-BF16"),
        ("avx512f amx_int8", "fp32", "no bf16 unit"),
        ("", "fp32", "no bf16 unit"),
    ],
)
def test_auto_is_bf16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, name: str, why: str
) -> None:
    with_flags(monkeypatch, tmp_path, flags)
    chosen = choose_precision("auto", CPU)
    assert chosen.name == name
    assert why in chosen.why


def test_auto_is_fp32_where_the_system_tells_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(precision, "Path", lambda name: tmp_path / "missing")
    assert choose_precision("auto", CPU).name == "fp32"


def test_fp16_on_a_processor_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"compute\.precision=fp16 on cpu"):
        choose_precision("fp16", CPU)


def test_fp16_is_refused_before_the_first_step(digits: Callable, training: Callable) -> None:
    with pytest.raises(SettingsError, match="fp16 needs a CUDA device"):
        training(digits("compute.precision=fp16", "compute.device=cpu"))


@pytest.mark.parametrize("wanted", ["cuda:9", "gpu", "cuda:x", "cpu:", "0", "meta"])
def test_a_device_that_is_not_there_is_refused_by_name(wanted: str) -> None:
    with pytest.raises(SettingsError, match=rf"compute\.device={wanted}"):
        choose_device(wanted)


def test_auto_finds_a_device() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == CPU


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.dtype, bool, bool]]:
    """Collect, of every forward pass in training: dtype of stage1, whether images and weights are channels_last."""
    forward, found = SmallResNet.forward, []

    def watched(self: SmallResNet, images: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = forward(self, images)
        if self.training:
            layouts = (one.is_contiguous(memory_format=torch.channels_last) for one in (images, self.stem.weight))
            found.append((outputs["stage1"].dtype, *layouts))
        return outputs

    monkeypatch.setattr(SmallResNet, "forward", watched)
    return found


@pytest.mark.parametrize("channels_last", ["true", "false"])
@pytest.mark.parametrize(("wanted", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_format_and_layout_reach_the_forward_pass(
    streets: Callable, training: Callable, seen: list, wanted: str, dtype: torch.dtype, channels_last: str
) -> None:
    short = ("train.epochs=null", "train.steps=3", "compute.device=cpu", f"compute.channels_last={channels_last}")
    done = training(streets(*short, f"compute.precision={wanted}"))
    assert seen == [(dtype, channels_last == "true", channels_last == "true")] * 3
    assert all(one.dtype in (torch.float32, torch.int64) for one in done.last().groups["model"].values())
    assert done.listener.facts["precision"].startswith(wanted)
    assert done.last().facts["precision"] == wanted


def test_the_layout_changes_no_figure_beyond_rounding(streets: Callable, training: Callable) -> None:
    short = ("train.epochs=null", "train.steps=4", "compute.device=cpu")
    last = training(streets(*short), "last").listener.curve("train/cross_entropy")
    first = training(streets(*short, "compute.channels_last=false"), "first").listener.curve("train/cross_entropy")
    assert list(first.values()) == pytest.approx(list(last.values()), rel=1e-4)


def test_bf16_is_in_force_during_evaluation_too(
    streets: Callable, training: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtypes = set()

    def note(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        if not module.training and not output.is_meta:
            dtypes.add(output.dtype)

    build = SmallResNet.__init__

    def watched(self: SmallResNet, *arguments: object) -> None:
        build(self, *arguments)
        self.classifier.register_forward_hook(note)

    monkeypatch.setattr(SmallResNet, "__init__", watched)
    short = ("train.epochs=null", "train.steps=1", "compute.device=cpu", "compute.precision=bf16")
    training(streets(*short))
    assert torch.bfloat16 in dtypes
