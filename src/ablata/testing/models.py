"""Conformance of models: classifiers and segmentation networks.

Letters: B batch, K classes, C channels, H and W height and width, h and w of a map.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ablata.base.overrides import override
from ablata.base.settings import Settings
from ablata.models.classification.any import AnyClassifier
from ablata.models.classification.digits_net import DigitsNet
from ablata.models.segmentation.any import AnySegmenter
from ablata.models.segmentation.bisenet.model import BiSeNet
from ablata.nn.lazy_modules import initialize_lazy


class _Classifier(Settings):
    part: AnyClassifier = DigitsNet()


class _Segmenter(Settings):
    part: AnySegmenter = BiSeNet()


def part_of(suite: Any) -> Any:
    """Return a suite's `part` as it is written; a function would else be taken for a method."""
    found = inspect.getattr_static(type(suite), "part")
    return found.__func__ if isinstance(found, staticmethod) else found


def chosen(holder: Any, part: Any, settings: dict[str, Any]) -> Any:
    """Return the settings of a part, given as a kind, a reference, a class or function, or settings.

    Args:
        holder: settings with a field `part` that takes it.
        part: the part.
        settings: its own settings by name.
    """
    if not isinstance(part, str):
        return type(holder)(part=part).part.model_copy(update=settings)
    changes = [f"part.{name}={value}" for name, value in settings.items()]
    return override(holder, [f"part={part}", *changes]).part


class ModelSuite(ABC):
    """What all models must do; `ClassifierSuite` and `SegmenterSuite` say what their logits are.

    Attributes:
        part: the model.
        settings: its settings by name.
        classes: K.
        image: C, H, W of an image.
        batch: B.
        tolerance: largest difference between an image's logits alone and in a batch.
    """

    part: ClassVar[Any] = None
    settings: ClassVar[dict[str, Any]] = {}
    classes: ClassVar[int] = 5
    image: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    batch: ClassVar[int] = 4
    tolerance: ClassVar[float] = 1e-4

    def make(self, seed: int = 0) -> nn.Module:
        """Return the model with weights of a seed."""
        torch.manual_seed(seed)
        made: nn.Module = self._chosen().build(self.classes, self.image[0])
        initialize_lazy(made, lambda: self.images()[:1])
        return made

    def images(self, seed: int = 1) -> Tensor:
        """Return normalized images, float32 [B, C, H, W]."""
        return torch.randn(self.batch, *self.image, generator=torch.Generator().manual_seed(seed))

    @abstractmethod
    def _chosen(self) -> Any:
        """Return the model's settings."""

    @abstractmethod
    def _shape(self) -> tuple[int, ...]:
        """Return the first dimensions of the logits."""

    def test_logits_are_finite_and_there_is_one_a_class(self) -> None:
        """Logits are [B, K], or a map of K channels."""
        logits = self.make().train()(self.images())["logits"]
        assert logits.shape[: len(self._shape())] == self._shape(), f"logits {tuple(logits.shape)}"
        assert logits.is_floating_point()
        assert bool(logits.isfinite().all())

    def test_a_gradient_reaches_every_trainable_parameter(self) -> None:
        """No parameter is left out of training."""
        model = self.make().train()
        outputs = model(self.images())
        sum(
            value.float().square().mean()
            for name, value in outputs.items()
            if "logits" in name or name.startswith("aux")
        ).backward()
        missing = [name for name, one in model.named_parameters() if one.requires_grad and one.grad is None]
        assert not missing, f"no gradient reaches {', '.join(missing)}"

    def test_one_seed_gives_one_model_and_another_seed_another(self) -> None:
        """First weights follow from torch's global generator alone."""
        first, again, other = (self.make(seed).state_dict() for seed in (0, 0, 1))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)

    def test_in_evaluation_an_image_gives_the_same_alone_and_in_a_batch(self) -> None:
        """Scores do not depend on which images are evaluated together."""
        model, images = self.make().eval(), self.images()
        with torch.no_grad():
            together, again = model(images)["logits"], model(images)["logits"]
            alone = torch.cat([model(image[None])["logits"] for image in images])
        assert torch.equal(together, again), "two passes differ"
        assert float((together - alone).abs().max()) <= self.tolerance

    def test_a_state_that_was_saved_gives_the_same_logits(self) -> None:
        """Everything that the outputs depend on is in the state_dict."""
        model, other, images = self.make(0).eval(), self.make(1).eval(), self.images()
        other.load_state_dict(model.state_dict())
        with torch.no_grad():
            assert torch.equal(model(images)["logits"], other(images)["logits"])


class ClassifierSuite(ModelSuite):
    """What every image classifier must do: logits [B, K]."""

    def _chosen(self) -> Any:
        return chosen(_Classifier(), part_of(self), self.settings)

    def _shape(self) -> tuple[int, ...]:
        return (self.batch, self.classes)


class SegmenterSuite(ModelSuite):
    """What every semantic segmentation network must do: logits [B, K, h, w], which reach the image's size."""

    image: ClassVar[tuple[int, int, int]] = (3, 64, 96)
    batch: ClassVar[int] = 2

    def _chosen(self) -> Any:
        return chosen(_Segmenter(), part_of(self), self.settings)

    def _shape(self) -> tuple[int, ...]:
        return (self.batch, self.classes)

    def test_logits_are_brought_to_the_size_of_the_images(self) -> None:
        """`full_size` gives [B, K, H, W]."""
        model: Any = self.make().eval()
        size = self.image[1:]
        with torch.no_grad():
            full = model.full_size(model(self.images()), size)["logits"]
        assert full.shape == (self.batch, self.classes, *size)
