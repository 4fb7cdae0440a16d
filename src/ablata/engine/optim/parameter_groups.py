"""Parameter groups: the learning rate and weight decay of each parameter.

Every trainable parameter lands in exactly one group. A group is a dict that torch's optimisers take:

    name            "decay", "no decay", perhaps behind a pattern, before a layer: "head.*: decay, 3 below the top"
    params          [(parameter name, parameter), ...]
    lr_scale        the loop sets `group["lr"] = schedule(step) * group["lr_scale"]`
    weight_decay    the decay of the group, multiplier included
    epochs          only where the group is trained for the first epochs: how many; see `rate_factor`
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from ablata.base.errors import SettingsError, choices, listing, nearest
from ablata.base.settings import Settings
from ablata.nn.loaded_weights import backbone_parameters


class Multiplier(Settings):
    """Learning-rate and weight-decay multipliers of the parameters whose name fits a pattern."""

    pattern: str = Field(min_length=1)
    """Parameter names, with `*` and `?` as in file names: `head.*`, `*.attention.weight`."""
    lr: float = Field(default=1.0, ge=0)
    """Factor on the learning rate."""
    decay: float = Field(default=1.0, ge=0)
    """Factor on the weight decay."""
    epochs: float | None = Field(default=None, gt=0)
    """Train them for so many epochs only: a factor on their rate falls from 1 to 0 in a line; null: to the end."""


class ParameterGroups(Settings):
    """Parameter groups of equal learning rate and weight decay."""

    no_decay_norm_and_bias: bool = False
    """No weight decay for vectors and scalars (normalisation weights, PReLU slopes, layer scales) and every bias."""
    multipliers: tuple[Multiplier, ...] = ()
    """Patterns with their own learning rate or decay; a parameter may fit one of them at most."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    """Layer-wise decay of the learning rate: what weights were read for learns the slower the nearer it is to the
    image, each block at this fraction of the rate of the next (Bao et al. 2021, arXiv 2106.08254, appendix); null: all
    learn alike."""

    def build(self, model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
        """Divide the trainable parameters of `model`.

        Args:
            model: the bare model; names are those of `model.named_parameters()`, a shared parameter under its first.
            weight_decay: the optimiser's decay, before the multipliers.

        Returns:
            Non-empty groups as the file's head describes, parameters in the model's order.

        Raises:
            SettingsError: nothing is trainable, a pattern fits no trainable parameter, or two fit the same one.
        """
        trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        if not trainable:
            frozen = next(model.parameters(), None) is not None
            raise SettingsError(
                "A model must have trainable parameters",
                found="every parameter is frozen" if frozen else "no parameter at all",
                do="freeze fewer" if frozen else "keep layers as attributes, or in nn.ModuleList: a list hides them",
            )
        for multiplier in self.multipliers:
            _check_pattern(multiplier.pattern, model, list(trainable))
        groups: dict[str, dict[str, Any]] = {}
        depths = {} if self.layer_decay is None else layer_depths(model)
        for name, parameter in trainable.items():
            own = self._multiplier(name)
            decays = not (self.no_decay_norm_and_bias and _is_norm_or_bias(name, parameter))
            title = "decay" if decays else "no decay"
            key = f"{own.pattern}: {title}" if own else title
            depth = depths.get(name, 0)
            key = f"{key}, {depth} below the top" if depth else key
            group = groups.setdefault(
                key,
                {
                    "name": key,
                    "params": [],
                    "lr_scale": (own.lr if own else 1.0) * (self.layer_decay or 1.0) ** depth,
                    "weight_decay": weight_decay * (own.decay if own else 1.0) if decays else 0.0,
                },
            )
            if own and own.epochs is not None:
                group["epochs"] = own.epochs
            group["params"].append((name, parameter))
        return list(groups.values())

    def _multiplier(self, name: str) -> Multiplier | None:
        fitting = [multiplier for multiplier in self.multipliers if fnmatchcase(name, multiplier.pattern)]
        if len(fitting) > 1:
            raise SettingsError(
                "A parameter must fit one pattern of the multipliers at most",
                found=f"{name} fits {listing(multiplier.pattern for multiplier in fitting)}",
                do="make the patterns narrower",
            )
        return fitting[0] if fitting else None


def layer_depths(model: nn.Module) -> dict[str, int]:
    """Return how many layers a parameter of the backbone is below the top, from 1 on; others are not in it.

    A layer is a numbered block (`blocks.3.1`, `stage2.0`), or what stands between such blocks.
    """
    within = backbone_parameters(model)
    layers: list[str] = []
    of: dict[str, int] = {}
    for name, _ in model.named_parameters():
        if name not in within:
            continue
        block = _BLOCK.match(name)
        layer = block.group() if block else ""
        if not layers or layers[-1] != layer:
            layers.append(layer)
        of[name] = len(layers) - 1
    return {name: len(layers) - number for name, number in of.items()}


_BLOCK = re.compile(r".*?\.\d+(\.\d+)?(?=\.)")


def rate_factor(group: Mapping[str, Any], step: int, steps_per_epoch: int) -> float:
    """Return the factor on a group's rate at step number `step`: 1, or falling to 0 where it has `epochs`."""
    return max(0.0, 1 - step / (group["epochs"] * steps_per_epoch)) if "epochs" in group else 1.0


def _is_norm_or_bias(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim <= 1 or name.rpartition(".")[2] == "bias"


def _check_pattern(pattern: str, model: nn.Module, trainable: Sequence[str]) -> None:
    if any(fnmatchcase(name, pattern) for name in trainable):
        return
    frozen = [name for name, _ in model.named_parameters() if fnmatchcase(name, pattern)]
    close = nearest(pattern, trainable)
    tops = dict.fromkeys(name.partition(".")[0] for name in trainable)
    raise SettingsError(
        "A multiplier's pattern must fit a trainable parameter",
        found=f"{pattern!r} fits only frozen ones ({frozen[0]} ...)" if frozen else f"{pattern!r} fits none",
        do=f"did you mean {close}?" if close else f"names begin with {choices(tops, pattern)}",
    )
