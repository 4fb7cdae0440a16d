"""Two-level designs: several changes on or off at once, so that every run tells about every change.

A cell is one combination of changes. With k changes in C cells each main effect is the mean of the C / 2 cells that
have the change minus that of the C / 2 that do not. In a design of resolution IV no main effect is confounded with an
interaction of two changes, but such interactions are confounded with each other; in one of resolution III main effects
are, so none is offered here. Source: Box, Hunter and Hunter (2005), Statistics for Experimenters, chapters 5 and 6.

A column is written as a bit mask over the base changes: its sign in a cell is the product of theirs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ablata.stats.table import Floats

FEWEST, MOST = 2, 16
_MOST_BASE = 5
_MOST_TOLD = 4
"""Groups of interactions that a sentence lists."""
_LETTERS = "ABCDEFGHJKLMNOPQ"
Signs = NDArray[np.int8]


@dataclass(frozen=True)
class Alias:
    """Interactions of two changes that one design cannot tell apart.

    Attributes:
        mask: their common column.
        pairs: (i, j) of the changes, numbered from 0, i < j.
    """

    mask: int
    pairs: tuple[tuple[int, int], ...]

    def words(self, names: Sequence[str]) -> str:
        """Return the interactions by the names of the changes: `pad x lr or flip x wide`."""
        return " or ".join(f"{names[first]} x {names[second]}" for first, second in self.pairs)


@dataclass(frozen=True)
class Design:
    """A regular two-level design. Build it with `Design.of`.

    Attributes:
        base: number p of base changes; the first 2^p cells hold each of their combinations once.
        masks: the column of each change, the base ones first.
        folded: the change whose sign is turned in a second half of the cells, or None; see `fold`.
    """

    base: int
    masks: tuple[int, ...]
    folded: int | None = None

    def __post_init__(self) -> None:
        whole = 1 << self.base if 2 <= self.base <= _MOST_BASE else 0
        masks, folded = self.masks, self.folded
        if not whole or len(set(masks)) != len(masks) or not FEWEST <= len(masks) <= MOST:
            raise ValueError(f"a design has 2 to {_MOST_BASE} base changes and {FEWEST} to {MOST} columns that differ")
        if not all(0 < mask < whole for mask in masks) or not (folded is None or 0 <= folded < len(masks)):
            raise ValueError(f"a column must be one of the {whole - 1} there are, got {masks}, folded {folded}")

    @classmethod
    def of(cls, factors: int, cells: int | None = None) -> Design:
        """Return the design of resolution IV or higher with the fewest cells, or with as many as asked.

        Args:
            factors: k, the number of changes, 2 to 16.
            cells: C, a power of two; None: all combinations up to 4 changes, 16 cells up to 8, 32 up to 16.

        Raises:
            ValueError: there is no such design: too few or too many changes, or too few cells to keep the changes apart
                from interactions of two of them.
        """
        if not FEWEST <= factors <= MOST:
            raise ValueError(f"a factorial study takes {FEWEST} to {MOST} changes, got {factors}")
        least = next(p for p in range(2, _MOST_BASE + 1) if len(_columns(p)) >= factors)
        usual = max(least, min(factors, 4))
        base = usual if cells is None else cells.bit_length() - 1
        if cells is not None and cells != 1 << base:
            raise ValueError(f"a two-level design has a power of two of cells, got {cells}")
        if base > _MOST_BASE:
            raise ValueError(f"a design has at most {1 << _MOST_BASE} cells, got {cells}")
        if base < least:
            raise ValueError(f"{factors} changes need at least {1 << least} cells: with {cells}, a change could not be "
                             "told from an interaction of two others")  # fmt: skip
        if base > factors:
            raise ValueError(f"{factors} changes have {1 << factors} combinations, {cells} cells were asked for")
        if factors == base + 1:
            # One generator of all base changes: resolution k.
            return cls(base, (*(1 << i for i in range(base)), (1 << base) - 1))
        return cls(base, tuple(_columns(base)[:factors]))

    @property
    def factors(self) -> int:
        """Number of changes k."""
        return len(self.masks)

    @property
    def cells(self) -> int:
        """Number of cells C."""
        return (1 << self.base) * (1 if self.folded is None else 2)

    @cached_property
    def signs(self) -> Signs:
        """Which changes a cell has: int8 (cells, factors), +1 with the change, -1 without. Cell 0 has none of them."""
        return np.stack([self._column(mask) * self._turn(i) for i, mask in enumerate(self.masks)], axis=1)

    def cell(self, number: int) -> tuple[int, ...]:
        """Return the changes that a cell has, numbered from 0."""
        return tuple(np.flatnonzero(self.signs[number] > 0).tolist())

    def fold(self, factor: int) -> Design:
        """Return the design with a second half in which one change is turned round, to free its interactions.

        Raises:
            ValueError: it is folded already, or tells all interactions of two changes apart.
        """
        if not self.foldable:
            raise ValueError("this design has nothing left to fold over")
        return Design(self.base, self.masks, factor)

    @property
    def unfolded(self) -> Design:
        """The first half of a design that was folded over, else the design itself."""
        return self if self.folded is None else Design(self.base, self.masks)

    @property
    def foldable(self) -> bool:
        """Whether a fold-over would free any interaction of two changes."""
        return self.folded is None and any(len(group.pairs) > 1 for group in self.aliases)

    def freed(self, factor: int) -> tuple[tuple[int, int], ...]:
        """Return the interactions (i, j) of two changes that only the fold over one change tells from all others."""
        alone = {group.pairs[0] for group in self.aliases if len(group.pairs) == 1}
        after = (group.pairs[0] for group in self.fold(factor).aliases if len(group.pairs) == 1)
        return tuple(pair for pair in after if pair not in alone)

    @cached_property
    def resolution(self) -> int:
        """The length of the shortest product of changes that is constant; factors + 1 where there is none."""
        for size in range(3, self.factors + 1):
            for chosen in itertools.combinations(range(self.factors), size):
                mask = 0
                for factor in chosen:
                    mask ^= self._mask(factor)
                if mask == 0:
                    return size
        return self.factors + 1

    @cached_property
    def aliases(self) -> tuple[Alias, ...]:
        """The interactions of two changes, in groups that the design cannot tell apart."""
        groups: dict[int, list[tuple[int, int]]] = {}
        for i, j in itertools.combinations(range(self.factors), 2):
            groups.setdefault(self._mask(i) ^ self._mask(j), []).append((i, j))
        return tuple(Alias(mask, tuple(pairs)) for mask, pairs in groups.items())

    @cached_property
    def interactions(self) -> Signs:
        """The columns of `aliases`, int8 (cells, groups): the product of the two changes of the first pair."""
        return np.stack(
            [self.signs[:, i] * self.signs[:, j] for i, j in (group.pairs[0] for group in self.aliases)], axis=1
        )

    @cached_property
    def contrasts(self) -> Signs:
        """A full set of orthogonal columns, int8 (cells, cells - 1): the changes, their interactions, then the rest."""
        half = 1 << self.base
        masks = range(1, half)
        plain = [self._column(mask) for mask in masks]
        if self.folded is not None:
            block = np.repeat(np.array([1, -1], dtype=np.int8), half)
            plain = [*plain, *(column * block for column in plain), block]
        chosen = np.concatenate([self.signs, self.interactions], axis=1)
        rest = [column for column in plain if not (np.abs(column.astype(int) @ chosen.astype(int)) == self.cells).any()]
        return np.stack([*chosen.T, *rest], axis=1)

    @property
    def generators(self) -> tuple[str, ...]:
        """How the further changes follow from the base ones: `E = ABC`."""
        base = [_LETTERS[i] for i in range(self.base)]
        told = []
        for i, mask in enumerate(self.masks[self.base :], start=self.base):
            word = "".join(letter for bit, letter in enumerate(base) if mask >> bit & 1)
            told.append(f"{_LETTERS[i]} = {word if len(word) % 2 else '-' + word}")
        return tuple(told)

    def sentence(self, names: Sequence[str]) -> str:
        """Say what the design can and cannot tell apart, with the names of the changes."""
        whole = 1 << self.factors
        if self.cells == whole:
            return f"all {whole} combinations of the {self.factors} changes run, so no effect stands for another"
        groups = [group.words(names) for group in self.aliases if len(group.pairs) > 1]
        first = f"{self.cells} of {whole} combinations run: no change is mistaken for an interaction of two others"
        if not groups:
            return f"{first}, nor is one of these for another"
        rest = f", and {len(groups) - _MOST_TOLD} groups more" if len(groups) > _MOST_TOLD else ""
        return f"{first}, but some of these are for each other: {'; '.join(groups[:_MOST_TOLD])}{rest}"

    def effects(self, scores: Floats) -> Floats:
        """Return every contrast of whole rows: the mean of the cells at +1 minus that of the cells at -1.

        Args:
            scores: float (..., cells).

        Returns:
            float (..., cells - 1), in the order of `contrasts`.
        """
        return np.asarray(scores @ self.contrasts.astype(np.float64) * (2 / self.cells), dtype=np.float64)

    def _mask(self, factor: int) -> int:
        """The column of a change as a mask, with a further bit for the second half."""
        return self.masks[factor] | (1 << self.base if factor == self.folded else 0)

    def _column(self, mask: int) -> Signs:
        cells = np.arange(1 << self.base)
        column = np.ones(len(cells), dtype=np.int8)
        for bit in range(self.base):
            if mask >> bit & 1:
                column *= np.where(cells >> bit & 1, 1, -1).astype(np.int8)
        return np.tile(column, 1 if self.folded is None else 2)

    def _turn(self, factor: int) -> Signs:
        """The signs that keep cell 0 without any change, turned round in the second half for a folded change."""
        even = self.masks[factor].bit_count() % 2 == 0
        turn = np.full(self.cells, -1 if even else 1, dtype=np.int8)
        if factor == self.folded:
            turn[1 << self.base :] *= -1
        return turn


def _columns(base: int) -> list[int]:
    """Columns no product of two of which is a third: the base changes, then products of an odd number of them.

    Each is the one that confounds the fewest interactions of two changes with each other, given those before it.
    """
    chosen = [1 << i for i in range(base)]
    left = [mask for mask in range(1, 1 << base) if mask.bit_count() % 2 and mask not in chosen]
    while left:
        products = [a ^ b ^ c for a, b, c in itertools.combinations(chosen, 3)]
        best = min(left, key=lambda mask: (products.count(mask), -mask.bit_count(), mask))
        chosen.append(best)
        left.remove(best)
    return chosen


def names_of(changes: Sequence[str], cell: Sequence[int]) -> str:
    """Return a cell's name: its changes joined by `+`, or `control` for the cell that has none."""
    return "+".join(changes[i] for i in cell) or "control"
