"""Optimisers: SGD, AdamW, RMSprop in torch's and TensorFlow's form, Muon, with either form of decay, and Lookahead.

What is built is a plain `torch.optim.Optimizer`; decoupled decay and Lookahead are hooks around its `step`, so gradient
scalers, schedules and checkpoints treat all of them alike. Build it once the model has its final device and memory
format.
"""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Collection
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.optim import Optimizer

from ablata.base.errors import SettingsError, listing, suggestion
from ablata.base.parts import OpenPart
from ablata.base.settings import Settings
from ablata.engine.optim.eager import eager
from ablata.engine.optim.hooks import (
    Lookahead,
    add_lookahead,
    begin_momentum,
    decay_weights,
    implementation,
    match_layouts,
)
from ablata.engine.optim.muon import MuonSgd
from ablata.engine.optim.parameter_groups import ParameterGroups


class OptimiserSettings(Settings):
    """Base of optimisers' settings; not itself a choice."""

    kind: str
    """Which optimiser."""
    lr: float = Field(default=0.1, gt=0)
    """Learning rate at `reference_batch`, or at any batch where `scaling` is none."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Strength of the decay; parameter groups can multiply it."""
    decay: Literal["coupled", "decoupled", "direct"] = "coupled"
    """coupled: L2, the gradient grows by weight_decay * w; decoupled: w shrinks by lr * weight_decay * w first; direct:
    by weight_decay * w, whatever the learning rate."""
    scaling: Literal["none", "linear", "sqrt"] = "none"
    """How the learning rate follows the global batch size, relative to `reference_batch`."""
    reference_batch: int = Field(default=256, ge=1)
    """Global batch size for which `lr` is meant."""
    groups: ParameterGroups = ParameterGroups()
    """Parameters with their own learning rate or decay."""
    lookahead: Lookahead | None = None
    """Slow weights around the optimiser, or none."""

    def scaled_lr(self, batch_size: int) -> tuple[float, str]:
        """Return the base learning rate for a global batch size, and a sentence that says how it came about."""
        ratio = batch_size / self.reference_batch
        if self.scaling == "none":
            return self.lr, f"learning rate {self.lr:g}, not scaled with the batch size ({batch_size})"
        lr = self.lr * (ratio if self.scaling == "linear" else math.sqrt(ratio))
        return lr, (
            f"learning rate {lr:g} = {self.lr:g} x {self.scaling} scale of "
            f"batch {batch_size} / reference batch {self.reference_batch}"
        )

    def build(self, model: nn.Module, batch_size: int) -> Optimizer:
        """Make the optimiser of a model.

        Args:
            model: the bare model, already on its device and in its memory format.
            batch_size: samples per optimiser step over all processes and accumulated parts.

        Returns:
            An optimiser whose groups carry `name`, `param_names`, `lr_scale`, `weight_decay` and the scaled `lr`.

        Raises:
            SettingsError: from the parameter groups.
        """
        base_lr, _ = self.scaled_lr(batch_size)
        groups = self.groups.build(model, self.weight_decay)
        hooks_decay = self.decay == "direct" or (self.decay == "decoupled" and not self._decays_itself)
        for group in groups:
            group["lr"] = base_lr * group["lr_scale"]
            if hooks_decay:
                group["decoupled_decay_rate"], group["decays_by_rate"] = group["weight_decay"], self.decay != "direct"
                group["weight_decay"] = 0.0
        parameters = [parameter for group in groups for _, parameter in group["params"]]
        hooked = hooks_decay or self.lookahead is not None
        fused, foreach = implementation(parameters, hooked=hooked)
        optimiser = self._make(groups, base_lr, fused=fused, foreach=foreach)
        if hooks_decay:
            optimiser.register_step_pre_hook(decay_weights)
        if self.lookahead is not None:
            add_lookahead(optimiser, self.lookahead)
        optimiser.register_step_pre_hook(match_layouts)
        return optimiser

    @property
    def _decays_itself(self) -> bool:
        return False

    @abstractmethod
    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        """Make torch's optimiser."""


class Sgd(OptimiserSettings):
    """SGD: stochastic gradient descent with momentum (torch.optim.SGD: buf = m buf + g, w -= lr buf)."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Fraction of the last update that is kept."""
    nesterov: bool = False
    """Look ahead along the momentum; needs a momentum above 0."""

    @model_validator(mode="after")
    def _check(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov must go with a momentum above 0")
        return self

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        optimiser = eager(torch.optim.SGD)(
            groups, lr=lr, momentum=self.momentum, nesterov=self.nesterov, fused=fused, foreach=foreach and not fused
        )
        if fused:
            optimiser.register_step_pre_hook(begin_momentum)
        return optimiser


class AdamW(OptimiserSettings):
    """Adam (Kingma & Ba 2015); with decoupled decay, the default, it is AdamW (Loshchilov & Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    """Learning rate at `reference_batch`, or at any batch where `scaling` is none."""
    decay: Literal["coupled", "decoupled", "direct"] = "decoupled"
    """coupled: L2, the gradient grows by weight_decay * w; decoupled: w shrinks by lr * weight_decay * w first; direct:
    by weight_decay * w, whatever the learning rate."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    """Memory of the mean and of the mean square of the gradient."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the mean square."""

    @property
    def _decays_itself(self) -> bool:
        return True

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        kind = torch.optim.AdamW if self.decay == "decoupled" else torch.optim.Adam
        return eager(kind)(groups, lr=lr, betas=self.betas, eps=self.eps, fused=fused, foreach=foreach and not fused)


class RmsProp(OptimiserSettings):
    """RMSprop as torch has it: eps outside the root, the mean square starts at 0, momentum before the learning rate."""

    kind: Literal["rmsprop"] = "rmsprop"
    lr: float = Field(default=1e-2, gt=0)
    """Learning rate at `reference_batch`, or at any batch where `scaling` is none."""
    alpha: float = Field(default=0.99, ge=0, lt=1)
    """Memory of the mean square of the gradient."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the mean square."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the last update that is kept."""

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        return eager(torch.optim.RMSprop)(
            groups, lr=lr, alpha=self.alpha, eps=self.eps, momentum=self.momentum, foreach=foreach
        )


class RmsPropTf(OptimiserSettings):
    """RMSprop as TensorFlow has it, the optimiser of the EfficientNet recipe (timm's RMSpropTF).

    The eps is inside the root, the mean square starts at 1, and the learning rate is folded into the momentum
    (buf = m buf + lr g / sqrt(v + eps), w -= buf), so a change of the rate takes effect gradually.
    """

    kind: Literal["rmsprop_tf"] = "rmsprop_tf"
    lr: float = Field(default=0.016, gt=0)
    """Learning rate at `reference_batch`, or at any batch where `scaling` is none."""
    alpha: float = Field(default=0.9, ge=0, lt=1)
    """Memory of the mean square of the gradient."""
    eps: float = Field(default=1e-3, gt=0)
    """Added to the mean square, inside the root."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Fraction of the last update that is kept."""

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        # Imported here: timm takes two seconds to import, and few trainings need it.
        from timm.optim.rmsprop_tf import RMSpropTF

        return RMSpropTF(groups, lr=lr, alpha=self.alpha, eps=self.eps, momentum=self.momentum)


class Muon(OptimiserSettings):
    """Muon for the filters of convolutions, SGD with momentum for all other parameters.

    Source: see `ablata.engine.optim.muon`. A filter is a parameter of 4 dimensions, taken as a matrix of one row a
    channel.
    """

    kind: Literal["muon"] = "muon"
    lr: float = Field(default=0.24, gt=0)
    """Learning rate of the filters at `reference_batch`; it does not depend on the size of gradients."""
    momentum: float = Field(default=0.6, ge=0, lt=1)
    """Fraction of the last gradients that is kept, for filters."""
    nesterov: bool = True
    """Look ahead along the momentum, for filters and others."""
    steps: int = Field(default=3, ge=1)
    """Newton-Schulz iterations."""
    keep_norm: bool = True
    """Scale each bank of filters to the norm sqrt(rows) before its step; only for filters that are normalised after."""
    other_lr: float = Field(default=0.1, gt=0)
    """Learning rate of all other parameters, at `reference_batch`."""
    other_momentum: float = Field(default=0.85, ge=0, lt=1)
    """Fraction of the last gradients that is kept, for all others."""

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        made = []
        for group in groups:
            filters = [pair for pair in group["params"] if pair[1].ndim == 4]
            others = [pair for pair in group["params"] if pair[1].ndim != 4]
            shared = group | {"nesterov": self.nesterov, "steps": self.steps, "keep_norm": self.keep_norm}
            if filters:
                own = {"name": f"{group['name']}, filters", "params": filters, "momentum": self.momentum}
                made.append(shared | own | {"orthogonal": True})
            if others:
                scale = group["lr_scale"] * self.other_lr / self.lr
                rates = {"lr": lr * scale, "lr_scale": scale, "momentum": self.other_momentum}
                made.append(shared | {"params": others, "orthogonal": False} | rates)
        return MuonSgd(made)


class Timm(OptimiserSettings):
    """Any optimiser of timm by its name."""

    kind: Literal["timm"] = "timm"
    name: str = Field(default="lamb", min_length=1)
    """timm's name of it; `timm.optim.list_optimizers()` has them all."""
    lr: float = Field(default=1e-3, gt=0)
    """Learning rate at `reference_batch`, or at any batch where `scaling` is none."""
    momentum: float | None = Field(default=None, ge=0, lt=1)
    """Momentum, where it has one of that name; null: 0.9, as timm's own script has it."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], ...] | None = None
    """Memory of the means of the gradient and its square, where it has such; null: its own default."""
    eps: float | None = Field(default=None, gt=0)
    """Added to a divisor, where it has one; null: its own default."""

    def refuse_unknown_names(self) -> None:
        """Refuse an optimiser that timm does not have; see `Settings.refuse_unknown_names`."""
        import timm.optim

        optim: Any = timm.optim
        known = [name for name in optim.list_optimizers() if name not in _NOT_OF_TIMM]
        if self.name not in known:
            raise SettingsError(
                "optim.name must be an optimiser of timm whose state can be saved and resumed exactly",
                found=f"optim.name={self.name}",
                do=suggestion(self.name, known, "see timm.optim.list_optimizers()", most=5),
            )

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        # Imported here: timm takes two seconds to import, and few trainings need it.
        import timm.optim

        optim: Any = timm.optim
        self.refuse_unknown_names()
        try:
            kind: Any = optim.get_optimizer_class(self.name, bind_defaults=True)
            taken = inspect.signature(kind).parameters
            # Lists of tensors cost twice the plain loop on the processor.
            plain = {"foreach": False} if "foreach" in taken and not foreach else {}
            made = kind(groups, lr=lr, **self._given(taken), **plain)
        except (AssertionError, ImportError, TypeError) as error:
            raise SettingsError(
                "timm's optimiser must be one that can be made here",
                found=f"optim.name={self.name}: {error}",
                do="choose another: ablata recipes show RECIPE optim=timm lists its settings",
            ) from None
        assert isinstance(made, Optimizer)
        return made

    def _given(self, taken: Collection[str]) -> dict[str, Any]:
        """Return the arguments that are set.

        Raises:
            SettingsError: the optimiser does not have one.
        """
        momentum = _TIMM_MOMENTUM if self.momentum is None and "momentum" in taken else self.momentum
        wanted = {"momentum": momentum, "betas": self.betas, "eps": self.eps}
        given = {key: value for key, value in wanted.items() if value is not None}
        foreign = [key for key in given if key not in taken]
        if foreign:
            raise SettingsError(
                f"optim.{foreign[0]} must be an argument of the optimiser",
                found=f"timm's {self.name}, which has {listing(taken)}",
                do=f"optim.{foreign[0]}=null",
            )
        return given


_TIMM_MOMENTUM = 0.9
"""What timm's own training script gives."""
_NOT_OF_TIMM = ("adahessian", "kron", "kronc", "kronw")
"""They need gradients of gradients, or a state that a checkpoint does not hold."""


AnyOptimiser = Annotated[
    Sgd | AdamW | RmsProp | RmsPropTf | Muon | Timm,
    OpenPart(OptimiserSettings, adapt="ablata.engine.optim.plain:optimiser", plain="a torch.optim.Optimizer class"),
]
