"""The notebook of detection with relations on chest X-rays (relation_rcnn.txt), restated."""

from __future__ import annotations

from ablata.replications.relation_rcnn.combined import COMBINED
from ablata.replications.relation_rcnn.graphs import GRAPHS
from ablata.replications.relation_rcnn.published import BESIDE_PUBLISHED
from ablata.replications.relation_rcnn.pyramid import PYRAMIDS
from ablata.replications.relation_rcnn.spatial import SPATIAL
from ablata.replications.trial import Notebook, Omission, Small

NOTEBOOK = Notebook(
    name="relation_rcnn",
    title="Relations between classes and between regions, for Mask R-CNN on chest X-rays",
    recipe="mask_rcnn_c4_coco",
    metric="mean average precision of boxes on the author's own test images",
    small=Small(
        overrides="data=scene_boxes model.backbone=small model.backbone.width=16 model.rpn.sizes=[[9,16,24]] "
        "model.rpn.ratios=[1.0] model.rpn.batch_size_per_image=64 model.rpn.pre_nms_top_n_train=200 "
        "model.rpn.pre_nms_top_n_test=200 model.rpn.post_nms_top_n_train=64 model.rpn.post_nms_top_n_test=48 model.roi_sampling.positive_fraction=0.5 "
        "model.roi_pool_size=5 model.sampling_ratio=1 model.head_width=64 model.masks.layers=1 model.masks.width=16 "
        "model.masks.roi_pool_size=7 model.max_detections=20 optim.lr=0.03 train.batch=8 train.clip=10.0 train.evaluate_every=0",
        factor=0.0125,
        margin=2.0,
        note="A network that sees no further than a thing, on made scenes whose things are told apart by company and "
        "place; 96,000 steps are 1200.",
    ),
    questions=(*GRAPHS, *SPATIAL, *COMBINED, *BESIDE_PUBLISHED, *PYRAMIDS),
    omissions=(
        Omission(
            lines=(198,),
            reason="one class of the private set in place of another (tuberculosis for increased lung markings): "
            "nothing of the training changes",
        ),
        Omission(
            lines=(233, 234, 235, 236, 237, 238, 239, 240, 241),
            reason="losses of plain Mask R-CNN in two libraries, read at unknown steps; no setting is named",
        ),
    ),
)
