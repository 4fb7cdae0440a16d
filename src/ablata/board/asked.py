"""What other commands of ablata tell as JSON, asked in the background: the vision libraries take seconds to load."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

from ablata.board.spawning import Spawner

_SECONDS = 300


class Asked:
    """Answers of `ablata ... --json`, each asked once.

    Args:
        spawner: starts the processes; None: one of its own.
    """

    def __init__(self, spawner: Spawner | None = None) -> None:
        self._spawner = spawner or Spawner()
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, ...], Any] = {}
        self._open: set[tuple[str, ...]] = set()

    @property
    def waiting(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._open)

    def get(self, *arguments: str) -> Any:
        """Return the answer; None while it is not there yet, and where there is none."""
        with self._lock:
            if arguments in self._answers or arguments in self._open:
                return self._answers.get(arguments)
            self._open.add(arguments)
        self._spawner.begin(self._ask, arguments)
        return None

    def _ask(self, arguments: tuple[str, ...]) -> None:
        command = [sys.executable, "-m", "ablata", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
            answer = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            answer = None
        with self._lock:
            self._answers[arguments] = answer
            self._open.discard(arguments)
