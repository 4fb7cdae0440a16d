"""Building a trained network from a checkpoint or from what an export wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ablata.base.errors import CheckpointError
from ablata.base.settings import Settings, restore
from ablata.data.any import AnyImageData, AnySegmentationData
from ablata.data.recognise import AnyDetectionData
from ablata.engine.checkpoints import BEST, LAST, load_checkpoint
from ablata.models.detection.backbones import Small
from ablata.models.detection.mask_rcnn import MaskRcnn
from ablata.tasks.classification.models import AnyClassifier
from ablata.tasks.classification.predictor import ClassificationPredictor
from ablata.tasks.detection.predictor import DetectionPredictor
from ablata.tasks.distillation.checkpoints import teacher_weights
from ablata.tasks.predictor import Predictor
from ablata.tasks.segmentation.models import AnySegmenter
from ablata.tasks.segmentation.predictor import SegmentationPredictor


class _ClassifierParts(Settings):
    model: AnyClassifier
    data: AnyImageData

    def network(self, contract: Mapping[str, Any]) -> nn.Module:
        """Return the network without its weights."""
        return self.model.build(len(contract["classes"]), contract["channels"])


class _SegmenterParts(Settings):
    model: AnySegmenter
    data: AnySegmentationData

    def network(self, contract: Mapping[str, Any]) -> nn.Module:
        """Return the network without its weights."""
        return self.model.build(len(contract["classes"]), contract["channels"])


class _DetectorParts(Settings):
    model: MaskRcnn
    data: AnyDetectionData

    def network(self, contract: Mapping[str, Any]) -> nn.Module:
        """Return the network without its weights; its class graph is one of them."""
        backbone = self.model.backbone
        # The file that the backbone began with need not be here any more.
        bare = backbone if isinstance(backbone, Small) else backbone.model_copy(update={"weights": None})
        return self.model.model_copy(update={"backbone": bare}).build(len(contract["classes"]))


_Parts = type[_ClassifierParts] | type[_SegmenterParts] | type[_DetectorParts]
_KINDS: Mapping[str, tuple[_Parts, type[Predictor]]] = {
    "classify": (_ClassifierParts, ClassificationPredictor),
    "segment": (_SegmenterParts, SegmentationPredictor),
    "detect": (_DetectorParts, DetectionPredictor),
}
_TRAINING_ONLY = "projection."
"""Weights that only a loss over embeddings needs."""


def from_checkpoint(place: Path, which: str = "last") -> Predictor:
    """Build the network of a checkpoint: averaged weights where the run averages, a student without its teacher.

    Args:
        place: a run's folder, or a checkpoint.
        which: `last` or `best`.

    Raises:
        CheckpointError: the file is missing or damaged, or holds no network of a kind that is handed on.
    """
    path = place / (BEST if which == "best" else LAST) if place.is_dir() else place
    saved = load_checkpoint(path)
    kept: dict[str, Any] = {key: saved.facts[key] for key in ("recipe", "seed", "step", "scores") if key in saved.facts}
    return assemble(kept["recipe"], saved.facts["contract"], teacher_weights(saved), kept, str(path))


def assemble(
    recipe: Mapping[str, Any],
    contract: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    source: str,
) -> Predictor:
    """Build a network from a recipe's expanded settings and give it its weights.

    Raises:
        CheckpointError: it is no classifier, segmenter or detector, or the weights do not fit the network.
        SettingsError: the settings are of another version.
    """
    if contract.get("task") not in _KINDS:
        raise CheckpointError(
            "Predictions and exports are those of a classifier, a segmenter or a detector",
            found=f"{source} is of the task {contract.get('task')}",
        )
    form, kind = _KINDS[str(contract["task"])]
    parts: Any = restore(form, {"model": recipe.get("model"), "data": recipe.get("data")}, source=source)
    network: nn.Module = parts.network(contract)
    known = network.state_dict()
    needed = {name: value for name, value in weights.items() if name in known or not name.startswith(_TRAINING_ONLY)}
    try:
        network.load_state_dict(needed)
    except RuntimeError as error:
        raise CheckpointError("Weights must fit the network", found=f"{source}: {error}") from None
    return kind(network.eval(), parts.model, parts.data, contract, facts, source)
