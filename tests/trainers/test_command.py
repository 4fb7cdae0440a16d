"""Commands: words, values, names of arms, and what makes two runs of a program the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ablata.base.errors import SettingsError
from ablata.base.settings import expand, restore, settings_hash
from ablata.trainers.command import Command, arm_names
from ablata.trainers.identity import code_of, files_digest


def test_values_are_put_into_words_and_never_read_as_shell_text() -> None:
    command = Command.of(
        "python train.py --seed {seed} --out '{run_dir}/log dir' --lr {lr}",
        scores=["acc"],
        values={"lr": "$(rm -rf x) 'y"},
    )
    words = command.argument_list(seed=3, run_dir=Path("/tmp/a b"))
    assert words == ["python", "train.py", "--seed", "3", "--out", "/tmp/a b/log dir", "--lr", "$(rm -rf x) 'y"]
    assert restore(Command, expand(command), source="test") == command


def test_what_is_no_command_is_refused_in_words(subtests: pytest.Subtests) -> None:
    cases: dict[str, tuple[str, dict[str, object], str]] = {
        "no word": ("", {}, "name a program"),
        "quotes": ("python 'x", {}, "quotes"),
        "a pipe": ("python x | tee log", {}, "without a shell"),
        "an unknown key": ("python x {lr}", {}, "must have a value"),
        "a value without a place": ("python x {lr}", {"values": {"lr": "1", "wd": "2"}}, "its place"),
        "the seed's own value": ("python x {seed}", {"values": {"seed": "1"}}, "ablata.s own"),
    }
    for name, (text, settings, words) in cases.items():
        with subtests.test(case=name), pytest.raises(SettingsError, match=words):
            Command.of(text, scores=["acc"], **settings)


def test_arms_are_named_by_what_differs() -> None:
    control = ["python", "train.py", "--seed", "{seed}"]
    others = ["python train.py --seed {seed} --mixup 0.2", "python other.py --seed {seed}", "python train.py"]
    names = arm_names(control, [text.split() for text in [*others, others[0]]])
    assert names == ["mixup-0.2", "other.py", "without-seed-seed", "mixup-0.2-2"]


def test_the_folder_is_no_part_of_what_a_command_asks_and_a_value_is() -> None:
    base = Command.of("python x.py {lr}", scores=["acc"], values={"lr": "1"})
    assert settings_hash(base) == settings_hash(base.model_copy(update={"folder": "/elsewhere", "name": "n"}))
    assert settings_hash(base) != settings_hash(base.with_values({"lr": "2"}))
    with pytest.raises(SettingsError, match="place"):
        base.with_values({"lrr": "2"})


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_an_edited_script_is_other_code_with_and_without_git(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for versioned in (False, True):
        with subtests.test(git=versioned):
            folder = tmp_path / str(versioned)
            folder.mkdir()
            (folder / "train.py").write_text("print(1)")
            command = Command.of("python train.py", scores=["acc"], folder=str(folder))
            if versioned:
                _git(folder, "init", "-q")
                _git(folder, "add", "train.py")
                _git(folder, "commit", "-qm", "first")
            seen = [code_of(command, command.words)]
            (folder / "train.py").write_text("print(2)")
            seen.append(code_of(command, command.words))
            if versioned:
                (folder / "model.py").write_text("a new module")
                seen.append(code_of(command, command.words))
            assert len(set(seen)) == len(seen)
            (folder / "results.json").write_text("{}")
            assert code_of(command, command.words) == seen[-1], "what a run writes is no code"


def test_a_ref_is_its_commit_and_never_an_option(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("1")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    command = Command.of("python train.py", scores=["acc"], folder=str(tmp_path), ref="HEAD")
    assert code_of(command, command.words).startswith("git-")
    for ref in ("nothing", "--output=x", "HEAD; touch x"):
        with pytest.raises(SettingsError, match="branch, a tag or a commit"):
            code_of(command.model_copy(update={"ref": ref}), command.words)


def test_inputs_count_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.bin").write_bytes(b"1")
    before = files_digest(tmp_path, ["data"])
    (tmp_path / "data" / "a.bin").touch()
    assert files_digest(tmp_path, ["data"]) == before
    (tmp_path / "data" / "b.bin").write_bytes(b"1")
    assert files_digest(tmp_path, ["data"]) != before
