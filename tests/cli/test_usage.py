from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from ablata.base.errors import SettingsError
from ablata.cli import main as main_module
from ablata.cli.main import main
from ablata.studies.index import study_entries

Ablata = Callable[..., Any]


def test_wrong_usage_is_told_in_words_with_exit_2(ablata: Ablata, subtests: pytest.Subtests) -> None:
    for line, words in [
        ("train digitz", "did you mean digits?"),
        ("train digits optim.lrr=1", "did you mean optim.lr?"),
        ("train digits optim.lr=fast", "optim.lr"),
        ("train digits lr", "key=value"),
        ("train digits seed=3", "do:    --seed 3"),
        ("train --resume zzz train.epochs=3 seed=3", "a run keeps its seed"),
        ("train digits --epochs 3", "given as epochs=VALUE"),
        ("study run quickstart --lr 3", "given as --set lr=VALUE"),
        ("train digits home=/tmp/x", "set ABLATA_HOME=/tmp/x"),
        ("recipes show digits json=true", "do:    --json"),
        ("train", "found: neither"),
        ("train digits --resume abc", "found: both"),
        ("train --resume zzz", "fits no run"),
        ("train --resume zzz --seed 3", "A run keeps its seed"),
        ("train nofile.py:digits", "must exist"),
        ("train digits --seed -1", "--seed"),
        ("train --sed 1 digits", "--sed"),
        ("bogus", "bogus"),
        ("study", "Usage"),
        ("study run", "found: none of them"),
        ("study run nope", "must be one of"),
        ("study run quickstart --arm a:model.width=8", "--arm belongs to a study asked with --recipe"),
        ("study run quickstart --recipe digits", "Name a study, or ask"),
        ("study run --recipe digits --arm a:model.width=8 --margin 1", "no --seeds"),
        ("study run --recipe digits --arm a:model.width=8 --seeds 0 --margin 1", "--seeds"),
        ("study run --recipe digits --arm a:model.width=8 --seeds 3 --margin -1", "margin"),
        ("study run --recipe digits --arm a:model.width=8 --seeds 3 --margin x", "A margin must be a number"),
        ("study run --recipe digits --arm a/b:model.width=8 --seeds 3 --margin 1", "made of letters"),
        ("study run --recipe digits --arm a:model.width=8 --seeds 3 --margin 1 --name ../x", "made of letters"),
        ("study run --recipe digits --arm a:model.width=8 --seeds 3 --margin 1 --workers 0", "--workers"),
        ("study plan nope", "must be one of"),
        ("study status nope", "no study 'nope'"),
        ("study report nope", "no study 'nope'"),
        ("study report nope --format pdf", "The format of a report must be one of"),
        ("study export nope x.ablata", "no study 'nope'"),
        ("study import nowhere.ablata", "nowhere.ablata"),
        ("runs show zzz", "fits no run"),
        ("runs compare zzz yyy", "fits no run"),
        ("runs list --state odd", "The state of a run must be one of"),
        ("evaluate zzz", "fits no run"),
        ("recipes show digitz", "did you mean digits?"),
        ("worker --study nope --idle-exit", "no study 'nope'"),
        ("worker --db foo://x", "SQLite file or a Postgres database"),
    ]:
        with subtests.test(line=line, words=words):
            answer = ablata(*line.split())
            assert answer.status == 2
            assert words in answer.out + answer.err
            assert "Traceback" not in answer.out + answer.err
            assert "\x1b" not in answer.out + answer.err


def test_an_error_says_what_must_hold_what_was_found_and_what_to_do(ablata: Ablata) -> None:
    assert ablata("train", "digits", "model.wdth=3").err.splitlines() == [
        "error: model.wdth must be a key of model (digits_net): width, depth, weights, dropout, kind and 4 more",
        "  found: model.wdth=3",
        "  do:    did you mean model.width?",
    ]


def test_markup_in_what_users_type_is_shown_as_typed(ablata: Ablata) -> None:
    assert "[bold]x[/bold]" in ablata("train", "[bold]x[/bold]").err


def test_a_full_disk_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(main_module, "app", full)
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 0}))
    with pytest.raises(SystemExit, match="1"):
        main([])
    said = capsys.readouterr().err
    assert "No space left on device: the lab's home" in said
    assert "make room there and give the same command again" in said


def test_debug_lets_the_error_through(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that the value is put back after the test.
    monkeypatch.setenv("ABLATA_DEBUG", "")
    with pytest.raises(SettingsError):
        main(["--debug", "train", "digitz"])


def test_a_place_that_cannot_be_written_is_told(
    ablata: Ablata, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "file" / "home"))
    answer = ablata("train", "digits")
    assert answer.status == 2
    assert "set ABLATA_HOME" in answer.err


def test_a_command_that_only_reads_makes_no_lab_and_says_where_it_looked(
    ablata: Ablata, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "other"))
    for line in (
        "evaluate zzz", "predict zzz x.png", "export zzz --format hub", "runs list", "runs show zzz", "study list",
        "study status zzz", "study report zzz", "study export zzz x.ablata", "notes search word",
    ):  # fmt: skip
        with subtests.test(line=line):
            answer = ablata(*line.split())
            assert not (tmp_path / "other").exists()
            if line.split()[0] in ("runs", "evaluate") or "status" in line:
                assert f"the lab {tmp_path / 'other'}" in answer.err
                assert "ABLATA_HOME" in answer.err


def test_an_error_of_the_file_system_is_no_traceback(ablata: Ablata, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**parts: Any) -> None:
        raise PermissionError(13, "Permission denied", "/some/place")

    monkeypatch.setattr(main_module, "app", broken)
    answer = ablata("runs", "list")
    assert (answer.status, "/some/place: Permission denied" in answer.err) == (2, True)


def test_help_names_every_command(ablata: Ablata) -> None:
    text = ablata("--help").out
    for command in ("train", "evaluate", "predict", "export", "study", "recipes", "runs", "worker", "data"):
        assert command in text
    assert "--seeds" in ablata("study", "run", "-h").out


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command and group with the words that call it."""
    command = command or get_command(main_module.app)
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


def test_help_has_whole_sentences_and_no_python_types(ablata: Ablata) -> None:
    for path, command in commands():
        assert not re.search(r"<(str|int|float|bool|path|list|enum)", ablata(*path, "--help").out), path
        # As wide as a list of commands leaves it in 80 columns.
        assert not path or re.search(r"[^.]\.$", command.get_short_help_str(62)), path


def test_the_command_line_starts_without_torch_and_without_the_ledger() -> None:
    code = (
        "import sys; from ablata.cli import main; heavy = {'torch', 'numpy', 'scipy', 'sqlalchemy', 'sklearn', 'timm'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    command = f"{sys.executable} -m ablata recipes list --json | true; exit ${{PIPESTATUS[0]}}"
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_stream_that_cannot_show_a_sign_gets_a_question_mark() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ablata", "train", "größe"],
        capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"gr??e" in done.stderr


def test_lists_can_be_read_by_a_script(ablata: Ablata) -> None:
    recipes = json.loads(ablata("recipes", "list", "--json").out)
    assert "digits" in {recipe["name"] for recipe in recipes}
    assert json.loads(ablata("runs", "list", "--json").out) == []
    studies = json.loads(ablata("study", "list", "--json").out)
    assert studies == {"recorded": [], "available": [entry.name for entry in study_entries()]}
    assert "quickstart" in studies["available"]
    shown = json.loads(ablata("recipes", "show", "digits", "model.width=5", "--json").out)
    assert shown["settings"]["model"]["width"] == 5
    assert "properties" in json.loads(ablata("recipes", "show", "digits", "--schema").out)


def test_lists_for_people_are_plain_lines_without_a_terminal(ablata: Ablata) -> None:
    lines = ablata("recipes", "list").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        recipe["name"] for recipe in json.loads(ablata("recipes", "list", "--json").out)
    ]
    assert "quickstart  not run yet" in ablata("study", "list").out
    assert "no runs" in ablata("runs", "list").err
