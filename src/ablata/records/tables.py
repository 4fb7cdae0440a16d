"""The tables of the ledger. Times are seconds since 1970 (UTC) of the database's clock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ablata.records.values import Figure, Json, Prose

BigKey = BigInteger().with_variant(Integer, "sqlite")
"""A key the database counts up; SQLite does so only for a column of type INTEGER."""

ALIVE = text("state NOT IN ('failed', 'cancelled')")
"""The runs that stand for their identity: a failed or cancelled one does not keep an equal one from being made."""


class Base(DeclarativeBase):
    """The declarative base: text has no length limit, `float` is double precision, `dict` and `list` are JSON text."""

    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it as a plain dict)
        str: Text,
        float: Double,
        dict[str, Any]: Json,
        list[str]: Json,
    }


class RecipeTable(Base):
    """The expanded settings behind a recipe hash, as they were first recorded; they never change.

    A run or an arm keeps its own beside them where it differs in what the hash leaves out, such as where data lies.
    """

    __tablename__ = "recipes"
    hash: Mapped[str] = mapped_column(primary_key=True)
    settings: Mapped[dict[str, Any]]


class Environment(Base):
    """The description behind an environment class."""

    __tablename__ = "environments"
    hash: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[dict[str, Any]]


class StudyTable(Base):
    """A question fixed before launch."""

    __tablename__ = "studies"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    question: Mapped[str] = mapped_column(Prose)
    spec: Mapped[dict[str, Any]]
    state: Mapped[str]
    created: Mapped[float]
    finished: Mapped[float | None]
    __table_args__ = (CheckConstraint("state IN ('open', 'finished')", name="ck_studies_state"),)


class Arm(Base):
    """One recipe inside a study."""

    __tablename__ = "arms"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    position: Mapped[int]
    name: Mapped[str]
    is_control: Mapped[bool]
    change: Mapped[list[str]]
    recipe_name: Mapped[str]
    recipe_hash: Mapped[str] = mapped_column(ForeignKey("recipes.hash"))
    settings: Mapped[dict[str, Any] | None] = mapped_column(Json)
    state: Mapped[str]
    verdict: Mapped[str | None]
    reason: Mapped[str | None] = mapped_column(Prose)
    __table_args__ = (
        UniqueConstraint("study_id", "name", name="uq_arms_name"),
        UniqueConstraint("study_id", "position", name="uq_arms_position"),
        CheckConstraint("state IN ('open', 'stopped')", name="ck_arms_state"),
    )


class Run(Base):
    """One execution of a recipe with one seed. `number` is the order of creation and the short key of its metrics."""

    __tablename__ = "runs"
    number: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    recipe_name: Mapped[str]
    recipe_hash: Mapped[str] = mapped_column(ForeignKey("recipes.hash"))
    settings: Mapped[dict[str, Any] | None] = mapped_column(Json)
    code: Mapped[str]
    data: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)
    environment: Mapped[str]
    state: Mapped[str]
    attempt: Mapped[int]
    owner: Mapped[str | None]
    lease_until: Mapped[float | None]
    heartbeat: Mapped[float | None]
    priority: Mapped[int]
    folder: Mapped[str]
    scores: Mapped[dict[str, Any] | None] = mapped_column(Json)
    cost: Mapped[dict[str, Any] | None] = mapped_column(Json)
    progress: Mapped[dict[str, Any] | None] = mapped_column(Json)
    error: Mapped[str | None] = mapped_column(Prose)
    stop_reason: Mapped[str | None] = mapped_column(Prose)
    parent: Mapped[str | None]
    created: Mapped[float]
    started: Mapped[float | None]
    finished: Mapped[float | None]
    launch: Mapped[str | None]
    __table_args__ = (
        Index(
            "uq_runs_identity",
            *("recipe_hash", "code", "data", "seed", "environment"),
            unique=True,
            sqlite_where=ALIVE,
            postgresql_where=ALIVE,
        ),
        Index("ix_runs_queue", "state", text("priority DESC"), "number"),
        Index("ix_runs_recipe_name", "recipe_name"),
        Index(
            "ix_runs_parent",
            "parent",
            sqlite_where=text("parent IS NOT NULL"),
            postgresql_where=text("parent IS NOT NULL"),
        ),
        CheckConstraint(
            "state IN ('waiting', 'running', 'completed', 'failed', 'diverged', 'cancelled')", name="ck_runs_state"
        ),
    )


class StudyRun(Base):
    """The run that fills one cell of a study. One run may fill cells of several studies."""

    __tablename__ = "study_runs"
    arm_id: Mapped[int] = mapped_column(ForeignKey("arms.id"), primary_key=True)
    seed: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    __table_args__ = (Index("ix_study_runs_study", "study_id"), Index("ix_study_runs_run", "run_id"))


class StoreTable(Base):
    """The store that holds the files of the lab's runs: at most one row."""

    __tablename__ = "store"
    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]
    lab: Mapped[str]
    __table_args__ = (CheckConstraint("id = 1", name="ck_store_id"),)


class StoredFile(Base):
    """A file of a run in the store: the key it has there, and what it holds."""

    __tablename__ = "stored_files"
    run: Mapped[int] = mapped_column(BigKey, ForeignKey("runs.number", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str]
    digest: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)


class MetricTable(Base):
    """One point of a curve.

    `run` is a run's number without a foreign key: checking one for each point costs Postgres a third of its speed,
    every batch is written while its run is held (`leases.hold`), and a run goes with its points (`removal`).
    """

    __tablename__ = "metrics"
    run: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    attempt: Mapped[int]
    value: Mapped[float | None] = mapped_column(Figure)
    __table_args__ = ({"sqlite_with_rowid": False},)


class LookTable(Base):
    """One look of the sequential rule at a study."""

    __tablename__ = "looks"
    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    seeds: Mapped[int]
    result: Mapped[dict[str, Any]]
    time: Mapped[float]


class Event(Base):
    """A notice of a watchdog, a worker or the study's launcher."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    time: Mapped[float]
    level: Mapped[str]
    kind: Mapped[str]
    text: Mapped[str] = mapped_column(Prose)


class CalibrationTable(Base):
    """A cached result of a simulation that only depends on its key."""

    __tablename__ = "calibrations"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dict[str, Any]]


class NoteText(Base):
    """One file of hand-written notes: all of it, and how many of its lines were read as what."""

    __tablename__ = "note_files"
    source: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    encoding: Mapped[str]
    counts: Mapped[dict[str, Any]]
    text: Mapped[str] = mapped_column(Prose)
    time: Mapped[float]


class Note(Base):
    """One trial, plan or remark read from hand-written notes."""

    __tablename__ = "note_entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[str]
    line: Mapped[int]
    last: Mapped[int]
    kind: Mapped[str]
    section: Mapped[str | None] = mapped_column(Prose)
    label: Mapped[str | None] = mapped_column(Prose)
    settings: Mapped[dict[str, Any]]
    scores: Mapped[dict[str, Any]]
    claim: Mapped[dict[str, Any] | None] = mapped_column(Json)
    remark: Mapped[str | None] = mapped_column(Prose)
    original: Mapped[str] = mapped_column(Prose)
    __table_args__ = (
        Index("ix_note_entries_source", "source", "line"),
        CheckConstraint("kind IN ('trial', 'plan', 'remark')", name="ck_note_entries_kind"),
    )


class LoopTable(Base):
    """One research loop: how it judges, fixed when it starts; the proposal that is the best so far."""

    __tablename__ = "loops"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    spec: Mapped[dict[str, Any]]
    budget: Mapped[float | None]
    best: Mapped[int]
    created: Mapped[float]


class ProposalTable(Base):
    """One proposed change of a loop; number 0 is the state that it starts from."""

    __tablename__ = "proposals"
    id: Mapped[int] = mapped_column(primary_key=True)
    loop_id: Mapped[int] = mapped_column(ForeignKey("loops.id"))
    number: Mapped[int]
    text: Mapped[str] = mapped_column(Prose)
    change: Mapped[list[str]]
    base: Mapped[int]
    recipe_name: Mapped[str]
    recipe_hash: Mapped[str] = mapped_column(ForeignKey("recipes.hash"))
    settings: Mapped[dict[str, Any] | None] = mapped_column(Json)
    code: Mapped[str]
    data: Mapped[str]
    content: Mapped[str]
    level: Mapped[float]
    first_seed: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str]
    outcome: Mapped[str | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created: Mapped[float]
    decided: Mapped[float | None]
    __table_args__ = (
        UniqueConstraint("loop_id", "number", name="uq_proposals_number"),
        CheckConstraint("state IN ('waiting', 'open', 'decided')", name="ck_proposals_state"),
    )


class ProposalRun(Base):
    """A run that a proposal was tried with, that measures it as a baseline, or that confirms it."""

    __tablename__ = "proposal_runs"
    proposal_id: Mapped[int] = mapped_column(ForeignKey("proposals.id"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    seed: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    __table_args__ = (
        Index("ix_proposal_runs_run", "run_id"),
        CheckConstraint("role IN ('trial', 'baseline', 'confirm')", name="ck_proposal_runs_role"),
    )
