"""Settings of recipes as they are without any override, kept in the cache so that a list of runs can tell what differs.

cache/defaults/DIGEST.json     one for each recipe's name and version of the code
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ablata.base.files import write_text
from ablata.records.ledger import Ledger


def keep_defaults(ledger: Ledger, recipe: str, code: str, tree: dict[str, Any]) -> None:
    """Keep the expanded settings of a recipe by its name and its runs' code."""
    write_text(_file(ledger, recipe, code), json.dumps(tree))


def has_defaults(ledger: Ledger, recipe: str, code: str) -> bool:
    """Tell whether a recipe's defaults are kept."""
    return _file(ledger, recipe, code).exists()


def defaults_of(ledger: Ledger, recipe: str, code: str) -> dict[str, Any] | None:
    """Return the expanded settings of a recipe without overrides; None where they are not kept."""
    try:
        tree: dict[str, Any] = json.loads(_file(ledger, recipe, code).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return tree


def _file(ledger: Ledger, recipe: str, code: str) -> Path:
    ours = code.partition("-")[0]
    digest = hashlib.blake2b(f"{recipe}\0{ours}".encode(), digest_size=8).hexdigest()
    return ledger.home / "cache" / "defaults" / f"{digest}.json"
