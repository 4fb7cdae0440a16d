"""One of two processes that mine the hardest pixels together: the test beside it starts `python FILE FOLDER` with
torchrun's variables. Value and gradient of this process's half go to FOLDER/rankN.safetensors."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from test_mining_processes import DEFINITIONS, IMAGES, batch, mined

from ablata.engine.hardware.process_group import from_environment, process_group


def main(folder: Path) -> None:
    """Mine by every definition."""
    torch.set_num_threads(1)
    place, found = from_environment(), {}
    own = slice(place.rank * IMAGES // 2, (place.rank + 1) * IMAGES // 2)
    with process_group(place, torch.device("cpu")):
        for definition in DEFINITIONS:
            logits, labels = (part[own] for part in batch())
            logits.requires_grad_()
            criterion = mined(definition).build()
            criterion.pool = place.all_gather_with_grad
            value = criterion(logits, labels)
            value.backward()
            assert logits.grad is not None
            found |= {f"{definition}.value": value.detach(), f"{definition}.gradient": logits.grad}
    save_file(found, folder / f"rank{place.rank}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
