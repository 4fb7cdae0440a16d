"""What the label files of a folder hold together: each value's pixels and files, by split and source folder.

Its size does not grow with the files: a few numbers for each value and folder, and a short digest of each label file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ablata.data.io.decode import ImageRules
from ablata.data.io.masks import Fault
from ablata.data.label_tools.scan import ImageScan, LabelFileScan, ReadOptions, Tell, scan
from ablata.data.labels.layout import LabeledFolder, Sample
from ablata.data.labels.mask_files import Palettes, size_advice
from ablata.data.labels.table import Form, written_value
from ablata.data.loading.cache import name_below

_EXAMPLES = 5
_MOST_EXAMPLES = 50
_LOUD = 0.005
"""Of a lossy file only values with this fraction of its pixels are counted, and apart: the others are nobody's."""


@dataclass
class Count:
    """Pixels of a value, files that hold it, and all the pixels of those files."""

    pixels: int = 0
    files: int = 0
    present: int = 0

    def add(self, pixels: int, present: int) -> None:
        """Count a file."""
        self.pixels += pixels
        self.files += 1
        self.present += present


@dataclass
class Value:
    """One raw value: its counts by (split, source folder), some files that hold it with its fraction of each, and
    whether it fills a square of 3 by 3 pixels anywhere."""

    places: dict[tuple[str, str], Count] = field(default_factory=dict)
    examples: list[tuple[str, float]] = field(default_factory=list)
    solid: bool = False

    def total(self, split: str | None = None, folder: str | None = None) -> Count:
        """Return the counts of a split and a source folder; None: of all."""
        chosen = Count()
        for (one, place), count in self.places.items():
            if split in (None, one) and folder in (None, place):
                chosen.pixels += count.pixels
                chosen.files += count.files
                chosen.present += count.present
        return chosen


@dataclass
class Survey:
    """The label files of a folder.

    Attributes:
        form: what their values are.
        values: each raw value.
        lossy_values: the same of files in lossy formats.
        files: label files of each (split, source folder).
        pixels: their pixels.
        modes: files of each mode, and the first of each.
        sizes: label files of each height and width.
        faults: (fault, file, detail) of those that training could not read.
        lossy: files of lossy formats: name, number of values, most frequent values with their fraction.
        mismatched: label files of another size than their image: name, size, image's size, what to do.
        images: images that cannot be used: name, why, what to do.
        turned: images, and label files, in which the camera noted an orientation.
        apart: label files of another orientation than their image's, though of its size.
        single: label files of one page, where another page than the first is read of images.
        highest: of each 16-bit image the highest value, by name.
        transparent: images with transparent pixels.
        crowded: files with more values than are kept.
        palettes: file, indices and what they stand for, of some palette files.
        agreed: whether all palettes agree.
        digests: label files of each content, by its digest; only those with several values.
        pixels_of: rows of the images of each content, by the digest of their pixels.
    """

    form: Form
    values: dict[int, Value] = field(default_factory=dict)
    lossy_values: dict[int, Value] = field(default_factory=dict)
    files: Counter[tuple[str, str]] = field(default_factory=Counter)
    pixels: Counter[tuple[str, str]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    mode_examples: dict[str, str] = field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    faults: list[tuple[Fault, str, str]] = field(default_factory=list)
    lossy: list[tuple[str, str, int, dict[int, float]]] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, int], tuple[int, int], str]] = field(default_factory=list)
    images: list[tuple[str, str, str]] = field(default_factory=list)
    turned: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    single: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    highest: dict[str, int] = field(default_factory=dict)
    transparent: list[str] = field(default_factory=list)
    crowded: list[tuple[str, int]] = field(default_factory=list)
    palettes: dict[str, dict[int, int]] = field(default_factory=dict)
    agreed: Palettes = field(default_factory=Palettes)
    digests: dict[bytes, list[int]] = field(default_factory=dict)
    pixels_of: dict[str, list[int]] = field(default_factory=dict)

    def add(self, seen: LabelFileScan, sample: Sample, where: str, image: str, rules: ImageRules) -> None:
        """Count a label file and its image; `where` is its name for messages, `image` its image's."""
        if seen.image is not None and seen.image.digest:
            self.pixels_of.setdefault(seen.image.digest, []).append(seen.row)
        if sample.label is None:
            if seen.image is not None:
                self._add_image(seen, seen.image, where, image, rules)
            return
        place = sample.split, sample.folder
        self.files[place] += 1
        if seen.mode:
            self.modes[seen.mode] += 1
            self.mode_examples.setdefault(seen.mode, where)
            self.sizes[seen.size] += 1
        if rules.page and seen.mode and seen.pages == 1:
            self.single.append(where)
        if seen.orientation != 1:
            self.turned[1].append(where)
        if seen.image is not None:
            self._add_image(seen, seen.image, where, image, rules)
        if seen.fault == "lossy":
            order = seen.counts.argsort()[::-1][:_EXAMPLES]
            fractions = {int(seen.values[at]): float(seen.counts[at]) / seen.pixels for at in order}
            self.lossy.append((where, seen.detail, len(seen.values) + seen.more, fractions))
            self._count(self.lossy_values, seen, place, where, seen.pixels * _LOUD)
            return
        if seen.fault is not None:
            self.faults.append((seen.fault, where, seen.detail))
        if len(seen.values):
            self.pixels[place] += seen.pixels
            self._note(seen, where)
            self._count(self.values, seen, place, where)

    def _add_image(self, seen: LabelFileScan, image: ImageScan, where: str, name: str, rules: ImageRules) -> None:
        facts = image.facts
        if facts is None:
            self.images.append((name, image.problem, image.do))
            return
        if facts.orientation != 1:
            self.turned[0].append(name)
        if facts.highest:
            self.highest[name] = facts.highest
        if facts.transparent:
            self.transparent.append(name)
        if seen.mode and image.size != seen.size:
            do = size_advice(image.size, seen.size, facts.orientation, seen.orientation, rules)
            self.mismatched.append((where, seen.size, image.size, do))
        elif seen.mode and facts.orientation != seen.orientation:
            self.apart.append(where)

    def _note(self, seen: LabelFileScan, where: str) -> None:
        if seen.more:
            self.crowded.append((where, len(seen.values) + seen.more))
        if seen.palette and len(self.palettes) < _EXAMPLES:
            self.palettes[where] = seen.palette
        self.agreed.add(seen.palette, where)
        if len(seen.values) > 1:
            self.digests.setdefault(seen.digest, []).append(seen.row)

    @staticmethod
    def _count(
        values: dict[int, Value], seen: LabelFileScan, place: tuple[str, str], where: str, least: float = 0
    ) -> None:
        rows = zip(seen.values.tolist(), seen.counts.tolist(), seen.solid.tolist(), strict=True)
        for value, pixels, is_solid in rows:
            if pixels < least:
                continue
            found = values.setdefault(value, Value())
            found.solid |= is_solid
            found.places.setdefault(place, Count()).add(pixels, seen.pixels)
            if len(found.examples) < _MOST_EXAMPLES:
                found.examples.append((where, pixels / seen.pixels))

    def fraction(self, value: int, split: str | None = None) -> float:
        """Return the fraction of a value among the pixels of a split (None: of all)."""
        total = sum(count for (one, _), count in self.pixels.items() if split in (None, one))
        return self.values[value].total(split).pixels / total if total and value in self.values else 0.0

    def written_value(self, value: int) -> str:
        """Return a raw value as class lists have it."""
        return written_value(self.form, value)

    def ordered(self) -> list[int]:
        """Return the raw values: ids ascending, colours by their pixels, most first."""
        if self.form == "ids":
            return sorted(self.values)
        return sorted(self.values, key=lambda value: (-self.values[value].total().pixels, value))


def survey(
    labelled: LabeledFolder, reading: ReadOptions, *, workers: int | None = None, tell: Tell | None = None
) -> Survey:
    """Read every label file and image of a folder once.

    Args:
        labelled: the files.
        reading: how they are read.
        workers: number of processes, see `scan`.
        tell: is told about progress.
    """
    found = Survey(reading.form)
    for seen in scan(labelled.samples, reading, workers, tell):
        sample = labelled.samples[seen.row]
        image, label = (name_of(file, labelled.root) if file else "" for file in (sample.image, sample.label))
        found.add(seen, sample, label, image, reading.rules)
    return found


def name_of(file: Path | None, root: Path) -> str:
    """Return a file's path below the root."""
    assert file is not None
    return name_below(file, root)
