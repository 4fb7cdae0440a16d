from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, inspect, text
from sqlalchemy.schema import CreateIndex

import ablata.records.schema as schema
from ablata.base.errors import RecordError
from ablata.records import Ledger, NewRun
from ablata.records.tables import Base


@pytest.fixture
def migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """New ledgers are made by the migrations from the first to the last, as an old one is brought to date."""
    monkeypatch.setattr(schema, "create", schema.upgrade)


def test_a_new_ledger_is_as_the_migrations_make_it(
    fresh_address: Callable[[str], str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(name: str) -> dict[str, object]:
        with Ledger(fresh_address(name), home=home) as ledger, ledger.database.read() as connection:
            found = inspect(connection)
            looks = (found.get_columns, found.get_indexes, found.get_unique_constraints, found.get_foreign_keys)
            parts: dict[str, object] = {"version": connection.scalar(text("SELECT version_num FROM alembic_version"))}
            for table in found.get_table_names():
                rows = [sorted(re.sub(r" at 0x\w+", "", str(row)) for row in look(table)) for look in looks]
                parts[table] = (rows, found.get_pk_constraint(table)["constrained_columns"])
            return parts

    created = made("created")
    monkeypatch.setattr(schema, "create", schema.upgrade)
    assert made("migrated") == created


@pytest.mark.usefixtures("migrated")
def test_the_migrations_lead_to_the_tables_of_the_code(fresh_address: Callable[[str], str], home: Path) -> None:
    ledger = Ledger(fresh_address("migrated"), home=home)

    def compared(_: object, name: str | None, *__: object) -> bool:
        return name != "ix_runs_queue"  # one column downwards: alembic cannot compare it

    with ledger.database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": compared})
        assert compare_metadata(context, Base.metadata) == []
        if ledger.database.is_sqlite:
            (queue,) = (index for index in Base.metadata.tables["runs"].indexes if index.name == "ix_runs_queue")
            made = connection.scalar(text("SELECT sql FROM sqlite_master WHERE name = 'ix_runs_queue'"))
            assert made == str(CreateIndex(queue).compile(dialect=connection.dialect))


def test_the_queue_is_read_in_its_order_without_sorting_it(ledger: Ledger) -> None:
    statements: list[str] = []
    event.listen(ledger.database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    ledger.leases.claim("worker", 60, study="none", code="c")
    (asked,) = (one for one in statements if "ORDER BY runs.priority" in one)
    if ledger.database.is_sqlite:
        with ledger.database.read() as connection:
            values = (1,) * asked.count("?")
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}", values).all()
        assert not [row for row in plan if "B-TREE" in str(row)]


def test_every_packaged_migration_is_a_known_version() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(revisions)) == schema.VERSIONS


@pytest.mark.usefixtures("migrated")
def test_trials_read_before_notes_were_kept_whole_are_carried_over(
    fresh_address: Callable[[str], str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = fresh_address("old")
    monkeypatch.setattr(schema, "HEAD", "0001")
    with Ledger(address, home=home) as old, old.database.write() as connection:
        row = "'notes.txt', 7, 'Loss', 'ohem', '{}', '{}', NULL, NULL, 'ohem 71.0'"
        columns = "source, line, section, label, settings, scores, claim, remark, original"
        connection.execute(text(f"INSERT INTO imported_trials ({columns}) VALUES ({row})"))
    monkeypatch.setattr(schema, "HEAD", schema.VERSIONS[-1])
    with Ledger(address, home=home) as new:
        (entry,) = new.notes.find(kind="trial")
    assert (entry.source, entry.line, entry.last, entry.label) == ("notes.txt", 7, 7, "ohem")


@pytest.mark.usefixtures("migrated")
def test_runs_made_before_they_kept_settings_have_those_of_their_recipe(
    fresh_address: Callable[[str], str], home: Path, new_run: Callable[..., NewRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = fresh_address("old")
    monkeypatch.setattr(schema, "HEAD", "0002")
    with Ledger(address, home=home) as old, old.database.write() as connection:
        connection.execute(text("""INSERT INTO recipes (hash, settings) VALUES ('h', '{"root": "/a"}')"""))
        columns = "id, recipe_name, recipe_hash, code, data, seed, environment, state, attempt, priority, folder"
        values = "'abcd', 'base', 'h', 'c1', 'd1', 0, 'e1', 'completed', 1, 0, 'runs/abcd'"
        connection.execute(text(f"INSERT INTO runs ({columns}, created) VALUES ({values}, 0)"))
    monkeypatch.setattr(schema, "HEAD", schema.VERSIONS[-1])
    with Ledger(address, home=home) as new:
        run = new.runs.get("abcd")
        new.runs.enqueue(replace(new_run(seed=1), recipe={"root": "/b"}, recipe_hash="h"))
        assert (run.launch, new.runs.settings(run)) == (None, {"root": "/a"})


def test_four_processes_may_open_a_fresh_ledger_at_once(start_worker: Callable[..., subprocess.Popen[str]]) -> None:
    workers = [start_worker("open_fresh") for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        output, errors = worker.communicate(timeout=60)
        assert (output, errors, worker.returncode) == ("0\n", "", 0)


def test_a_ledger_of_newer_code_is_refused_in_words(ledger: Ledger, address: str, home: Path) -> None:
    with ledger.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RecordError, match="9999, written by a newer ablata"):
        Ledger(address, home=home)


def test_a_database_of_something_else_is_refused(ledger: Ledger, address: str, home: Path) -> None:
    with ledger.database.write() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(RecordError, match="must be empty"):
        Ledger(address, home=home)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to have a header of its own\n" * 20)
    before = path.read_bytes()
    with pytest.raises(RecordError, match="not a database"):
        Ledger(str(path), home=tmp_path)
    assert path.read_bytes() == before


def test_an_unreachable_server_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="must be a database that can be opened") as caught:
        Ledger("postgresql://someone:secret@127.0.0.1:1/lab", home=tmp_path)
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:1/lab" in str(caught.value)


def test_opening_a_ledger_at_head_imports_neither_alembic_nor_torch_nor_numpy(tmp_path: Path) -> None:
    Ledger(home=tmp_path).close()
    program = (
        "import sys; from pathlib import Path; from ablata.records import Ledger; "
        f"Ledger(home=Path({str(tmp_path)!r})); "
        "print([name for name in ('alembic', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
