"""Checking a re-identification set: who is seen by how many cameras, and what is wrong with it, named by file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablata.base.errors import DataError
from ablata.base.quantities import counted
from ablata.data.loading.report import alike_classes
from ablata.data.reid.dataset import ReidDataset, ReidSettings
from ablata.data.reid.market1501 import DISTRACTOR


@dataclass(frozen=True)
class IdentityReport:
    """Report on a re-identification set.

    Args:
        images: images of each identity, by split.
        seen: queries, images of the gallery, distractors in it and cameras, by split.
        problems: what must be repaired.
        remarks: what is worth knowing.
    """

    images: dict[str, dict[str, int]] = field(default_factory=dict)
    seen: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-safe."""
        return {"identities": self.images, "seen": self.seen, "problems": list(self.problems),
                "remarks": list(self.remarks)}  # fmt: skip

    def lines(self) -> list[str]:
        """Return what the set holds, in words: images, identities and cameras of each split."""
        told = []
        for split, images in self.images.items():
            seen = self.seen[split]
            searched = f": {seen['queries']:,} to search with among {seen['gallery']:,}" if split != "train" else ""
            low, high = min(images.values()), max(images.values())
            each = f"{low:,} of each" if low == high else f"from {low:,} to {high:,} of each"
            if seen["distractors"]:
                searched += f", with {counted(seen['distractors'], 'image')} of nobody ({DISTRACTOR})"
            told.append(
                f"{split}: {counted(sum(images.values()), 'image')} of {counted(len(images), 'identity')} by "
                f"{counted(seen['cameras'], 'camera')}, {each}{searched}"
            )
        return told

    def class_lines(self) -> list[str]:
        """Return the images of each identity."""
        return [f"{name}: {split} {count:,}" for split, images in self.images.items() for name, count in images.items()]


def check_identities(data: ReidSettings, cache: Path) -> IdentityReport:
    """Read every image as training does, and report.

    Faults of single files are all told; what is wrong with the set as a whole, where no file is.

    Raises:
        DataError: the set is not there.
    """
    faults = data.faults(cache)
    if faults:
        return IdentityReport(problems=tuple(faults))
    try:
        built = data.build(cache)
    except DataError as error:
        return IdentityReport(problems=(f"{error.must}: {error.found}; {error.do}",))
    images: dict[str, dict[str, int]] = {}
    seen: dict[str, dict[str, int]] = {}
    problems: list[str] = []
    remarks = [*built.notices]
    for split in built.splits:
        sightings = built.retrieval_split(split)
        counts = Counter(sightings.names[number] for number in sightings.identities.tolist())
        distractors = counts.pop(DISTRACTOR, 0)
        images[split] = dict(sorted(counts.items()))
        cameras, queries = len(set(sightings.cameras.tolist())), int(sightings.queries.sum())
        seen[split] = {"queries": queries, "gallery": int(sightings.gallery.sum()), "cameras": cameras,
                       "distractors": distractors}  # fmt: skip
        without = _unanswered(built, split) if split != "train" else 0
        told = f"{without} of {queries} queries of {split} have no image by another camera in the gallery"
        if without:
            (problems if without == queries else remarks).append(told)
    alike = alike_classes(built.classes)
    return IdentityReport(images, seen, tuple(problems), tuple(remarks + ([alike] if alike else [])))


def _unanswered(data: ReidDataset, split: str) -> int:
    """Return how many queries find nobody: no image of the identity by another camera is in the gallery."""
    sightings = data.retrieval_split(split)
    pairs = list(zip(sightings.identities.tolist(), sightings.cameras.tolist(), strict=True))
    cameras: dict[int, set[int]] = {}
    for (identity, camera), is_searched in zip(pairs, sightings.gallery.tolist(), strict=True):
        if is_searched:
            cameras.setdefault(identity, set()).add(camera)
    return sum(
        not cameras.get(identity, set()) - {camera}
        for (identity, camera), asks in zip(pairs, sightings.queries.tolist(), strict=True)
        if asks
    )
