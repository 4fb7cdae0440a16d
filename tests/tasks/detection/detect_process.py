"""One of two processes that train and score a detector: the test beside it starts `python FILE FOLDER` with
torchrun's variables. What the network gets to score, and the scores, go to FOLDER/rankN.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from ablata.engine.hardware.process_group import from_environment
from ablata.engine.train import train
from ablata.recipes.index import load_recipe
from ablata.tasks.detection.task import DetectTask

SETTINGS = [
    *(
        "data.train=8",
        "data.val=5",
        "model.backbone.width=4",
        "model.head_width=16",
        "model.relations.spatial.width=16",
    ),
    *("train.steps=2", "train.batch=4"),
    *("train.evaluate_batch=2", "train.log_every=1", "compute.precision=fp32", "compute.threads=1"),
    *("model.score_threshold=0.0", 'protocols=["ap50","ap01"]'),
]


def main(folder: Path) -> None:
    """Train two steps, and keep which images this process scored."""
    place = from_environment()
    seen: list[int] = []
    detections: Any = DetectTask.detections

    def noted(self: DetectTask, *arguments: Any) -> Any:
        for row, found in detections(self, *arguments):
            seen.append(row)
            yield row, found

    DetectTask.detections = noted  # type: ignore[method-assign]
    recipe = load_recipe("relation_rcnn_scenes", SETTINGS)
    outcome = train(recipe, 3, folder / "run", folder / f"cache{place.rank}", None, place)
    told = {"rows": seen, "scores": outcome.scores}
    (folder / f"rank{place.rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
