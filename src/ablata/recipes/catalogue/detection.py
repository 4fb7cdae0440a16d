"""Detectors: Mask R-CNN of He et al. 2017 with a pyramid or on ResNet's fourth stage, plain and with relations."""

from __future__ import annotations

from ablata.data.detection.coco import ChestXray, Coco
from ablata.data.detection.penn_fudan import PennFudan
from ablata.data.detection.voc import BloodCells
from ablata.data.synthetic.scene_boxes import SceneBoxes
from ablata.data.transforms.detection import DetectionAugment
from ablata.engine.optim.optimisers import Sgd
from ablata.engine.optim.schedules import Cosine, Step, Warmup
from ablata.engine.recipe import Train
from ablata.models.detection.backbones import C4, Fpn, SmallCnn
from ablata.models.detection.mask_rcnn import MaskBranch, MaskRcnn
from ablata.models.detection.relations.class_relation import ClassRelation
from ablata.models.detection.relations.spatial_relation import SpatialRelation
from ablata.models.detection.relations.stage import Relations
from ablata.models.detection.roi_heads import CascadeStage, RoiSampling
from ablata.models.detection.rpn import Rpn
from ablata.tasks.detection.task import Detect

_ALL_SIZES = ((32, 64, 128, 256, 512),)
_REFINED = CascadeStage(boxes="refined", iou_threshold=0.6, bbox_reg_std=(0.05, 0.05, 0.1, 0.1), weight=0.5)
"""The second stage of Reasoning-RCNN."""


def mask_rcnn_fpn_coco() -> Detect:
    """Mask R-CNN with a ResNet-50 pyramid on COCO 2017.

    Command: ablata train mask_rcnn_fpn_coco data.root=FOLDER model.backbone.weights=FILE
    Expected: not measured
    Time: not measured; made for GPUs
    Source: He et al. 2017, arXiv 1703.06870; 90,000 steps of 16 images as in detectron2's model zoo
    """
    return Detect(
        data=Coco(augment=DetectionAugment(min_size=(640, 672, 704, 736, 768, 800), min_size_test=800)),
        model=MaskRcnn(backbone=Fpn(norm="frozen", frozen_stages=2)),
        protocols=("coco", "ap50"),
        train=Train(steps=90_000, batch=16, evaluate_batch=4, evaluate_every=4),
        optim=Sgd(lr=0.02, momentum=0.9, weight_decay=1e-4),
        schedule=Step(milestones=(2 / 3, 8 / 9), warmup=Warmup(length=1000, unit="step", start=0.001)),
    )


def mask_rcnn_c4_coco() -> Detect:
    """Mask R-CNN on ResNet-50's fourth stage, its last stage on regions, on COCO 2017.

    Command: ablata train mask_rcnn_c4_coco data.root=FOLDER model.backbone.weights=FILE
    Expected: not measured
    Time: not measured; made for GPUs
    Source: He et al. 2017, arXiv 1703.06870; 15 anchors a cell as in detectron2's model zoo
    """
    plain = mask_rcnn_fpn_coco()
    proposals = Rpn(sizes=_ALL_SIZES, pre_nms_top_n_train=12_000, pre_nms_top_n_test=6000)
    model = MaskRcnn(backbone=C4(norm="frozen", frozen_stages=2), rpn=proposals, roi_pool_size=14)
    return plain.model_copy(update={"model": model})


def relation_rcnn_fpn_coco() -> Detect:
    """Mask R-CNN with a second stage that relations between classes enrich, on COCO 2017.

    Command: ablata train relation_rcnn_fpn_coco data.root=FOLDER start.run=RUN start.heads=retrain
    Expected: not measured
    Time: not measured; made for GPUs
    Source: Xu et al. 2019 (Reasoning-RCNN, CVPR), which starts from a trained detector; stages of its public settings
    """
    plain = mask_rcnn_fpn_coco()
    model = plain.model.model_copy(
        update={"stages": (CascadeStage(), _REFINED), "class_agnostic": True, "relations": Relations()}
    )
    return plain.model_copy(update={"model": model})


def relation_rcnn_chest_xray() -> Detect:
    """Relations between classes and between regions on 63 chest X-rays with 13 overlapping classes.

    Command: ablata train relation_rcnn_chest_xray data.root=FOLDER
    Expected: not measured
    Time: not measured
    Source: the notes on relation R-CNN (class + relation network, pyramid); ResNet-18 from scratch and 512 pixels are
        ours, for 51 training images on a processor
    """
    model = MaskRcnn(
        backbone=Fpn(name="resnet18", channels=128),
        rpn=Rpn(post_nms_top_n_train=500, post_nms_top_n_test=300),
        roi_sampling=RoiSampling(batch_size_per_image=128),
        stages=(CascadeStage(), _REFINED),
        class_agnostic=True,
        head_width=512,
        masks=MaskBranch(width=128),
        relations=Relations(
            classes=ClassRelation(), spatial=SpatialRelation(heads=8, width=512), spatial_position="head"
        ),
    )
    return Detect(
        data=ChestXray(augment=DetectionAugment(min_size=(384, 448, 512), min_size_test=448, max_size=640)),
        model=model,
        protocols=("ap50", "ap01"),
        train=Train(steps=2000, batch=4, evaluate_batch=4, evaluate_every=20, clip=10.0),
        optim=Sgd(lr=0.01, momentum=0.9, weight_decay=1e-4),
        schedule=Cosine(warmup=Warmup(length=0.07, unit="fraction", start=0.01)),
    )


def mask_rcnn_penn_fudan() -> Detect:
    """Mask R-CNN from scratch on 120 images of pedestrians.

    Command: ablata train mask_rcnn_penn_fudan data.root=FOLDER
    Expected: not measured
    Time: not measured
    Source: the set that torchvision's tutorial of detection uses; ResNet-18 and 320 pixels are ours
    """
    model = MaskRcnn(
        backbone=Fpn(name="resnet18", channels=128),
        rpn=Rpn(post_nms_top_n_train=500, post_nms_top_n_test=200),
        roi_sampling=RoiSampling(batch_size_per_image=128),
        head_width=512,
        masks=MaskBranch(width=128),
    )
    return Detect(
        data=PennFudan(augment=DetectionAugment(min_size=(256, 288, 320), min_size_test=288, max_size=480)),
        model=model,
        protocols=("ap50", "coco"),
        train=Train(steps=1500, batch=4, evaluate_batch=4, evaluate_every=10, clip=10.0),
        optim=Sgd(lr=0.01, momentum=0.9, weight_decay=1e-4),
        schedule=Cosine(warmup=Warmup(length=0.07, unit="fraction", start=0.01)),
    )


def faster_rcnn_blood_cells() -> Detect:
    """Faster R-CNN from scratch on images of blood: boxes of three kinds of cells, most of them red.

    Command: ablata train faster_rcnn_blood_cells data.root=FOLDER
    Expected: not measured
    Time: not measured
    Source: Ren et al. 2015, arXiv 1506.01497, with the pyramid of Lin et al. 2017; ResNet-18 and 320 pixels are ours
    """
    model = MaskRcnn(
        backbone=Fpn(name="resnet18", channels=128),
        rpn=Rpn(sizes=((24,), (48,), (96,), (144,), (192,)), post_nms_top_n_train=500, post_nms_top_n_test=300),
        roi_sampling=RoiSampling(batch_size_per_image=128),
        head_width=512,
        masks=None,
    )
    return Detect(
        data=BloodCells(augment=DetectionAugment(min_size=(320,))),
        model=model,
        protocols=("ap50", "coco"),
        train=Train(steps=1500, batch=4, evaluate_batch=8, evaluate_every=10, clip=10.0),
        optim=Sgd(lr=0.01, momentum=0.9, weight_decay=1e-4),
        schedule=Cosine(warmup=Warmup(length=0.07, unit="fraction", start=0.01)),
    )


def relation_rcnn_scenes() -> Detect:
    """Both relations on synthetic scenes whose small things are told apart by company and place alone.

    Command: ablata train relation_rcnn_scenes
    Expected: not measured at its 1,500 steps; 1,000 steps behind 750 of the plain detector: 100.0 AP50 on val at each
        of three seeds (study relation_planted), the plain detector 73.8 to 75.3
    Time: 0.06 s a step of one core of a Xeon with AMX
    Source: ours; the relations of Xu et al. 2019 and Hu et al. 2018 on a network that sees no further than a thing
    """
    model = MaskRcnn(
        backbone=SmallCnn(width=16),
        rpn=Rpn(
            sizes=((9, 16, 24),),
            ratios=(1.0,),
            batch_size_per_image=64,
            pre_nms_top_n_train=200,
            pre_nms_top_n_test=200,
            post_nms_top_n_train=64,
            post_nms_top_n_test=48,
        ),
        roi_sampling=RoiSampling(batch_size_per_image=32, positive_fraction=0.5),
        stages=(CascadeStage(), CascadeStage()),
        roi_pool_size=5,
        sampling_ratio=1,
        head_width=64,
        masks=MaskBranch(layers=1, width=16, roi_pool_size=7),
        relations=Relations(
            classes=ClassRelation(
                attention_pool="max", attention_position="before", attention_scale=3.0, attention_relu=False
            ),
            spatial=SpatialRelation(heads=4, width=64),
        ),
        max_detections=20,
    )
    return Detect(
        data=SceneBoxes(),
        model=model,
        protocols=("ap50", "ap01"),
        train=Train(steps=1500, batch=8, evaluate_batch=32, evaluate_every=0, clip=10.0),
        optim=Sgd(lr=0.03, momentum=0.9, weight_decay=1e-4),
        schedule=Cosine(warmup=Warmup(length=0.07, unit="fraction", start=0.01)),
    )
