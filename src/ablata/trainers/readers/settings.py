"""What a run's folder says of its settings: its seed above all, from the configuration its tool wrote beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ablata.base.errors import reason
from ablata.base.files import read_text
from ablata.base.yaml_files import parse_yaml
from ablata.trainers.readers.tables import flatten

FILES = ("args.yaml", "hparams.yaml", "config.yaml", "args.json", "config.json", "params.json", "wandb-metadata.json")
_MOST_BYTES = 4 * 2**20
_MOST_LETTERS = 120
SEED_COLUMNS = ("seed", "random_seed", "rng_seed", "manual_seed")
"""What a table calls its column of seeds."""
_SEEDS = (*SEED_COLUMNS, "training.seed", "train.seed", "randomness.seed")
_IN_NAME = re.compile(r"(?:^|[_\-.])(?:seed|s)[_\-=]?(\d{1,10})(?=$|[_\-.])", re.IGNORECASE)


def read_settings(folder: Path) -> tuple[dict[str, Any], dict[Path, str]]:
    """Return the settings of a run's folder by dotted keys, and why files that should hold them could not be read.

    Args:
        folder: the first of `FILES` in it that can be read counts.

    Returns:
        Settings, none where there are none; a reason for each file before, by its path.
    """
    unread: dict[Path, str] = {}
    for path in (folder / name for name in FILES if (folder / name).is_file()):
        try:
            if path.stat().st_size > _MOST_BYTES:
                unread[path] = f"more than {_MOST_BYTES >> 20} MiB"
                continue
            text = read_text(path)
            tree = json.loads(text) if path.suffix == ".json" else parse_yaml(text)
        except (OSError, ValueError, RecursionError) as error:
            unread[path] = " ".join(reason(error).split())[:_MOST_LETTERS]
            continue
        if isinstance(tree, dict):
            return flatten(_plain(tree)), unread
        unread[path] = "no keys with values"
    return {}, unread


def seed_of(settings: dict[str, Any], parts: tuple[str, ...]) -> int | None:
    """Return a run's seed from its settings, else from the name of a folder on its path; None where neither tells."""
    for key in (*_SEEDS, *(f"{key}.value" for key in _SEEDS)):
        value = settings.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    for part in reversed(parts):
        if match := _IN_NAME.search(part):
            return int(match[1])
    return None


def without_seed(part: str) -> str:
    """Return the name of a folder without the seed in it: `wide_seed3` as `wide`, `seed3` as nothing."""
    return _IN_NAME.sub("", part).strip("_-. ")


def _plain(tree: dict[Any, Any]) -> dict[str, Any]:
    return {str(key): _plain(value) if isinstance(value, dict) else value for key, value in tree.items()}
