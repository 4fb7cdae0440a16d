"""Later scores of a run: read as written, one a protocol, compared only within a version of the evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ablata.base.errors import RecordError
from ablata.records.run_folder.evaluations import (
    StoredEvaluation,
    comparable,
    later_scores,
    read_evaluations,
    write_evaluation,
)

SCORES, MADE = {"AP": 12.5, "evaluator": 1.0}, "2026-11-21T12:00:00+00:00"
STORED = StoredEvaluation("last", "eval", 30, "val", "ap50@1000", SCORES, MADE, "d1", ("a=b",))


def test_what_was_written_is_read_again_and_replaced_by_the_same_protocol(tmp_path: Path) -> None:
    assert read_evaluations(tmp_path) == []
    write_evaluation(tmp_path, STORED)
    assert read_evaluations(tmp_path) == [STORED]
    again = replace(STORED, scores={"AP": 13.0, "evaluator": 1.0})
    write_evaluation(tmp_path, again)
    write_evaluation(tmp_path, replace(STORED, protocol="coco"))
    write_evaluation(tmp_path, replace(STORED, checkpoint="best"))
    write_evaluation(tmp_path, replace(STORED, data="d2"))
    found = read_evaluations(tmp_path)
    assert len(found) == 4
    assert again in found
    assert STORED not in found


def test_only_scores_of_the_last_checkpoints_evaluation_weights_stand_for_the_run(tmp_path: Path) -> None:
    for other in (replace(STORED, checkpoint="best"), replace(STORED, weights="raw"), replace(STORED, split="train")):
        write_evaluation(tmp_path, other)
    assert set(later_scores(tmp_path, "d1")) == {"train/ap50@1000/AP", "train/ap50@1000/evaluator"}


def test_scores_on_other_data_keep_apart_and_those_on_unknown_data_stand_for_nothing(tmp_path: Path) -> None:
    for data in ("d1", "d2", ""):
        write_evaluation(tmp_path, replace(STORED, data=data, scores={"AP": float(len(data))}))
    assert later_scores(tmp_path, "d1") == {"val/ap50@1000/AP": 2.0, "data d2/val/ap50@1000/AP": 2.0}
    assert set(later_scores(tmp_path, "d3")) == {"data d1/val/ap50@1000/AP", "data d2/val/ap50@1000/AP"}


@pytest.mark.parametrize("text", ["{", "[]", '{"scores": []}', '{"scores": {"AP": "high"}}'])
def test_a_damaged_file_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = write_evaluation(tmp_path, STORED)
    path.write_text(text)
    with pytest.raises(RecordError, match=path.name):
        read_evaluations(tmp_path)


def test_scores_of_two_versions_are_not_comparable_and_those_without_versions_are() -> None:
    one = {"val/ap50/AP": 1.0, "val/ap50/evaluator": 1.0, "val/coco/AP": 1.0, "val/plain/top1": 1.0}
    two = one | {"val/ap50/evaluator": 2.0}
    assert comparable("val/ap50/AP", one, one)
    assert not comparable("val/ap50/AP", one, two)
    assert comparable("val/coco/AP", one, two)
    assert comparable("val/plain/top1", one, two)
    assert not comparable("val/ap50/AP", one, {"val/ap50/AP": 1.0})
