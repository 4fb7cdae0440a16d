"""Writing masks of classes from drawn objects: images/SPLIT, labels/SPLIT and label_map.yaml, as `mask_folder` reads
them."""

from __future__ import annotations

from pathlib import Path

from ablata.base.files import write_text
from ablata.data.formats.places import relative
from ablata.data.formats.shapes import Shapes
from ablata.data.formats.writing import Written
from ablata.data.io.walk import copy_file
from ablata.data.labels.class_lists import map_of
from ablata.data.labels.map import MAP_FILE
from ablata.data.loading.cache import build_once, require_space
from ablata.data.loading.new_folder import refuse_place


def convert_masks(settings: Shapes, cache: Path, output: Path) -> Written:
    """Paint a set's objects, and write images and masks; the folder appears whole or not at all.

    Args:
        settings: of the set.
        cache: where prepared data is kept.
        output: the folder to make.

    Raises:
        SettingsError: `output` is there, or lies in the source or around it.
        DataError: a fault of the set is refused, or an object has a box alone.
    """
    refuse_place(settings.objects().locate(cache), output)
    found = settings.find(cache)
    done = Written(notices=list(found.notices))
    files = [file for pairs in found.pairs.values() for pair in pairs for file in (pair.image, pair.mask) if file]
    require_space(output, sum(file.stat().st_size for file in files), what="the new folder",
                  do="choose an --output on another disk")  # fmt: skip

    def fill(draft: Path) -> None:
        """Copy images and write masks of classes."""
        for split, pairs in found.pairs.items():
            names = [pair.image.name for pair in pairs]
            stems = {pair.image.stem for pair in pairs}
            if len(stems) < len(pairs):
                names = [relative(pair.image, found.root) for pair in pairs]
            for pair, name in zip(pairs, names, strict=True):
                assert pair.mask is not None
                label = (draft / "labels" / split / name).with_suffix(".png")
                for source, target in ((pair.image, draft / "images" / split / name), (pair.mask, label)):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    copy_file(source, target)
            done.images[split] = len(pairs)
        write_text(draft / MAP_FILE, map_of(found.table, MAP_FILE).as_text())

    build_once(output, fill)
    return done
