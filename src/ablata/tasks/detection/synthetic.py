"""A detection recipe on generated street scenes, to see that it builds and learns at all."""

from __future__ import annotations

from typing import Any

from ablata.data.detection.class_graph import Cooccurrence, GraphFile, IdentityGraph, RandomGraph
from ablata.data.synthetic.scene_boxes import CLASSES, SceneBoxes
from ablata.data.transforms.detection import DetectionAugment
from ablata.models.detection.backbones import C4, SmallCnn
from ablata.models.detection.mask_rcnn import MaskRcnn
from ablata.tasks.detection.start_from import StartFrom


def synthetic_parts(data: Any, model: MaskRcnn, graph: Any, start: StartFrom | None, steps: int) -> dict[str, Any]:
    """Return the settings that change where a recipe of these is trained on generated images.

    The detector proposes and finds few boxes, and its backbone begins without the weights of a file.
    """
    fewer = {
        "pre_nms_top_n_train": 200,
        "pre_nms_top_n_test": 200,
        "post_nms_top_n_train": 32,
        "post_nms_top_n_test": 8,
    }
    most = {name: min(count, getattr(model.rpn, name)) for name, count in fewer.items()}
    update: dict[str, Any] = {
        "rpn": model.rpn.model_copy(update=most),
        "roi_sampling": model.roi_sampling.model_copy(
            update={"batch_size_per_image": min(model.roi_sampling.batch_size_per_image, 8)}
        ),
        "max_detections": min(model.max_detections, 4),
    }
    if isinstance(model.backbone, C4):
        # Its last stage works on every region: a quarter of the cells, a quarter of the time.
        update["roi_pool_size"] = min(model.roi_pool_size, 7)
        update["masks"] = model.masks and model.masks.model_copy(
            update={"roi_pool_size": min(model.masks.roi_pool_size, 7)}
        )
    if not isinstance(model.backbone, SmallCnn):
        # Statistics that weights came with are no use without them.
        untrained = {"weights": None, "norm": "batch", "frozen_stages": 0}
        update["backbone"] = model.backbone.model_copy(update=untrained)
    return {
        "data": SceneBoxes(train=16, val=2, augment=DetectionAugment(flip=data.augment.flip)),
        "model": model.model_copy(update=update),
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
