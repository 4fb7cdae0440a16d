"""A finding about label files, and the commands that mend it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from ablata.data.labels.layout import USUAL, FolderNames


@dataclass(frozen=True)
class LabelFinding:
    """A finding about label files: what, where (a file, a value, a class), the detail, and what to do about it."""

    kind: str
    where: str
    detail: str = ""
    do: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True)
class Mending:
    """The commands that mend a folder, as they would be typed.

    Attributes:
        folder: as the user calls it.
        map: the label map or class list there is, or None.
        names: what its folders are called, where they need to be told.
        settings: how its files are read, where that needs to be told: `data.mask_suffix=_mask`.
        pairs: whether any image has its label file.
    """

    folder: str
    map: str | None
    names: FolderNames = USUAL
    settings: tuple[str, ...] = ()
    pairs: bool = True

    @property
    def convert_anew(self) -> str:
        """Propose a map, edit it, convert."""
        return f"{self._propose}; look it through; {self._convert('map.yaml')}"

    @property
    def convert(self) -> str:
        """Edit the map there is, convert."""
        if self.map is None or not self._has_map:
            return self.convert_anew
        return f"add it to {shlex.quote(self.map)}, as a class or with `ignore: true`; {self._convert(self.map)}"

    @property
    def split_anew(self) -> str:
        """Convert with another split, in which every class is on both sides."""
        return self._with_map("--val 0.2 ")

    @property
    def collect(self) -> str:
        """Nothing mends a class of one image."""
        return "a class needs two images to be in both: add some, or merge or ignore the class in the label map"

    @property
    def paired(self) -> str:
        """Convert what has a partner."""
        if not self.pairs:
            return "call each label file like its image"
        return f"add what is missing, or leave them out: {self._with_map('--paired-only ')}"

    @property
    def nearest(self) -> str:
        """Convert to the nearest values of a map."""
        return f"export them again as PNG, or take the nearest values of a map: {self._with_map('--nearest ')}"

    @property
    def smoothed(self) -> str:
        """Propose the values that are drawn, and convert to the nearest of them."""
        return f"export them again without smoothing, or: {self._propose}; {self._convert('map.yaml', '--nearest ')}"

    def divided(self, base: int) -> str:
        """Convert numbers of objects to their classes."""
        return f"{self._propose}; {self._convert('map.yaml', f'--divide {base} ')}"

    @property
    def grey(self) -> str:
        """Convert by the colours of palettes."""
        return f"take the grey values instead: {self._with_map('--palette grey ')}"

    @property
    def _has_map(self) -> bool:
        return self.map is not None and self.map.endswith(("yaml", "yml"))

    @property
    def _propose(self) -> str:
        return f"ablata data check {self.place}{self._told('')} --propose-map map.yaml"

    def _told(self, option: str) -> str:
        return "".join(f" {option}{shlex.quote(setting)}" for setting in self.settings)

    def _convert(self, file: str, flags: str = "") -> str:
        told = self._told("--set ")
        return f"ablata data convert {self.place}{told} --map {shlex.quote(file)} {flags}--output NEW_FOLDER"

    @property
    def place(self) -> str:
        """The folder, with the names inside where they were told."""
        named = {"--images": self.names.images, "--labels": self.names.labels}
        return " ".join(
            [shlex.quote(self.folder), *(f"{key} {shlex.quote(name)}" for key, name in named.items() if name)]
        )

    def _with_map(self, flags: str) -> str:
        if self.map is not None and self._has_map:
            return self._convert(self.map, flags)
        return f"{self._convert('map.yaml', flags)} (map.yaml by {self._propose})"
