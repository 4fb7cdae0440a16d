"""Segmenters' answers a second for one image: BiSeNet and DDRNet beside public code, and DeepLabV3+, in turns.

The peers are a user's copy of CoinCheung/BiSeNet (its lib/, unchanged), one of ydhongHIT/DDRNet (its
segmentation/DDRNet_23_slim.py), and segmentation_models_pytorch's DeepLabV3+ on the same backbone, where it is
installed (pip install 'ablata[smp]'). All have 19 classes, random weights and normalisation in evaluation; ours takes
the weights of the public network of its form first and gives the same logits. All run in bf16 under autocast,
channels_last, and with the C allocator kept from giving memory back; --compile compiles all, on a processor with
weights frozen (the compiler then folds normalisation into convolutions and packs weights), on a GPU with CUDA graphs.

Two answers are timed: logits of the image's size, and the likeliest class of each of its pixels. Peers enlarge logits
and take the largest, in one compiled graph with --compile; ours never has the large logits (tasks/class_maps.py). A
network that cannot take an image's size gets the next multiple of 32 that it can, as its own code does.

    python benchmarks/segmentation_speed.py [--peer FOLDER] [--ddrnet FOLDER] [--smp FOLDER]
        [--sizes 1024x2048 720x960] [--turns 15] [--threads 2] [--device cpu] [--compile] [--output PAGE.md]
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from ablata.engine.hardware.memory import keep_memory
from ablata.engine.hardware.precision import choose_precision
from ablata.models.segmentation.base import Segmenter
from ablata.models.segmentation.bisenet.published import compat, paper
from ablata.models.segmentation.bisenet_v2 import BiSeNetV2
from ablata.models.segmentation.ddrnet import DDRNet
from ablata.records.fingerprint import environment
from ablata.tasks.segmentation.argmax import argmax_upsampled

CLASSES = 19
PEER_MULTIPLE = 32
"""A side that the re-implementation's own evaluation rounds up to."""
DDRNET_MULTIPLE = 8
"""A side that the authors' DDRNet takes: it rounds the size of its maps at 1/8 down, and cannot add them else."""
REFERENCES = ("BiSeNetV1, CoinCheung/BiSeNet", "DDRNet-23-slim, ydhongHIT/DDRNet")
"""What others are compared with: the first that is there."""
ANSWERS = ("logits", "classes")


class Logits(nn.Module):
    """A network that returns its logits alone, at its image's size."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, 3, H, W] to [B, 19, H, W]."""
        found = self.network(images)
        if isinstance(self.network, Segmenter):
            size = (images.shape[-2], images.shape[-1])
            out: Tensor = self.network.full_size(found, size)["logits"]
            return out
        logits: Tensor = found[0] if isinstance(found, tuple) else found
        if logits.shape[-1] == images.shape[-1]:
            return logits
        return nn.functional.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)


class Likeliest(Logits):
    """The same, and the largest of them, [B, H, W]."""

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, 3, H, W] to [B, H, W]."""
        return super().forward(images).argmax(1)


class Small(nn.Module):
    """One of our segmenters that returns its logits at the stride of its head."""

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, 3, H, W] to [B, 19, h, w]."""
        out: Tensor = self.network(images)["logits"]
        return out


@dataclass(frozen=True)
class Contender:
    """A network and which sizes it takes.

    Args:
        name: in the tables.
        network: in evaluation mode.
        multiple: that its images' sides must be of.
    """

    name: str
    network: nn.Module
    multiple: int = 1

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the smallest size that it takes and that holds such an image."""
        height, width = (-(-side // self.multiple) * self.multiple for side in size)
        return height, width

    def answer(self, kind: str, compiled: bool, device: torch.device) -> Callable[[Tensor], Tensor]:
        """Return what is timed.

        Args:
            kind: one of `ANSWERS`.
            compiled: whether it is compiled, for one size.
            device: where it runs.
        """

        def made(module: nn.Module) -> Any:
            if not compiled:
                return module
            if device.type == "cuda":
                return torch.compile(module, dynamic=False, mode="reduce-overhead")
            return torch.compile(module, dynamic=False, options={"freezing": True})

        if kind == "logits":
            return made(Logits(self.network).eval())  # type: ignore[no-any-return]
        if not isinstance(self.network, Segmenter):
            return made(Likeliest(self.network).eval())  # type: ignore[no-any-return]
        resize = self.network.head.resize
        assert resize is not None
        small = made(Small(self.network).eval())
        return lambda images: argmax_upsampled(small(images), [(resize, (images.shape[-2], images.shape[-1]))])


def public(folder: Path) -> dict[str, nn.Module]:
    """Return both networks of a copy of CoinCheung/BiSeNet, by their names, without the weights they would fetch."""
    sys.path.insert(0, str(folder))
    with patch("torch.utils.model_zoo.load_url", lambda *_, **__: {}):
        made = {
            name: getattr(importlib.import_module(f"lib.models.{name.lower()}"), name)(CLASSES, aux_mode="eval").eval()
            for name in ("BiSeNetV1", "BiSeNetV2")
        }
    return made


def public_ddrnet(folder: Path) -> nn.Module:
    """Return DDRNet-23-slim of a copy of ydhongHIT/DDRNet, without auxiliary head, normalised as in one process."""
    sys.path.insert(0, str(folder / "segmentation"))
    module = importlib.import_module("DDRNet_23_slim")
    with patch.object(module, "BatchNorm2d", nn.BatchNorm2d):
        network: nn.Module = module.DualResNet_imagenet()
    return network.eval()


def with_weights_of(settings: Any, peer: nn.Module, without: Any = ()) -> Segmenter:
    """Return our network with the weights of the peer's; auxiliary heads, which neither runs here, are left out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "peer.pth"
        torch.save(peer.state_dict(), path)
        chosen = settings.model_copy(update={"weights": str(path), "aux": without})
        network: Segmenter = chosen.build(CLASSES)
        chosen.load_into(network)
    return network.eval()


@torch.no_grad()
def difference(own: Segmenter, peer: nn.Module) -> float:
    """Return how far the logits of an image are apart in float32, as a share of the largest."""
    image = torch.randn(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    ours, theirs = Logits(own)(image), Logits(peer)(image)
    return float((ours - theirs).abs().max() / theirs.abs().max())


def contenders(peer: Path | None, ddrnet: Path | None, smp: Path | None) -> list[Contender]:
    """Build every network that can be had; prints how far equal ones are apart."""
    torch.manual_seed(0)
    first, second = compat().model_copy(update={"aux": ()}), BiSeNetV2()
    found: list[Contender] = []
    if peer is None:
        networks = {"BiSeNet (compat)": first.build(CLASSES), "BiSeNetV2": second.build(CLASSES)}
        found += [Contender(f"{name}, ours", network.eval()) for name, network in networks.items()]
    else:
        theirs = public(peer)
        pairs = (("BiSeNet (compat)", first, "BiSeNetV1"), ("BiSeNetV2", second, "BiSeNetV2"))
        for name, settings, key in pairs:
            own = with_weights_of(settings, theirs[key]) if key == "BiSeNetV1" else settings.build(CLASSES).eval()
            if key == "BiSeNetV1":
                print(f"{name}: logits differ from {key}'s by {difference(own, theirs[key]):.1e} of the largest")
            found.append(Contender(f"{name}, ours", own))
            found.append(Contender(f"{key}, CoinCheung/BiSeNet", theirs[key], PEER_MULTIPLE))
    found.append(Contender("BiSeNet (paper), ours", paper().build(CLASSES).eval()))
    slim = DDRNet(aux=None)
    if ddrnet is None:
        found.append(Contender("DDRNet-23-slim, ours", slim.build(CLASSES).eval()))
    else:
        authors = public_ddrnet(ddrnet)
        own = with_weights_of(slim, authors, None)
        print(f"DDRNet-23-slim: logits differ from its authors' by {difference(own, authors):.1e} of the largest")
        found.append(Contender("DDRNet-23-slim, ours", own))
        found.append(Contender(REFERENCES[1], authors, DDRNET_MULTIPLE))
    if smp is not None:
        sys.path.append(str(smp))
    try:
        library: Any = importlib.import_module("segmentation_models_pytorch")
    except ImportError:
        print("segmentation_models_pytorch is not installed: no DeepLabV3+")
        return found
    network = library.DeepLabV3Plus("resnet18", encoder_weights=None, classes=CLASSES).eval()
    return [*found, Contender(f"DeepLabV3+ of ResNet-18, smp {library.__version__}", network, 16)]


@dataclass(frozen=True)
class Row:
    """Seconds of each turn, by answer, of one network at one size."""

    name: str
    size: tuple[int, int]
    seconds: dict[str, list[float]]


@torch.no_grad()
def measure(
    found: list[Contender], size: tuple[int, int], turns: int, device: torch.device, *, compiled: bool
) -> list[Row]:
    """Time every answer of every network, one after the other in each turn."""
    precision = choose_precision("bf16", device)
    torch._dynamo.reset()
    runs: list[tuple[Contender, str, Callable[[Tensor], Tensor], Tensor]] = []
    for one in found:
        height, width = one.size(size)
        random = torch.Generator().manual_seed(0)
        image = torch.randn(1, 3, height, width, generator=random).to(device, memory_format=torch.channels_last)
        one.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        runs += [(one, kind, one.answer(kind, compiled, device), image) for kind in ANSWERS]
    with precision.autocast():
        begun = time.perf_counter()
        for _, _, run, image in runs:
            for _ in range(3):
                run(image)
        print(f"{size[0]}x{size[1]}{', compiled' if compiled else ''}: ready in {time.perf_counter() - begun:.0f} s")
        rows = {one.name: Row(one.name, one.size(size), {kind: [] for kind in ANSWERS}) for one in found}
        for _ in range(turns):
            for one, kind, run, image in runs:
                rows[one.name].seconds[kind].append(_seconds(run, image))
    return list(rows.values())


def _seconds(run: Callable[[Tensor], Tensor], image: Tensor) -> float:
    if image.device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run(image)
    if image.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def table(rows: list[Row]) -> list[str]:
    """Return a Markdown table: milliseconds, classes a second, and how many times as many as the reference's."""
    reference = next((row for name in REFERENCES for row in rows if row.name == name), rows[0])
    lines = [
        f"| network | images | logits | classes | images/s to classes | beside {reference.name} |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        logits, classes = (1e3 * statistics.median(row.seconds[kind]) for kind in ANSWERS)
        times = statistics.median(
            theirs / own for own, theirs in zip(row.seconds["classes"], reference.seconds["classes"], strict=True)
        )
        size = "x".join(map(str, row.size))
        lines.append(
            f"| {row.name} | {size} | {logits:.1f} ms | {classes:.1f} ms | {1e3 / classes:.1f} | {times:.2f} |"
        )
    return lines


def page(tables: list[tuple[str, list[Row]]], asked: argparse.Namespace) -> str:
    """Return the page of all tables."""
    here = environment()
    device = asked.device if asked.device == "cpu" else torch.cuda.get_device_name()
    flags = " ".join(["--compile"] if asked.compile else [])
    command = (
        f"python benchmarks/segmentation_speed.py {_peers(asked)}--sizes {' '.join(asked.sizes)} "
        f"--turns {asked.turns} --threads {asked.threads} --device {asked.device} {flags}".rstrip()
    )
    where = f"{here['processor']}, {asked.threads} threads" if asked.device == "cpu" else device
    lines = [
        f"# Inference of segmenters, one image at a time, {asked.device}",
        "",
        f"{datetime.date.today()}, {where}, torch {here['libraries']['torch']}.",
        f"Command: `{command}`",
        "",
        f"Medians of {asked.turns} turns; in each turn every network answers once, so that neighbours on the machine",
        "slow all alike. bf16, channels_last, allocator thresholds set, on all sides; 19 classes.",
        "",
    ]
    for title, rows in tables:
        lines += [f"## {title}", "", *table(rows), ""]
    return "\n".join(lines)


def _peers(asked: argparse.Namespace) -> str:
    return "".join(f"--{name} FOLDER " for name in ("peer", "ddrnet", "smp") if getattr(asked, name) is not None)


def main() -> None:
    """Measure, print, and write a Markdown page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, help="a copy of CoinCheung/BiSeNet")
    parser.add_argument("--ddrnet", type=Path, help="a copy of ydhongHIT/DDRNet")
    parser.add_argument("--smp", type=Path, help="folder that segmentation_models_pytorch is installed in")
    parser.add_argument("--sizes", nargs="+", default=["1024x2048", "720x960"], help="height x width")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="time compiled networks too")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    if asked.peer is not None and not (asked.peer / "lib" / "models" / "bisenetv1.py").is_file():
        parser.error("--peer must be a copy of CoinCheung/BiSeNet, with lib/models/bisenetv1.py")
    if asked.ddrnet is not None and not (asked.ddrnet / "segmentation" / "DDRNet_23_slim.py").is_file():
        parser.error("--ddrnet must be a copy of ydhongHIT/DDRNet, with segmentation/DDRNet_23_slim.py")
    torch.set_num_threads(asked.threads)
    print(keep_memory())
    found, device = contenders(asked.peer, asked.ddrnet, asked.smp), torch.device(asked.device)
    tables = []
    for compiled in (False, True) if asked.compile else (False,):
        for text in asked.sizes:
            height, width = map(int, text.split("x"))
            rows = measure(found, (height, width), asked.turns, device, compiled=compiled)
            tables.append((f"{text}{', compiled' if compiled else ''}", rows))
            print("\n".join(table(rows)), flush=True)
    if asked.output:
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(page(tables, asked), encoding="utf-8")


if __name__ == "__main__":
    main()
