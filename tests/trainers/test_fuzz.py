"""Tables and run folders of training tools, spoilt at random: each is judged or refused in words."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.spoiling import ODD, spoilt, spoilt_bytes

from ablata.base.errors import AblataError
from ablata.trainers.reading import read_given

TOOLS = Path(__file__).parent / "tools"
SCORES = {
    "tensorboard": "val/acc", "mlruns": "val_acc", "wandb": "val.acc", "keras": "val_accuracy", "timm": "eval_top1",
    "mmengine": "accuracy/top1", "lightning": "val_acc", "transformers": "eval_accuracy",
    "ultralytics": "metrics/mAP50(B)",
}  # fmt: skip
_LINES = (
    "", "a", "a,b,c,d,e", "nan", "1e400", '"', "\0", "base,0,nan", "base,,0.5", "base,0,90", "base,-1,90",
    "base,1e3,inf",
    "wide,٣,9", "base;0;1", "# x", "\x1b[31m,1,2", "base,0,1%", "base,99999999999999999999,1", '{"arm": ', "1" * 5000,
)  # fmt: skip


def _spoil(file: Path, random: np.random.Generator) -> None:
    """Change a value, a line or some bytes of a file."""
    content = file.read_bytes()
    if not content:
        return
    try:
        if file.suffix == ".json" and random.random() < 0.7:
            file.write_bytes(json.dumps(spoilt(json.loads(content), random)).encode("utf-8", "surrogatepass"))
            return
        lines = content.decode().splitlines()
        place = int(random.integers(len(lines)))
        if random.random() < 0.5:
            lines[place] = str(random.choice(_LINES))
        else:
            divider = next((sign for sign in ",\t " if sign in lines[place]), ":")
            cells = lines[place].split(divider)
            cells[int(random.integers(len(cells)))] = str(ODD[int(random.integers(32))])
            lines[place] = divider.join(cells)
        file.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):  # no text, or spoilt before
        file.write_bytes(spoilt_bytes(content, random))


def _table(root: Path, random: np.random.Generator) -> Path:
    """Write a table of scores in one of four forms."""
    root.mkdir()
    rows = [{"arm": arm, "seed": seed, "acc": 90 + seed / 10} for arm in ("base", "wide") for seed in range(4)]
    forms = {
        "t.csv": "arm,seed,acc\n" + "".join(f"{row['arm']},{row['seed']},{row['acc']}\n" for row in rows),
        "t.json": json.dumps(rows), "t.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows),
        "t.tsv": "seed\tbase\twide\n" + "".join(f"{seed}\t{90 + seed}\t{91 + seed}\n" for seed in range(4)),
    }  # fmt: skip
    name = str(random.choice(list(forms)))
    (root / name).write_text(forms[name])
    return root / name


def tried(place: Path, seed: int) -> str:
    """Spoil scores and read them; return `read` or `refused`."""
    random = np.random.default_rng(seed)
    if seed % 2:
        target, score = _table(place / "set", random), None
        files = [target]
    else:
        name = list(SCORES)[seed // 2 % len(SCORES)]
        target, score = place / name, SCORES[name]
        shutil.copytree(TOOLS / name, target)
        files = sorted(file for file in target.rglob("*") if file.is_file())
    for _ in range(int(random.integers(1, 3))):
        _spoil(files[int(random.integers(len(files)))], random)
    try:
        given = read_given(target, score=score)
    except AblataError as error:
        assert error.must, error  # noqa: PT017
        return "refused"
    assert all(np.isfinite(run.scores[given.score]) for run in given.runs if given.score in run.scores)
    return "read"


def several(place: Path, seeds: range) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        folder = place / str(seed)
        folder.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                outcomes[tried(folder, seed)] += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r}") from error
        shutil.rmtree(folder)
    return outcomes


def test_spoilt_scores_are_read_or_refused_in_words(tmp_path: Path) -> None:
    outcomes = several(tmp_path, range(36))
    assert min(outcomes["read"], outcomes["refused"]) > 2


@pytest.mark.slow
def test_spoilt_scores_of_a_minute_are_read_or_refused_in_words(tmp_path: Path) -> None:
    end, seed = time.monotonic() + 60, 1000
    while time.monotonic() < end:
        several(tmp_path, range(seed, seed + 50))
        seed += 50
