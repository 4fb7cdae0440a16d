"""The training process's hand on the ledger: one claimed run, kept alive by a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy.exc import DatabaseError

from ablata.base.errors import DivergedError, LeaseLostError, RecordError, StoppedError
from ablata.records.database import LOG, PATIENCE_SECONDS, persist
from ablata.records.events import Level
from ablata.records.ledger import Ledger
from ablata.records.metrics import Point
from ablata.records.moving.rebuilding import keep_record
from ablata.records.processes import process_is_gone, worker_name
from ablata.records.rows import Claim, EndState, NewRun, RunRow
from ablata.records.runs import new_run_id
from ablata.records.stored.store import StoreAwayError

T = TypeVar("T")


class RunWriter:
    """Writes about one run, for the attempt that holds it, and renews the lease from a thread of its own.

        with RunWriter.start(ledger, NewRun(...)) as writer:
            for step in ...:
                if writer.lost: break
                writer.metrics([(step, "loss", loss)])
            writer.finish("completed", scores=...)

    Leaving the block without `finish` gives the run back to be resumed, as do a keyboard interrupt and StoppedError;
    DivergedError ends it as diverged, any other exception as failed. Every write raises LeaseLostError once another
    worker has taken the run over.

    Args:
        ledger: the ledger the claim comes from.
        claim: the claimed run.
    """

    def __init__(self, ledger: Ledger, claim: Claim) -> None:
        self.claim = claim
        self.folder: Path = ledger.runs.folder(claim.run)
        self._ledger, self._id, self._attempt = ledger, claim.run.id, claim.attempt
        self._lost, self._stopped = threading.Event(), threading.Event()
        self._ended = False
        self._upload: threading.Thread | None = None
        self._thread = threading.Thread(target=self._keep_alive, name=f"heartbeat {self._id}", daemon=True)
        self._thread.start()
        self._take_up()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._keep_record()

    @classmethod
    def start(cls, ledger: Ledger, new: NewRun, *, worker: str | None = None, lease_seconds: float = 60.0) -> Self:
        """Create a run and take it, for a training that no queue is needed for.

        An equal run that waits, or whose worker fell silent, is taken and resumed.

        Raises:
            RecordError: an equal run has ended, or is trained by another worker; the message names it.
        """
        run = ledger.runs.enqueue(new)
        return cls(ledger, ledger.leases.claim_run(run.id, worker or worker_name(), lease_seconds, new_launch()))

    @classmethod
    def resume(cls, ledger: Ledger, run_id: str, *, worker: str | None = None, lease_seconds: float = 60.0) -> Self:
        """Take a run by its id, putting it back first if it had failed or been cancelled.

        A run whose process is known to be gone, since it was one of this machine, need not wait for its lease to lapse.

        Raises:
            RecordError: there is no such run, it has ended for good, or another worker trains it.
        """
        run = ledger.runs.get(run_id)
        if run.state in ("failed", "cancelled"):
            ledger.runs.requeue(run.id)
        if run.state == "running" and ledger.database.is_sqlite and process_is_gone(run.owner or ""):
            ledger.leases.release(run.id, run.attempt, "its process was gone")
        return cls(ledger, ledger.leases.claim_run(run.id, worker or worker_name(), lease_seconds, new_launch()))

    @property
    def ledger(self) -> Ledger:
        """The ledger that is written to."""
        return self._ledger

    @property
    def run(self) -> RunRow:
        """The run as it was when it was claimed."""
        return self.claim.run

    @property
    def lost(self) -> bool:
        """Whether another worker has taken the run over. Cheap: ask at every step."""
        return self._lost.is_set()

    def metrics(self, points: Iterable[Point]) -> None:
        """Write points (step, name, value) in one transaction; see `Metrics.log`."""
        batch = list(points)
        self._write(lambda: self._ledger.metrics.log(self._id, self._attempt, batch))

    def make_durable(self) -> None:
        """Bring all that was written to the disk, before a checkpoint that covers it is put into place.

        Raises:
            LeaseLostError: another worker has taken the run over.
            RecordError: the disk does not take it.
        """
        if not self._ledger.database.is_sqlite:
            # Each commit has waited for the server's disk; what is asked is whether the run is still this attempt's.
            return self._write(lambda: self._ledger.leases.heartbeat(self._id, self._attempt, self.claim.lease_seconds))
        try:
            self._ledger.database.make_durable()
        except OSError as error:
            raise RecordError(
                "The ledger must reach the disk before a checkpoint does",
                found=f"{self._ledger}: {error.strerror}",
                do="make room on its disk, or see that it is well; then go on with the same command",
            ) from error

    def truncate_metrics(self, step: int) -> None:
        """Forget the points after the step this attempt resumes from."""
        self._write(lambda: self._ledger.metrics.truncate(self._id, self._attempt, step))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the run with this attempt inside the block, as a file is renamed into place.

        Raises:
            LeaseLostError: another worker has taken the run over.
        """
        stack = ExitStack()
        self._write(lambda: stack.enter_context(self._ledger.leases.held(self._id, self._attempt)))
        try:
            yield
        finally:
            # Nothing was changed in the ledger: a connection that was lost meanwhile costs nothing.
            with suppress(DatabaseError):
                stack.close()

    def keep_files(self) -> None:
        """Bring what is new in the run's folder to the lab's store, if it has one, while training goes on.

        A store that is away is told, and tried again the next time.
        """
        if self._ledger.files.url is not None and (self._upload is None or not self._upload.is_alive()):
            self._upload = threading.Thread(target=self._keep_for_now, name=f"upload {self._id}", daemon=True)
            self._upload.start()

    def place(self, settings: dict[str, Any]) -> None:
        """Record the expanded settings that the run is trained with: where its data lie now."""
        self._write(lambda: self._ledger.leases.place(self._id, self._attempt, self.run.recipe_hash, settings))

    def progress(self, progress: dict[str, Any]) -> None:
        """Say how far training is (step, steps, losses, seconds left)."""
        self._write(lambda: self._ledger.leases.progress(self._id, self._attempt, progress))

    def event(self, level: Level, kind: str, text: str) -> None:
        """Record an event about this run; allowed even after the lease was lost."""
        persist(lambda: self._ledger.events.add(level, kind, text, run_id=self._id), patience=PATIENCE_SECONDS)

    def finish(
        self,
        state: EndState,
        *,
        scores: dict[str, Any] | None = None,
        cost: dict[str, Any] | None = None,
        error: str | None = None,
        stop_reason: str | None = None,
    ) -> None:
        """End the run; see `Leases.finish`. The lease is renewed until the ledger has it, and the store its files.

        Raises:
            StoppedError: the store stays away; the run waits, and ends with what is here once it is taken again.
        """
        self._keep_all(state)
        ending: dict[str, Any] = {"scores": scores, "cost": cost, "error": error, "stop_reason": stop_reason}
        self._write(lambda: self._ledger.leases.finish(self._id, self._attempt, state, **ending))
        self._end()
        self._keep_record()

    def release(self, reason: str) -> None:
        """Give the run back, to be resumed by whoever claims it next."""
        self._keep_for_now()
        self._write(lambda: self._ledger.leases.release(self._id, self._attempt, reason))
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended:
            return
        try:
            if self.lost or isinstance(error, LeaseLostError):
                return
            if isinstance(error, DivergedError):
                self.finish("diverged", error=str(error))
            elif isinstance(error, Exception) and not isinstance(error, StoppedError):
                self.finish("failed", error=f"{type(error).__name__}: {error}")
            else:
                self.release("interrupted" if error else "left unfinished")
        except LeaseLostError:
            pass
        finally:
            self._end()

    def _write(self, work: Callable[[], T]) -> T:
        try:
            return persist(work, patience=PATIENCE_SECONDS)
        except LeaseLostError:
            self._lost.set()
            raise

    def _take_up(self) -> None:
        try:
            self._ledger.files.take_up(self.run)
        except RecordError as error:
            with suppress(LeaseLostError):
                if isinstance(error, StoreAwayError):
                    self._ledger.leases.release(self._id, self._attempt, str(error))
                else:
                    self._ledger.leases.finish(self._id, self._attempt, "failed", error=str(error))
            self._end()
            raise

    def _keep_for_now(self) -> None:
        """Bring what is new to the store, unless that is away."""
        if self._upload is not None and self._upload is not threading.current_thread():
            self._upload.join()
        try:
            self._ledger.files.keep(self.run, attempt=self._attempt)
        except LeaseLostError:
            self._lost.set()
        except RecordError as error:
            LOG.warning("run %s goes on, and its files stay here until the store is back: %s", self._id, error.found)

    def _keep_all(self, state: EndState) -> None:
        """Bring what is new to the store, and wait for one that is away where the run has a result.

        Raises:
            StoppedError: see `finish`.
        """
        if state == "failed" or self._ledger.files.url is None:
            return self._keep_for_now()
        if self._upload is not None:
            self._upload.join()
        try:
            self._ledger.files.keep(self.run, attempt=self._attempt, patience=PATIENCE_SECONDS)
        except LeaseLostError:
            self._lost.set()
            raise
        except StoreAwayError as error:
            self.release(str(error))
            raise StoppedError(
                "A run ends once the store has its files", found=error.found,
                do=f"see that the store can be used, then: ablata train --resume {self._id}, on this machine",
            ) from None  # fmt: skip

    def _keep_record(self) -> None:
        """Repeat in the run's folder what the ledger says, so that a lost ledger can be rebuilt."""
        try:
            persist(lambda: keep_record(self._ledger, self._id), patience=PATIENCE_SECONDS)
        except OSError as error:
            self.event("warning", "record", f"the run's folder cannot be written: {error}")

    def _keep_alive(self) -> None:
        interval = self.claim.lease_seconds / 4
        while not self._stopped.wait(interval):
            try:
                self._ledger.leases.heartbeat(self._id, self._attempt, self.claim.lease_seconds)
            except LeaseLostError:
                # Also what a heartbeat meets that crosses a finish; nobody asks `lost` of an ended run.
                self._lost.set()
                return
            except (DatabaseError, RecordError):
                # Out of reach for now. If another worker can reach it and takes the run, a later beat learns of it.
                continue

    def _end(self) -> None:
        self._ended = True
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)


def new_launch() -> str:
    """Return a name for what starts one or several workers together: times are compared within a launch."""
    return new_run_id()
