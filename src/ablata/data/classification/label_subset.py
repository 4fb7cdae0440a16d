"""Weak supervision: the part of a training set whose labels may be used, stratified, with its own seed and list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError, listing, reason
from ablata.base.seeds import derive
from ablata.base.settings import INCIDENTAL, ON_DISK, Settings
from ablata.data.loading.labeled_images import LabeledImageDataset


class LabelSubset(Settings):
    """Label subset: equally many labeled samples of every class to train on; the others lose their labels.

    The seed is apart from the run's: every run sees the same labels, so that their choice is no noise between seeds.
    """

    kind: Literal["label_subset"] = "label_subset"
    per_class: Annotated[int, Field(ge=1)] = 500
    """Samples of each class with a label."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the choice."""
    file: Annotated[str | None, INCIDENTAL, ON_DISK] = None
    """Take the choice from a run's splits.json instead; what it holds counts through the data's fingerprint."""

    def restrict(self, data: LabeledImageDataset) -> LabeledImageDataset:
        """Return the data set with the labeled samples as its training set, and the others as split `unlabeled`.

        Raises:
            DataError: a class has fewer samples, or the file is missing, damaged or of another data set.
        """
        index = self._from_file(data, Path(self.file)) if self.file else self._drawn(data)
        return data.restricted(index)

    def _drawn(self, data: LabeledImageDataset) -> np.ndarray:
        samples, labels = data.splits["train"].index, data.split_labels("train").numpy()
        random = np.random.default_rng(derive(self.seed, "split"))
        chosen = []
        for label, name in enumerate(data.classes):
            own = samples[labels == label]
            if len(own) < self.per_class:
                raise DataError(
                    "Every class must have as many samples as are to be labelled",
                    found=f"label_subset.per_class={self.per_class}, class {name} has {len(own)}",
                    do=f"label_subset.per_class={len(own)} or fewer",
                )
            chosen.append(random.permutation(own)[: self.per_class])
        return np.sort(np.concatenate(chosen))

    def _from_file(self, data: LabeledImageDataset, path: Path) -> np.ndarray:
        try:
            saved = json.loads(path.read_text())
            fingerprint, index = str(saved["data"]), np.array(saved["splits"]["train"], dtype=np.int64)
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                "label_subset.file must be the splits.json of a run, with `data` and `splits.train`",
                found=f"{path}: {reason(error)}",
                do="give the splits.json of a run's folder",
            ) from None
        if fingerprint != data.fingerprint:
            raise DataError(
                "An index list must be of the data set it is used with",
                found=f"{path} is of data {fingerprint[:24]}, the data at hand is {data.fingerprint[:24]}",
                do="use the list of a run on this data, or label_subset.file=null to draw one",
            )
        strangers = np.setdiff1d(index, data.splits["train"].index)
        if len(strangers) or len(np.unique(index)) < len(index) or not len(index):
            found = f"{len(strangers)} of them elsewhere: {listing(map(str, strangers[:3]))}" if len(strangers) else ""
            raise DataError(
                "An index list must name training samples, each once",
                found=f"{path} has {len(index)} {found or 'with some named twice or none at all'}",
                do="make the list anew, of row numbers from 0",
            )
        return np.sort(index)


def split_record(data: LabeledImageDataset) -> dict[str, Any]:
    """Return what `splits.json` keeps: the data's fingerprint, the row numbers of each split in its source (files that
    can be used, in their order), and what was left out."""
    left_out = {"left_out": list(data.left_out)} if data.left_out else {}
    return {"data": data.fingerprint, "splits": data.split_indices(), **left_out}
