"""Pages as programs: the fenced blocks of a Markdown file, and how they are run, shortened.

A block of `console` holds commands behind `$ ` and may show what they print. A block of `python`, `yaml` or `toml`
with a title is the file of that name; one of `python` without a title is run. What a comment right before a block says:

    <!-- test: slow, REASON -->           minutes: run in the suite's slow part only, and a study there is run whole
    <!-- test: realdata, FOLDER=NAME -->  needs real images: FOLDER stands for ABLATA_DATA/NAME
    <!-- test: not run, REASON -->        cannot run in a test at all
    <!-- test: with KEY=VALUE ... -->     further settings that make its commands short

In commands RUN stands for the last run, OTHER for the one before it. Several words may be joined by `;`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablata.data.loading.locate import unpacked

ROOT = Path(__file__).resolve().parents[2]
Say = Callable[[Sequence[str]], tuple[int, str]]
"""Calls the command line in this process: arguments in; exit status, and what it printed, out."""

_BLOCK = re.compile(
    r"(?:^<!-- test: (?P<words>[^>]*?) -->\n+)?"
    r"^(?P<indent> *)```(?P<kind>\w+)(?P<rest>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the lines that the page shows below it."""

    text: str
    shown: str


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, its title (a file's name), its text, what the comment before it says, its line."""

    kind: str
    title: str | None
    text: str
    words: tuple[str, ...]
    line: int

    @property
    def part(self) -> str:
        """Where it is run: default, slow, realdata or not run."""
        starts = [word for word in ("slow", "realdata", "not run") if any(said.startswith(word) for said in self.words)]
        return starts[0] if starts else "default"

    @property
    def settings(self) -> list[str]:
        """The further settings of `with`."""
        return [setting for word in self.words if word.startswith("with ") for setting in word.split()[1:]]

    @property
    def folder(self) -> str | None:
        """The data set that FOLDER stands for."""
        return next((found[1] for word in self.words if (found := re.search(r"FOLDER=(\w+)", word))), None)

    def commands(self) -> list[Command]:
        """The commands of a console block; a line that ends in a backslash goes on."""
        found: list[list[str]] = []
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append([line[2:]])
            elif found:
                found[-1].append(line)
        return [Command(first, "\n".join(rest).strip()) for first, *rest in found]


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        title = re.search(r'title="([^"]+)"', match["rest"])
        words = tuple(word.strip() for word in (match["words"] or "").split(";") if word.strip())
        body = re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        line = text.count("\n", 0, match.start("kind")) + 1
        found.append(Block(match["kind"], title[1] if title else None, body, words, line))
    return found


def shortened(arguments: Sequence[str], further: Sequence[str] = ()) -> list[str]:
    """Return the arguments of an `ablata` command with trainings of three steps, and studies of three seeds."""
    short = ["train.steps=3", "train.evaluate_every=0", *further]
    if arguments[:1] == ["train"] and "--resume" not in arguments:
        return [*(word for word in arguments if not word.startswith(("train.epochs=", "train.steps="))), *short]
    if arguments[:1] == ["study"] and "--recipe" in arguments:
        named = [word for setting in short for word in ("--set", setting)]
        given = list(arguments)
        for option, value in (("--workers", "1"), ("--seeds", "3")):
            if option in given:
                given[given.index(option) + 1] = value
        return [*given, *named]
    return list(arguments)


def _builds(block: Block) -> bool:
    """Tell whether what follows builds on a block: Python, or a script of the page that is run."""
    scripts = block.kind == "console" and all(command.text.startswith("python ") for command in block.commands())
    return block.kind == "python" or scripts


class Page:
    """A page that is run, block by block, in a folder of its own.

    Args:
        path: the Markdown file.
        folder: where its files are written and its commands run; the current folder.
        ablata: calls the command line.
        data: the folder of real data sets, for blocks that need one.
    """

    def __init__(self, path: Path, folder: Path, ablata: Say, data: Path | None = None) -> None:
        self.path, self.folder, self.ablata, self.data = path, folder, ablata, data
        self.names: dict[str, Any] = {"__name__": "__page__"}

    def run(self, part: str) -> None:
        """Write the page's files and run the blocks of one part, with what they build on: Python, and the page's own
        scripts, which write what is trained on."""
        for block in blocks(self.path):
            if block.kind in ("python", "yaml", "toml") and block.title is not None:
                (self.folder / block.title).write_text(block.text, encoding="utf-8")
            elif block.part == part or (block.part == "default" and _builds(block)):
                self._run(block)

    def _run(self, block: Block) -> None:
        where = f"{self.path.name}, line {block.line}"
        if block.kind == "python":
            exec(compile(block.text, where, "exec"), self.names)
        for command in block.commands() if block.kind == "console" else ():
            try:
                self._command(command, block)
            except AssertionError as error:
                raise AssertionError(f"{where}: {command.text}\n{error}") from error

    def _command(self, command: Command, block: Block) -> None:
        for text in command.text.split(" && "):
            words = self._filled(shlex.split(text, comments=True), block)
            status, said = self._called(words, block)
            expected = 2 if "error:" in command.shown else 0
            # A check of data ends with 1 where something is wrong with it, as there is with real data.
            found = expected == 0 and status == 1 and words[:3] == ["ablata", "data", "check"]
            # A proposal may be discarded, or stay undecided: that is an answer.
            found |= expected == 0 and status in (1, 3) and words[:3] == ["ablata", "loop", "try"]
            assert status == expected or found, f"exit status {status}, expected {expected}:\n{said[-3000:]}"
            if expected:
                assert command.shown in said, f"the page shows other words than were said:\n{said}"

    def _called(self, words: list[str], block: Block) -> tuple[int, str]:
        program, *arguments = words
        if program == "ablata":
            whole = block.part == "slow" and arguments[0] != "train"
            return self.ablata(arguments if whole else shortened(arguments, block.settings))
        if program == "cd":
            os.chdir(arguments[0])
            return 0, ""
        if program == "python" and arguments[0] == "-c":
            exec(compile(arguments[1], "python -c", "exec"), {"__name__": "__main__"})
            return 0, ""
        if program == "make":
            return _started(["make", "--directory", str(ROOT), "--dry-run", *arguments])
        if program == "git":
            return _started(["git", "-c", "user.name=reader", "-c", "user.email=reader@example.org", *arguments])
        if program in ("python", "pytest"):
            return _started([sys.executable, *(["-m", "pytest", "-q"] if program == "pytest" else []), *arguments])
        raise AssertionError(f"{program} is no program that a page's test runs: say why it cannot be run")

    def _filled(self, words: list[str], block: Block) -> list[str]:
        """Put in place what RUN, OTHER and FOLDER stand for."""
        wanted = [name for name in ("RUN", "OTHER") if any(re.search(rf"\b{name}\b", word) for word in words)]
        stands = dict(zip(("RUN", "OTHER"), self._latest_runs(), strict=False)) if wanted else {}
        if block.folder is not None:
            assert self.data is not None
            stands["FOLDER"] = str(self._unpacked(self.data / block.folder))
        return [re.sub(r"\b(RUN|OTHER|FOLDER)\b", lambda match: stands.get(match[0], match[0]), word) for word in words]

    def _unpacked(self, folder: Path) -> Path:
        """Return a data set's folder; of one that holds a zip, what is in it, unpacked beside the page's files."""
        zips = sorted(folder.glob("*.zip"))
        return unpacked(zips[0], self.folder / "unpacked") if zips else folder

    def _latest_runs(self) -> list[str]:
        """Return the ids of the completed runs, the newest first."""
        _, said = self.ablata(["runs", "list", "--state", "completed", "--json"])
        return [str(run["id"]) for run in json.loads(said)]


def _started(command: list[str]) -> tuple[int, str]:
    """Run a program of its own; return its exit status, and what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def pages() -> Iterator[Path]:
    """Yield the README, the page for contributors and every page of the site but those of measurements and the log."""
    yield ROOT / "README.md"
    yield ROOT / "CONTRIBUTING.md"
    for path in sorted((ROOT / "docs").rglob("*.md")):
        if path.parent.name != "results" and path.name != "log.md":
            yield path
