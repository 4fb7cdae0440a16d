"""Label refinery: self-distillation in rounds, each on the predictions of the round before (arXiv 1805.02641).

A recipe with `refine` set is the last round of a chain. Round 0 is the same recipe without `refine`; the teacher of
round r is round r - 1. Every round is a run of its own, so that chains with a common beginning share it, and so does
a study's control that equals round 0. Online refinement has no chain: its teacher comes from the training itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol, Self, TypeVar

from pydantic import Field, model_validator

from ablata.base.parts import OpenPart
from ablata.base.settings import INCIDENTAL, ON_DISK, Settings
from ablata.data.any import AnyData
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.mixup_cutmix import Mix, Mixup, MixupOrCutmix
from ablata.engine.optim.ema import Ema
from ablata.engine.recipe import Train
from ablata.losses.classification.distillation import Distillation


class Static(Settings):
    """One soft label an image: the teacher sees each training image once, as it is, before the training."""

    kind: Literal["static"] = "static"
    file: Annotated[str | None, INCIDENTAL, ON_DISK] = None
    """Soft labels made earlier, of the same teacher and data; null: the lab's cache, filled where it lacks them."""


class Dynamic(Settings):
    """The teacher labels every augmented image, after mixing, as the student sees it."""

    kind: Literal["dynamic"] = "dynamic"


class Online(Settings):
    """The teacher is made while training, beside the labels, which must keep a weight."""

    kind: Literal["online"] = "online"
    source: Literal["ema", "previous_epoch", "peer"] = "ema"
    """ema: a moving average of the student (Tarvainen & Valpola 2017, arXiv 1703.01780); previous_epoch: the student as
    it was at the end of the last epoch; peer: a second network, as in deep mutual learning (Zhang et al. 2018,
    1706.00384)."""
    ema: Ema = Ema(decay=0.999)
    """The EMA that is the teacher, with source=ema."""
    start: Annotated[float, Field(ge=0)] = 1.0
    """Epochs on the labels alone, before the teacher counts."""


Teacher = Annotated[Static | Dynamic | Online, OpenPart()]


class Refinement(Settings):
    """Knowledge distillation: train on a teacher's predictions."""

    kind: Literal["refinement"] = "refinement"
    rounds: Annotated[int, Field(ge=1)] = 1
    """Students, each the teacher of the next; round 0, which learns from the labels, is not counted."""
    teacher: Teacher = Dynamic()
    """When the teacher labels: once (static), every augmented image (dynamic), or while it learns itself (online)."""
    loss: Distillation = Distillation()
    """How student and teacher are compared, and the share of the hard label."""
    teacher_mode: Literal["eval", "train"] = "eval"
    """train: the teacher normalises by batch statistics and drops out, as the public code does."""
    checkpoint: Literal["last", "best"] = "last"
    """Which checkpoint of the teacher is used."""
    stop_epochs: Annotated[float, Field(gt=0)] | None = None
    """Stop round 0 after this many epochs, its schedule unfinished; null: train it to its end."""
    epochs: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Epochs of rounds 0, 1, ...; the last figure holds for all that follow; empty: train.epochs for all."""
    mix_alpha: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Mixing parameter of rounds 0, 1, ..., in the same way; 0: no mixing; empty: data.augment.mix for all."""
    smoothing: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = ()
    """Label smoothing of rounds 0, 1, ..., in the same way; empty: loss.smoothing for all."""
    images: Literal["labeled", "all"] = "labeled"
    """all: rounds from 1 on train on every training image, with no label read; round 0 has those of `label_subset`."""
    target: AnyData | None = None
    """Another data set that rounds from 1 on train on and are scored on, with no label read; null: the same."""
    start: Annotated[str | None, INCIDENTAL, ON_DISK] = None
    """A checkpoint, or a run folder, that teaches round 1 in place of round 0; its content counts as data."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if isinstance(self.teacher, Online):
            if self.rounds != 1 or self.start is not None:
                raise ValueError("an online teacher has no rounds: refine.rounds must be 1 and refine.start null")
            if self.loss.label_weight == 0:
                raise ValueError(
                    "an online teacher knows nothing without the labels: refine.loss.label_weight must be above 0"
                )
        if self.unlabeled and self.loss.label_weight > 0:
            raise ValueError(
                "images without labels cannot use them: refine.loss.label_weight must be 0 with "
                "refine.images=all or refine.target"
            )
        return self

    def shortened(self, factor: float) -> Self:
        """Return the same chain with every round `factor` times as long."""
        stop = None if self.stop_epochs is None else self.stop_epochs * factor
        return self.model_copy(update={"epochs": tuple(e * factor for e in self.epochs), "stop_epochs": stop})

    def synthetic(self, target: Any) -> Self:
        """Return the same chain with at most two rounds after the first, each as long as the recipe says.

        Args:
            target: generated images in place of another data set; None: the chain has none.
        """
        update = {"rounds": min(self.rounds, 2), "epochs": (), "stop_epochs": None, "target": target}
        return self.model_copy(update=update)

    @property
    def online(self) -> bool:
        """Whether the teacher is made while training."""
        return isinstance(self.teacher, Online)

    @property
    def has_peer(self) -> bool:
        """Whether two networks teach each other."""
        return isinstance(self.teacher, Online) and self.teacher.source == "peer"

    @property
    def unlabeled(self) -> bool:
        """Whether students see images whose labels must not be read."""
        return self.images == "all" or self.target is not None


class Refinable(Protocol):
    """A recipe that can be refined: what rounds change in it."""

    @property
    def train(self) -> Train:
        """Its length."""

    @property
    def loss(self) -> Any:
        """Its loss; `smoothing` is changed if rounds have their own."""

    @property
    def data(self) -> Any:
        """Its data set; `augment` is changed if rounds mix differently."""

    @property
    def refine(self) -> Refinement | None:
        """Its chain."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with fields changed."""


R = TypeVar("R", bound=Refinable)


def effective_round(recipe: R) -> R:
    """Return a recipe with the settings of its own round, the last of its chain, put in their place."""
    return recipe if recipe.refine is None else _at_round(recipe, recipe.refine, recipe.refine.rounds)


def round_data(recipe: Refinable) -> Any:
    """Return the settings of the data set that an effective recipe trains on: its target, or its own."""
    target = recipe.refine.target if recipe.refine is not None else None
    return recipe.data if target is None else target


def teacher_recipe(recipe: R) -> R | None:
    """Return the recipe of the round before; None where no run of the ledger teaches."""
    refine = recipe.refine
    if refine is None or isinstance(refine.teacher, Online):
        return None
    before = refine.rounds - 1
    if before:
        # Only what the round depends on: chains that differ in later rounds then share it.
        kept = {name: getattr(refine, name)[: before + 1] for name in ("epochs", "mix_alpha", "smoothing")}
        return recipe.model_copy(update={"refine": refine.model_copy(update={"rounds": before, **kept})})
    if refine.start is not None:
        return None
    first = _at_round(recipe, refine, 0)
    update: dict[str, Any] = {"refine": None}
    if refine.stop_epochs is not None:
        update["train"] = first.train.model_copy(update={"stop_epochs": refine.stop_epochs})
    return first.model_copy(update=update)


def _at_round(recipe: R, refine: Refinement, number: int) -> R:
    update: dict[str, Any] = {}
    if refine.epochs:
        update["train"] = recipe.train.model_copy(update={"epochs": _pick(refine.epochs, number), "steps": None})
    if refine.smoothing:
        update["loss"] = recipe.loss.model_copy(update={"smoothing": _pick(refine.smoothing, number)})
    if refine.mix_alpha:
        alpha = _pick(refine.mix_alpha, number)
        update["data"] = _mixed(recipe.data, alpha)
        if refine.target is not None:
            update["refine"] = refine.model_copy(update={"target": _mixed(refine.target, alpha)})
    if number and refine.unlabeled and getattr(recipe, "label_subset", None) is not None:
        update["label_subset"] = None
    return recipe.model_copy(update=update)


def _pick(values: tuple[float, ...], number: int) -> float:
    return values[min(number, len(values) - 1)]


def _mixed(data: Any, alpha: float) -> Any:
    """Return settings of a data set with another mixing parameter."""
    augment: Augment = data.augment
    return data.model_copy(update={"augment": augment.model_copy(update={"mix": _mix(augment.mix, alpha)})})


def _mix(mix: Mix | None, alpha: float) -> Mix | None:
    if alpha == 0:
        return None
    if isinstance(mix, MixupOrCutmix):
        parts = {name: getattr(mix, name).model_copy(update={"alpha": alpha}) for name in ("mixup", "cutmix")}
        return mix.model_copy(update=parts)
    return (mix or Mixup()).model_copy(update={"alpha": alpha})
