"""Images per second and core of the input pipeline, beside torchvision's reference transforms, on the same files.

    python benchmarks/input_pipeline.py [FOLDER_OR_ZIP ...] [--size 224] [--batches 60] [--output PAGE.md]

Files: reading, decoding, random resized crop, flip, normalisation and stacking into float32 batches of 32, in one
thread, without worker processes. The reference is the PIL transform list of torchvision's classification references
with the default collation; ours is what the recipes have, channels_last. Beside them: decoding alone, and the
shortest way to uint8 that OpenCV offers (no antialias, no normalisation). All take turns batch by batch on the same
files, in one process that keeps the memory it frees, as a training does. A figure is the median over batches; time is
processor time, so that other work on the machine disturbs little.

Memory: flip, pad-and-crop by 4 and normalisation of CIFAR-sized batches of 256, beside the reference applied image by
image.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import default_collate
from torchvision import transforms

from ablata.data.classification.image_files import ImageFileDataset
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.io.crop import draw_random_resized_crop
from ablata.data.transforms.classification import Augment, ImageAugmenter
from ablata.data.transforms.normalization import Normalizer
from ablata.engine.hardware.memory import keep_memory
from ablata.records.fingerprint import environment
from ablata.structures.batch import ImageBatch, Rows

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 32
REFERENCE = "reference"

Step = Callable[[], int]
"""Works on the next batch; returns the number of its images."""


def main() -> None:
    """Measure and print a Markdown page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="*", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_memory()
    lines = header(arguments.size, arguments.batches)
    with tempfile.TemporaryDirectory() as cache:
        for root in arguments.roots:
            lines += table(root.stem, take_turns(file_steps(root, arguments.size, Path(cache)), arguments.batches))
    lines += table("In memory, 256x3x32x32", take_turns(memory_steps(), arguments.batches))
    print("\n".join(lines))
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def header(size: int, batches: int) -> list[str]:
    """Return the page's first lines."""
    here = environment()
    versions = ", ".join(f"{name} {here['libraries'][name]}" for name in ("torch", "torchvision"))
    return [
        f"# Input pipeline, size {size}, one thread",
        "",
        f"{datetime.date.today()}, {here['processor']}, {versions}, OpenCV {cv2.__version__}.",
        f"{batches} batches of {BATCH} of each.",
    ]


def table(name: str, rates: dict[str, list[float]]) -> list[str]:
    """Return a table of one data set: median rates, and the median and quartiles of the ratios batch by batch."""
    lines = ["", f"## {name}", "", "| case | images/s | times the reference | quartiles |", "|---|---:|---:|---:|"]
    for case, values in rates.items():
        low, middle, high = statistics.quantiles(
            (own / other for own, other in zip(values, rates[REFERENCE], strict=True)), n=4
        )
        rate = statistics.median(values)
        lines.append(f"| {case} | {rate:,.0f} | {middle:.2f} | {low:.2f} to {high:.2f} |")
    return lines


def take_turns(steps: dict[str, Step], batches: int) -> dict[str, list[float]]:
    """Let all cases work on one batch after the other, four to warm up; return images per second of each batch."""
    rates: dict[str, list[float]] = {case: [] for case in steps}
    for batch in range(-4, batches):
        for case, step in steps.items():
            start = time.process_time()
            count = step()
            if batch >= 0:
                rates[case].append(count / (time.process_time() - start))
    return rates


def file_steps(root: Path, size: int, cache: Path) -> dict[str, Step]:
    """Return the cases of one data set; all see the same files in the same order."""
    stored = size * 8 // 7
    cases = {
        "ablata, default": {},
        "ablata, backend=pil": {"backend": "pil"},
        "ablata, backend=opencv": {"backend": "opencv"},
        "ablata, reduced=true": {"reduced": True},
        f"ablata, prepared={stored}": {"prepared": stored},
    }
    made = {
        case: ImageFolder.model_validate(
            {"root": str(root), "size": size, "resize": stored, "workers": 0, "augment": {"flip": True}} | changes
        ).build(cache)
        for case, changes in cases.items()
    }
    files = next(iter(made.values())).files["train"]
    picks = [[files[row] for row in order] for order in orders(next(iter(made.values())))]
    steps = {REFERENCE: over(picks, reference_step(size)), "decoding alone": over(picks, decoding_step)}
    steps["OpenCV to uint8"] = over(picks, opencv_step(size))
    return steps | {case: own_step(data) for case, data in made.items()}


def orders(data: ImageFileDataset) -> list[list[int]]:
    """Return the rows of every batch of the first epoch, as our loader reads them."""
    loader = data.train_loader(0, BATCH)
    return [batch.index.tolist() for batch in loader.indices(0, loader.steps_per_epoch)]


def over(picks: list[list[Path]], work: Callable[[list[Path]], object]) -> Step:
    """Return a step that works on one list of files after the other, and from the first again."""
    place = iter(range(10**9))

    def step() -> int:
        work(picks[next(place) % len(picks)])
        return BATCH

    return step


def reference_step(size: int) -> Callable[[list[Path]], object]:
    """Return torchvision's reference transforms over a batch of files."""
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
            transforms.ConvertImageDtype(torch.float),
            transforms.Normalize(MEAN, STD),
        ]
    )

    def work(files: list[Path]) -> object:
        images = []
        for file in files:
            with file.open("rb") as stream:
                images.append(transform(Image.open(stream).convert("RGB")))
        return default_collate(images)

    return work


def decoding_step(files: list[Path]) -> None:
    """Decode a batch of files by OpenCV and forget them."""
    for file in files:
        cv2.imdecode(np.frombuffer(file.read_bytes(), dtype=np.uint8), cv2.IMREAD_COLOR)


def opencv_step(size: int) -> Callable[[list[Path]], object]:
    """Return decoding, crop, resize and flip by OpenCV alone, stacked as uint8."""
    random = np.random.default_rng(0)

    def work(files: list[Path]) -> object:
        batch = np.empty((len(files), size, size, 3), dtype=np.uint8)
        for row, file in enumerate(files):
            pixels = cv2.imdecode(np.frombuffer(file.read_bytes(), dtype=np.uint8), cv2.IMREAD_COLOR)
            assert pixels is not None
            left, top, right, bottom = draw_random_resized_crop(random, pixels.shape[:2], (0.08, 1.0), (3 / 4, 4 / 3))
            cut = cv2.resize(pixels[top:bottom, left:right], (size, size), interpolation=cv2.INTER_LINEAR)
            batch[row] = cv2.flip(cut, 1) if random.random() < 0.5 else cut
        return batch

    return work


def own_step(data: ImageFileDataset) -> Step:
    """Return our pipeline, batches as a network gets them."""
    loader = data.train_loader(0, BATCH, channels_last=True)

    def endless() -> Iterator[ImageBatch]:
        while True:
            yield from loader.batches(0, loader.steps_per_epoch)

    batches, steps = endless(), iter(range(10**9))

    def step() -> int:
        loader.augment(next(batches), next(steps), 0)
        return BATCH

    return step


def memory_steps() -> dict[str, Step]:
    """Return the reference and ours over inputs that lie in memory."""
    images = torch.randint(0, 256, (256, 3, 32, 32), dtype=torch.uint8)
    index = torch.arange(256)
    augmenter = ImageAugmenter(Augment(flip=True, pad=4), 0, Normalizer(MEAN, STD, channels_last=True), (32, 32))
    inputs = [Image.fromarray(image) for image in np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())]
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )

    def reference() -> int:
        default_collate([transform(sample) for sample in inputs])
        return 256

    def ours() -> int:
        for step in range(20):
            augmenter(ImageBatch(images, index, index, Rows(0, 256)), step, 0)
        return 20 * 256

    return {REFERENCE: reference, "ablata": ours}


if __name__ == "__main__":
    main()
