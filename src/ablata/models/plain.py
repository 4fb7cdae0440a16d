"""Plain `nn.Module` classes as models: `model=net.py:Net model.width=8`.

A class, or a function that returns a module, needs no settings class: its arguments with defaults are the settings.
`num_classes` and `in_channels` are given where it takes them. What it returns for images [B, C, H, W] is its logits, or
a dict of named outputs with `logits` among them (torchvision's `out` is taken for them).

Letters: B batch, C channels, H and W height and width of the images, K classes, h and w of a map.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ablata.base.errors import SettingsError, listing
from ablata.base.parts import PlainPart, settings_for
from ablata.models.backbones.base import Backbone, BackboneModule, Classifier
from ablata.models.segmentation.base import DenseHeadModel, PlainHead, Segmenter, SegmenterSettings

GIVEN = ("num_classes", "in_channels")
"""Arguments that the data decides."""
LEVELS = ("stage1", "stage2", "stage3", "stage4")
"""Names of a backbone's maps, the finest first."""
_SIDE = 128
"""Height and width of the image that widths and strides of a backbone's maps are measured with."""


class PlainClassifier(PlainPart, Classifier):
    """Settings of an image classifier that is a plain module class."""

    def build(self, classes: int, channels: int) -> nn.Module:
        """Make the classifier; see `Classifier.build`."""
        return NamedOutputs(build_module(self, classes, channels), self.kind)


class PlainSegmenter(PlainPart, SegmenterSettings):
    """Settings of a semantic segmentation network that is a plain module class."""

    def build(self, classes: int, channels: int) -> Segmenter:
        """Make the network; see `SegmenterSettings.build`."""
        return PlainSegmenterModel(NamedOutputs(build_module(self, classes, channels), self.kind))


class PlainBackbone(PlainPart, Backbone):
    """Settings of a backbone that is a plain module class: it returns its feature maps, the finest first."""

    def build_backbone(self, channels: int) -> BackboneModule:
        """Make the backbone; see `Backbone.build_backbone`."""
        return PlainBackboneModule(build_module(self, None, channels), channels, self.kind)


def classifier(thing: Any, reference: str) -> type[PlainClassifier]:
    """Return the settings class of a module class, or of a function that returns a module, as a classifier.

    Raises:
        SettingsError: it is neither.
    """
    return settings_for(PlainClassifier, check_module_class(thing, reference), reference, GIVEN)


def segmenter(thing: Any, reference: str) -> type[PlainSegmenter]:
    """Return the settings class of a module class as a segmentation network; see `classifier`."""
    return settings_for(PlainSegmenter, check_module_class(thing, reference), reference, GIVEN)


def backbone(thing: Any, reference: str) -> type[PlainBackbone]:
    """Return the settings class of a module class as a backbone; see `classifier`."""
    return settings_for(PlainBackbone, check_module_class(thing, reference), reference, GIVEN)


def check_module_class(thing: Any, reference: str) -> Any:
    """Return a module class, or a function, as it is.

    Raises:
        SettingsError: it is neither.
    """
    if inspect.isfunction(thing) or (inspect.isclass(thing) and issubclass(thing, nn.Module)):
        return thing
    raise SettingsError(
        "A model must be an nn.Module class, or a function that returns a module",
        found=reference,
        do="derive a class from torch.nn.Module",
    )


def build_module(settings: PlainPart, classes: int | None, channels: int) -> nn.Module:
    """Return the module of a plain class or function, given `num_classes` and `in_channels` where it takes them.

    Args:
        settings: the class or function, and its arguments.
        classes: None: it is given none.
        channels: of the images.

    Raises:
        SettingsError: what is made is no module.
    """
    own_init = not inspect.isclass(settings.THING) or settings.THING.__init__ is not nn.Module.__init__
    taken = inspect.signature(settings.THING).parameters if own_init else {}
    open_ended = any(argument.kind is argument.VAR_KEYWORD for argument in taken.values())
    given: dict[str, Any] = {"in_channels": channels} if "in_channels" in taken else {}
    if classes is not None and ("num_classes" in taken or open_ended):
        given["num_classes"] = classes
    made = settings.THING(**settings.arguments(), **given)
    if not isinstance(made, nn.Module):
        raise SettingsError(
            "A model must be an nn.Module class, or a function that returns a module",
            found=f"{settings.kind} returned {type(made).__name__}",
            do="return the module itself",
        )
    return made


class NamedOutputs(nn.Module):
    """A plain network whose outputs have names.

    Args:
        network: maps images to logits, or to a dict of outputs.
        name: of its class, for messages.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name, `logits` among them.

        Raises:
            SettingsError: the network returned neither a tensor nor a dict with `logits`.
        """
        returned = self.network(images)
        if isinstance(returned, Tensor):
            return {"logits": returned}
        if not isinstance(returned, Mapping):
            raise SettingsError(
                "A model must return its logits, or a dict of outputs",
                found=f"{self.name} returned {type(returned).__name__}",
                do='return a tensor, or {"logits": ...}',
            )
        outputs = dict(returned)
        if "logits" not in outputs and "out" in outputs:
            outputs["logits"] = outputs.pop("out")
        if "logits" not in outputs:
            raise SettingsError(
                "A model's outputs must have logits among them",
                found=f"{self.name} returned {', '.join(map(str, outputs))}",
                do='name its logits so: return {"logits": ...}',
            )
        return outputs


class PlainSegmenterModel(Segmenter):
    """A plain segmentation network: `logits` [B, K, h, w], and the outputs whose names begin with `aux` in training.

    Args:
        network: with named outputs.
    """

    def __init__(self, network: NamedOutputs) -> None:
        super().__init__()
        self.network = network
        self.head, self.aux = PlainHead(), nn.ModuleDict()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name.

        Raises:
            SettingsError: a contrast of pixels is asked for, and the network returned no such map.
        """
        outputs: dict[str, Tensor] = self.network(images)
        if outputs["logits"].dim() != 4:
            raise SettingsError(
                "A segmentation network must return logits [B, K, h, w]",
                found=f"{self.network.name} returned {tuple(outputs['logits'].shape)}",
                do="return a logit for each class at every place, at any fraction of the image's size",
            )
        if self.training and self.projection is not None:
            if self.embedded not in outputs:
                raise SettingsError(
                    "Contrast of pixels needs a feature map among the model's outputs",
                    found=f"{self.network.name} returned {', '.join(outputs)}",
                    do=f'return a dict with "{self.embedded}" too',
                )
            outputs["embedding"] = self.projection(outputs[self.embedded])
        return outputs

    def _heads(self, outputs: Mapping[str, Tensor]) -> Iterator[tuple[str, DenseHeadModel]]:
        yield "logits", self.head
        yield from ((name, self.head) for name in outputs if name.startswith("aux"))


class PlainBackboneModule(BackboneModule):
    """A plain backbone: its maps, in a list or a dict, are named stage1 to stage4, the last one stage4.

    Args:
        network: returns at most four maps, the finest first.
        channels: C.
        name: of its class, for messages.
    """

    def __init__(self, network: nn.Module, channels: int, name: str) -> None:
        super().__init__()
        self.network, self.name = network, name
        was = network.training
        with torch.no_grad():
            maps = self.eval()(torch.zeros(1, channels, _SIDE, _SIDE))
        network.train(was)
        self.train(was)
        self.widths = {level: feature_map.shape[1] for level, feature_map in maps.items()}
        self.strides = {level: round(_SIDE / feature_map.shape[2]) for level, feature_map in maps.items()}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps by level.

        Raises:
            SettingsError: the network did not return one to four maps.
        """
        returned: Any = self.network(images)
        if isinstance(returned, Tensor):
            returned = (returned,)
        given: Any = returned.values() if isinstance(returned, Mapping) else returned
        maps: list[Tensor] = list(given) if isinstance(given, Iterable) else [given]
        if not all(isinstance(feature_map, Tensor) for feature_map in maps):
            raise SettingsError(
                "A backbone must return one to four feature maps [B, C, h, w], the finest first",
                found=f"{self.name} returned {listing(type(feature_map).__name__ for feature_map in maps)}",
                do="return them in a list",
            )
        if not 1 <= len(maps) <= len(LEVELS) or any(feature_map.dim() != 4 for feature_map in maps):
            shapes = ", ".join(str(tuple(feature_map.shape)) for feature_map in maps)
            raise SettingsError(
                "A backbone must return one to four feature maps [B, C, h, w], the finest first",
                found=f"{self.name} returned {len(maps)}: {shapes}",
                do="return the last four, in a list",
            )
        return dict(zip(LEVELS[-len(maps) :], maps, strict=True))
