"""Object relation module: attention between the regions of an image by geometry and appearance.

Relation Networks (Hu et al. 2018, arXiv 1711.11575), equations 1 to 6 and appendix; with Gaussian weights of the
geometry as an alternative. Every image is computed by itself; padded rows are masked, and so are ground truth boxes
that were added for training.

Shapes: B images, R regions of an image (padded), S of them that are keys, D RoI features, H heads, W width of queries
and keys.

    boxes      [B, R, 4]      left, top, right, bottom, half open, so that a width is right - left
    geometry   [B, 4, R, S]   log(|dx| / w), log(|dy| / h), log(w / w'), log(h / h') of a region to one it looks at
    embedding  [B, E, R, S]   of each number 100 u / 1000^(8 k / E) for k < E / 8, sines and then cosines
    weights    [B, H, R, S]   log(max(ReLU(linear(embedding)), 1e-6)) + query key / sqrt(W / H), softmax over S
    relation   [B, R, D]      weighted features, each head's projected to D / H

The paper averages raw features and projects the averages by groups; projecting first gives the same numbers, since both
are linear, with less memory.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from ablata.base.parts import OpenPart
from ablata.base.settings import Settings
from ablata.models.detection.relations.geometric_attention import FAINT, FILLED, geometric_attention

_LEAST = 1e-3


class RelativeGeometry(NamedTuple):
    """Relative geometry of regions; `log_ratios` is invariant to translation and scale."""

    distances: Tensor
    """float32 [B, 2, R, S]."""
    own: Tensor
    """float32 [B, 2, R], log sizes of the queries."""
    other: Tensor
    """float32 [B, 2, S], log sizes of the keys."""

    def log_ratios(self) -> Tensor:
        """Return the paper's four numbers of each pair, [B, 4, R, S]: the distances, log(w / w') and log(h / h')."""
        return torch.cat([self.distances, self.own[..., None] - self.other[:, :, None]], dim=1)


@torch.no_grad()
def geometry(boxes: Tensor, near: Tensor) -> RelativeGeometry:
    """Return the relative geometry of key boxes [B, S, 4] and query boxes [B, R, 4], all float32.

    Boxes are half open, which is the paper's `+ 1` for boxes that hold their last pixel.
    """
    middle, size = _middle_and_size(boxes)
    other, other_size = _middle_and_size(near)
    middle, size, other, other_size = (one.transpose(1, 2) for one in (middle, size, other, other_size))
    apart = (middle[..., None] - other[:, :, None]).abs_().div_(size[..., None])
    return RelativeGeometry(apart.clamp_(min=_LEAST).log_(), size.log(), other_size.log())


def embed(values: Tensor, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the sinusoidal embedding of values [B, N, ...], [B, N size / 4, ...]; `size` is a multiple of 8.

    They are written where they belong, at once in `dtype`, a wave of one number of one image at a time, which the
    caches hold.
    """
    rates = _rates(size)
    images, log_ratios = values.shape[:2]
    made = torch.empty(images, log_ratios, 2, len(rates), *values.shape[2:], device=values.device, dtype=dtype)
    for place in itertools.product(range(images), range(log_ratios)):
        sines, cosines = made[place]
        for rate, sine, cosine in zip(rates, sines, cosines, strict=True):
            angles = values[place] * rate
            sine.copy_(angles.sin())
            cosine.copy_(angles.cos_())
    return made.flatten(1, 3)


def sine_cosine(values: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return sines and cosines of values [B, N, R], float32 [B, N size / 8, R] each."""
    angles = values[:, :, None] * torch.tensor(_rates(size), device=values.device)[:, None]
    return angles.sin().flatten(1, 2), angles.cos().flatten(1, 2)


def find_parts(boxes: Tensor, near: Tensor) -> Tensor:
    """Return bool [B, R, S]: which of `near` [B, S, 4] are smaller than a box [B, R, 4] and half in it or more."""
    low = torch.maximum(boxes[:, :, None, :2], near[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], near[:, None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    area, other = (_middle_and_size(one)[1].prod(-1) for one in (boxes, near))
    return (common >= 0.5 * other[:, None]) & (other[:, None] < area[:, :, None])


def _rates(size: int) -> list[float]:
    return [100 / 1000 ** (wave * 8 / size) for wave in range(size // 8)]


def _middle_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return [..., 2] each; a box that fills a row up counts as one pixel wide."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, torch.where(high > low, high - low, torch.ones_like(low))


class ReluWeights(Settings):
    """Geometric weights by a sinusoidal embedding, a linear layer and ReLU, as in the paper."""

    kind: Literal["relu"] = "relu"
    embedding: Annotated[int, Field(ge=8, multiple_of=8)] = 64
    """Width of the embedding."""


class GaussianWeights(Settings):
    """Geometric weights by a Gaussian for each head, with learned mean and standard deviations."""

    kind: Literal["gaussian"] = "gaussian"
    form: Literal["random", "normalized"] = "random"
    """random: random means, multiplied by appearance; normalized: divided by the sum over the regions, without
    appearance."""


class SpatialRelation(Settings):
    """Object relation module (Hu et al. 2018): multi-head attention between regions by geometry and appearance."""

    weights: Annotated[ReluWeights | GaussianWeights, OpenPart()] = ReluWeights()
    heads: Annotated[int, Field(ge=1)] = 16
    """Attention heads (N_r of the paper); divides the RoI features and `width`."""
    width: Annotated[int, Field(ge=1)] = 1024
    """Width of queries and keys, all heads together."""
    boxes_train: Annotated[int, Field(ge=1)] | None = None
    """Maximum number of keys in training, those of the highest scores; null: all."""
    boxes_test: Annotated[int, Field(ge=1)] | None = None
    """Likewise in testing."""
    foreground_only: bool = False
    """Only regions that are not classified as background are keys (where scores are known)."""
    include_self: bool = True
    """A region is a key of its own, as in the paper."""
    pairs: Literal["objects", "parts", "both"] = "objects"
    """Keys of a region: objects, all regions; parts, smaller ones at least half inside it; both, added up."""
    own_weights: bool = True
    """With pairs=both: each has weights of its own; false: they share one set."""
    extra_fc: bool = False
    """Add a linear layer with ReLU behind the module."""
    combine: Literal["add", "concat"] = "add"
    """Add the relation features to the RoI features, as in the paper, or concatenate them (before the last stage)."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got width={self.width}, heads={self.heads}")
        return self

    def build(self, features: int) -> SpatialRelationModule:
        """Make the module for regions of `features`.

        Raises:
            ValueError: the heads do not divide them.
        """
        if features % self.heads:
            raise ValueError(f"heads (={self.heads}) must divide the regions' features (={features})")
        return SpatialRelationModule(self, features)


class SpatialRelationModule(nn.Module):
    """Object relation module as a layer of the RoI heads.

    Args:
        settings: variants.
        features: D.
    """

    def __init__(self, settings: SpatialRelation, features: int) -> None:
        super().__init__()
        self.settings = settings
        rounds = 2 if settings.pairs == "both" else 1
        made = [_Relation(settings, features) for _ in range(rounds if settings.own_weights else 1)]
        self.relations = nn.ModuleList(made)
        self.extra = nn.Linear(features, features) if settings.extra_fc else None

    def forward(self, features: Tensor, boxes: Tensor, keys: Tensor, foreground: Tensor | None = None) -> Tensor:
        """Return the relation features, [B, R, D]; zero for a region without keys.

        Args:
            features: [B, R, D].
            boxes: [B, R, 4].
            keys: bool [B, R], regions that may be keys, by falling score.
            foreground: bool [B, R], regions not classified as background; None: not known.
        """
        looked, places, rounds = self._select(boxes, keys, foreground)
        total = torch.zeros_like(features)
        for relation, allowed in rounds:
            total = total + relation(features, looked, places, allowed)
        return total if self.extra is None else F.relu(self.extra(total))

    def attention(self, features: Tensor, boxes: Tensor, keys: Tensor, foreground: Tensor | None = None) -> Tensor:
        """Return the attention weights, float [B, R, R], the mean over heads and kinds of pairs.

        Rows add up to one, or with two kinds of pairs to the fraction of kinds with any key.
        """
        looked, places, rounds = self._select(boxes, keys, foreground)
        means = [relation.attention(features, looked, places, allowed).mean(1) for relation, allowed in rounds]
        weights = torch.stack(means).mean(0)
        if looked is None:
            return weights
        every = weights.new_zeros(*weights.shape[:2], boxes.shape[1])
        return every.scatter(2, looked[:, None, :].expand(weights.shape), weights)

    def _select(
        self, boxes: Tensor, keys: Tensor, foreground: Tensor | None
    ) -> tuple[Tensor | None, RelativeGeometry, list[tuple[_Relation, Tensor]]]:
        """Return the keys, int64 [B, S] or None for all, the geometry, and the mask of each relation, bool [B, R, S].

        Arguments are those of `forward`.
        """
        settings = self.settings
        if settings.foreground_only and foreground is not None:
            keys = keys & foreground
        most = settings.boxes_train if self.training else settings.boxes_test
        every = torch.arange(boxes.shape[1], device=boxes.device)
        looked = None
        if most is not None and most < boxes.shape[1]:
            looked = torch.argsort((~keys).int(), dim=1, stable=True)[:, :most]
        near = _rows(boxes, looked, 1).float()
        seen = _rows(keys, looked, 1)[:, None, :].expand(-1, boxes.shape[1], -1)
        if not settings.include_self:
            seen = seen & ((every if looked is None else looked)[..., None, :] != every[:, None])
        rounds = []
        for number, kind in enumerate(("objects", "parts") if settings.pairs == "both" else (settings.pairs,)):
            relation = self.relations[min(number, len(self.relations) - 1)]
            assert isinstance(relation, _Relation)
            rounds.append((relation, seen & find_parts(boxes.float(), near) if kind == "parts" else seen))
        return looked, geometry(boxes.float(), near), rounds


class _Relation(nn.Module):
    def __init__(self, settings: SpatialRelation, features: int) -> None:
        super().__init__()
        self.heads, self.kind = settings.heads, settings.weights
        appearance = not (isinstance(self.kind, GaussianWeights) and self.kind.form == "normalized")
        self.width = settings.width if appearance else 0
        # Queries, keys and values from one layer: three take half as long again.
        self.project = nn.Linear(features, 2 * self.width + features)
        nn.init.normal_(self.project.weight, std=0.01)
        nn.init.zeros_(self.project.bias)
        if isinstance(self.kind, ReluWeights):
            self.place = nn.Linear(self.kind.embedding, self.heads)
            nn.init.normal_(self.place.weight, std=0.01)
            nn.init.zeros_(self.place.bias)
        else:
            self.middle = nn.Parameter(torch.randn(self.heads, 4))
            self.spread = nn.Parameter(torch.zeros(self.heads, 4))

    def forward(self, features: Tensor, looked: Tensor | None, places: RelativeGeometry, allowed: Tensor) -> Tensor:
        """Return [B, R, D] from features [B, R, D], keys [B, S], geometry and masks [B, R, S]."""
        asked, values = self._project(features, looked)
        if isinstance(self.kind, ReluWeights):
            out = geometric_attention(self._strength(places, self.kind.embedding), *asked, values, allowed)
        else:
            out = self._weights(asked, places, allowed).to(values.dtype) @ values
        return out.transpose(1, 2).flatten(2) * allowed.any(2)[..., None]

    def attention(self, features: Tensor, looked: Tensor | None, places: RelativeGeometry, allowed: Tensor) -> Tensor:
        """Return float32 [B, H, R, S]: rows add up to one, or are zero where nothing is allowed."""
        asked, _ = self._project(features, looked)
        return self._weights(asked, places, allowed) * allowed.any(2)[:, None, :, None]

    def _project(self, features: Tensor, looked: Tensor | None) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Return queries [B, H, R, W / H], divided by the root of their width, and keys, then values [B, H, S, D / H].

        Queries and keys have no width where the geometry stands alone.
        """
        split = torch.split(self.project(features), [self.width, self.width, features.shape[-1]], dim=2)
        queries, keys, values = (one.reshape(*one.shape[:2], self.heads, -1).transpose(1, 2) for one in split)
        asked = queries / math.sqrt(max(queries.shape[-1], 1)), _rows(keys, looked, 2)
        return asked, _rows(values, looked, 2)

    def _weights(self, asked: tuple[Tensor, Tensor], places: RelativeGeometry, allowed: Tensor) -> Tensor:
        """Return what `attention` does, with even rows where nothing is allowed."""
        logits = self.geometry_logits(places).add_(torch.where(allowed, 0.0, FILLED)[:, None])
        if self.width:
            logits.add_(asked[0] @ asked[1].transpose(2, 3))
        return logits.softmax(3)

    def geometry_logits(self, places: RelativeGeometry) -> Tensor:
        """Return the logarithm of the geometry's weights, float32 [B, H, R, S]."""
        if isinstance(self.kind, ReluWeights):
            # What ReLU would make zero is below the least weight as well.
            return self._strength(places, self.kind.embedding).float().clamp(min=FAINT).log()
        # The square is multiplied out, so that no [B, R, S, H, 4] is ever made.
        sharp = (-2 * self.spread.float()).exp()
        middle = self.middle.float()
        log_ratios = places.log_ratios()
        flat = log_ratios.flatten(2)
        squares = sharp @ flat**2 - 2 * (sharp * middle) @ flat + (sharp * middle**2).sum(1)[:, None]
        return -0.5 * squares.reshape(len(log_ratios), -1, *log_ratios.shape[2:])

    def _strength(self, places: RelativeGeometry, size: int) -> Tensor:
        """Return the linear layer of the embedded geometry, [B, H, R, S].

        The ratios of widths and heights are differences of logarithms, log(w / w') = log w - log w': their waves come
        from those of R and of S numbers by the addition theorems, as a product of [H R, E / 2 + 1] and [E / 2 + 1, S]
        that adds the bias too.
        """
        shape = places.distances.shape
        kind, far, ratio = _dtype(places.own), *self.place.weight.chunk(2, dim=1)
        by_sine, by_cosine = (one.flatten(1)[..., None] for one in ratio.reshape(self.heads, 2, 2, -1).unbind(2))
        middle = places.own[:, :, :1]
        sines, cosines = sine_cosine(places.own - middle, size)
        own = [by_sine * sines[:, None] + by_cosine * cosines[:, None]]
        own.append(by_cosine * sines[:, None] - by_sine * cosines[:, None])
        own.append(self.place.bias[:, None, None].expand(shape[0], -1, 1, shape[2]))
        sines, cosines = sine_cosine(places.other - middle, size)
        others = torch.cat([cosines, sines, torch.ones_like(sines[:, :1])], dim=1)
        ratios = torch.cat(own, dim=2).transpose(2, 3).flatten(1, 2).to(kind).bmm(others.to(kind))
        # Not `weight @ sine_cosine`, which puts the batch last and copies the largest tensor for it.
        near = embed(places.distances, size, dtype=kind).flatten(2)
        both = torch.baddbmm(ratios.reshape(shape[0], self.heads, -1), far.expand(shape[0], -1, -1), near)
        return both.reshape(shape[0], self.heads, *shape[2:])


def _rows(values: Tensor, looked: Tensor | None, dim: int) -> Tensor:
    """Gather the rows `looked` [B, S] of [B, ..., R, ...], R being `dim`; None: all."""
    if looked is None:
        return values
    shape = [len(looked), *[1] * (dim - 1), looked.shape[1], *[1] * (values.ndim - dim - 1)]
    size = [*values.shape[:dim], looked.shape[1], *values.shape[dim + 1 :]]
    return torch.gather(values, dim, looked.reshape(shape).expand(size))


def _dtype(values: Tensor) -> torch.dtype:
    """Return autocast's dtype where it is on, else float32."""
    kind = values.device.type
    mixed = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if mixed else torch.float32


@dataclass(frozen=True)
class RegionAttention:
    """Attention between regions in one call.

    Attributes:
        boxes: float [B, R, 4].
        weights: float [B, R, R], attention of a row's region to a column's.
    """

    boxes: Tensor
    weights: Tensor


@contextmanager
def record_attention(model: nn.Module) -> Iterator[list[RegionAttention]]:
    """Record the attention while a model runs: an entry for each call of its last object relation module.

    The list stays empty for a model without any.
    """
    seen: list[RegionAttention] = []

    def note(module: nn.Module, arguments: tuple[Any, ...], result: Tensor) -> None:
        assert isinstance(module, SpatialRelationModule)
        seen.append(RegionAttention(arguments[1], module.attention(*arguments)))

    modules = [module for module in model.modules() if isinstance(module, SpatialRelationModule)]
    handles = [module.register_forward_hook(note) for module in modules[-1:]]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
