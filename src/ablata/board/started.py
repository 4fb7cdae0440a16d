"""Commands that the board has started: each a process of its own that goes on without the board."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ablata.base.errors import RecordError
from ablata.base.files import write_text
from ablata.base.printable import terminal_text
from ablata.board.spawning import Spawner
from ablata.records.processes import process_is_gone, worker_name

FOLDER = "board"
_MOST_BYTES = 200_000
_SHELL = "/bin/sh"


@dataclass(frozen=True)
class StartedCommand:
    """One command.

    Args:
        id: its name among the started ones.
        arguments: what stands after `ablata`.
        process: name of the process (see `records.processes`).
        began: seconds since 1970.
        status: its exit status; None while it goes on, and where it was killed.
        asked: whether it was asked to stop.
    """

    id: str
    arguments: tuple[str, ...]
    process: str
    began: float
    status: int | None = None
    asked: bool = False

    @property
    def text(self) -> str:
        """The command as one types it, without the place where the board keeps what it draws."""
        return typed([word for word in self.arguments if not word.startswith("--output=")])

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than it should have."""
        return not self.runs and not self.asked and self.status != 0 and not self._found_faults

    @property
    def _found_faults(self) -> bool:
        """Whether it looked at data, and found what it looked for."""
        return self.arguments[:2] == ("data", "check") and self.status == 1

    @property
    def words(self) -> str:
        """What its state is called."""
        if self.runs:
            return "stopping" if self.asked else "running"
        if self.asked and self.status != 0:
            return "stopped"
        if self.status is None:
            return "killed"
        if self._found_faults:
            return "done: there are problems"
        return "done" if self.status == 0 else f"failed, exit status {self.status}"

    @property
    def runs(self) -> bool:
        """Whether it still goes on."""
        number = int(self.process.rpartition(":")[2])
        if process_is_gone(self.process) or worker_name(number) != self.process:
            return False
        try:
            return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return not process_is_gone(self.process)


def typed(arguments: Sequence[str]) -> str:
    """Return a command of ablata's as one types it."""
    return shlex.join(["ablata", *arguments])


class Started:
    """Starts commands, keeps what they say under the lab's home, and finds those that earlier servers started.

    Args:
        home: the lab's home.
        address: of the ledger, for the commands' environment; None: as this process's own.
        spawner: starts the processes; None: one of its own.
    """

    def __init__(self, home: Path, address: str | None = None, spawner: Spawner | None = None) -> None:
        self._spawner = spawner or Spawner()
        self._folder, self._home, self._address = home / FOLDER, home, address

    def start(self, arguments: Sequence[str], *, drawn: bool = False) -> StartedCommand:
        """Start `ablata ARGUMENTS` so that it outlives the board; its output goes to a file.

        Args:
            arguments: what stands after `ablata`.
            drawn: it writes an image, which `file` finds.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        if drawn:
            arguments = [*arguments, f"--output={self._folder / name}.png"]
        environment = os.environ | {"ABLATA_HOME": str(self._home), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        if self._address is not None:
            environment["ABLATA_DB"] = self._address
        log = str(self._folder / f"{name}.log")
        # The shell keeps the exit status for whichever board shows it; it hears what stops the command, and waits.
        keep = f'trap : INT TERM; "$@"; echo $? > {shlex.quote(str(self._folder / name))}.status'
        process = self._spawner.call(
            os.posix_spawn,
            _SHELL,
            [_SHELL, "-c", keep, "ablata", sys.executable, "-m", "ablata", *arguments],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        made = StartedCommand(name, tuple(arguments), worker_name(process), time.time())
        kept = {field: value for field, value in asdict(made).items() if field not in ("status", "asked")}
        write_text(self._folder / f"{name}.json", json.dumps(kept))
        return made

    def all(self, most: int = 30) -> list[StartedCommand]:
        """Return the commands that were started, the newest first."""
        found = []
        for path in sorted(self._folder.glob("*.json"), reverse=True)[:most] if self._folder.is_dir() else ():
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                found.append(
                    StartedCommand(
                        path.stem, tuple(kept["arguments"]), kept["process"], kept["began"],
                        _status(path.with_suffix(".status")), path.with_suffix(".stop").exists(),
                    )
                )  # fmt: skip
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return found

    def version(self) -> str:
        """Return a text that changes when a command begins, says something or ends."""
        known = self.all(most=5)
        logs = [self.file(one, ".log") for one in known]
        sizes = [log.stat().st_size if log.exists() else 0 for log in logs]
        return " ".join(f"{one.id}:{one.words}:{size}" for one, size in zip(known, sizes, strict=True))

    def get(self, name: str) -> StartedCommand:
        """Return one command.

        Raises:
            RecordError: there is none of this name.
        """
        for one in self.all(most=10_000):
            if one.id == name:
                return one
        raise RecordError(
            "A started command must be one of those listed under Machine",
            found=name,
            do="go back to the page Machine, which lists them",
        )

    def output(self, command: StartedCommand) -> str:
        """Return the end of what a command has said."""
        try:
            with (self._folder / f"{command.id}.log").open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - _MOST_BYTES))
                return terminal_text(log.read().decode("utf-8", "replace"))
        except OSError:
            return ""

    def file(self, command: StartedCommand, ending: str) -> Path:
        """Return where a command may write a file that the board shows."""
        return self._folder / f"{command.id}{ending}"

    def stop(self, command: StartedCommand) -> bool:
        """Ask a command to stop as Ctrl-C does: it finishes its step and saves. Return whether it was running."""
        if not command.runs:
            return False
        self.file(command, ".stop").touch()
        # The shell leads a group, which the command is in.
        os.killpg(int(command.process.rpartition(":")[2]), signal.SIGINT)
        return True


def _status(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
