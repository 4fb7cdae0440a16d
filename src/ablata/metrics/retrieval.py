"""Re-identification metrics: rank-k (cumulative matching characteristic, CMC) and mean average precision (mAP).

As on Market-1501 (Zheng et al. 2015, ICCV, "Scalable Person Re-identification: A Benchmark", section 4): for each query
the gallery is ordered by distance, without the images of the same person by the same camera and without junk. Rank-k
counts queries whose k nearest hold a right image; the average precision of a query is the mean, over its right
images, of the fraction of right ones among those up to it. (The benchmark's first code took trapezoids instead of that
mean; common libraries do not.) Queries without a right image cannot be answered: they are counted and left out.

Of images at one distance the wrong ones come first, so that neither the gallery's order nor a network that maps all
images to one point gains anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ablata.structures.embeddings import JUNK, Embeddings

Distance = Literal["cosine", "euclidean"]

_GRID = 2.0**32
"""Squared distances are compared in steps of 1 / this, relative to the squared norms: finer than float32 resolves, and
coarser than the rounding that depends on where in a matrix product an image stands."""


def feature_distances(queries: Tensor, gallery: Tensor, distance: Distance) -> Tensor:
    """Return the distances [Q, G] of features float32 [Q, D] to [G, D]; cosine: 1 - the cosine of their angle."""
    if distance == "cosine":
        return 1 - functional.normalize(queries) @ functional.normalize(gallery).T
    return torch.cdist(queries, gallery)


class RetrievalScores:
    """CMC and mAP of queries against a gallery, batch by batch.

    Args:
        gallery: the images that are ranked for each query.
        distance: cosine ignores the features' lengths; euclidean does not.
        ranks: the k of rank-k.
        chunk: queries compared with the whole gallery at a time; bounds the memory at chunk x gallery numbers.

    Raises:
        ValueError: the gallery holds nothing but junk.
    """

    def __init__(
        self, gallery: Embeddings, distance: Distance = "cosine", ranks: Sequence[int] = (1, 5, 10), chunk: int = 128
    ) -> None:
        self.distance, self.ranks, self.chunk = distance, tuple(ranks), chunk
        self._gallery = gallery.at(gallery.identities != JUNK)
        if len(self._gallery) == 0:
            raise ValueError(f"a gallery must hold an image of somebody, got {len(gallery)} images, all junk")
        self._features = self._prepared(self._gallery.features)
        device = gallery.features.device
        self._hits = torch.zeros(len(self.ranks), dtype=torch.int64, device=device)
        self._precision = torch.zeros((), dtype=torch.float64, device=device)
        self._answered = torch.zeros(2, dtype=torch.int64, device=device)
        self._single: list[Tensor] = []

    @torch.no_grad()
    def update(self, queries: Embeddings) -> None:
        """Count queries; junk among them is left out."""
        queries = queries.at(queries.identities != JUNK)
        for start in range(0, len(queries), self.chunk):
            self._count(queries.at(slice(start, start + self.chunk)))

    def state(self) -> dict[str, Tensor]:
        """Return the sums: `hits` [number of ranks] int64, `precision` [] float64, `answered` int64 [2]: yes, no.

        Summed over processes and given to `load_state`, they are the sums of the joined queries.
        """
        return {"hits": self._hits, "precision": self._precision, "answered": self._answered}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums by those of `state`."""
        self._hits, self._precision, self._answered = (state[key].clone() for key in ("hits", "precision", "answered"))

    @property
    def answered(self) -> int:
        """Number of queries that count."""
        return int(self._answered[0])

    @property
    def skipped(self) -> int:
        """Number of queries without a right image in the gallery."""
        return int(self._answered[1])

    def scores(self) -> dict[str, float]:
        """Return `rank{k}` for each k and `mAP`, in percent; nan without a query that counts."""
        if not self.answered:
            return {f"rank{k}": float("nan") for k in self.ranks} | {"mAP": float("nan")}
        ranks = {
            f"rank{k}": 100 * hits / self.answered for k, hits in zip(self.ranks, self._hits.tolist(), strict=True)
        }
        return ranks | {"mAP": 100 * float(self._precision) / self.answered}

    def single(self) -> Tensor:
        """Return each query that this process counted, in order, float64 [n, 1 + ranks] in percent: AP, then hits."""
        rows = [torch.zeros(0, 1 + len(self.ranks), dtype=torch.float64, device=self._hits.device), *self._single]
        return 100 * torch.cat(rows)

    def answerable(self, queries: Embeddings) -> Tensor:
        """Return bool [N]: whether the gallery holds a match; features do not matter."""
        return self._by_chunks(queries, lambda some: self._allowed(some)[0].any(1))

    @torch.no_grad()
    def nearest(self, queries: Embeddings) -> Tensor:
        """Return int64 [N]: the identity of each query's nearest allowed image, `JUNK` where nothing is allowed."""
        return self._by_chunks(queries, self._nearest)

    @torch.no_grad()
    def table(self, queries: Embeddings) -> tuple[Tensor, Tensor]:
        """Return how far every image of the gallery is from each query that can be answered.

        Returns:
            Distances, float32 [Q, G], infinite where an image is left out, being of the same person by the same camera;
            and bool [Q, G], where it is a right answer.
        """
        queries = queries.at(queries.identities != JUNK)
        queries = queries.at(self.answerable(queries))
        right, wrong = self._allowed(queries)
        distances = feature_distances(queries.features.float(), self._gallery.features.float(), self.distance)
        return distances.masked_fill(~(right | wrong), torch.inf), right

    def _by_chunks(self, queries: Embeddings, answer: Callable[[Embeddings], Tensor]) -> Tensor:
        parts = range(0, max(len(queries), 1), self.chunk)
        return torch.cat([answer(queries.at(slice(start, start + self.chunk))) for start in parts])

    def _nearest(self, queries: Embeddings) -> Tensor:
        right, wrong = self._allowed(queries)
        distances = self._distances(queries.features)
        best = distances.masked_fill(~right, torch.inf).min(dim=1).values
        near, row = distances.masked_fill(~wrong, torch.inf).min(dim=1)
        # An infinite distance, of features that are not finite, must not lead to an image that is not allowed.
        row = torch.where(near.isinf(), wrong.int().argmax(1), row)
        others = torch.where(wrong.any(1), self._gallery.identities[row], JUNK)
        return torch.where(right.any(1) & ((best < near) | ~wrong.any(1)), queries.identities, others)

    def _count(self, queries: Embeddings) -> None:
        right, wrong = self._allowed(queries)
        counts = right.sum(1)
        most = max(int(counts.max()), 1)
        distances = self._distances(queries.features)
        near = distances.masked_fill(~right, torch.inf).sort(dim=1).values[:, :most].contiguous()
        others = distances.masked_fill(~wrong, torch.inf).sort(dim=1).values
        before = torch.searchsorted(others, near, right=True).minimum(wrong.sum(1, keepdim=True))
        number = torch.arange(1, most + 1, device=near.device)
        place = number + before
        precision = (number / place.double()).masked_fill(number > counts[:, None], 0).sum(1) / counts.clamp(min=1)
        answered = counts > 0
        first = place[answered, 0]
        self._hits += torch.stack([(first <= k).sum() for k in self.ranks])
        self._precision += precision[answered].sum()
        hits = [(first <= k).double() for k in self.ranks]
        self._single.append(torch.stack([precision[answered].double(), *hits], dim=1))
        self._answered += torch.stack([answered.sum(), (~answered).sum()])

    def _allowed(self, queries: Embeddings) -> tuple[Tensor, Tensor]:
        """Return bool [n, G] twice: right images, by other cameras; and wrong ones."""
        same = queries.identities[:, None] == self._gallery.identities
        return same & (queries.cameras[:, None] != self._gallery.cameras), ~same

    def _distances(self, features: Tensor) -> Tensor:
        """Return float64 [n, G], squared distances on a grid; infinite where a feature is not finite."""
        queries = self._prepared(features)
        own, theirs = queries.square().sum(1, keepdim=True), self._features.square().sum(1)
        squares = own + theirs - 2 * queries @ self._features.T
        scale = (own + theirs.nan_to_num(0, 0, 0).max()).clamp(min=torch.finfo(torch.float64).tiny)
        return (squares / scale * _GRID).round().clamp(min=0).nan_to_num(torch.inf, torch.inf)

    def _prepared(self, features: Tensor) -> Tensor:
        values = features.double()
        return functional.normalize(values) if self.distance == "cosine" else values
