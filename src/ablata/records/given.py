"""Studies of scores that were made elsewhere: written whole and finished, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from ablata.base.errors import RecordError, listing
from ablata.records.database import Database
from ablata.records.home import RUNS_FOLDER
from ablata.records.rows import GIVEN_CODE, NewArm
from ablata.records.runs import insert_ignoring, new_run_id, own_settings
from ablata.records.studies import check_arms, check_name, differences, find_study, insert_arms, study_arms
from ablata.records.tables import Arm, Environment, LookTable, Run, StudyRun, StudyTable
from ablata.records.values import clock


def record_given(
    database: Database,
    name: str,
    question: str,
    spec: dict[str, Any],
    arms: Sequence[NewArm],
    scores: Sequence[Sequence[tuple[int, dict[str, float]]]],
    look: dict[str, Any],
    *,
    data: str,
) -> bool:
    """Write a finished study of scores that exist.

    Args:
        database: of the ledger.
        name, question, spec, arms: as for `Studies.create`.
        scores: seed and scores by name of each run, for each arm.
        look: what was found.
        data: digest of where the scores were read. Runs equal in it, in arm and seed are shared between studies.

    Returns:
        Whether it is new; False if the same study was there.

    Raises:
        RecordError: another study of this name is there.
    """
    check_name(name)
    check_arms(arms)
    with database.write() as connection:
        now = connection.execute(select(clock())).scalar_one()
        values = {"name": name, "question": question, "spec": spec, "state": "finished", "created": now}
        insert_ignoring(connection, StudyTable, {**values, "finished": now})
        study = find_study(connection, name)
        if present := study_arms(connection, name):
            # How it was asked for, such as the way to the file, does not matter.
            if found := differences(study, present, question, spec | {"commands": study.spec["commands"]}, arms):
                raise RecordError(
                    "A study is fixed: the same name must mean the same study",
                    found=f"study {name!r} differs in {listing(found)}",
                    do="give it another name",
                )
            return False
        insert_arms(connection, name, arms)
        insert_ignoring(connection, Environment, {"hash": GIVEN_CODE, "description": {"made": "elsewhere"}})
        study_id = connection.execute(select(StudyTable.id).where(StudyTable.name == name)).scalar_one()
        _fill_cells(connection, study_id, arms, scores, data, now)
        seeds = max(map(len, scores))
        connection.execute(insert(LookTable).values(study_id=study_id, seeds=seeds, result=look, time=now))
        return True


def _fill_cells(
    connection: Connection, study_id: int, arms: Sequence[NewArm],
    scores: Sequence[Sequence[tuple[int, dict[str, float]]]], data: str, now: float,
) -> None:  # fmt: skip
    """Give each arm its runs; one of equal arm, seed and data that another study has is shared."""
    keys = connection.execute(select(Arm.name, Arm.id).where(Arm.study_id == study_id))
    arm_ids: dict[str, int] = {row[0]: row[1] for row in keys}
    query = select(Run.recipe_hash, Run.seed, Run.id).where(
        Run.code == GIVEN_CODE, Run.data == data, Run.state == "completed"
    )
    known: dict[tuple[str, int], str] = {(row[0], row[1]): row[2] for row in connection.execute(query)}
    runs: list[dict[str, Any]] = []
    cells: list[dict[str, Any]] = []
    for arm, of_arm in zip(arms, scores, strict=True):
        settings = own_settings(connection, arm.recipe_hash, arm.recipe)
        for seed, figures in of_arm:
            run_id = known.get((arm.recipe_hash, seed))
            if run_id is None:
                run_id = new_run_id()
                runs.append({
                    "id": run_id, "recipe_name": arm.recipe_name, "recipe_hash": arm.recipe_hash,
                    "settings": settings, "code": GIVEN_CODE, "data": data, "seed": seed,
                    "environment": GIVEN_CODE, "state": "completed", "attempt": 1, "priority": 0,
                    "folder": f"{RUNS_FOLDER}/{run_id}", "scores": figures, "cost": {}, "created": now,
                    "finished": now,
                })  # fmt: skip
            cells.append({"arm_id": arm_ids[arm.name], "seed": seed, "study_id": study_id, "run_id": run_id})
    if runs:
        connection.execute(insert(Run), runs)
    connection.execute(insert(StudyRun), cells)
