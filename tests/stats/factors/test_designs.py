"""Two-level designs are orthogonal, keep changes apart from interactions of two, and hold the plain control."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ablata.stats.factors.designs import FEWEST, MOST, Design, names_of

EVERY = [Design.of(factors) for factors in range(FEWEST, MOST + 1)]
FOLDED = [design.fold(factor) for design in EVERY if design.foldable for factor in range(design.factors)]


def test_cells_differ_and_the_first_has_no_change() -> None:
    for design in (*EVERY, *FOLDED):
        assert design.cell(0) == ()
        assert len({design.cell(number) for number in range(design.cells)}) == design.cells


def test_all_contrasts_are_orthogonal_and_sum_to_nothing() -> None:
    for design in (*EVERY, *FOLDED):
        columns = design.contrasts.astype(int)
        assert columns.shape == (design.cells, design.cells - 1)
        assert (columns.T @ columns == design.cells * np.eye(design.cells - 1)).all()
        assert (columns.sum(axis=0) == 0).all()
        assert (columns[:, : design.factors] == design.signs).all()


def test_no_change_is_confounded_with_an_interaction_of_two() -> None:
    for design in (*EVERY, *FOLDED):
        signs = design.signs.astype(int)
        for i, j in itertools.combinations(range(design.factors), 2):
            assert (signs.T @ (signs[:, i] * signs[:, j]) == 0).all(), (design, i, j)


def test_aliases_are_the_interactions_whose_columns_are_equal() -> None:
    for design in (*EVERY, *FOLDED):
        signs = design.signs.astype(int)
        assert sorted(pair for group in design.aliases for pair in group.pairs) == list(
            itertools.combinations(range(design.factors), 2)
        )
        columns = [[signs[:, i] * signs[:, j] for i, j in group.pairs] for group in design.aliases]
        for one, other in itertools.combinations_with_replacement(range(len(columns)), 2):
            for first, second in itertools.product(columns[one], columns[other]):
                assert (abs(first @ second) == design.cells) == (one == other)


def test_a_fold_over_frees_the_interactions_of_its_change() -> None:
    assert not Design.of(5).foldable, "it tells all interactions of two changes apart already"
    design = Design.of(7).fold(2)
    for group in design.aliases:
        with_it = [2 in pair for pair in group.pairs]
        assert all(with_it) or not any(with_it)
    with pytest.raises(ValueError, match="nothing left to fold"):
        design.fold(1)


def test_the_sizes_are_those_of_the_textbook() -> None:
    """Cells and resolution; Box, Hunter and Hunter (2005), table 6.22."""
    expected = {
        2: (4, 3),
        3: (8, 4),
        4: (16, 5),
        5: (16, 5),
        6: (16, 4),
        7: (16, 4),
        8: (16, 4),
        9: (32, 4),
        16: (32, 4),
    }
    for factors, (cells, resolution) in expected.items():
        design = Design.of(factors)
        assert (design.cells, design.resolution) == (cells, resolution)
    assert (Design.of(4, 8).generators, Design.of(5).generators) == (("D = ABC",), ("E = -ABCD",))
    assert (Design.of(6, 32).cells, Design.of(6, 32).resolution) == (32, 6)


def test_designs_that_could_not_keep_changes_apart_are_refused() -> None:
    for factors, cells, words in ((1, None, "2 to 16"), (17, None, "2 to 16"), (7, 8, "at least 16 cells"),
                                  (3, 16, "8 combinations"), (7, 24, "power of two")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            Design.of(factors, cells)


def test_a_design_that_came_from_elsewhere_must_be_one() -> None:
    for base, masks, folded in (
        (40, (1, 2), None),
        (2, (1, 1), None),
        (2, (1, 4), None),
        (2, (1, 2), 2),
        (2, (1,), None),
    ):
        with pytest.raises(ValueError, match=r"a design has|a column must be"):
            Design(base, masks, folded)


def test_effects_are_differences_of_means() -> None:
    design, scores = Design.of(5), np.random.default_rng(0).standard_normal((3, 16))
    effects = design.effects(scores)
    for factor in range(5):
        on = design.signs[:, factor] > 0
        np.testing.assert_allclose(effects[:, factor], scores[:, on].mean(axis=1) - scores[:, ~on].mean(axis=1))


def test_a_cell_is_named_by_its_changes() -> None:
    assert names_of(["pad", "lr", "wide"], (0, 2)) == "pad+wide"
    assert names_of(["pad"], ()) == "control"
