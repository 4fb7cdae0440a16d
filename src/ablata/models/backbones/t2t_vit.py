"""T2T-ViT: a vision transformer with a tokens-to-token module.

Source: Yuan et al. 2021, arXiv 2101.11986, sections 3.1 to 3.3 and table 1; details such as the values that stand in
for the skip connection, and the sizes, from github.com/yitu-opensource/T2T-ViT. Its README has 4.3M parameters and 1.1G
multiply-adds for size 7, 21.5M and 4.8G for 14, 39.2M and 8.5G for 19 (the fixed positions and directions counted).

Shapes: B batch, C channels of the image, H height and width of the image, D width, T = (H/16)^2 tokens, K classes;
inside the token layers N tokens of E = 64 and M = E/2 random directions.

    input    [B, C, H, H]           stage3    [B, D, H/16, H/16]   the tokens as a map, normalised
    stage1   [B, E, H/4, H/4]       features  [B, D]               the class token, normalised
    stage2   [B, E, H/8, H/8]       logits    [B, K]
"""

from __future__ import annotations

import math
import re
from contextlib import nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.models.backbones.base import Backbone, BackboneModule, Classifier
from ablata.nn.drop_path import drop_path, linear_drop_rates

_SIZES = {7: (256, 2), 10: (256, 2), 12: (256, 2), 14: (384, 3), 19: (448, 3), 24: (512, 3)}
"""Layers: width D, width of a layer's hidden features relative to D."""
_HEAD_WIDTH = 64
_SPLITS = ((7, 4, 2), (3, 2, 1), (3, 2, 1))
"""Side, stride and padding of the soft splits."""


class T2TViT(Backbone, Classifier):
    """Tokens-to-token vision transformer."""

    kind: Literal["t2t_vit"] = "t2t_vit"
    size: Literal[7, 10, 12, 14, 19, 24] = 14
    """Layers of the published sizes, which have widths of 256 (7, 10, 12), 384, 448 and 512."""
    depth: int | None = Field(default=None, ge=1)
    """Layers; null: as many as the size."""
    width: int | None = Field(default=None, ge=_HEAD_WIDTH, multiple_of=_HEAD_WIDTH)
    """D, a multiple of 64, with one head for each 64; null: the size's."""
    tokens: Literal["performer", "transformer"] = "performer"
    """Layers between the soft splits: attention by random features, linear in the tokens, or exact (T2T-ViT_t)."""
    token_width: int = Field(default=64, ge=2)
    """E."""
    token_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of values dropped in the performer's projection and hidden layer in training."""
    scale: Literal["head", "width"] = "head"
    """Products of queries and keys are divided by the root of a head's width, or of D as in the published weights."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of values dropped behind positions, projections and hidden layers in training."""
    drop_path: float = Field(default=0.1, ge=0, lt=1)
    """Drop path: how likely the last layer's branches are left out for an image; rises from 0 at the first layer."""

    def shape(self) -> tuple[int, int, int]:
        """Return the layers, D and the width of a layer's hidden features."""
        width, ratio = _SIZES[self.size]
        width = self.width or width
        return self.depth or self.size, width, ratio * width

    def build(self, classes: int, channels: int = 3) -> T2TViTModel:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return T2TViTModel(self, classes, channels)

    def build_backbone(self, channels: int = 3) -> T2TBackbone:
        """Make all but the classifier."""
        backbone = T2TBackbone(self, channels)
        _init_weights(backbone)
        return backbone

    def published_name(self, name: str) -> str | None:
        """Translate a name of the authors' weights to ours; their fixed positions are computed here."""
        if name == "pos_embed":
            return None
        if name.startswith("head."):
            return name.replace("head.", "classifier.", 1)
        for pattern, ours in _PUBLISHED:
            name = re.sub(pattern, ours, name)
        return f"backbone.{name}"


_PUBLISHED = (
    (r"^tokens_to_token\.attention(\d)\.(?:attn\.)?", r"tokens\1."),
    (r"^tokens_to_token\.", ""),
    (r"^(tokens\d)\.mlp\.0\.", r"\1.mlp.fc1."),
    (r"^(tokens\d)\.mlp\.2\.", r"\1.mlp.fc2."),
    (r"^(tokens\d)\.w$", r"\1.directions"),
    (r"^cls_token$", "class_token"),
)


class T2TViTModel(nn.Module):
    """The network; see the head of the file for its shapes.

    Args:
        settings: size and variants.
        classes: K.
        channels: C.
    """

    def __init__(self, settings: T2TViT, classes: int, channels: int) -> None:
        super().__init__()
        self.backbone = T2TBackbone(settings, channels)
        self.classifier = nn.Linear(settings.shape()[1], classes)
        _init_weights(self)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to the named outputs."""
        outputs: dict[str, Tensor] = self.backbone(images)
        outputs["logits"] = self.classifier(outputs["features"])
        return outputs


def _init_weights(model: nn.Module) -> None:
    """Draw the linear layers."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class T2TBackbone(BackboneModule):
    """Tokens-to-token module (soft splits, token transformers) and transformer; arguments as for `T2TViTModel`."""

    def __init__(self, settings: T2TViT, channels: int) -> None:
        super().__init__()
        depth, width, hidden = settings.shape()
        self.widths = {"stage1": settings.token_width, "stage2": settings.token_width, "stage3": width}
        self.strides = {"stage1": 4, "stage2": 8, "stage3": 16}
        layer = Performer if settings.tokens == "performer" else TokenTransformer
        self.tokens1 = layer(settings, channels * 49)
        self.tokens2 = layer(settings, settings.token_width * 9)
        self.project = nn.Linear(settings.token_width * 9, width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        nn.init.trunc_normal_(self.class_token, std=0.02)
        self.dropout = nn.Dropout(settings.dropout)
        scale = (_HEAD_WIDTH if settings.scale == "head" else width) ** -0.5
        drops = linear_drop_rates(settings.drop_path, depth)
        self.blocks = nn.ModuleList(TransformerLayer(width, hidden, scale, settings.dropout, drop) for drop in drops)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to the stages and the class token by name."""
        stage1 = _as_map(self.tokens1(_soft_split(images, 0)), images, 0)
        stage2 = _as_map(self.tokens2(_soft_split(stage1, 1)), stage1, 1)
        x = self.project(_soft_split(stage2, 2))
        x = torch.cat((self.class_token.expand(len(x), -1, -1), x), 1)
        x = self.dropout(x + sinusoidal_positions(x.shape[1], x.shape[2], x.device))
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return {"stage1": stage1, "stage2": stage2, "stage3": _as_map(x[:, 1:], stage2, 2), "features": x[:, 0]}


class Performer(nn.Module):
    """Performer: attention by positive random features, with the values as skip connection, then an MLP.

    softmax(q k) is the mean over directions w of f(q) f(k), f(x) = exp(w x - |x|^2 / 2): cost is linear in the tokens.
    The exponentials are taken in float32: at 16 bits they overflow.

    Source: Choromanski et al. 2021, arXiv 2009.14794, lemma 1.

    Args:
        settings: E and dropout.
        inputs: width of the tokens that come in.
    """

    directions: Tensor

    def __init__(self, settings: T2TViT, inputs: int) -> None:
        super().__init__()
        width, count = settings.token_width, settings.token_width // 2
        self.norm1, self.norm2 = nn.LayerNorm(inputs), nn.LayerNorm(width)
        self.kqv, self.proj = nn.Linear(inputs, 3 * width), nn.Linear(width, width)
        self.dropout = nn.Dropout(settings.token_dropout)
        self.mlp = Mlp(width, width, 0.0)
        directions = nn.init.orthogonal_(torch.empty(count, width)) * math.sqrt(count)
        self.register_buffer("directions", directions)

    def features(self, x: Tensor) -> Tensor:
        """Return f(x) / sqrt(M), float32 [B, N, M], for tokens x [B, N, E]."""
        x = x.float()
        return torch.exp(x @ self.directions.float().T - x.square().sum(-1, keepdim=True) / 2) / math.sqrt(
            len(self.directions)
        )

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return the attention's result, float32 [B, N, E]."""
        asked, offered = self.features(queries), self.features(keys)
        total = asked @ offered.sum(1).unsqueeze(2)
        out: Tensor = asked @ (offered.transpose(1, 2) @ values.float()) / (total + 1e-8)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, N, inputs] to [B, N, E]."""
        keys, queries, values = self.kqv(self.norm1(x)).chunk(3, -1)
        with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
            attended = self.attend(queries, keys, values)
        x = values + self.dropout(self.proj(attended))
        out: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return out


class TokenTransformer(nn.Module):
    """Token transformer: attention of one head, with the values as skip connection, then an MLP; see `Performer`."""

    def __init__(self, settings: T2TViT, inputs: int) -> None:
        super().__init__()
        width = settings.token_width
        self.norm1, self.norm2 = nn.LayerNorm(inputs), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(inputs, 3 * width, bias=False), nn.Linear(width, width)
        self.mlp = Mlp(width, width, 0.0)
        # The authors divide by the root of the incoming width, not of that of queries and keys.
        self.scale = inputs**-0.5

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, N, inputs] to [B, N, E]."""
        queries, keys, values = self.qkv(self.norm1(x)).unsqueeze(1).chunk(3, -1)
        attended = F.scaled_dot_product_attention(queries, keys, values, scale=self.scale)
        x = (values + self.proj(attended)).squeeze(1)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class TransformerLayer(nn.Module):
    """Transformer layer: x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        width: D, 64 for each head.
        hidden: features of the hidden layer.
        scale: factor on the products of queries and keys.
        dropout: fraction of values dropped in training.
        drop: fraction of the images for which a branch is left out in training.
    """

    def __init__(self, width: int, hidden: int, scale: float, dropout: float, drop: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = SelfAttention(width, scale, dropout), Mlp(width, hidden, dropout)
        self.drop = drop_path(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, T + 1, D] to the same shape."""
        x = x + self.drop(self.attn(self.norm1(x)))
        out: Tensor = x + self.drop(self.mlp(self.norm2(x)))
        return out


class SelfAttention(nn.Module):
    """Multi-head self-attention; arguments as for `TransformerLayer`."""

    def __init__(self, width: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.dropout, self.scale = nn.Dropout(dropout), scale

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, T + 1, D] to the same shape."""
        count, tokens, _ = x.shape
        queries, keys, values = self.qkv(x).view(count, tokens, 3, -1, _HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(queries, keys, values, scale=self.scale)
        out: Tensor = self.dropout(self.proj(attended.transpose(1, 2).flatten(2)))
        return out


class Mlp(nn.Module):
    """MLP: linear, GELU, linear."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.fc1, self.fc2, self.dropout = nn.Linear(width, hidden), nn.Linear(hidden, width), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, N, width] to the same shape."""
        out: Tensor = self.dropout(self.fc2(self.dropout(F.gelu(self.fc1(x)))))
        return out


def sinusoidal_positions(count: int, width: int, device: torch.device) -> Tensor:
    """Return the sinusoids of positions 0 to count - 1, float32 [1, count, width]: sine in even, cosine in odd columns.

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.5.
    """
    column = torch.arange(width, dtype=torch.float64, device=device)
    angle = torch.arange(count, dtype=torch.float64, device=device)[:, None] / 10_000 ** (2 * (column // 2) / width)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos()).float()[None]


def _soft_split(maps: Tensor, index: int) -> Tensor:
    """Return overlapping patches of maps [B, C, H, H] as tokens [B, N, C side side]."""
    side, stride, padding = _SPLITS[index]
    return F.unfold(maps, side, padding=padding, stride=stride).transpose(1, 2)


def _as_map(tokens: Tensor, before: Tensor, index: int) -> Tensor:
    """Return tokens [B, N, C] as a map; `before` is the map that soft split number `index` made them from."""
    side, stride, padding = _SPLITS[index]
    height = (before.shape[2] + 2 * padding - side) // stride + 1
    return tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[2], height, -1)
