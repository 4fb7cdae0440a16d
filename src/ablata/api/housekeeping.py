"""Order in a lab: runs, checkpoints and studies removed once nothing needs them, studies renamed; no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablata.api.opening import open_ledger
from ablata.api.runs import find_runs
from ablata.base.errors import RecordError, SettingsError, UserError, listing
from ablata.base.quantities import counted
from ablata.records import removal
from ablata.records.ledger import Ledger
from ablata.records.removal import Removal
from ablata.studies.workers.commands import WORKTREES
from ablata.trainers.git import remove_worktree

Keep = Literal["best", "last"]
ENDED = ("completed", "failed", "diverged", "cancelled")


@dataclass(frozen=True)
class Thinned:
    """Checkpoints that go while their runs stay.

    Args:
        files: the files.
        runs: the runs they are of, one a file.
        total_bytes: size of them all.
    """

    files: tuple[Path, ...]
    runs: tuple[str, ...]
    total_bytes: int


def _agreed(what: object) -> bool:
    return True


def remove_runs(
    *runs: str, confirm: Callable[[Removal], bool] = _agreed, ledger: Ledger | None = None
) -> Removal | None:
    """Remove runs: rows, curves, events and folders.

    Args:
        *runs: ids, or beginnings that fit one run only.
        confirm: asked before anything goes; at False nothing does.
        ledger: where they are; None: the lab's own.

    Returns:
        What was removed; None after a no.

    Raises:
        RecordError: an id fits no run or several; or a run is needed: it is in a study, running, or another starts from
            it. Nothing was removed.
    """
    with open_ledger(ledger, create=False) as opened:
        planned = removal.plan_removal(opened, [opened.runs.get(run) for run in runs])
        if planned.kept:
            told = [f"run {run.id}: {why}" for run, why in planned.kept]
            raise RecordError(
                "Only runs that nothing needs can be removed",
                found=listing(told[:3]),
                do="remove what needs them first (ablata study rm NAME, ablata loop rm NAME), or leave them out; "
                "nothing was removed",
            )
        return _carried_out(opened, planned, confirm)


def prune_runs(
    *,
    study: str | None = None,
    recipe: str | None = None,
    state: str | None = None,
    confirm: Callable[[Removal], bool] = _agreed,
    ledger: Ledger | None = None,
) -> Removal | None:
    """Remove the ended runs that no study needs and no other run starts from.

    Args:
        study, recipe, state: only runs that pass, as for `runs`; state `waiting` takes interrupted ones.
        confirm: asked before anything goes; at False nothing does.
        ledger: where they are; None: the lab's own.

    Returns:
        What was removed, and what was kept for which reason; None after a no.
    """
    with open_ledger(ledger, create=False) as opened:
        found = find_runs(opened, study=study, recipe=recipe, state=state)
        wanted = [run for run in found if run.state == state or run.state in ENDED]
        return _carried_out(opened, removal.plan_removal(opened, wanted), confirm)


def thin_checkpoints(
    keep: Keep,
    *,
    study: str | None = None,
    recipe: str | None = None,
    confirm: Callable[[Thinned], bool] = _agreed,
    ledger: Ledger | None = None,
) -> Thinned | None:
    """Keep one checkpoint of each completed run, `best` or `last`, and remove the other; no run goes.

    Runs that have only one checkpoint, or that others start from, keep what they have.

    Args:
        keep: which one stays.
        study, recipe: only runs that pass, as for `runs`.
        confirm: asked before anything goes; at False nothing does.
        ledger: where they are; None: the lab's own.

    Returns:
        What was removed; None after a no.

    Raises:
        SettingsError: `keep` is neither.
    """
    if keep not in ("best", "last"):
        raise SettingsError(
            "The checkpoint to keep must be best or last", found=str(keep), do='keep="best" or keep="last"'
        )
    with open_ledger(ledger, create=False) as opened:
        runs = find_runs(opened, study=study, recipe=recipe, state="completed")
        found = removal.surplus_checkpoints(opened, runs, "last" if keep == "best" else "best")
        thinned = Thinned(
            tuple(file for _, file, _ in found),
            tuple(run.id for run, _, _ in found),
            sum(size for _, _, size in found),
        )
        if thinned.files and not confirm(thinned):
            return None
        for run, file, _ in found:
            file.unlink(missing_ok=True)
            opened.files.drop(run, file.name)
        return thinned


def remove_study(
    name: str,
    *,
    keep_runs: bool = False,
    confirm: Callable[[Removal], bool] = _agreed,
    ledger: Ledger | None = None,
) -> Removal | None:
    """Remove a study, and the runs made for it that nothing else needs.

    Args:
        name: the study.
        keep_runs: leave its runs.
        confirm: asked before anything goes; at False nothing does.
        ledger: where it is; None: the lab's own.

    Returns:
        What was removed, and which runs were kept for which reason; None after a no.

    Raises:
        RecordError: there is no such study, or a run of it is being trained.
    """
    with open_ledger(ledger, create=False) as opened:
        return _carried_out(opened, removal.plan_study_removal(opened, name, keep_runs=keep_runs), confirm)


def rename_study(
    old: str, new: str, *, confirm: Callable[[], bool] = lambda: True, ledger: Ledger | None = None
) -> bool:
    """Give a study another name; all else of it stays.

    Args:
        old, new: its names before and after.
        confirm: called once it is known that it can be done; False: nothing is done.
        ledger: where it is; None: the lab's own.

    Returns:
        Whether it was done.

    Raises:
        RecordError: there is no study `old`, or one of the name `new`, or a run of it is being trained.
    """
    with open_ledger(ledger, create=False) as opened:
        with opened.database.read() as connection:
            removal.refuse_study_rename(connection, old, new)
        if agreed := confirm():
            removal.rename_study(opened, old, new)
        return agreed


def remove_loop(
    name: str,
    *,
    keep_runs: bool = False,
    confirm: Callable[[Removal], bool] = _agreed,
    ledger: Ledger | None = None,
) -> Removal | None:
    """Remove a research loop, the runs made for it that nothing else needs, and its git worktrees.

    Args:
        name, keep_runs, confirm, ledger: as for `remove_study`.

    Raises:
        RecordError: there is no such loop, or a run of it is being trained.
    """
    with open_ledger(ledger, create=False) as opened:
        planned = removal.plan_loop_removal(opened, name, keep_runs=keep_runs)
        trees = {(str(row.recipe.get("folder")), row.recipe.get("ref")) for row in opened.loops.proposals(name)}
        done = _carried_out(opened, planned, confirm)
        if done is not None:
            for folder, ref in trees:
                # A tree is made again by whatever else runs that commit.
                with suppress(UserError):
                    if ref:
                        remove_worktree(Path(folder), ref, opened.home / WORKTREES)
        return done


def rename_loop(
    old: str, new: str, *, confirm: Callable[[], bool] = lambda: True, ledger: Ledger | None = None
) -> bool:
    """Give a research loop another name; all else of it stays. Else as `rename_study`."""
    with open_ledger(ledger, create=False) as opened:
        with opened.database.read() as connection:
            removal.refuse_loop_rename(connection, old, new)
        if agreed := confirm():
            removal.rename_loop(opened, old, new)
        return agreed


def _carried_out(ledger: Ledger, planned: Removal, confirm: Callable[[Removal], bool]) -> Removal | None:
    if not planned.runs and planned.study is None and planned.loop is None:
        return planned
    if not confirm(planned):
        return None
    removal.remove(ledger, planned)
    return planned


def removal_lines(planned: Removal, most: int = 8) -> Sequence[str]:
    """Say what goes and what stays, a line each, at most so many runs by name."""
    from ablata.base.quantities import quantity

    runs = counted(len(planned.runs), "run")
    named = f"study {planned.study}" if planned.study else f"loop {planned.loop}" if planned.loop else ""
    what = f"{named} and {runs}" if named else runs
    lines = [f"{what}, {quantity(planned.total_bytes, 'B')}:"]
    lines += [
        f"  {run.id}  {run.recipe_name}, seed {run.seed}, {run.shown_state}, {quantity(planned.bytes[run.id], 'B')}"
        for run in planned.runs[:most]
    ]
    if len(planned.runs) > most:
        lines.append(f"  and {len(planned.runs) - most} more")
    reasons: dict[str, int] = {}
    for _, why in planned.kept:
        reasons[why] = reasons.get(why, 0) + 1
    lines += [f"kept: {counted(count, 'run')} {why}" for why, count in list(reasons.items())[:5]]
    return [*lines, *([f"kept: others for {len(reasons) - 5} more reasons"] if len(reasons) > 5 else [])]
