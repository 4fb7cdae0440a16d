"""What each form of ResNet and each activation of EfficientNet costs: time an epoch, peak memory, as the notes have it.

One process a form, with one thread: it builds the network of the recipe with the form's settings, trains some steps on
one batch of random images (SGD, bf16 where the processor has it, channels_last) and reports

    time       processor time of a median step, times the steps of an epoch of Imagenette (3,000 images)
    peak       largest memory of the process during the steps, less what it held before the network was built
    kept       bytes that the forward pass keeps for the backward pass, weights left out

`SiLU written out` is x * sigmoid(x) in two operations, which is what `silu_lean` was made against.

Command: python benchmarks/notebook_forms.py [--size 96] [--batch 16] [--steps 4] [--output PAGE.md]
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablata.engine.hardware.memory import keep_memory, peak_memory, reset_peak_memory
from ablata.engine.hardware.precision import choose_precision
from ablata.recipes.index import load_recipe
from ablata.records.fingerprint import environment
from ablata.tasks.classification.task import Classify

EPOCH = 3000
"""Images of an epoch."""
CPU = torch.device("cpu")
WRITTEN_OUT = "SiLU written out"

RESNET = (
    "",
    "model.preactivation=true",
    "model.stem=deep",
    "model.stem_order=act_pool_norm",
    "model.stem_norm=false",
    "model.order=act_norm",
    "model.order=add_act_norm",
    "model.order=act_add_norm",
    "model.shortcut=pool_conv",
    "model.shortcut_norm=false",
    "model.last_stage=no_stride",
    "model.last_stage=dilated",
    "model.attention=se",
    "model.fusion=aff",
    "model.activation=frelu",
    "model.activation=silu",
    "model.activation=silu_lean",
    WRITTEN_OUT,
    "model.activation=hardswish",
    "model.conv=weight_standardized",
    "model.conv=weight_aligned",
    "model.conv=dynamic",
    "model.split=hierarchical",
)
EFFICIENTNET = (
    "",
    "model.activation=silu_lean",
    WRITTEN_OUT,
    "model.activation=relu",
    "model.activation=hardswish",
    "model.project_activation=true",
)
FORMS = [("resnet50_imagenet", form) for form in RESNET] + [("efficientnet_b0_imagenet", form) for form in EFFICIENTNET]


class WrittenOut(nn.Module):
    """x * sigmoid(x), both of which autograd keeps."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return x * torch.sigmoid(x)


def build(recipe: str, form: str) -> nn.Module:
    """Return the network of a recipe in one of its forms, for ten classes."""
    written_out = form == WRITTEN_OUT
    settings = load_recipe(recipe, ["model.activation=silu"] if written_out else form.split())
    assert isinstance(settings, Classify)
    model: nn.Module = settings.model.build(10, 3)
    for module in list(model.modules()) if written_out else []:
        for name, child in module.named_children():
            if isinstance(child, nn.SiLU):
                setattr(module, name, WrittenOut())
    return model.to(memory_format=torch.channels_last)


class Kept:
    """Adds up the memory that a forward pass keeps for the backward pass, each block once."""

    def __init__(self, model: nn.Module) -> None:
        self._weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self._blocks: dict[int, int] = {}

    def pack(self, tensor: Tensor) -> Tensor:
        """Note a tensor that is kept."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._weights:
            self._blocks[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(self._blocks.values())


def measure(recipe: str, form: str, size: int, batch: int, steps: int) -> dict[str, float]:
    """Train some steps in this process; return seconds of a step and the two memories in bytes."""
    torch.set_num_threads(1)
    keep_memory()
    torch.manual_seed(0)
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch) % 10
    reset_peak_memory(CPU)
    before = peak_memory(CPU)
    model = build(recipe, form)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    precision, kept, seconds = choose_precision("auto", CPU), Kept(model), []
    for step in range(steps + 1):
        started = time.process_time()
        with torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor), precision.autocast():
            loss = functional.cross_entropy(model(images)["logits"], labels)
        if step == 0:
            total = kept.total
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        seconds.append(time.process_time() - started)
    return {"seconds": statistics.median(seconds[1:]), "peak": float(peak_memory(CPU) - before), "kept": float(total)}


def main() -> None:
    """Measure every form and print a Markdown page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--role", nargs=2, metavar=("RECIPE", "FORM"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = (arguments.size, arguments.batch, arguments.steps)
    if arguments.role:
        recipe, form = arguments.role
        print(json.dumps(measure(recipe, form, *sizes)))
        return
    flags = [f"--{name}={value}" for name, value in zip(("size", "batch", "steps"), sizes, strict=True)]
    found = []
    for recipe, form in FORMS:
        command = [sys.executable, __file__, *flags, "--role", recipe, form]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found.append(json.loads(told))
        print(recipe, form, told.strip(), file=sys.stderr, flush=True)
    page = report(found, arguments.size, arguments.batch, arguments.steps)
    print(page)
    if arguments.output:
        arguments.output.write_text(page, encoding="utf-8")


def report(found: list[dict[str, float]], size: int, batch: int, steps: int) -> str:
    """Return the page: a table for each of the two networks."""
    here, precision = environment(), choose_precision("auto", CPU).name
    lines = [
        "# What the forms of ResNet and the activations of EfficientNet cost",
        "",
        f"{datetime.date.today()}, {here['processor']}, one thread, {precision}, torch {here['libraries']['torch']}.",
        f"Command: `python benchmarks/notebook_forms.py --size {size} --batch {batch} --steps {steps}`",
        "",
        f"Batches of {batch} random images of {size} pixels. Time: processor time of an epoch of {EPOCH:,} images,",
        "from the median step. Peak: memory of the process beyond what it held before the network was built. Kept:",
        "what the forward pass keeps for the backward pass, weights left out.",
    ]
    base: dict[str, float] = {}
    for (recipe, form), row in zip(FORMS, found, strict=True):
        if not form:
            base = row
            head = ["| form | time, s | ratio | peak, MiB | kept, MiB | ratio |", "|---|---:|---:|---:|---:|---:|"]
            lines += ["", f"## {recipe}", "", *head]
        cells = [
            form.replace("model.", "") or "as the recipe has it",
            f"{row['seconds'] * EPOCH / batch:,.0f}",
            f"{row['seconds'] / base['seconds']:.2f}",
            f"{row['peak'] / 2**20:,.0f}",
            f"{row['kept'] / 2**20:,.0f}",
            f"{row['kept'] / base['kept']:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
