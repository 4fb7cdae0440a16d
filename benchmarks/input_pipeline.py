"""Images per second and core of the input pipeline, beside torchvision's reference transforms, on the same files.

    python benchmarks/input_pipeline.py [FOLDER_OR_ZIP ...] [--size 224] [--rounds 5]

Files: reading, decoding, random resized crop, flip, normalisation and stacking into float32 batches of 32, in one
thread. The reference is the PIL transform list of torchvision's classification references with the default collation.
The two pipelines take turns, round by round, and the median round counts; time is processor time, so that other work on
the machine disturbs little. Memory: flip, pad-and-crop by 4 and normalisation of CIFAR-sized batches of 256, beside the
reference applied image by image.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import default_collate
from torchvision import transforms

from ablata.data.augment import Augment, Augmenter, Normaliser
from ablata.data.folder_images import FolderImages
from ablata.data.image_folder import ImageFolder
from ablata.structures.batch import ImageBatch, Rows

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 32


def main() -> None:
    """Measure and print one table row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="*", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=320)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print("| case | reference, images/s | ablata, images/s | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as cache:
        for root in arguments.roots:
            stored = arguments.size * 8 // 7
            cases = (("pil", False, None), ("torch", False, None), ("torch", True, None), ("torch", False, stored))
            for backend, reduced, prepared in cases:
                data = ImageFolder(
                    root=str(root),
                    size=arguments.size,
                    resize=stored,
                    workers=0,
                    backend=backend,
                    reduced=reduced,
                    prepared=prepared,
                ).build(Path(cache))
                name = f"{root.stem}, size {arguments.size}, {backend}{', reduced' if reduced else ''}"
                name += f", prepared {prepared}" if prepared else ""
                _report(name, *_file_pipelines(data, arguments.size, arguments.images), arguments.rounds)
    _report("memory, 256x3x32x32", *_memory_pipelines(), arguments.rounds)


def _report(name: str, reference: Callable[[], int], ours: Callable[[], int], rounds: int) -> None:
    for warm_up in (reference, ours):
        warm_up()
    speeds = [(_speed(reference), _speed(ours)) for _ in range(rounds)]
    slow, fast = (statistics.median(column) for column in zip(*speeds, strict=True))
    ratio = statistics.median(ours_speed / reference_speed for reference_speed, ours_speed in speeds)
    print(f"| {name} | {slow:.0f} | {fast:.0f} | {ratio:.2f} |", flush=True)


def _speed(pipeline: Callable[[], int]) -> float:
    start = time.process_time()
    count = pipeline()
    return count / (time.process_time() - start)


def _file_pipelines(data: FolderImages, size: int, most: int) -> tuple[Callable[[], int], Callable[[], int]]:
    """Return the reference and ours: both read the same files, which the system has in memory after the warm-up."""
    loader = data.train_loader(0, BATCH)
    steps = min(loader.steps_per_epoch, most // BATCH)
    orders = [batch.index.tolist() for batch in data.train_loader(0, BATCH).batches(0, steps)]
    files = data.files["train"]
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
            transforms.ConvertImageDtype(torch.float),
            transforms.Normalize(MEAN, STD),
        ]
    )

    def reference() -> int:
        for order in orders:
            images = []
            for row in order:
                with files[row].open("rb") as stream:
                    images.append(transform(Image.open(stream).convert("RGB")))
            default_collate(images)
        return steps * BATCH

    def ours() -> int:
        for step, batch in enumerate(loader.batches(0, steps)):
            loader.augment(batch, step, 0)
        return steps * BATCH

    return reference, ours


def _memory_pipelines() -> tuple[Callable[[], int], Callable[[], int]]:
    images = torch.randint(0, 256, (256, 3, 32, 32), dtype=torch.uint8)
    index = torch.arange(256)
    augmenter = Augmenter(Augment(flip=True, pad=4), 0, Normaliser(MEAN, STD), (32, 32))
    pictures = [Image.fromarray(image) for image in np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())]
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )

    def reference() -> int:
        default_collate([transform(picture) for picture in pictures])
        return 256

    def ours() -> int:
        for step in range(20):
            augmenter(ImageBatch(images, index, index, Rows(0, 256)), step, 0)
        return 20 * 256

    return reference, ours


if __name__ == "__main__":
    main()
