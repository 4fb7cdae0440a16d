"""Time `ablata data check` on generated label files, and its memory as the files grow in number.

    python benchmarks/label_check.py [--files 10000] [--side 512] [--workers 2] [--folder EMPTY_OR_NEW]

Writes pairs of image and label file (blobs of 12 classes; a value that no list has in every thousandth file), then
runs the command as a user does on a tenth of them and on all. Reported are seconds on the clock and of the processor,
files a minute, and the highest resident memory among its processes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

CLASSES, SHAPES, STRANGE, EVERY = 12, 40, 74, 1000
_MEASURED = """
import resource, sys
from ablata.cli.main import main
try:
    main(sys.argv[1:])
finally:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    busy = sum(one.ru_utime + one.ru_stime for one in used)
    print("used", busy, max(one.ru_maxrss for one in used), file=sys.stderr)
"""


@lru_cache(maxsize=SHAPES)
def shapes(side: int, number: int) -> np.ndarray:
    """Return uint8 [side, side]: coarse noise, enlarged and smoothed, cut into classes."""
    coarse = np.random.default_rng(number).random((CLASSES, 8, 8), dtype=np.float32)
    field = np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in coarse])
    return field.argmax(0).astype(np.uint8)


def write_pair(root: Path, side: int, number: int) -> None:
    """Write one image and its label file; no two are equal."""
    random = np.random.default_rng(number)
    split = "val" if number % 5 == 0 else "train"
    mask = np.roll(shapes(side, number % SHAPES), tuple(random.integers(side, size=2)), (0, 1))
    if number % EVERY == 0:
        mask[:8, :8] = STRANGE
    pixels = np.stack([mask * 20, random.integers(0, 256, (1, side), dtype=np.uint8).repeat(side, 0), 255 - mask], -1)
    for kind, array, name in (("labels", mask, f"{number:06}.png"), ("images", pixels, f"{number:06}.jpg")):
        folder = root / kind / split
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / name)


def generate(root: Path, files: int, side: int, workers: int) -> None:
    """Write a set of so many pairs and its class list."""
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(partial(write_pair, root, side), range(files), chunksize=32))
    (root / "classes.txt").write_text("".join(f"{number} class {number}\n" for number in range(CLASSES)))


def check(root: Path, workers: int) -> tuple[float, float, float]:
    """Run the command; return its seconds, those of the processor in all its processes, and the MiB of the largest."""
    command = [sys.executable, "-c", _MEASURED, "data", "check", str(root), "--workers", str(workers)]
    with tempfile.TemporaryDirectory() as home:
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"ABLATA_HOME": home})
        seconds = time.perf_counter() - start
    if done.returncode != 1 or f"unexpected value: {STRANGE}" not in done.stdout:
        raise SystemExit(f"the check did not find value {STRANGE}:\n{done.stdout}{done.stderr}")
    busy, memory = map(float, done.stderr.rsplit("used ", 1)[1].split())
    return seconds, busy, memory / 1024


def main() -> None:
    """Generate, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.folder or Path(temporary)
        for files in (max(arguments.files // 10, EVERY), arguments.files):
            root = place / str(files)
            # Made by a process of its own, whose memory would count otherwise.
            made = [sys.executable, __file__, "--make", str(root), str(files), str(arguments.side)]
            if not root.exists():
                subprocess.run([*made, str(arguments.workers)], check=True)
            seconds, busy, memory = check(root, arguments.workers)
            spent = f"{seconds:.1f} s ({busy:.1f} s of the processor), {60 * files / seconds:,.0f} files a minute"
            print(f"{files:,} label files of {arguments.side}x{arguments.side}, {arguments.workers} processes: {spent}")
            print(f"  at most {memory:.0f} MiB in one process")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        generate(Path(sys.argv[2]), *map(int, sys.argv[3:6]))
    else:
        main()
