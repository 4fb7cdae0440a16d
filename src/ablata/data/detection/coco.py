"""COCO format (cocodataset.org, "Data format"): JSON of boxes with masks as polygons or run lengths.

A set is a folder with one JSON file a source and a folder of images a source (perhaps the same one). The class list
is that of the training file, ordered by category id; the other file must list the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ablata.base.errors import DataError, choices, listing
from ablata.base.settings import INCIDENTAL
from ablata.data.detection.coco_json import (
    ListedImage,
    ObjectReader,
    drop_root_category,
    read_categories,
    read_images,
    read_tree,
)
from ablata.data.detection.files import AnnotatedFiles, DetectionFileSettings, FileImages, check_files, image_file
from ablata.data.detection.image_ids import ids_below, lie_below, read_image_ids
from ablata.data.detection.layouts import coco_files, coco_settings, find_set
from ablata.data.detection.problems import Findings
from ablata.data.io.decode import ImageRules


class Coco(DetectionFileSettings):
    """COCO detection: images with boxes and masks in COCO's JSON; the names fit COCO 2017."""

    kind: Literal["coco"] = "coco"
    train_json: str = "annotations/instances_train2017.json"
    """Annotations to train on, below the root."""
    val_json: str = "annotations/instances_val2017.json"
    """Annotations to score on."""
    train_images: str = "train2017"
    """Folder of images to train on, below the root."""
    val_images: str = "val2017"
    """Folder of images to score on."""
    test_json: Annotated[str | None, INCIDENTAL] = None
    """Annotations of a test split, below the root or anywhere, its categories matched by name; null: none."""
    test_images: Annotated[str | None, INCIDENTAL] = None
    """Folder of its images, below the root or anywhere; null: where its annotations are."""
    classes: Annotated[int, Field(ge=1)] = 80
    """How many classes the files list; complexity is counted for it, and other files are refused."""
    group: str | None = None
    """A key of the images, such as patient_id, whose groups `minival` keeps together; null: none."""

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has this layout; see `Settings.recognizes`."""
        return coco_files(folder) is not None and not ChestXray.recognizes(folder)

    @classmethod
    def layout_settings(cls, folder: Path) -> list[str]:
        """Return what reads a folder that has it; see `Settings.layout_settings`."""
        return coco_settings(folder)

    def class_count(self) -> int:
        """Return the number of classes."""
        return self.classes

    def home(self) -> str | None:
        """Return the folder's name among the data sets."""
        return "coco"

    def locate(self, cache: Path) -> Path:
        """Return the folder of the set.

        Raises:
            DataError: there is none.
        """
        paths = (self.train_json, self.val_json)
        return find_set(
            self.root,
            default=self.home(),
            fits=lambda folder: all((folder / path).is_file() for path in paths),
            layout=f"{paths[0]}, {paths[1]} and the folders {self.train_images} and {self.val_images}",
            cache=cache,
        )

    def image_ids(self, files: Sequence[Path]) -> list[int | str] | None:
        """Return the ids of image files that all lie in one of the set's folders."""
        root = Path(self.root).expanduser() if self.root else None
        for path, folder in ((self.val_json, self.val_images), (self.train_json, self.train_images)):
            if root is None or not (root / path).is_file() or not lie_below(root / folder, files):
                continue
            if (ids := ids_below(root / folder, files, read_image_ids(root / path))) is not None:
                return ids
        return None

    def read(self, cache: Path) -> AnnotatedFiles:
        """Read the annotations; see `DetectionFileSettings.read`."""
        return _read(self, cache)

    def read_written(self, cache: Path) -> AnnotatedFiles:
        """Read the annotations, keeping boxes and polygons; see `DetectionFileSettings.read_written`."""
        return _read(self, cache, keep_written=True)


class ChestXray(Coco):
    """63 chest X-rays of 48 patients with 365 objects of 13 overlapping classes, left and right lung among them."""

    kind: Literal["chest_xray"] = "chest_xray"  # type: ignore[assignment]
    train_json: str = "instances_train.json"
    """Annotations to train on, below the root."""
    val_json: str = "instances_val.json"
    """Annotations to score on."""
    train_images: str = "images"
    """Folder of images to train on, below the root."""
    val_images: str = "images"
    """Folder of images to score on."""
    classes: Annotated[int, Field(ge=1)] = 13
    """How many classes the files list; complexity is counted for it, and other files are refused."""
    group: str | None = "patient_id"
    """A key of the images whose groups `minival` keeps together; null: none."""

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has this layout; see `Settings.recognizes`."""
        names = (cls.model_fields[key].default for key in ("train_json", "val_json"))
        return (folder / "lung_gray").is_dir() and all((folder / name).is_file() for name in names)

    @classmethod
    def layout_settings(cls, folder: Path) -> list[str]:
        """Return nothing: the set is always the same."""
        return []

    def home(self) -> str | None:
        """Return the folder's name among the data sets."""
        return "chest_xray"


def _read(settings: Coco, cache: Path, keep_written: bool = False) -> AnnotatedFiles:
    paths, root = (settings.train_json, settings.val_json), settings.locate(cache)
    findings = Findings(settings.on_invalid)
    trees = _without_root([read_tree(root / path) for path in paths])
    categories, others = (read_categories(tree, path, findings) for tree, path in zip(trees, paths, strict=True))
    if set(others.values()) != set(categories.values()):
        differing = sorted(set(categories.items()) ^ set(others.items()))
        raise DataError(
            "Both annotation files must list the same categories",
            found=f"{root}: {paths[0]} and {paths[1]} differ in {listing(str(one) for one in differing[:4])}",
            do="give a category the same id and name in both files",
        )
    if len(categories) != settings.classes:
        raise DataError(
            "data.classes must be the number of categories",
            found=f"data.classes={settings.classes}, {paths[0]} lists {len(categories)}",
            do=f"data.classes={len(categories)}",
        )
    numbers = sorted(categories)
    names = [categories[number] for number in numbers]
    rules = settings.image_rules()
    train = _source(root, trees[0], paths[0], settings.train_images, names, findings, rules, keep_written)
    val = _source(root, trees[1], paths[1], settings.val_images, names, findings, rules, keep_written)
    groups = None
    if settings.group is not None:
        groups = [str(image.values.get(settings.group, image.id)) for image in train.listed]
    return AnnotatedFiles(
        root=root,
        classes=names,
        category_ids=numbers,
        sources={"train": train.images, "val": val.images},
        annotations=[root / path for path in paths],
        findings=findings,
        groups=groups,
        maskless=[*train.maskless, *val.maskless],
        test=None if settings.test_json is None else partial(_test, settings, root, names, keep_written),
        known=_tested(settings, root),
        test_hint="set data.test_json=FILE, and data.test_images=FOLDER where its images lie elsewhere",
    )


def _without_root(trees: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return files without Roboflow's category above all others, where none of them has an object of it."""
    dropped = [drop_root_category(tree) for tree in trees]
    return dropped if all(one is not tree for one, tree in zip(dropped, trees, strict=True)) else trees


def _tested(settings: Coco, root: Path) -> list[Path]:
    """Return the files that the test split names; nothing where it cannot be read."""
    if settings.test_json is None:
        return []
    try:
        listed = read_images(read_tree(root / Path(settings.test_json).expanduser()), "", Findings("repair"))
    except DataError:
        return []
    return [Path(image.file_name) for image in listed]


def _test(settings: Coco, root: Path, names: Sequence[str], keep_written: bool) -> tuple[FileImages, Findings]:
    """Read the test split, whose categories are matched with the classes by their names."""
    findings = Findings(settings.on_invalid)
    file = root / Path(settings.test_json or "").expanduser()
    tree = drop_root_category(read_tree(file))
    folder = file.parent if settings.test_images is None else Path(settings.test_images).expanduser()
    rules = settings.image_rules()
    return _source(root, tree, str(file), folder, names, findings, rules, keep_written).images, findings


@dataclass(frozen=True)
class _Source:
    images: FileImages
    listed: Sequence[ListedImage]
    maskless: Sequence[str]


def _source(
    root: Path,
    tree: Mapping[str, Any],
    path: str,
    folder: str | Path,
    names: Sequence[str],
    findings: Findings,
    rules: ImageRules,
    keep_written: bool,
) -> _Source:
    """Read the images and objects of a file whose categories have these names, whatever their ids."""
    categories = read_categories(tree, path, findings)
    unknown = sorted(set(categories.values()) - set(names))
    if unknown:
        raise DataError(
            "Categories must be the classes of the training set, matched by name",
            found=f"{path}: {listing(unknown[:4])}",
            do=f"the classes are {choices(names, unknown[0])}",
        )
    listed = read_images(tree, path, findings)
    files = [image_file(root / folder, image.file_name, f"{path}: image {image.id}", findings) for image in listed]
    sizes = check_files(files, [image.size for image in listed], findings, rules)
    labels = {number: names.index(name) for number, name in categories.items()}
    reader = ObjectReader(path, labels, listed, sizes, findings, keep_written)
    return _Source(FileImages(reader.read(tree["annotations"]), files, rules), listed, reader.maskless)
