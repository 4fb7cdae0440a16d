"""Knowledge distillation: the teacher that a recipe asks for, and the student's loss against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ablata.base.seeds import derive
from ablata.data.loading.labeled_images import LabeledImageDataset
from ablata.engine.checkpoints import load_checkpoint
from ablata.engine.hardware.precision import choose_precision
from ablata.engine.recipe import Recipe
from ablata.engine.task import RunContext
from ablata.nn.state_digest import state_digest
from ablata.structures.batch import ImageBatch
from ablata.tasks.distillation.checkpoints import (
    find_checkpoint,
    load_teacher,
    stored_labels,
    teacher_weights,
)
from ablata.tasks.distillation.settings import Online, Refinement, Static
from ablata.tasks.distillation.teachers import EmaTeacher, FrozenNetwork, Peer, PeerPair, StoredLabels, Teacher

Hard = Callable[[Tensor, ImageBatch], Tensor]
"""Loss of logits [B, K] against a batch's labels, a scalar."""

Target = Callable[[ImageBatch], Tensor]
"""The labels of a batch as distributions, float32 [B, K], smoothed and mixed."""


class Distiller:
    """A teacher and how a student is compared with it.

    Args:
        settings: the refinement.
        teacher: gives the soft targets.
        hard: the loss against labels, used until the teacher counts.
        target: labels as distributions, used where the label has a weight.
        digest: of a frozen teacher's weights; None for one that is made while training.
    """

    def __init__(
        self, settings: Refinement, teacher: Teacher, hard: Hard, target: Target, digest: str | None = None
    ) -> None:
        self.settings, self.teacher, self.digest = settings, teacher, digest
        self._hard, self._target = hard, target
        self._criterion = settings.loss.build()
        self._scores: dict[tuple[str, str], dict[str, float]] = {}

    def loss(self, outputs: Mapping[str, Tensor], batch: ImageBatch) -> dict[str, Tensor]:
        """Return the named loss terms of a batch; a pair of peers has those of the peer too."""
        terms = self._terms(outputs["logits"], batch, outputs)
        if "peer_logits" in outputs:
            mirrored = {"logits": outputs["peer_logits"], "peer_logits": outputs["logits"]}
            terms |= {f"peer_{name}": value for name, value in self._terms(mirrored["logits"], batch, mirrored).items()}
        return terms

    def _terms(self, logits: Tensor, batch: ImageBatch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        labelled = self.settings.loss.label_weight > 0
        if not self.teacher.ready:
            hard = self._hard(logits, batch)
            split = self.settings.loss.combine == "losses"
            return {"label": hard, "distillation": hard.new_zeros(())} if split else {"distillation": hard}
        soft_targets = self.teacher.probabilities(batch, outputs, self._criterion.teacher_temperature)
        terms: dict[str, Tensor] = self._criterion(logits, soft_targets, self._target(batch) if labelled else None)
        return terms

    def scores(
        self, split: str, protocol: str, score: Callable[[nn.Module, str, str], dict[str, float]]
    ) -> dict[str, float]:
        """Return the teacher's own scores, names beginning with `teacher_`; a frozen one is scored once."""
        network = self.teacher.network
        if network is None:
            return {}
        if self.digest is None or (split, protocol) not in self._scores:
            mode = network.training
            network.eval()
            found = score(network, split, protocol)
            network.train(mode)
            self._scores[split, protocol] = {f"teacher_{name}": value for name, value in found.items()}
        return self._scores[split, protocol]


def round_seed(refine: Refinement | None, seed: int) -> int:
    """Return the seed of a round and set torch's generator to its `init` stream.

    A student is a fresh network: it shares neither first weights nor order with its teacher. An online round, and
    one without a teacher, keeps the run's seed.
    """
    if refine is None or refine.online:
        return seed
    own = derive(seed, "round", refine.rounds)
    torch.manual_seed(derive(own, "init"))
    return own


def given_teacher_mark(refine: Refinement | None) -> str:
    """Return what a teacher given as a file adds to the data's fingerprint: nothing, or a part of its weights' digest.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    if refine is None or refine.start is None:
        return ""
    path = find_checkpoint(Path(refine.start), refine.checkpoint)
    return f"-{state_digest(teacher_weights(load_checkpoint(path)))[:8]}"


def frozen_distiller(
    recipe: Recipe,
    refine: Refinement,
    data: LabeledImageDataset,
    contract: Mapping[str, Any],
    context: RunContext,
    hard: Hard,
    target: Target,
) -> Distiller | None:
    """Return the teaching of a static or dynamic round.

    Args:
        recipe: the recipe as it is trained, for its precision and batch.
        refine: its refinement.
        data: what the round trains on.
        contract: what teacher and student must have in common.
        context: device, cache and, unless `refine.start` is set, the parent's folder.
        hard, target: see `Distiller`.

    Returns:
        None where no teacher is known, because the student is only to be scored.

    Raises:
        CheckpointError: the teacher, or stored labels, do not fit; both sides are named.
    """
    source = Path(refine.start) if refine.start else context.parent
    if source is None:
        return None
    network, digest = load_teacher(
        source, refine.checkpoint, contract, context.cache.parent, trust_code=context.trust_code
    )
    layout = torch.channels_last if context.channels_last else torch.contiguous_format
    network = network.requires_grad_(False).eval().to(context.device).to(memory_format=layout)
    if not isinstance(refine.teacher, Static):
        return Distiller(refine, FrozenNetwork(network, refine.teacher_mode == "train"), hard, target, digest)
    precision = choose_precision(recipe.compute.precision, context.device)
    facts = {
        "teacher": digest,
        "teacher_mode": refine.teacher_mode,
        "data": data.fingerprint,
        "split": data.splits_hash,
        "classes": list(contract["classes"]),
        "precision": precision.name,
    }

    @torch.no_grad()
    def label() -> Tensor:
        """Return the teacher's logits of every training image."""
        network.train(refine.teacher_mode == "train")
        with precision.autocast():
            logits = _label_all(network, data, len(contract["classes"]), recipe.train.evaluate_batch, context)
        network.eval()
        return logits

    file = Path(refine.teacher.file) if refine.teacher.file else None
    folder = context.cache / "teachers"
    if context.group.is_main:
        stored_labels(folder, facts, label, file)
    context.group.broadcast_object("labelled")
    return Distiller(
        refine,
        StoredLabels(stored_labels(folder, facts, label, file).to(context.device), network),
        hard,
        target,
        digest,
    )


def online_distiller(
    refine: Refinement, model: nn.Module, steps_per_epoch: int, context: RunContext, hard: Hard, target: Target
) -> Distiller:
    """Return the teaching of an online round; `model` is the student, or a `PeerPair`."""
    settings = refine.teacher
    assert isinstance(settings, Online)
    start = round(settings.start * steps_per_epoch)
    if isinstance(model, PeerPair):
        return Distiller(refine, Peer(model, start), hard, target)
    ema = settings.ema if settings.source == "ema" else None
    past = EmaTeacher(model, ema, start, steps_per_epoch, refine.teacher_mode == "train")
    layout = torch.channels_last if context.channels_last else torch.contiguous_format
    past.copy.to(context.device).to(memory_format=layout)
    return Distiller(refine, past, hard, target)


def _label_all(network: nn.Module, data: LabeledImageDataset, classes: int, batch: int, context: RunContext) -> Tensor:
    """Return the network's logits of every training sample as it is, float32 [N, K]; other rows are zero."""
    rows = 1 + max(int(split.index.max()) for split in data.splits.values() if split.source == "train" and len(split))
    logits = torch.zeros(rows, classes)
    loader = data.eval_loader("train", batch, device=context.device, channels_last=context.channels_last)
    for part in loader:
        logits[part.index.cpu()] = network(part.images)["logits"].float().cpu()
    return logits
