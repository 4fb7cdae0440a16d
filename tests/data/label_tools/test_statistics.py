"""Class frequencies and weights: compared with what the definitions give by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ablata.base.errors import DataError
from ablata.data.label_tools.statistics import LabelStatistics, statistics

from ..label_sets import blocks, checked, small_set, write


@pytest.fixture
def counted(tmp_path: Path) -> LabelStatistics:
    """Return the statistics of a set whose classes have 100000 : 1000 : 10 of the pixels of training."""
    root = tmp_path / "set"
    mask = np.zeros((100, 1000), np.uint8)
    write(root, "train", "empty", mask, 0)
    mask = np.zeros((10, 101), np.uint8)
    mask.ravel()[:1000], mask.ravel()[1000:] = 1, 2
    write(root, "train", "rare", mask, 1)
    write(root, "val", "one", np.full((2, 5), 1, np.uint8), 2)
    (root / "classes.txt").write_text("0 ground\n1 road\n2 car\n3 bus\n255 void\n")
    return statistics(checked(root))


def test_pixels_and_images_are_counted_by_class_and_split(counted: LabelStatistics) -> None:
    train = [one.splits["train"] for one in counted.classes]
    assert [(one.pixels, one.files) for one in train] == [(100_000, 1), (1000, 1), (10, 1), (0, 0)]
    assert [one.splits["val"].pixels for one in counted.classes] == [0, 10, 0, 0]
    assert counted.pixels == {"train": 101_010, "val": 10}
    assert counted.ratio == 10_000


def test_most_frequent_over_own_and_inverse_are_those_of_the_notes(counted: LabelStatistics) -> None:
    assert counted.weights("most-frequent") == pytest.approx([1, 100, 10_000, 0])
    inverse = counted.weights("inverse")
    assert inverse[2] / inverse[0] == pytest.approx(10_000)
    assert inverse[:3].mean() == pytest.approx(1)


def test_the_complement_is_one_less_the_share_of_all_pixels(counted: LabelStatistics) -> None:
    assert counted.weights("complement") == pytest.approx([1010 / 101_010, 100_010 / 101_010, 101_000 / 101_010, 0])


def test_median_frequency_is_that_of_its_definition(counted: LabelStatistics) -> None:
    frequency = np.array([100_000 / 100_000, 1000 / 1010, 10 / 1010])
    assert counted.weights("median")[:3] == pytest.approx(np.median(frequency) / frequency)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999])
def test_the_effective_number_is_that_of_its_definition(counted: LabelStatistics, beta: float) -> None:
    plain = (1 - beta) / (1 - beta ** np.array([100_000.0, 1000, 10]))
    assert counted.weights("effective", beta)[:3] == pytest.approx(plain * 3 / plain.sum())


def test_the_effective_number_lies_between_no_weights_and_the_inverse(counted: LabelStatistics) -> None:
    effective, inverse = counted.weights("effective"), counted.weights("inverse")
    assert 1 < effective[2] / effective[0] < inverse[2] / inverse[0]
    with pytest.raises(DataError, match="--beta 1"):
        counted.weights("effective", 1.0)


def test_ignored_pixels_are_counted_apart(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 1, 255, 255])
    (root / "classes.txt").write_text("0 sky\n1 road\n255 void\n")
    found = statistics(checked(root))
    assert found.ignored == {"train": 8 * 96, "val": 4 * 96}
    assert found.pixels == {"train": 8 * 96, "val": 4 * 96}
    assert found.as_dict()["weights_advised"] is False


def test_values_that_nothing_explains_are_refused_with_what_mends_them(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 128])
    with pytest.raises(DataError, match=r"values with gaps[^*]*ablata data convert"):
        statistics(checked(root))
    (root / "classes.txt").write_text("0 sky\n74 road\n")
    with pytest.raises(DataError, match=r"found: 128[^*]*ablata data convert"):
        statistics(checked(root))


def test_without_a_list_contiguous_values_are_their_own_names(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write(root, "", "a", blocks([0, 1], 0), 0)
    found = statistics(checked(root))
    assert ([one.name for one in found.classes], found.split) == (["0", "1"], "")
