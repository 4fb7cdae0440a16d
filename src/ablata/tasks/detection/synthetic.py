"""A detection recipe on generated street scenes, to see that it builds and learns at all."""

from __future__ import annotations

from typing import Any

from ablata.data.detection.class_graph import Cooccurrence, GraphFile, IdentityGraph, RandomGraph
from ablata.data.synthetic.scene_boxes import CLASSES, SceneBoxes
from ablata.data.transforms.detection import DetectionAugment
from ablata.models.detection.base import DetectorSettings
from ablata.tasks.detection.start_from import StartFrom


def synthetic_parts(
    data: Any, model: DetectorSettings, graph: Any, start: StartFrom | None, steps: int
) -> dict[str, Any]:
    """Return the settings that change where a recipe of these is trained on generated images."""
    return {
        "data": SceneBoxes(train=16, val=2, augment=DetectionAugment(flip=data.augment.flip)),
        "model": model.reduced(),
        "graph": _for_scenes(graph),
        "protocols": ("ap50",),
        "start": start.lasting(lambda _: steps) if start is not None and start.run is None else None,
    }


def _for_scenes(graph: Cooccurrence | IdentityGraph | RandomGraph | GraphFile) -> Any:
    """Return a graph over the classes of generated scenes."""
    if isinstance(graph, GraphFile):
        return Cooccurrence()
    if isinstance(graph, RandomGraph):
        return graph.model_copy(update={"of": _for_scenes(graph.of)})
    if isinstance(graph, Cooccurrence) and graph.classes is not None:
        return graph.model_copy(update={"classes": CLASSES[: len(graph.classes)]})
    return graph
