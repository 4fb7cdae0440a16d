"""The data sets a recipe can choose from, told apart by `kind`: all that stand in the folders of their task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ablata.base.family import family
from ablata.base.parts import OpenPart
from ablata.data.classification.digits import Digits
from ablata.data.detection.files import DetectionSettings
from ablata.data.loading.dataset import ClassificationSettings, SegmentationSettings
from ablata.data.reid.dataset import ReidSettings
from ablata.data.synthetic.persons import Persons
from ablata.data.synthetic.scene_boxes import SceneBoxes
from ablata.data.synthetic.scene_masks import SceneMasks

PLAIN = "a torch Dataset class, or a function that returns one"
SYNTHETIC = "ablata.data.synthetic"
FORMATS = "ablata.data.formats"

if TYPE_CHECKING:
    AnyImageData = ClassificationSettings
    AnyIdentityData = ReidSettings
    AnySegmentationData = SegmentationSettings
    AnyDetectionData = DetectionSettings
    AnyData = ClassificationSettings | ReidSettings
else:
    AnyImageData = Annotated[
        family(ClassificationSettings, Digits, "ablata.data.classification", FORMATS, SYNTHETIC),
        OpenPart(adapt="ablata.data.plain:images", plain=PLAIN),
    ]
    AnyIdentityData = Annotated[
        family(ReidSettings, Persons, "ablata.data.reid", SYNTHETIC),
        OpenPart(adapt="ablata.data.plain_identities:identities", plain=PLAIN),
    ]
    AnySegmentationData = Annotated[
        family(SegmentationSettings, SceneMasks, "ablata.data.segmentation", FORMATS, SYNTHETIC),
        OpenPart(adapt="ablata.data.plain:masks", plain=PLAIN),
    ]
    AnyDetectionData = Annotated[
        family(DetectionSettings, SceneBoxes, "ablata.data.detection", FORMATS, SYNTHETIC),
        OpenPart(adapt="ablata.data.plain:objects", plain=PLAIN),
    ]
    AnyData = Annotated[AnyImageData | AnyIdentityData, OpenPart()]
