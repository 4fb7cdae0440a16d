"""A proposed change made into what is run, and what tells that two proposals are equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablata.base.errors import RecordError, SettingsError
from ablata.base.overrides import Overrides, override, override_texts
from ablata.base.settings import expand, placed, settings_hash
from ablata.records.ledger import Ledger
from ablata.records.rows import NewProposal, ProposalRow
from ablata.studies.identity import new_run, restore_trainer
from ablata.trainers.any import Outside
from ablata.trainers.command import GIT, Command
from ablata.trainers.function import Function
from ablata.trainers.git import contains, git_commit, git_tree, has_changes
from ablata.trainers.same_code import same_code

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

_PART = "|"


@dataclass(frozen=True, kw_only=True)
class ProposedChange:
    """What is proposed.

    Args:
        ref: a git branch, tag or commit with the changed files, for a loop of commits.
        sets: overrides of the best so far.
        function: another function, for a loop of functions.
    """

    ref: str | None = None
    sets: Overrides = ()
    function: Callable[..., Any] | None = None

    def applied(self, best: Recipe | Outside) -> Recipe | Outside:
        """Return the best so far with this change.

        Raises:
            SettingsError: it does not fit, or there is none.
        """
        if self.function is not None and isinstance(best, Function):
            return best.arm(self.function)
        if self.ref is None and not self.sets:
            raise SettingsError(
                "A proposal must change something", found="neither --ref nor --set",
                do="--ref HEAD, after git commit" if isinstance(best, Command) and best.ref else "--set key=value",
            )  # fmt: skip
        if self.ref is None:
            return best.arm(self.sets) if isinstance(best, Outside) else override(best, self.sets)
        if not isinstance(best, Command) or best.ref is None:
            raise SettingsError(
                "A loop of git commits must be one of a command that was started with --worktree",
                found=f"--ref {self.ref}", do="--set key=value, or start another loop with --worktree",
            )  # fmt: skip
        made = best.arm(GIT + git_commit(Path(best.folder), self.ref))
        return made.arm(self.sets) if self.sets else made

    def texts(self, trainer: Recipe | Outside) -> list[str]:
        """Return it as it is recorded."""
        refs = [f"{GIT}{trainer.ref}"] if self.ref is not None and isinstance(trainer, Command) else []
        if self.function is not None:
            return [f"function={trainer.name}"]
        sets = self.sets
        if isinstance(sets, Mapping) and isinstance(trainer, Outside):
            return [*refs, *(f"{name}={value!r}" for name, value in sets.items())]
        return [*refs, *override_texts(sets)]


def new_proposal(
    ledger: Ledger, trainer: Recipe | Outside, text: str, change: list[str], base: int, seed: int
) -> NewProposal:
    """Return a proposal as the ledger takes it.

    Raises:
        UserError: its data is missing, or a source.
    """
    new = new_run(ledger, trainer, seed, environment="")
    return NewProposal(
        text=text, change=change, base=base, recipe_name=new.recipe_name, recipe=expand(placed(trainer)),
        recipe_hash=new.recipe_hash, code=new.code, data=new.data, content=_content(trainer, new.code, new.data),
    )  # fmt: skip


def _content(trainer: Recipe | Outside, code: str, data: str) -> str:
    """Return what is equal for equal proposals: of a commit its files, whatever its message and its date."""
    if isinstance(trainer, Command) and trainer.ref is not None:
        plain = settings_hash(trainer.model_copy(update={"ref": None}))
        tree = git_tree(Path(trainer.folder), trainer.ref)
        return _PART.join((tree, plain, code.replace(trainer.ref, ""), data))
    return _PART.join(("", settings_hash(trainer), code, data))


def is_same(known: ProposalRow, new: NewProposal) -> bool:
    """Tell whether two proposals run the same code with the same settings on the same data.

    Of two commits it is the same code, too, if their Python files differ in comments and layout alone.
    """
    if known.content == new.content:
        return True
    rest = [one.content.partition(_PART)[2] for one in (known, new)]
    refs = [one.recipe.get("ref") for one in (known, new)]
    if rest[0] != rest[1] or not all(refs):
        return False
    return same_code(Path(new.recipe["folder"]), str(refs[0]), str(refs[1]))


def remarks(trainer: Recipe | Outside, best: Recipe | Outside, change: ProposedChange) -> list[str]:
    """Return what a proposer may have overlooked: changes that are not committed, a commit beside the best one."""
    if change.ref is None or not isinstance(trainer, Command) or not isinstance(best, Command):
        return []
    folder, told = Path(trainer.folder), []
    if has_changes(folder):
        told.append(f"uncommitted changes in {folder} do not count: what is tried is {str(trainer.ref)[:10]}")
    if best.ref is not None and not contains(folder, str(trainer.ref), best.ref):
        told.append(
            f"{str(trainer.ref)[:10]} was not made from the best so far, {best.ref[:10]}: it is tried as it is, "
            "without what was kept since"
        )
    return told


class Trainers:
    """What the proposals of a loop run, made again from the ledger.

    Args:
        start: the function that a loop of functions was started with, as it is in this process; None for any other.
    """

    def __init__(self, start: Function | None = None) -> None:
        self._start = start
        self._made: dict[str, Recipe | Outside] = {}
        if start is not None:
            self.keep(start)

    def keep(self, trainer: Recipe | Outside) -> None:
        """Remember one that was made in this process."""
        self._made[settings_hash(trainer)] = trainer

    def of(self, row: ProposalRow) -> Recipe | Outside:
        """Return what a proposal runs.

        Raises:
            UserError: it cannot be made again.
        """
        if row.recipe_hash not in self._made:
            self._made[row.recipe_hash] = self._again(row)
        return self._made[row.recipe_hash]

    def _again(self, row: ProposalRow) -> Recipe | Outside:
        made = restore_trainer(row.recipe, source=f"proposal {row.number}").model_copy(update={"name": row.recipe_name})
        if isinstance(made, Function) and not made.is_importable:
            # Raises where nobody has it any more.
            made = made if self._start is None else self._start.arm(made.values)
            made.find()
        if settings_hash(made) != row.recipe_hash:
            raise RecordError(
                "A proposal of a function must be one that can be made again from its arguments",
                found=f"proposal {row.number}: {', '.join(row.change) or row.text}",
                do="go on in the process that proposed it, or write the function to a file",
            )
        return made
