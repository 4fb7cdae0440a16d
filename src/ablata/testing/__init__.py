"""Conformance suites: what every model, loss, data set, metric and task must do, as tests to inherit.

In a test file of your own:

    from ablata.testing import ClassifierSuite

    class TestNet(ClassifierSuite):
        part = "net.py:Net"

and `pytest` runs them. `part` is a built-in kind, a reference, a class or function, or settings.
"""

from ablata.testing.data import DetectionDataSuite, IdentityDataSuite, ImageDataSuite, SegmentationDataSuite
from ablata.testing.detectors import DetectorSuite
from ablata.testing.losses import LabelLossSuite, PixelLossSuite
from ablata.testing.metrics import DetectionMetricSuite, ImageMetricSuite, MetricSuite, RetrievalMetricSuite
from ablata.testing.models import ClassifierSuite, SegmenterSuite
from ablata.testing.tasks import TaskSuite

__all__ = [
    "ClassifierSuite",
    "DetectionDataSuite",
    "DetectionMetricSuite",
    "DetectorSuite",
    "IdentityDataSuite",
    "ImageDataSuite",
    "ImageMetricSuite",
    "LabelLossSuite",
    "MetricSuite",
    "PixelLossSuite",
    "RetrievalMetricSuite",
    "SegmentationDataSuite",
    "SegmenterSuite",
    "TaskSuite",
]
