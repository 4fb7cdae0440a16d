"""One of two processes that train with a contrast and its memory: the test beside it starts `python FILE FOLDER` with
torchrun's variables. What this process's task remembers at the end goes to FOLDER/rankN.safetensors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ablata.engine.hardware.process_group import from_environment, process_group
from ablata.engine.train import train
from ablata.recipes.index import load_recipe
from ablata.tasks.segmentation.task import SegmentTask

SETTINGS = [
    *("data.train=8", "data.val=3", "model.width=2", "train.epochs=null", "train.steps=3", "train.batch=4"),
    *("train.evaluate_every=0", "train.log_every=1", "compute.precision=fp32", "loss.max_views=4"),
    *("loss.projection.width=8", "loss.memory=true", "loss.memory.pixels=50", "loss.memory.regions=20"),
]


def main(folder: Path) -> None:
    """Join a tensor of another length on each process, then train."""
    torch.set_num_threads(1)
    place = from_environment()
    kept: dict[str, torch.Tensor] = {}
    init: Any = SegmentTask.__init__

    def noted(self: SegmentTask, *arguments: Any) -> None:
        init(self, *arguments)
        kept["task"] = self  # type: ignore[assignment]

    SegmentTask.__init__ = noted  # type: ignore[method-assign]
    with process_group(place, torch.device("cpu")):
        joined = place.all_gather(torch.arange(3 + place.rank).float()[:, None] + 10 * place.rank)
        train(load_recipe("contrast_scenes", SETTINGS), 3, folder / "run", folder / f"cache{place.rank}", None, place)
    state = {name: tensor.clone() for name, tensor in kept["task"].state().items()}  # type: ignore[attr-defined]
    save_file(state | {"joined": joined}, folder / f"rank{place.rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
