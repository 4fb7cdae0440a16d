"""Scores that a finished run was given later, each with how it was scored; they lie beside its checkpoints.

evaluations/CHECKPOINT-WEIGHTS-SPLIT-DIGEST.json     one a protocol and data; scoring again replaces it

A score is compared with another only if both were taken on the same data and made by one version of the evaluation:
where a protocol has a score `evaluator`, that is the version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ablata.base.errors import RecordError, reason
from ablata.base.files import write_text

FOLDER = "evaluations"
EVALUATOR = "evaluator"
"""The name under which a protocol's scores hold the version of their evaluation."""


@dataclass(frozen=True)
class StoredEvaluation:
    """Scores of one checkpoint by one protocol.

    Attributes:
        checkpoint: `last` or `best`.
        weights: `eval`, the EMA weights where the run keeps them, or `raw`.
        step: the checkpoint's.
        split: what was scored on.
        protocol: how.
        scores: by name, `evaluator` among them where the task has versions.
        made: when, ISO 8601.
        data: fingerprint of the data that was scored; empty where it was not recorded.
        settings: what was changed for it, such as where the data lie.
    """

    checkpoint: str
    weights: str
    step: int
    split: str
    protocol: str
    scores: dict[str, float]
    made: str
    data: str = ""
    settings: tuple[str, ...] = ()

    @property
    def named(self) -> dict[str, float]:
        """Return the scores by `split/protocol/name`, as runs keep theirs."""
        return {f"{self.split}/{self.protocol}/{name}": value for name, value in self.scores.items()}


def write_evaluation(run: Path, stored: StoredEvaluation) -> Path:
    """Write into a run's folder, in the place of an earlier one of that checkpoint, split, protocol and data."""
    digest = hashlib.blake2b(f"{stored.protocol}\0{stored.data}".encode(), digest_size=6).hexdigest()
    path = run / FOLDER / f"{stored.checkpoint}-{stored.weights}-{stored.split}-{digest}.json"
    write_text(path, json.dumps(asdict(stored), indent=1) + "\n")
    return path


def read_evaluations(run: Path) -> list[StoredEvaluation]:
    """Read a run's later evaluations, in the order of their names.

    Raises:
        RecordError: a file is damaged.
    """
    found = []
    for path in sorted((run / FOLDER).glob("*.json")):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            scores = {str(name): float(value) for name, value in told["scores"].items()}
            words = {key: str(told[key]) for key in ("checkpoint", "weights", "split", "protocol", "made")}
            words["data"] = str(told.get("data", ""))
            settings = tuple(map(str, told["settings"]))
            found.append(StoredEvaluation(**words, step=int(told["step"]), scores=scores, settings=settings))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordError(
                "A stored evaluation must be readable", found=f"{path}: {reason(error)}",
                do="remove it, and score again: ablata evaluate RUN",
            ) from None  # fmt: skip
    return found


def later_scores(run: Path, data: str) -> dict[str, float]:
    """Return the scores that a run's last checkpoint got later, of its evaluation weights, by `split/protocol/name`.

    Those on other data have it in front of their names; those of which the data are not known are left out.

    Args:
        run: the run's folder.
        data: fingerprint of the run's own data.

    Raises:
        RecordError: a file is damaged.
    """
    scores: dict[str, float] = {}
    for stored in read_evaluations(run):
        if stored.checkpoint == "last" and stored.weights != "raw" and stored.data:
            before = "" if stored.data == data else f"data {stored.data}/"
            scores |= {f"{before}{name}": value for name, value in stored.named.items()}
    return scores


def comparable(name: str, first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    """Tell whether two runs' scores of a name may be compared: made by one version of the evaluation.

    Args:
        name: `split/protocol/name`.
        first: all scores of one run.
        second: all scores of the other.
    """
    version = f"{name.rpartition('/')[0]}/{EVALUATOR}"
    return first.get(version) == second.get(version)
