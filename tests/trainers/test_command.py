"""Commands: words, values, names of arms, and what makes two runs of a program the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ablata.base.errors import SettingsError
from ablata.base.settings import expand, restore, settings_hash
from ablata.trainers.command import Command, arm_names
from ablata.trainers.identity import code_files, code_of, content_digest


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


def test_a_command_is_called_by_its_script_or_its_program() -> None:
    named = {"python src/train.py --lr 0.1": "train.py", "./run 0.5 1.5": "run", "python -m pkg.train": "pkg.train"}
    for text, name in named.items():
        assert Command.of(text, scores=["acc"]).program == name


def test_another_command_as_an_arm_is_refused_in_words_too() -> None:
    control = Command.of("python x {lr} {seed}", scores=["acc"], values={"lr": "1"})
    with pytest.raises(SettingsError, match=r"must have a value\n  found: \{ed\} has none"):
        control.arm("python x {lr} {ed}")


def test_arms_are_named_by_what_differs() -> None:
    control = ["python", "train.py", "--seed", "{seed}"]
    others = ["python train.py --seed {seed} --mixup 0.2", "python other.py --seed {seed}", "python train.py"]
    names = arm_names(control, [text.split() for text in [*others, others[0]]])
    assert names == ["mixup-0.2", "other.py", "without-seed-seed", "mixup-0.2-2"]
    assert arm_names(["x.py", "100"], [["x.py", "5"]]) == ["5-for-100"]
    assert arm_names(["x.py", "--lr", "0.1"], [["x.py", "--lr", "0.3"]]) == ["lr-0.3"]


def test_the_folder_is_no_part_of_what_a_command_asks_and_a_value_is() -> None:
    base = Command.of("python x.py {lr}", scores=["acc"], values={"lr": 1})
    assert base.values == {"lr": "1"}
    assert settings_hash(base) == settings_hash(base.model_copy(update={"folder": "/elsewhere", "name": "n"}))
    assert settings_hash(base) != settings_hash(base.with_values({"lr": "2"}))
    with pytest.raises(SettingsError, match="place"):
        base.with_values({"lrr": "2"})
    with pytest.raises(SettingsError, match="key=value"):
        base.arm(["lr"])


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def _code(folder: Path, text: str = "python train.py", **settings: object) -> str:
    command = Command.of(text, scores=["acc"], folder=str(folder), **settings)
    return code_of(command, command.words)


@pytest.fixture(params=[False, True], ids=["without git", "in git"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A working folder with a script that imports a module, versioned or not."""
    made = tmp_path / "work"
    (made / "lib").mkdir(parents=True)
    (made / "train.py").write_text("import model, lib.data")
    (made / "model.py").write_text("1")
    (made / "lib" / "data.py").write_text("1")
    if request.param:
        _git(made, "init", "-q")
        _git(made, "add", ".")
        _git(made, "commit", "-qm", "first")
    return made


def test_an_edit_of_the_script_or_of_what_it_imports_is_other_code(folder: Path) -> None:
    seen = [_code(folder)]
    for name in ("train.py", "model.py", "lib/data.py", "new.py", "lib/new.sh"):
        (folder / name).write_text("2")
        seen.append(_code(folder))
    assert len(set(seen)) == len(seen)
    written = ("results.json", ".hidden/x.py", "wandb/files/code/train.py", "lab/ledger.sqlite3", "env/pyvenv.cfg")
    for name in written:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("2")
    assert _code(folder) == seen[-1], "what a run writes is no code"


def test_files_that_arguments_name_count_wherever_they_stand(folder: Path, subtests: pytest.Subtests) -> None:
    (folder / "conf.yaml").write_text("1")
    (folder / "run").write_text("1")
    for text in (
        "python train.py conf.yaml",
        "python train.py --config=conf.yaml",
        "sh -c 'python train.py conf.yaml | cat'",
        "./run",
    ):
        with subtests.test(command=text):
            before = _code(folder, text)
            for name in ("conf.yaml", "run"):
                (folder / name).write_text((folder / name).read_text() + "2")
            assert _code(folder, text) != before


def test_a_script_outside_the_folder_counts_with_what_lies_beside_it(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "train.py").write_text("import helper")
    (other / "helper.py").write_text("1")
    (other / "tool.pl").write_text("1")
    seen = [_code(folder, "python ../other/train.py")]
    for name in ("train.py", "helper.py", "tool.pl"):
        (other / name).write_text("import helper  # edited")
        seen.append(_code(folder, "python ../other/train.py"))
    assert len(set(seen)) == len(seen)
    assert _code(folder, f"python {other}/train.py") == seen[-1], "one file, however it is named"


def test_declared_sources_count_alone(folder: Path) -> None:
    before = _code(folder, sources=("train.py",))
    (folder / "model.py").write_text("2")
    assert _code(folder, sources=("train.py",)) == before
    (folder / "train.py").write_text("2")
    assert _code(folder, sources=("train.py",)) != before


def test_a_module_that_git_ignores_counts_where_the_script_imports_it(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("model.py")
    (tmp_path / "train.py").write_text("import model")
    (tmp_path / "model.py").write_text("1")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    before = _code(tmp_path)
    (tmp_path / "model.py").write_text("2")
    assert _code(tmp_path) != before


def test_repositories_inside_a_repository_count_with_their_own_changes(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "net.py").write_text("1")
    _git(library, "init", "-q")
    _git(library, "add", ".")
    _git(library, "commit", "-qm", "first")
    for kind in ("submodule", "gitlink", "untracked"):
        with subtests.test(kind=kind):
            folder = tmp_path / kind
            folder.mkdir()
            _git(folder, "init", "-q")
            (folder / "train.py").write_text("1")
            if kind == "submodule":
                _git(folder, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "library")
            else:
                subprocess.run(["git", "clone", "-q", str(library), str(folder / "library")], check=True)
            _git(folder, "add", "train.py", *(["library"] if kind == "gitlink" else []))
            _git(folder, "commit", "-qm", "first")
            seen = [_code(folder)]
            for name, text in (("net.py", "2"), ("net.py", "3"), ("new.py", "1")):
                (folder / "library" / name).write_text(text)
                seen.append(_code(folder))
            assert len(set(seen)) == len(seen)


def test_worktrees_and_runs_in_a_lab_inside_the_repository_are_no_code_of_its_own(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("1")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    before = _code(tmp_path)
    lab = tmp_path / ".ablata"
    lab.mkdir()
    (lab / "ledger.sqlite3").touch()
    (lab / "model.py").write_text("2")
    _git(tmp_path, "worktree", "add", "-q", "--detach", str(lab / "worktrees/new"), "HEAD")
    assert _code(tmp_path) == before


def test_a_repository_without_a_commit_or_with_a_submodule_never_fetched_has_a_state(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("1")
    before = _code(tmp_path)
    assert before.startswith("files-")
    (tmp_path / "train.py").write_text("2")
    assert _code(tmp_path) != before
    _git(tmp_path, "add", "train.py")
    _git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},gone")
    (tmp_path / "gone").mkdir()
    _git(tmp_path, "commit", "-qm", "first")
    assert _code(tmp_path).startswith("git-")


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
    before = content_digest(tmp_path, ["data"])
    (tmp_path / "data" / "a.bin").touch()
    assert content_digest(tmp_path, ["data"]) == before
    (tmp_path / "data" / "b.bin").write_bytes(b"1")
    assert content_digest(tmp_path, ["data"]) != before


def test_an_arm_is_told_by_the_words_and_values_that_it_changes() -> None:
    control = Command.of("python a.py --lr {lr}", scores=["acc"], values={"lr": "1"})
    for change, told in {
        "python a.py --lr {lr} --mixup 0.2": "with --mixup 0.2",
        "python a.py": "without --lr '{lr}'",
        "python b.py --lr {lr}": "command: a.py -> b.py",
        "git:idea": 'ref: null -> "idea"',
    }.items():
        assert control.arm(change).changes(control) == [told]
    assert control.arm({"lr": 2}).changes(control) == ["lr: 1 -> 2"]


def test_a_ref_decides_the_code_where_sources_are_declared(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    here = Command.of("python train.py", scores=["acc"], sources=("train.py",), folder=str(tmp_path))
    there = here.arm("git:HEAD")
    before = code_of(here, here.words), code_of(there, there.words)
    (tmp_path / "train.py").write_text("print(2)")
    assert code_of(here, here.words) != before[0]
    assert code_of(there, there.words) == before[1]
    _git(tmp_path, "commit", "-qam", "second")
    assert code_of(there, there.words) != before[1], "the branch has moved"


def test_what_is_committed_unchanged_and_documents_make_no_other_code(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q")
    for name in ("train.py", "README.md", "net.yaml"):
        (tmp_path / name).write_text("1")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    (tmp_path / "train.py").write_text("2")
    before = _code(tmp_path)
    for name, text in (("README.md", "2"), ("results.tsv", "a"), ("train.py", "2")):
        (tmp_path / name).write_text(text)
        _git(tmp_path, "add", name)
        _git(tmp_path, "commit", "-qm", name)
        assert _code(tmp_path) == before, name
    (tmp_path / "net.yaml").write_text("2")
    assert _code(tmp_path) != before
    command = Command.of("python train.py", scores=["acc"], folder=str(tmp_path))
    assert set(code_files(command, command.words)) == {"train.py", "net.yaml"}
