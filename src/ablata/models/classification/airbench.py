"""airbench94: a network made for the shortest training on CIFAR-10.

Source: Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv 2404.00498, sections 3.1 to 3.3 and
appendix A; public code KellerJordan/cifar10-airbench.

A first layer that whitens patches of the training images and stays as it is, then three stages of two 3x3 convolutions;
the image is halved between the first convolution and its normalisation. Normalisation has a bias but no weight. With
the default widths and 10 classes: 1,972,792 parameters.

Whitening: with lambda_i, v_i the eigenvalues and eigenvectors of the second moment of k x k patches, the filters are
v_i / sqrt(lambda_i + eps) and their negatives, so that their outputs are uncorrelated and of about equal power.

Shapes: B batch, C channels of the image, k whitening kernel, F = 2 C k^2 filters, W1, W2, W3 widths, H height and
width of the image, h = H - k + 1, K classes.

    input       [B, C, H, H]          stage3      [B, W3, h // 8, h // 8]
    stem        [B, F, h, h]          features    [B, W3]    largest value over the image
    stage1      [B, W1, h // 2, ...]  logits      [B, K]
    stage2      [B, W2, h // 4, ...]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.models.backbones.base import Classifier, DataDependentInit
from ablata.nn.kernels.im2col_conv import PatchConv2d

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu}

Width = Annotated[int, Field(ge=1)]


class Airbench(Classifier):
    """airbench94: eight-layer network for 32 x 32 images that learns in a few epochs."""

    kind: Literal["airbench"] = "airbench"
    widths: tuple[Width, Width, Width] = (64, 256, 256)
    """Channels of the three stages."""
    whitening: bool = True
    """Compute the first layer's filters from training images and keep them; else draw them at random and train them."""
    whitening_kernel: int = Field(default=2, ge=1)
    """Side k of the first layer's patches; the layer has 2 C k^2 filters."""
    whitening_eps: float = Field(default=5e-4, gt=0)
    """Added to the power of each direction: what is weaker than this is not raised to full strength."""
    whitening_images: int = Field(default=5000, ge=1)
    """Training images that whitening is computed from, spread evenly over the set."""
    dirac: bool = True
    """Start each 3x3 convolution with as many filters that hand a channel on unchanged as it has input channels."""
    norm_weight: bool = False
    """Train a weight for each channel of a normalisation, not only a bias."""
    bn_momentum: float = Field(default=0.4, gt=0, le=1)
    """Fraction of a batch in the running statistics; large, since the training is short."""
    norm_eps: float = Field(default=1e-12, gt=0)
    """Added to the variance."""
    activation: Literal["gelu", "relu", "silu"] = "gelu"
    """Activation after the first layer and every normalisation."""
    head_std: float | None = Field(default=None, gt=0)
    """Standard deviation that the classifier's initial weights are scaled to; null leaves torch's draw."""
    logit_scale: float = Field(default=1 / 9, gt=0)
    """Factor on the logits: a small one keeps a large learning rate of the classifier stable."""

    def build(self, classes: int, channels: int = 3) -> AirbenchModel:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return AirbenchModel(self, classes, channels)


class AirbenchModel(DataDependentInit):
    """The network; see the head of the file for its shapes.

    Args:
        settings: widths and variants.
        classes: K.
        channels: C.
    """

    def __init__(self, settings: Airbench, classes: int, channels: int) -> None:
        super().__init__()
        self.settings = settings
        self.init_images = settings.whitening_images if settings.whitening else 0
        filters = 2 * channels * settings.whitening_kernel**2
        first, second, third = settings.widths
        self.whiten = nn.Conv2d(channels, filters, settings.whitening_kernel)
        self.stage1 = AirbenchStage(settings, filters, first)
        self.stage2 = AirbenchStage(settings, first, second)
        self.stage3 = AirbenchStage(settings, second, third)
        self.head = nn.Linear(third, classes, bias=False)
        self.activation = _ACTIVATIONS[settings.activation]
        self.whiten.weight.requires_grad_(not settings.whitening)
        if settings.head_std is not None:
            with torch.no_grad():
                self.head.weight.mul_(settings.head_std / self.head.weight.std())

    @torch.no_grad()
    def init_from_images(self, images: Tensor) -> None:
        """Compute the first layer's filters from normalised training images [N, C, H, H]."""
        filters = whitening_filters(images, self.settings.whitening_kernel, self.settings.whitening_eps)
        self.whiten.weight.copy_(torch.cat((filters, -filters)))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to the named outputs."""
        stem = self.activation(self.whiten(images))
        stage1 = self.stage1(stem)
        stage2 = self.stage2(stage1)
        stage3 = self.stage3(stage2)
        features = stage3.amax((2, 3))
        return {
            "stem": stem,
            "stage1": stage1,
            "stage2": stage2,
            "stage3": stage3,
            "features": features,
            "logits": self.head(features) * self.settings.logit_scale,
        }


class AirbenchStage(nn.Module):
    """conv-pool-norm-activation, then conv-norm-activation.

    Args:
        settings: normalisation, initialisation and activation.
        inputs: channels before.
        outputs: channels after.
    """

    def __init__(self, settings: Airbench, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(settings, inputs, outputs), _norm(settings, outputs)
        self.conv2, self.norm2 = _conv(settings, outputs, outputs), _norm(settings, outputs)
        self.activation = _ACTIVATIONS[settings.activation]

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, outputs, H // 2, H // 2]."""
        x = self.activation(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return self.activation(self.norm2(self.conv2(x)))


def whitening_filters(images: Tensor, kernel: int, eps: float) -> Tensor:
    """Return the filters that whiten the patches of `images`, the strongest direction first.

    Args:
        images: float [N, C, H, W], normalised.
        kernel: k, the side of a patch.
        eps: added to the eigenvalues.

    Returns:
        [C k^2, C, k, k], in the type of `images`; the second moment of their outputs is lambda / (lambda + eps) on the
        diagonal and 0 elsewhere.
    """
    channels = images.shape[1]
    patches = F.unfold(images, kernel).transpose(1, 2).reshape(-1, channels * kernel**2)
    moment = (patches.T @ patches).double() / len(patches)
    power, directions = torch.linalg.eigh(moment)
    filters: Tensor = (directions / (power + eps).sqrt()).T.flip(0)
    # An eigenvector is known up to its sign, and both signs are used: a fixed one makes machines agree.
    largest = filters.abs().argmax(1, keepdim=True)
    filters = filters * filters.gather(1, largest).sign()
    return filters.view(-1, channels, kernel, kernel).to(images.dtype)


def _conv(settings: Airbench, inputs: int, outputs: int) -> nn.Conv2d:
    conv = PatchConv2d(inputs, outputs)
    if settings.dirac:
        nn.init.dirac_(conv.weight.data[:inputs])
    return conv


def _norm(settings: Airbench, channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, settings.norm_eps, settings.bn_momentum)
    norm.weight.requires_grad_(settings.norm_weight)
    return norm
