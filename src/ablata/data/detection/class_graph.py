"""Class graphs: how often two of them are on one image of the training split.

S_ij is the number of training images with classes i and j, S_ii that with class i. From it:

    counts       S_ij
    conditional  S_ij / S_ii: the probability of j where i is (as in ML-GCN, Chen et al. 2019)
    symmetric    S_ij / sqrt(D_i D_j) with D_i the sum of S_ij over j other than i (Reasoning-RCNN, Xu et al. 2019)
    pmi          log(n S_ij / (S_ii S_jj)) where positive, else 0 (n: images)

A quotient of nothing by nothing is 0. The background is row and column 0, before the classes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError, choices, listing, reason
from ablata.base.files import write_text
from ablata.base.json_text import parse_json
from ablata.base.parts import OpenPart
from ablata.base.seeds import derive
from ablata.base.settings import ON_DISK, Settings

BACKGROUND = "background"
_FORMAT = "ablata class graph 1"

CountNormalization = Literal["counts", "conditional", "symmetric", "pmi"]


@dataclass(frozen=True)
class ClassGraph:
    """A class graph.

    Attributes:
        names: `background`, then the classes.
        matrix: float64 [K + 1, K + 1], the weight that row i gives column j.
        counts: int64 [K, K], images with both classes; on the diagonal with the one.
        images: how many were counted.
        origin: how the matrix was made, JSON-safe.
    """

    names: tuple[str, ...]
    matrix: np.ndarray
    counts: np.ndarray
    images: int
    origin: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the graph as JSON."""
        tree = {
            "format": _FORMAT,
            "names": list(self.names),
            "matrix": self.matrix.tolist(),
            "counts": self.counts.tolist(),
            "images": self.images,
            "origin": self.origin,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(tree, indent=1) + "\n")


class Cooccurrence(Settings):
    """Co-occurrence graph: which classes are seen together in training."""

    kind: Literal["cooccurrence"] = "cooccurrence"
    normalize: CountNormalization = "symmetric"
    """From counts to weights; see the file's head."""
    self_loops: Literal["unit", "counted", "none"] = "unit"
    """The diagonal: 1, what the normalisation gives, or 0."""
    background: Literal["zero", "self", "every"] = "zero"
    """Row and column of the background: zeros (its own entry too); its own entry alone, 1; or as of a class that is on
    every image."""
    smoothing: Annotated[float, Field(ge=0)] = 0.0
    """Added to every count, so that classes that were never seen are tied weakly to all."""
    classes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Names of the classes that take part; the others' rows and columns are zero. null: all."""

    def build(self, presence: np.ndarray, names: Sequence[str]) -> ClassGraph:
        """Count and normalise.

        Args:
            presence: int [n, K], objects of each class on each training image.
            names: the K classes.

        Raises:
            DataError: a chosen class is not among the data's.
        """
        unknown = sorted(set(self.classes or ()) - set(names))
        if unknown:
            raise DataError(
                "The chosen classes of a class graph must be classes of the data set",
                found=listing(unknown),
                do=f"choose from {choices(names, unknown[0])}",
            )
        seen = (np.asarray(presence) > 0).astype(np.int64)
        with_background = np.concatenate([np.ones((len(seen), 1), dtype=np.int64), seen], axis=1)
        counted = (with_background.T @ with_background).astype(np.float64) + self.smoothing
        chosen = np.array(
            [self.background == "every", *(self.classes is None or name in self.classes for name in names)]
        )
        counted *= np.outer(chosen, chosen)
        matrix = _normalized(counted, self.normalize, len(seen) + self.smoothing)
        if self.self_loops != "counted":
            np.fill_diagonal(matrix, np.where(chosen, float(self.self_loops == "unit"), 0.0))
        if self.background == "self":
            matrix[0, 0] = 1.0
        return ClassGraph((BACKGROUND, *names), matrix, seen.T @ seen, len(seen), self.model_dump(mode="json"))


class IdentityGraph(Settings):
    """Identity graph, every class beside itself alone: the control that has all of the module but the relations."""

    kind: Literal["identity"] = "identity"

    def build(self, presence: np.ndarray, names: Sequence[str]) -> ClassGraph:
        """Return the identity, the background's entry included."""
        counted = Cooccurrence().build(presence, names)
        matrix = np.eye(len(names) + 1)
        return ClassGraph(counted.names, matrix, counted.counts, counted.images, self.model_dump(mode="json"))


class RandomGraph(Settings):
    """Random graph, the true weights between wrong classes: the control that has all but the right relations."""

    kind: Literal["random"] = "random"
    of: Cooccurrence = Cooccurrence()
    """Whose weights they are."""
    graph_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the shuffling, apart from the run's seed."""

    def build(self, presence: np.ndarray, names: Sequence[str]) -> ClassGraph:
        """Shuffle the weights between classes, both directions of a pair together; the diagonal and background stay."""
        true = self.of.build(presence, names)
        rows, columns = np.triu_indices(len(names), 1)
        order = np.random.default_rng(derive(self.graph_seed, "split")).permutation(len(rows))
        matrix = true.matrix.copy()
        foreground, source = matrix[1:, 1:], true.matrix[1:, 1:]
        foreground[rows, columns] = source[rows[order], columns[order]]
        foreground[columns, rows] = source[columns[order], rows[order]]
        return ClassGraph(true.names, matrix, true.counts, true.images, self.model_dump(mode="json"))


class GraphFile(Settings):
    """A graph that `ablata data graph` wrote, or one written by hand in the same form."""

    kind: Literal["file"] = "file"
    path: Annotated[str, ON_DISK]
    """The JSON file."""

    def build(self, presence: np.ndarray, names: Sequence[str]) -> ClassGraph:
        """Read the file.

        Raises:
            DataError: it cannot be read, or its classes are not the data's; both sides are named.
        """
        graph = read_graph(Path(self.path).expanduser())
        expected = (BACKGROUND, *names)
        if graph.names != expected:
            theirs = [name for name in graph.names if name not in expected]
            ours = [name for name in expected if name not in graph.names]
            differing = f"only in the graph: {listing(theirs)}; only in the data: {listing(ours)}"
            raise DataError(
                "A class graph must have the classes of the data set, in their order",
                found=f"{self.path}: {differing if theirs or ours else 'the same in another order'}",
                do="make it from this data set: ablata data graph DATASET --output graph.json",
            )
        return graph


AnyClassGraph = Annotated[Cooccurrence | IdentityGraph | RandomGraph | GraphFile, OpenPart()]


def read_graph(path: Path) -> ClassGraph:
    """Read a class graph from JSON.

    Raises:
        DataError: the file is missing, is no graph, or its matrix does not fit its names.
    """
    try:
        tree = parse_json(path.read_text(encoding="utf-8"))
        if tree["format"] != _FORMAT:
            raise ValueError(f"format {tree['format']!r}")
        names = tuple(map(str, tree["names"]))
        matrix = np.array(tree["matrix"], dtype=np.float64)
        counts = np.array(tree["counts"], dtype=np.int64)
        graph = ClassGraph(names, matrix, counts, int(tree["images"]), dict(tree["origin"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            "A class graph must be a JSON file that `ablata data graph` wrote",
            found=f"{path}: {reason(error)}",
            do="make it: ablata data graph DATASET --output graph.json",
        ) from None
    side = len(names)
    if matrix.shape != (side, side) or not np.isfinite(matrix).all() or counts.shape != (side - 1, side - 1):
        raise DataError(
            "A class graph needs a finite weight for every pair of names, and counts for every pair of classes",
            found=f"{path}: {side} names, matrix {matrix.shape}, counts {counts.shape}",
            do="make it again: ablata data graph DATASET --output graph.json",
        )
    return graph


def _normalized(counts: np.ndarray, normalize: CountNormalization, images: float) -> np.ndarray:
    own = np.diag(counts)
    if normalize == "counts":
        return counts.copy()
    if normalize == "conditional":
        return _quotient(counts, own[:, None])
    if normalize == "symmetric":
        degrees = counts.sum(1) - own
        return _quotient(counts, np.sqrt(np.outer(degrees, degrees)))
    lift = _quotient(images * counts, np.outer(own, own))
    logarithm: np.ndarray = np.log(np.maximum(lift, 1.0))
    return logarithm


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    below = np.broadcast_to(below, above.shape)
    quotient: np.ndarray = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return quotient
