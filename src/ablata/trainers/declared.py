"""A rule declared before there are scores: what is compared with what, on which seeds, by which margin and level."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ablata.base.errors import DataError, SettingsError, listing, reason
from ablata.base.files import write_text
from ablata.base.json_text import parse_json

_KIND = "ablata rule 1"
_MOST_SEEDS = 10_000


class DeclaredRule(BaseModel):
    """How scores to come will be judged: once, after all seeds of all arms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    """What is asked, a sentence."""
    control: Annotated[str, Field(min_length=1)]
    """The arm that the others are compared with."""
    arms: Annotated[tuple[str, ...], Field(min_length=1)]
    """The others."""
    metric: Annotated[str, Field(min_length=1)]
    """The score's name."""
    higher_is_better: bool
    """False for a loss."""
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    """The largest difference that does not matter; null: nothing is called equivalent."""
    level: Annotated[float, Field(gt=0, lt=1)]
    """Share of such comparisons that may claim anything false."""
    first_seed: Annotated[int, Field(ge=0)]
    """Seeds count up from here."""
    seeds: Annotated[int, Field(ge=2, le=_MOST_SEEDS)]
    """How many each arm has."""
    written: str
    """When, ISO 8601 in UTC."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = (self.control, *self.arms)
        if len(set(names)) < len(names):
            raise ValueError(f"arms must have different names, got {listing(names)}")
        datetime.fromisoformat(self.written)
        return self

    @property
    def digest(self) -> str:
        """Thirty-two digits of all that is declared; a changed file has others."""
        tree = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(tree.encode(), digest_size=16).hexdigest()

    @property
    def time(self) -> float:
        """When it was written, as it says, in seconds since 1970."""
        return datetime.fromisoformat(self.written).timestamp()

    @property
    def all_seeds(self) -> range:
        """The seeds of each arm."""
        return range(self.first_seed, self.first_seed + self.seeds)


def now() -> str:
    """Return the present time as a rule writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_rule(rule: DeclaredRule, path: Path) -> None:
    """Write a rule to a new file.

    Raises:
        SettingsError: the file is there: a rule is declared once.
    """
    if path.exists():
        raise SettingsError(
            "A rule is declared once, into a new file", found=f"{path} is there", do="give another name, or remove it"
        )
    tree = {"kind": _KIND, **rule.model_dump(mode="json"), "digest": rule.digest}
    write_text(path, json.dumps(tree, indent=2, ensure_ascii=False) + "\n")


def read_rule(path: Path) -> DeclaredRule:
    """Read a rule.

    Raises:
        DataError: there is none, or it was changed after it was written.
    """
    try:
        tree: Any = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            "A declared rule must lie in a file",
            found=f"no {path}",
            do="ablata study plan --write rule.json writes one",
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(
            "A declared rule must be a JSON file",
            found=f"{path}: {'not text' if isinstance(error, UnicodeError) else reason(error)}",
            do="ablata study plan --write rule.json writes one",
        ) from None
    if not isinstance(tree, dict) or tree.pop("kind", None) != _KIND:
        raise DataError(
            "A declared rule must be one that `ablata study plan --write` wrote",
            found=f"{path}: another kind of file",
            do="ablata study plan --write rule.json writes one",
        )
    digest = tree.pop("digest", None)
    try:
        rule = DeclaredRule.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            "A declared rule must be whole",
            found=f"{path}: {where}: {first['msg']}",
            do="write it again by ablata study plan --write",
        ) from None
    if digest != rule.digest:
        raise DataError(
            "A declared rule must be as it was written",
            found=f"{path}: its digest is {digest}, of what it says now {rule.digest}",
            do="bring back the file as it was",
        )
    return rule
