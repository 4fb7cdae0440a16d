"""Frequencies of the classes of a labelled set, and the class weights that are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ablata.base.errors import DataError, listing
from ablata.data.label_tools.check import LabelReport
from ablata.data.label_tools.survey import Count

Weighting = Literal["inverse", "most-frequent", "median", "effective", "complement"]
WEIGHTINGS: tuple[Weighting, ...] = get_args(Weighting)
ADVISED_RATIO = 10.0
"""Weights are advised where the largest class has more than this many times the pixels of the smallest."""


@dataclass(frozen=True)
class ClassCounts:
    """One class: its name, and its counts by split (pixels, images that hold it, all pixels of those images)."""

    name: str
    splits: dict[str, Count]


@dataclass(frozen=True)
class LabelStatistics:
    """The classes of a set by id.

    Attributes:
        classes: each of them.
        pixels: labelled pixels of each split, ignored ones not among them.
        files: label files of each split.
        ignored: ignored pixels of each split.
        split: what weights are made of: train, or all there is where the set is not split.
    """

    classes: tuple[ClassCounts, ...]
    pixels: dict[str, int]
    files: dict[str, int]
    ignored: dict[str, int]
    split: str

    def counts(self) -> np.ndarray:
        """Return int64 [classes], pixels of each in the split that weights are made of."""
        return np.array([class_.splits[self.split].pixels for class_ in self.classes], dtype=np.int64)

    @property
    def ratio(self) -> float:
        """Return largest over smallest class, of those that have pixels at all."""
        counts = self.counts()
        return float(counts.max() / counts[counts > 0].min())

    def weights(self, weighting: Weighting, beta: float | None = None) -> np.ndarray:
        """Return float64 [classes]; 0 for a class without pixels, which no pixel asks for.

        inverse: 1 / n, scaled to a mean of 1 over the classes. most-frequent: max n / n. median: median f / f, f the
        fraction of a class among the pixels of the images that hold it (Eigen and Fergus 2015, arXiv 1411.4734).
        effective: (1 - beta) / (1 - beta^n), scaled to a mean of 1 (Cui et al. 2019, arXiv 1901.05555, equation 4).
        complement: 1 - n / sum n, which hardly tells rare classes apart.

        Args:
            weighting: which of them.
            beta: of `effective`, in [0, 1); None: 1 - 1 / N with N the mean pixels of a class, as pixels are many.

        Raises:
            DataError: beta is out of range.
        """
        counts = self.counts().astype(np.float64)
        there = counts > 0
        made = np.zeros(len(counts))
        if weighting == "inverse":
            made[there] = 1 / counts[there]
        elif weighting == "most-frequent":
            made[there] = counts.max() / counts[there]
        elif weighting == "median":
            present = np.array([class_.splits[self.split].present for class_ in self.classes], dtype=np.float64)
            frequency = counts[there] / present[there]
            made[there] = np.median(frequency) / frequency
        elif weighting == "complement":
            made[there] = 1 - counts[there] / counts.sum()
        else:
            made[there] = 1 / -np.expm1(counts[there] * np.log1p(-1 / self._volume(beta, counts[there])))
        return made * there.sum() / made.sum() if weighting in ("inverse", "effective") else made

    @staticmethod
    def _volume(beta: float | None, counts: np.ndarray) -> float:
        if beta is None:
            return max(float(counts.mean()), 2.0)
        if not 0 <= beta < 1:
            raise DataError("beta must be at least 0 and below 1", found=f"--beta {beta:g}", do="try --beta 0.999")
        return 1 / (1 - beta) if beta else 1 + 1e-12

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-safe, with the weights of each kind."""
        return {
            "classes": [
                {"name": class_.name, "splits": {
                    split: {"pixels": count.pixels, "images": count.files} for split, count in class_.splits.items()
                }}
                for class_ in self.classes
            ],
            "pixels": self.pixels,
            "images": self.files,
            "ignored": self.ignored,
            "ratio": self.ratio,
            "weights_advised": self.ratio > ADVISED_RATIO,
            "weights": {kind: [round(float(weight), 6) for weight in self.weights(kind)] for kind in WEIGHTINGS},
        }  # fmt: skip


def statistics(report: LabelReport) -> LabelStatistics:
    """Count the classes of a checked set.

    Raises:
        DataError: nothing says what the classes are, or there are values that are none; names the command that mends.
    """
    survey, label_map = report.survey, report.label_map
    if label_map is None:
        problem = next((problem for problem in report.problems if problem.do), None)
        if problem is not None:
            raise DataError(
                "It must be known which value is which class before classes are counted",
                found=str(problem),
                do=problem.do,
            )
        names = {value: str(value) for value in survey.ordered()}
        kept = [[value] for value in names]
        titles = list(names.values())
        ignored: list[int] = []
    else:
        strange = [label_map.written_value(value) for value in survey.ordered() if label_map.find(value) is None]
        if strange:
            problem = next((problem for problem in report.problems if problem.do), None)
            raise DataError(
                "Every value in the label files must be a class or an ignored value",
                found=listing(strange[:12]),
                do=problem.do if problem else "name these values in the label map, as classes or as ignored",
            )
        labels = [label for label in label_map.labels if not label.ignore]
        titles = list(label_map.names)
        kept = [[label.value for label in labels if label.id == at] for at in range(len(titles))]
        ignored = [label.value for label in label_map.labels if label.ignore]
    splits = report.labelled.splits
    classes = tuple(
        ClassCounts(title, {split: _sum(report, values, split) for split in splits})
        for title, values in zip(titles, kept, strict=True)
    )
    if not any(class_.splits[split].pixels for class_ in classes for split in splits):
        raise DataError(
            "Label files must hold pixels of some class to be counted",
            found=f"{report.labelled.root}: none",
            do="ablata data check FOLDER says what the label files hold",
        )
    pixels = {split: sum(class_.splits[split].pixels for class_ in classes) for split in splits}
    files = {
        split: sum(count for (of_split, _), count in survey.files.items() if of_split == split) for split in splits
    }
    void = {split: _sum(report, ignored, split).pixels for split in splits}
    return LabelStatistics(classes, pixels, files, void, "train" if "train" in splits else splits[0])


def _sum(report: LabelReport, values: list[int], split: str) -> Count:
    """Return the counts of a class; the images of several values that are one class are counted for the largest."""
    counts = [report.survey.values[value].total(split) for value in values if value in report.survey.values]
    return Count(
        sum(count.pixels for count in counts),
        max((count.files for count in counts), default=0),
        max((count.present for count in counts), default=0),
    )
