"""The folder layout of ImageNet and its subsets: train/CLASS/*.jpg and val/CLASS/*.jpg."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ablata.data.classification.file_list import Listing, screen
from ablata.data.classification.folder_images import LabeledFiles, assemble
from ablata.data.classification.folders import LAYOUT, has_layout, list_folder
from ablata.data.classification.image_files import ImageFiles
from ablata.data.classification.inspection import inspect
from ablata.data.loading.cache import folder_digest
from ablata.data.loading.locate import find_root


class ImageFolder(ImageFiles):
    """Image files in one folder a class, under train/ and val/ (or validation/ or test/)."""

    kind: Literal["image_folder"] = "image_folder"

    def listed(self, cache: Path) -> Listing:
        """Find the folder and list all that lies there, usable or not.

        Raises:
            DataError: the layout is not there.
        """
        return list_folder(find_root(self.root, default=None, fits=has_layout, layout=LAYOUT, cache=cache))

    def build(self, cache: Path) -> LabeledFiles:
        """Find and list the files; hash and decode each of them the first time, to see whether it can be used.

        Raises:
            DataError: the layout is not there, or what the settings refuse is.
        """
        found = self.listed(cache)
        digest = folder_digest(found.root, found.hashed, cache)
        seen = {source: inspect(files, f"{digest[:32]}-{source}", cache) for source, files in found.files.items()}
        left = screen(found, seen, on_invalid=self.on_invalid, on_small=self.on_small, side=self.size)
        return assemble(self, left, folder_digest(left.root, left.hashed, cache), cache)
