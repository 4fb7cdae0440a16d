"""What tasks have in common whose network may learn from a teacher."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.base.seeds import derive
from ablata.data.loading.labeled_images import LabeledImageDataset
from ablata.data.loading.loaders import TrainLoader
from ablata.engine.batch_norm import Images
from ablata.engine.recipe import Recipe
from ablata.engine.task import RunContext, Task
from ablata.nn.annealing import advance, temperatures
from ablata.structures.batch import ImageBatch
from ablata.tasks.distillation.distiller import Distiller, frozen_distiller, online_distiller
from ablata.tasks.distillation.settings import Refinement


class DistillableTask(Task[ImageBatch]):
    """A task that can be a round of label refinery.

    Attributes:
        context: device and share of the work.
        data: what is trained on.
        loader: its training batches.
        teaching: who teaches, and how; None where the labels do, or where a student is only to be scored.
    """

    context: RunContext
    data: LabeledImageDataset
    loader: TrainLoader[ImageBatch]
    distiller: Distiller | None = None

    def find_teacher(self, recipe: Recipe, refine: Refinement | None, data: LabeledImageDataset) -> None:
        """Set `teaching`; everything else must be there.

        Args:
            recipe: the recipe as it is trained.
            refine: its refinement, or None.
            data: what is trained on.

        Raises:
            CheckpointError: the teacher, or stored labels, do not fit; both sides are named.
        """
        if refine is None:
            return
        hard, target = self.hard_loss, self.target
        if refine.online:
            self.distiller = online_distiller(refine, self.model, self.steps_per_epoch, self.context, hard, target)
        else:
            self.distiller = frozen_distiller(recipe, refine, data, self.contract(), self.context, hard, target)

    def refuse_without_teacher(self, refine: Refinement | None) -> None:
        """Check before the first step that a taught round has its teacher.

        Raises:
            SettingsError: it has none.
        """
        if refine is not None and self.distiller is None:
            raise SettingsError(
                "A taught round must be trained after its teacher",
                found=f"round {refine.rounds} without the run of round {refine.rounds - 1}",
                do="train the whole chain: ablata train RECIPE; or give a checkpoint: refine.start=PATH",
            )

    def teacher_facts(self) -> dict[str, str]:
        """Return what a contract says of the teacher: the digest of a frozen one's weights."""
        return {"teacher": self.distiller.digest} if self.distiller and self.distiller.digest else {}

    @abstractmethod
    def hard_loss(self, logits: Tensor, batch: ImageBatch) -> Tensor:
        """Return the loss of logits [B, K] against a batch's labels, a scalar."""

    @abstractmethod
    def target(self, batch: ImageBatch) -> Tensor:
        """Return a batch's labels as distributions, float32 [B, K], smoothed and mixed."""

    def norm_images(self, images: Images, start: int, count: int) -> Iterator[Tensor]:
        """Yield training images from a reader of their own; see `Task.norm_images`."""
        return self._augmented(start, count) if images == "training" else self._plain(count)

    def _augmented(self, start: int, count: int) -> Iterator[Tensor]:
        reader = self.data.reader("train", training=True, seed=self.loader.seed, device=self.context.device)
        loader = replace(self.loader, reader=reader)
        for step, batch in enumerate(loader.batches(start, start + count), start):
            yield loader.augment(batch.to(self.context.device), step, loader.epoch_of(step)).images

    def _plain(self, count: int) -> Iterator[Tensor]:
        place, batch = self.context.group, self.loader.batch_size
        random = np.random.default_rng(derive(self.loader.seed, "data"))
        chosen = random.permutation(self.loader.index)[: count * batch]
        loader = self.data.eval_loader(
            "train", batch // place.world_size, device=self.context.device, channels_last=self.context.channels_last
        )
        for prepared in replace(loader, index=chosen[place.rank :: place.world_size]):
            yield prepared.images

    def after_step(self, step: int) -> None:
        """Cool the model's temperatures; let an online teacher learn from the student."""
        advance(temperatures(self.model))
        if self.distiller is not None:
            self.distiller.teacher.after_step(step)

    def state(self) -> Mapping[str, Tensor]:
        """Return what an online teacher has learned."""
        return self.distiller.teacher.state() if self.distiller else {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Give it back to the teacher."""
        if self.distiller is not None:
            self.distiller.teacher.load_state(state)
        else:
            super().load_state(state)
