"""Factors: the changes of a factorial study, the design that joins them to cells, and the cells as arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ablata.base.errors import SettingsError, choices, listing, suggestion
from ablata.base.overrides import Overrides, override_texts
from ablata.records.studies import NAME
from ablata.stats.factors.designs import Design, names_of

_FIRST_LOOK = 2
"""Blocks before the first verdict: two of them give every contrast its noise."""


@dataclass(frozen=True)
class Factors:
    """The changes of a factorial study with their design.

    Args:
        changes: overrides of the control by the change's name, in order.
        design: which changes each cell has; cell 0 is the control.
    """

    changes: Mapping[str, tuple[str, ...]]
    design: Design

    @classmethod
    def of(cls, changes: Mapping[str, Overrides], cells: int | None = None) -> Self:
        """Return the factors with the smallest design that keeps them apart, or one of so many cells.

        Raises:
            SettingsError: a name does not fit, two changes set one key, or there is no such design.
        """
        texts = {name: tuple(override_texts(change)) for name, change in changes.items()}
        owners: dict[str, str] = {}
        for name, change in texts.items():
            if not NAME.fullmatch(name) or "+" in name or name == "control":
                raise SettingsError(
                    "Names of factors are made of letters, digits and _ - .",
                    found=repr(name),
                    do="rename it, such as --factor wide:model.width=32",
                )
            for text in change:
                key = text.partition("=")[0].strip()
                if owners.setdefault(key, name) != name:
                    raise SettingsError(
                        "Factors are switched on together, so each must set keys of its own",
                        found=f"{owners[key]} and {name} both set {key}",
                        do="ask about the two values of one key in a study with arms",
                    )
        try:
            return cls(texts, Design.of(len(texts), cells))
        except ValueError as error:
            raise SettingsError(
                "The changes must fit a two-level design",
                found=str(error),
                do="ask about a single change with --arm"
                if len(texts) == 1
                else "change the number of factors or --cells so",
            ) from None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the changes, in order."""
        return tuple(self.changes)

    def fold(self, change: str) -> Self:
        """Return the factors with a second half of cells in which one change is turned round.

        Raises:
            SettingsError: there is no such change, or the design leaves nothing to free.
        """
        if change not in self.changes:
            raise SettingsError(
                f"A fold-over turns one of the changes round: {choices(self.names, change)}",
                found=change,
                do=suggestion(change, self.names),
            )
        if not self.design.foldable:
            told = "it was folded over already" if self.design.folded is not None else self.sentence()
            raise SettingsError(
                "A fold-over frees interactions that a design cannot tell apart",
                found=told,
                do="ask for more seeds instead",
            )
        return type(self)(self.changes, self.design.fold(self.names.index(change)))

    def freed_sentence(self, change: str) -> str:
        """Say which interactions a fold over one change tells from all others, and what stays confounded."""
        at = self.names.index(change)
        freed = [f"{self.names[i]} x {self.names[j]}" for i, j in self.design.freed(at)]
        left = [group.words(self.names) for group in self.design.fold(at).aliases if len(group.pairs) > 1]
        told = f"Then {listing(freed)} {'stands' if len(freed) == 1 else 'stand'} for nothing else"
        return f"{told}; still confounded: {'; '.join(left)}." if left else f"{told}."

    @property
    def first_look(self) -> int:
        """Whole blocks before the first verdict."""
        return _FIRST_LOOK

    def sentence(self) -> str:
        """Say what the design can and cannot tell apart."""
        return self.design.sentence(self.names)

    def cells(self) -> dict[str, tuple[str, ...]]:
        """Return the overrides of every cell but the control by the cell's name: `pad+lr`, or `cell-05` where long."""
        cells = [self.design.cell(number) for number in range(1, self.design.cells)]
        names = [names_of(self.names, cell) for cell in cells]
        if not all(NAME.fullmatch(name) for name in names):
            names = [f"cell-{number:02d}" for number in range(1, self.design.cells)]
        texts = [tuple(text for factor in cell for text in self.changes[self.names[factor]]) for cell in cells]
        return dict(zip(names, texts, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return what a study's specification keeps."""
        design = {"base": self.design.base, "masks": list(self.design.masks), "folded": self.design.folded}
        return {"changes": {name: list(change) for name, change in self.changes.items()}, **design}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Return the factors that `to_json` kept."""
        changes = {name: tuple(change) for name, change in kept["changes"].items()}
        return cls(changes, Design(int(kept["base"]), tuple(map(int, kept["masks"])), kept.get("folded")))
