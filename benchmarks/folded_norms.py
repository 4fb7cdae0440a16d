"""Time networks with batch normalisation folded into convolutions beside the same unfolded, in turns in one process.

    python benchmarks/folded_norms.py [--turns 20] [--threads 1]

Untrained networks, fp32 and channels_last on the processor, images one by one as `ablata predict --fps` has them.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

from ablata.nn.folded_norms import fold_norms
from ablata.recipes.index import load_recipe

NETWORKS = (
    ("bisenet_camvid", (3, 360, 480)),
    ("bisenetv2_cityscapes", (3, 256, 512)),
    ("resnet18_hymenoptera", (3, 224, 224)),
)
"""Recipe, and the shape of an image."""


def network_of(name: str) -> nn.Module:
    """Return a recipe's network, untrained, in evaluation mode."""
    torch.manual_seed(0)
    recipe = load_recipe(name, [])
    network: nn.Module = recipe.model.build(recipe.data.nominal_shape().classes, 3)  # type: ignore[attr-defined]
    return network.eval().to(memory_format=torch.channels_last)


def seconds(network: nn.Module, images: Tensor) -> float:
    """Return how long one pass takes."""
    start = time.perf_counter()
    network(images)
    return time.perf_counter() - start


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name, shape in NETWORKS:
        network = network_of(name)
        images = torch.randn(1, *shape).contiguous(memory_format=torch.channels_last)
        found = fold_norms(network, lambda one, seen=images: one(seen)["logits"])  # type: ignore[misc]
        seconds(network, images), seconds(found.network, images)
        times = [(seconds(network, images), seconds(found.network, images)) for _ in range(arguments.turns)]
        plain, folded = (statistics.median(column) for column in zip(*times, strict=True))
        print(
            f"{name}: {found.count} of {found.norms} folded, difference {found.difference:.2g}; "
            f"{1 / plain:.2f} images a second, folded {1 / folded:.2f}: {plain / folded:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
