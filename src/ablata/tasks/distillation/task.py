"""What the tasks with one label an image have in common: their network may learn from a teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.data.classification.label_subset import split_record
from ablata.data.loading.labeled_images import LabeledImageDataset
from ablata.engine.recipe import Preview
from ablata.engine.start import Start
from ablata.nn.annealing import Temperature, advance, temperatures
from ablata.structures.batch import ImageBatch
from ablata.tasks.dataset_task import DatasetRecipe, DatasetTask
from ablata.tasks.distillation.distiller import Distiller, frozen_distiller, given_teacher_mark, online_distiller
from ablata.tasks.distillation.settings import Refinement, effective_round, round_data, teacher_recipe
from ablata.tasks.distillation.teachers import PeerPair
from ablata.tasks.networks import weights_mark


class DistillableRecipe(DatasetRecipe):
    """Base of recipes with `refine`: the last round of a chain of label refinery, or its round 0."""

    if TYPE_CHECKING:
        loss: Any
        refine: Refinement | None

    def effective(self) -> Self:
        """Return the recipe with the settings of its own round in place."""
        return effective_round(self)

    def parent(self) -> Self | None:
        """Return the recipe of the round before this one, whose training `start` does not change."""
        return super().parent() or teacher_recipe(self.model_copy(update={"start": None}))

    def continued(self, parent: Path | None) -> Self:
        """Return the recipe for a training that goes on under the same teacher; see `Recipe.continued`."""
        recipe = super().continued(parent).effective()
        if recipe.refine is None or parent is None:
            return recipe
        once = {"rounds": 1, "start": str(parent), "epochs": (), "mix_alpha": (), "smoothing": ()}
        return recipe.model_copy(update={"refine": recipe.refine.model_copy(update=once)})

    def scored_data(self) -> Any:
        """Return the settings of the data set that the round is trained and scored on: its target, or its own."""
        return round_data(self)

    def shortened(self, factor: float) -> Self:
        """Return the recipe with every length multiplied, those of all rounds too; see `Recipe.shortened`."""
        short = super().shortened(factor)
        return short if self.refine is None else short.model_copy(update={"refine": self.refine.shortened(factor)})

    def preview(self, *, seed: int, step: int, count: int, cache: Path) -> Preview:
        """Draw the images of one training step, each as it is beside what the network sees; see `Recipe.preview`."""
        from ablata.tasks.preview import preview_images

        return preview_images(self, self.data, seed=seed, step=step, count=count, cache=cache)

    def fingerprint_of(self, data: LabeledImageDataset) -> str:
        """Return a data set's fingerprint joined with that of its splits, and of weights that come from files."""
        marks = weights_mark(self.model) + given_teacher_mark(self.refine)
        return f"{data.fingerprint[:24]}-{data.splits_hash[:8]}{marks}"


class DistillableTask(DatasetTask[ImageBatch]):
    """A task that can be a round of label refinery.

    Attributes:
        criterion: the loss of logits against labels.
        classes: what the logits stand for.
        distiller: the teacher and how the student is compared with it; None where the labels teach, or where a
            student is only to be scored.
    """

    criterion: Any
    classes: tuple[str, ...]
    distiller: Distiller | None = None
    _temperatures: list[Temperature] | None = None
    """Of the model; looked for once, since that takes longer than a small network's optimiser."""

    def pair_with_peer(self, build: Callable[[], nn.Module]) -> None:
        """Set `model` to a network, or to a pair of peers where the recipe asks for one.

        Args:
            build: returns a network with freshly drawn weights.
        """
        refine, self.model = self.recipe.refine, build()
        if refine is not None and refine.has_peer:
            self.model, self.outputs = PeerPair(self.model, build()), (*self.outputs, "peer_logits")

    def find_teacher(self) -> None:
        """Set `distiller`; everything else must be there.

        Raises:
            CheckpointError: the teacher, or stored labels, do not fit; both sides are named.
        """
        recipe, refine = self.recipe, self.recipe.refine
        if refine is None:
            return
        hard, target = self.hard_loss, self.target
        if refine.online:
            self.distiller = online_distiller(refine, self.model, self.steps_per_epoch, self.context, hard, target)
        else:
            self.distiller = frozen_distiller(recipe, refine, self.data, self.contract(), self.context, hard, target)

    def refuse_without_teacher(self) -> None:
        """Check before the first step that a student has its teacher.

        Raises:
            SettingsError: it has none.
        """
        refine = self.recipe.refine
        if refine is not None and self.distiller is None:
            raise SettingsError(
                "A student must be trained after its teacher",
                found=f"round {refine.rounds} without the run of round {refine.rounds - 1}",
                do="train the whole chain: ablata train RECIPE; or give a checkpoint: refine.start=PATH",
            )

    def load_start(self, start: Start, parent: Path | None) -> str:
        """Load an earlier run's weights; an average of the student begins with them too; see `Task.load_start`."""
        told = super().load_start(start, parent)
        if self.distiller is not None:
            self.distiller.teacher.restart()
        return told

    def contract(self) -> dict[str, Any]:
        """Return what predictions of this model mean, and the digest of a frozen teacher's weights."""
        teacher = {"teacher": self.distiller.digest} if self.distiller and self.distiller.digest else {}
        own = {"classes": list(self.classes), "image_size": list(self.data.image_size)}
        return super().contract() | own | teacher

    def hard_loss(self, logits: Tensor, batch: ImageBatch) -> Tensor:
        """Return the mean loss of logits [B, K] against labels, mixed ones where images are mixed."""
        mixing = batch.mixing
        mixed = () if mixing is None else (mixing.labels_b, mixing.lam, mixing.mix_target)
        loss: Tensor = self.criterion(logits, batch.labels, *mixed)
        return loss

    def target(self, batch: ImageBatch) -> Tensor:
        """Return the labels as distributions, float32 [B, K], smoothed and mixed."""
        mixing = batch.mixing
        mixed = () if mixing is None else (mixing.labels_b, mixing.lam)
        target: Tensor = self.criterion.target(batch.labels, len(self.classes), *mixed)
        return target

    def split_record(self) -> dict[str, Any]:
        """Return the data's fingerprint, the row numbers of each split and what was left out as unusable, where not
        all of the training set is trained on."""
        divided = "minival" in self.splits or getattr(self.recipe, "label_subset", None) is not None
        return split_record(self.data) if divided or self.data.left_out else {}

    def after_step(self, step: int) -> None:
        """Cool the model's temperatures; let an online teacher learn from the student."""
        if self._temperatures is None:
            self._temperatures = temperatures(self.model)
        advance(self._temperatures)
        if self.distiller is not None:
            self.distiller.teacher.after_step(step)

    def state(self) -> Mapping[str, Tensor]:
        """Return what an online teacher has learned."""
        return self.distiller.teacher.state() if self.distiller else {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` returned into the teacher."""
        if self.distiller is not None:
            self.distiller.teacher.load_state(state)
        else:
            super().load_state(state)
