"""Optimisers: SGD, AdamW, RMSprop in torch's and TensorFlow's form, Muon, with either form of decay, and Lookahead.

What is built is a plain `torch.optim.Optimizer`; decoupled decay and Lookahead are hooks around its `step`, so gradient
scalers, schedules and checkpoints treat all of them alike. Build it once the model has its final device and memory
format.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim import Optimizer

from ablata.base.errors import CheckpointError, listing
from ablata.base.settings import Settings
from ablata.engine.muon import MuonSgd
from ablata.engine.parameter_groups import ParameterGroups

_EVOLVING = ("lr", "lookahead_step")
"""Values of a group that a training changes; all others come from the settings and are not restored."""


class Lookahead(Settings):
    """Slow weights that follow the fast ones: every `steps` steps slow += alpha (fast - slow), fast = slow.

    The slow weights start as the weights before the first step (Zhang et al. 2019, arXiv 1907.08610, algorithm 1).
    """

    steps: int = Field(default=5, ge=1)
    """Steps of the inner optimiser between two synchronisations."""
    alpha: float = Field(default=0.5, gt=0, le=1)
    """How far the slow weights move towards the fast ones."""


class OptimiserSettings(Settings):
    """What all optimisers share; not itself a choice."""

    kind: str
    """Which optimiser."""
    lr: float = Field(default=0.1, gt=0)
    """Learning rate at `reference_batch`, or at any batch where `scaling` is none."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Strength of the decay; parameter groups can multiply it."""
    decay: Literal["coupled", "decoupled"] = "coupled"
    """coupled: L2, the gradient grows by weight_decay * w; decoupled: w shrinks by lr * weight_decay * w first."""
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
        hooks_decay = self.decay == "decoupled" and not self._decays_itself
        for group in groups:
            group["lr"] = base_lr * group["lr_scale"]
            if hooks_decay:
                group["decoupled_decay_rate"] = group["weight_decay"]
                group["weight_decay"] = 0.0
        parameters = [parameter for group in groups for _, parameter in group["params"]]
        hooked = hooks_decay or self.lookahead is not None
        fused, foreach = _implementation(parameters, hooked=hooked)
        optimiser = self._make(groups, base_lr, fused=fused, foreach=foreach)
        if hooks_decay:
            optimiser.register_step_pre_hook(_decay_weights)
        if self.lookahead is not None:
            _add_lookahead(optimiser, self.lookahead)
        optimiser.register_step_pre_hook(_match_layouts)
        return optimiser

    @property
    def _decays_itself(self) -> bool:
        return False

    @abstractmethod
    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        """Make torch's optimiser."""


class Sgd(OptimiserSettings):
    """Stochastic gradient descent with momentum (torch.optim.SGD: buf = m buf + g, w -= lr buf)."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Share of the last update that is kept."""
    nesterov: bool = False
    """Look ahead along the momentum; needs a momentum above 0."""

    @model_validator(mode="after")
    def _check(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov must go with a momentum above 0")
        return self

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        return torch.optim.SGD(
            groups, lr=lr, momentum=self.momentum, nesterov=self.nesterov, fused=fused, foreach=foreach and not fused
        )


class AdamW(OptimiserSettings):
    """Adam (Kingma & Ba 2015); with decoupled decay, the default, it is AdamW (Loshchilov & Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    """Learning rate at `reference_batch`, or at any batch where `scaling` is none."""
    decay: Literal["coupled", "decoupled"] = "decoupled"
    """coupled: L2, the gradient grows by weight_decay * w; decoupled: w shrinks by lr * weight_decay * w first."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    """Memory of the mean and of the mean square of the gradient."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the mean square."""

    @property
    def _decays_itself(self) -> bool:
        return True

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        make = torch.optim.AdamW if self.decay == "decoupled" else torch.optim.Adam
        return make(groups, lr=lr, betas=self.betas, eps=self.eps, fused=fused, foreach=foreach and not fused)


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
    """Share of the last update that is kept."""

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        return torch.optim.RMSprop(
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
    """Share of the last update that is kept."""

    def _make(self, groups: list[dict[str, Any]], lr: float, *, fused: bool, foreach: bool) -> Optimizer:
        # Imported here: timm takes two seconds to import, and few trainings need it.
        from timm.optim.rmsprop_tf import RMSpropTF

        return RMSpropTF(groups, lr=lr, alpha=self.alpha, eps=self.eps, momentum=self.momentum)


class Muon(OptimiserSettings):
    """Orthogonalised momentum for the filters of convolutions, SGD with momentum for all other parameters.

    Source: see `ablata.engine.muon`. A filter is a parameter of 4 dimensions, taken as a matrix of one row a channel.
    """

    kind: Literal["muon"] = "muon"
    lr: float = Field(default=0.24, gt=0)
    """Learning rate of the filters at `reference_batch`; it does not depend on the size of gradients."""
    momentum: float = Field(default=0.6, ge=0, lt=1)
    """Share of the last gradients that is kept, for filters."""
    nesterov: bool = True
    """Look ahead along the momentum, for filters and others."""
    steps: int = Field(default=3, ge=1)
    """Newton-Schulz iterations."""
    keep_norm: bool = True
    """Scale each bank of filters to the norm sqrt(rows) before its step; only for filters that are normalised after."""
    other_lr: float = Field(default=0.1, gt=0)
    """Learning rate of all other parameters, at `reference_batch`."""
    other_momentum: float = Field(default=0.85, ge=0, lt=1)
    """Share of the last gradients that is kept, for all others."""

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


AnyOptimiser = Annotated[Sgd | AdamW | RmsProp | RmsPropTf | Muon, Field(discriminator="kind")]


def _implementation(parameters: Sequence[Tensor], *, hooked: bool) -> tuple[bool, bool]:
    """Choose torch's fastest step: (fused, by lists of tensors).

    Fused is fastest on both devices, but skips a step with an infinite gradient inside the kernel, where hooks around
    the step cannot see it. Lists of tensors pay on the GPU only: on the processor they cost twice the plain loop.
    """
    devices = {parameter.device.type for parameter in parameters}
    return devices <= {"cpu", "cuda"} and not hooked, devices == {"cuda"}


def _moving(group: Mapping[str, Any]) -> list[Tensor]:
    return [parameter for parameter in group["params"] if parameter.grad is not None]


def _match_layouts(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
    """Give every gradient the strides of its parameter: torch's fused step on the processor takes them as equal, and
    silently mixes up the elements where one is channels_last and the other is not."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and parameter.grad.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter).copy_(parameter.grad)


@torch.no_grad()
def _decay_weights(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
    for group in optimiser.param_groups:
        moving = _moving(group)
        if moving and group["decoupled_decay_rate"]:
            torch._foreach_mul_(moving, 1 - group["lr"] * group["decoupled_decay_rate"])


def _add_lookahead(optimiser: Optimizer, settings: Lookahead) -> None:
    """Hook Lookahead around `optimiser.step`; its slow weights lie in the optimiser's own state as `lookahead_slow`."""
    for group in optimiser.param_groups:
        group["lookahead_step"] = 0
    starts: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def remember(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        # An optimiser takes a non-empty state for an initialised one: the slow weights enter it after its first step.
        for group in optimiser.param_groups:
            for parameter in _moving(group):
                if "lookahead_slow" not in optimiser.state[parameter]:
                    starts[parameter] = parameter.detach().clone()

    @torch.no_grad()
    def synchronise(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        for parameter, start in starts.items():
            optimiser.state[parameter]["lookahead_slow"] = start
        starts.clear()
        for group in optimiser.param_groups:
            group["lookahead_step"] += 1
            fast = [parameter for parameter in group["params"] if "lookahead_slow" in optimiser.state[parameter]]
            if fast and group["lookahead_step"] % settings.steps == 0:
                slow = [optimiser.state[parameter]["lookahead_slow"] for parameter in fast]
                torch._foreach_lerp_(slow, fast, settings.alpha)
                torch._foreach_copy_(fast, slow)

    optimiser.register_step_pre_hook(remember)
    optimiser.register_step_post_hook(synchronise)


def optimiser_state(optimiser: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Take the state of an optimiser apart into what safetensors and what JSON can hold.

    Returns:
        Tensors on the processor, contiguous, by `parameter name:state name`; and a tree of plain values: the groups'
        names, parameters, learning rates and counters, and state that is not a tensor.
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for name, parameter in _named(optimiser):
        for key, value in optimiser.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{name}:{key}"] = value.detach().to("cpu", copy=True).contiguous()
            elif value is not None:
                values[f"{name}:{key}"] = value
    groups = [
        {"name": group["name"], "parameters": list(group["param_names"])}
        | {key: group[key] for key in _EVOLVING if key in group}
        for group in optimiser.param_groups
    ]
    return tensors, {"optimiser": type(optimiser).__name__, "groups": groups, "values": values}


def load_optimiser_state(optimiser: Optimizer, tensors: Mapping[str, Tensor], tree: Mapping[str, Any]) -> None:
    """Bring back what `optimiser_state` returned into an optimiser built from the same settings for the same model.

    Training goes on bit for bit as if it had not been interrupted.

    Raises:
        CheckpointError: the state is of another optimiser, of other groups, or of tensors of other shapes.
    """
    expected = [(group["name"], list(group["param_names"])) for group in optimiser.param_groups]
    found = [(group["name"], list(group["parameters"])) for group in tree["groups"]]
    if tree["optimiser"] != type(optimiser).__name__ or found != expected:
        raise CheckpointError(
            "A checkpoint's optimiser must be of the kind and have the parameter groups of the recipe",
            found=f"{tree['optimiser']} with groups {listing(name for name, _ in found)}; "
            f"the recipe has {type(optimiser).__name__} with groups {listing(name for name, _ in expected)}",
            do="resume with the recipe that the run was started with",
        )
    index = {name: position for position, (name, _) in enumerate(_named(optimiser))}
    parameters = dict(_named(optimiser))
    state: dict[int, dict[str, Any]] = {}
    for full, value in [*tensors.items(), *tree["values"].items()]:
        name, _, key = full.rpartition(":")
        state.setdefault(index[name], {})[key] = _laid_out(full, value, parameters[name])
    groups = optimiser.state_dict()["param_groups"]
    for group, saved in zip(groups, tree["groups"], strict=True):
        group |= {key: saved[key] for key in _EVOLVING if key in saved}
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _named(optimiser: Optimizer) -> list[tuple[str, Tensor]]:
    return [
        pair for group in optimiser.param_groups for pair in zip(group["param_names"], group["params"], strict=True)
    ]


def _laid_out(name: str, value: Any, parameter: Tensor) -> Any:
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    if value.shape != parameter.shape:
        raise CheckpointError(
            "An optimiser's state must have the shape of its parameter",
            found=f"{name}: {tuple(value.shape)}, the parameter is {tuple(parameter.shape)}",
        )
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
