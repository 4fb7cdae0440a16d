"""Every command and every file that a page shows works, shortened."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .pages import ROOT, Page, blocks, pages, shortened

Say = Callable[[Sequence[str]], tuple[int, str]]
LONG = {f"docs/extend/{name}.md" for name in ("backbone", "block", "data", "testing")} | {
    f"docs/howto/{name}.md" for name in ("functions", "lab", "loop", "machines")
}
"""Pages whose commands take the suite's time, and show what other tests do too: among the slow ones."""


def of_part(part: str) -> list[object]:
    """Return the pages that have blocks of a part to be run."""
    return [
        pytest.param(path, id=name, marks=pytest.mark.slow if name in LONG else ())
        for path in pages()
        for name in [str(path.relative_to(ROOT))]
        if any(block.part == part and block.kind in ("console", "python") for block in blocks(path))
    ]


@pytest.mark.parametrize("path", of_part("default"))
def test_the_commands_of_a_page_work(path: Path, folder: Path, ablata: Say) -> None:
    Page(path, folder, ablata).run("default")


@pytest.mark.slow
@pytest.mark.parametrize("path", of_part("slow"))
def test_the_commands_that_take_minutes_work(path: Path, folder: Path, ablata: Say) -> None:
    Page(path, folder, ablata).run("slow")


@pytest.mark.realdata
@pytest.mark.parametrize("path", of_part("realdata"))
def test_the_commands_for_real_images_work(path: Path, folder: Path, ablata: Say, data_home: Path) -> None:
    Page(path, folder, ablata, data_home).run("realdata")


def test_a_command_stands_in_a_block_that_is_run_or_says_why_not(subtests: pytest.Subtests) -> None:
    for path in pages():
        with subtests.test(page=str(path.relative_to(ROOT))):
            _check_blocks(path)


def _check_blocks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    outside = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"^ {4,}(?:ablata|python|make|torchrun) .*", outside, re.MULTILINE)
    for block in blocks(path):
        assert block.kind in ("console", "python", "text", "yaml", "bibtex"), f"line {block.line}: {block.kind}"
        assert block.part != "not run" or "," in " ".join(block.words), f"line {block.line}: no reason is given"
        if block.kind == "console":
            assert block.commands(), f"line {block.line}: commands stand behind `$ `"
    written = text.count("<!-- test:")
    assert sum(bool(block.words) for block in blocks(path)) == written, "a comment stands right before its block"


def test_a_training_is_shortened_and_all_else_is_as_written() -> None:
    assert shortened(["train", "digits", "train.epochs=9", "optim.lr=1"]) == [
        *("train", "digits", "optim.lr=1", "train.steps=3", "train.evaluate_every=0"),
    ]
    assert shortened(["train", "--resume", "abc"]) == ["train", "--resume", "abc"]
    assert shortened(["recipes", "show", "digits", "train.epochs=9"]) == ["recipes", "show", "digits", "train.epochs=9"]
    study = ["study", "run", "--recipe", "digits", "--seeds", "5", "--workers", "2"]
    assert shortened(study, ["model.width=4"]) == [
        *("study", "run", "--recipe", "digits", "--seeds", "3", "--workers", "1"),
        *("--set", "train.steps=3", "--set", "train.evaluate_every=0", "--set", "model.width=4"),
    ]
    assert shortened(["study", "plan", "quickstart"]) == ["study", "plan", "quickstart"]


def test_a_page_is_read_as_blocks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        'Words.\n\n```python title="net.py"\nx = 1\n```\n\n<!-- test: slow, minutes; with a=1 b=2 -->\n\n```console\n'
        "$ ablata train digits \\\n    seed=1\nsaid\n$ ablata runs list   # all\n```\n\n"
        "<!-- test: realdata, FOLDER=camvid -->\n```console\n$ make docs\n```\n"
    )
    file, slow, real = blocks(page)
    assert (file.kind, file.title, file.text, file.part) == ("python", "net.py", "x = 1\n", "default")
    assert (slow.part, slow.settings, slow.folder) == ("slow", ["a=1", "b=2"], None)
    assert [(one.text.split(), one.shown) for one in slow.commands()] == [
        (["ablata", "train", "digits", "seed=1"], "said"),
        (["ablata", "runs", "list", "#", "all"], ""),
    ]
    assert (real.part, real.folder) == ("realdata", "camvid")


def test_a_page_that_shows_what_does_not_hold_fails(tmp_path: Path, folder: Path, ablata: Say) -> None:
    wrong = tmp_path / "wrong.md"
    for text in ("console\n$ ablata train digitz", "console\n$ frobnicate", "python\n1 / 0"):
        wrong.write_text(f"```{text}\n```\n")
        with pytest.raises((AssertionError, ZeroDivisionError)):
            Page(wrong, folder, ablata).run("default")
