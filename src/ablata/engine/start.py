"""Starting from a run: a training that begins with the weights of an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from ablata.base.errors import CheckpointError, listing
from ablata.base.settings import INCIDENTAL, ON_DISK, Settings
from ablata.engine.checkpoints import BEST, LAST, Checkpoint, load_checkpoint, refuse_other_run
from ablata.records.home import RUNS_FOLDER, lab_home
from ablata.records.run_folder.checkpoint_facts import checkpoint_digest, checkpoint_facts
from ablata.records.run_folder.code import ids_of


class FirstTraining(Settings):
    """A training that comes first, which several others begin with: it is trained where it has not been.

    Recipes that begin with it are told apart by its hash, so that where its data lies does not count.
    """

    hash: str
    """Of its recipe."""
    recipe: Annotated[dict[str, Any], INCIDENTAL]
    """Its expanded settings."""


class Start(Settings):
    """The weights of an earlier run to begin with, in place of initial ones; steps and learning rate begin anew."""

    run: Annotated[Annotated[str, Field(min_length=1)] | None, ON_DISK] = None
    """A run's id, as `ablata runs list` has it; or a checkpoint, or the folder of a run."""
    checkpoint: Literal["last", "best"] = "last"
    """Which of its checkpoints."""
    step: Annotated[int, Field(ge=1)] | None = None
    """The step that the checkpoint must be of: that one of last and best is taken; null: whichever it is."""
    first: FirstTraining | None = None
    """In place of a run: a training that comes first, as `--begin` of a study makes it."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.run is None) == (self.first is None):
            raise ValueError("give start.run, the run whose weights are to begin with")
        return self

    def find(self, parent: Path | None = None) -> Path:
        """Return the checkpoint.

        Args:
            parent: folder of the run that was trained for this one; a run that is named needs none.

        Raises:
            CheckpointError: there is none, or none of the step asked for.
        """
        place = parent if self.run is None else Path(self.run).expanduser()
        if place is None:
            raise CheckpointError("A training that comes before must have been trained", found="no folder of it",
                                  do="train the whole chain: ablata train RECIPE")  # fmt: skip
        if self.run is not None and not place.exists():
            place = lab_home() / RUNS_FOLDER / place.name
        kept = [place]
        if place.is_dir():
            kept = [place / name for name in ((BEST, LAST) if self.checkpoint == "best" else (LAST, BEST))]
        there = [path for path in kept if path.is_file()]
        if not there or (place.is_dir() and self.step is None and there[0] != kept[0]):
            raise CheckpointError(
                "A training starts from a run's checkpoint",
                found=f"{f'start.run={self.run}' if self.run else 'the training before'}: no file {kept[0]}",
                do=f"start.checkpoint={there[0].stem}, which is there" if there
                else "give a run of `ablata runs list`, or a checkpoint",
            )  # fmt: skip
        if self.step is None:
            return there[0]
        steps = {path: (checkpoint_facts(path) or {}).get("step") for path in there}
        if self.step not in steps.values():
            raise CheckpointError(
                "start.step must be the step of a checkpoint that is kept",
                found=f"start.step={self.step}; {there[0].parent} keeps "
                + listing(f"{path.name} of step {step}" for path, step in steps.items()),
                do=f"start.step={steps[there[0]]}, or null",
            )
        return next(path for path, step in steps.items() if step == self.step)

    def mark(self) -> str:
        """Return what the weights of a named run add to the fingerprint of the data: `-` and 8 hexadecimal digits.

        Nothing of a training that comes before: that is known by its settings.

        Raises:
            CheckpointError: there is no such checkpoint, or none that can be read.
        """
        if self.run is None:
            return ""
        digest = checkpoint_digest(path := self.find())
        if digest is None:
            load_checkpoint(path)  # says what is wrong with it
        return f"-{(digest or '')[:8]}"

    def load_into(self, model: nn.Module, classes: Sequence[str], parent: Path | None = None) -> str:
        """Give a network the earlier run's weights, all of them.

        Args:
            model: the network.
            classes: names of the classes that it tells apart; empty: it tells none apart.
            parent: folder of the run that was trained for this one, if there is one.

        Returns:
            A sentence on what was taken.

        Raises:
            CheckpointError: there is no such checkpoint, it is another run's, or it is of other classes or of another
                network; both sides are named.
        """
        path = self.find(parent)
        saved = load_earlier(path)
        if classes and (theirs := saved_classes(saved)) and theirs != tuple(classes):
            raise other_classes(path, theirs, classes, "train on the classes of that run")
        own, weights = model.state_dict(), saved.weights()
        shapes = ({name: tuple(one.shape) for name, one in tensors.items()} for tensors in (own, weights))
        here, there = shapes
        wrong = [name for name in {**here, **there} if here.get(name) != there.get(name)]
        if wrong:
            first = wrong[0]
            raise CheckpointError(
                "A run's weights must fit the network that starts from them",
                found=f"{path}: {len(wrong)} tensors differ, such as {first}, "
                f"{_shape(there.get(first))} there and {_shape(here.get(first))} here",
                do="leave the settings of the model as that run has them",
            )
        model.load_state_dict(weights)
        return f"started from {path} at step {saved.facts.get('step')}"


def load_earlier(path: Path) -> Checkpoint:
    """Load a checkpoint to begin with; one in a run's folder of the lab must be that run's own.

    Raises:
        CheckpointError: it is missing, damaged, or another run's.
    """
    saved, folder = load_checkpoint(path), path.resolve().parent
    if folder.parent == (lab_home() / RUNS_FOLDER).resolve():
        refuse_other_run(saved.facts, ids_of(folder), path)
    return saved


def saved_classes(saved: Checkpoint) -> tuple[str, ...]:
    """Return the classes that a checkpoint's network tells apart; none where it tells none apart."""
    return tuple(saved.facts.get("contract", {}).get("classes", ()))


def other_classes(path: Path, theirs: Sequence[str], classes: Sequence[str], do: str) -> CheckpointError:
    """Return what is said of a checkpoint whose heads are of other classes.

    Args:
        path: the checkpoint.
        theirs, classes: class names there and here.
        do: what can be done.
    """
    return CheckpointError(
        "Heads can be kept for the same classes only",
        found=f"{path}: {len(theirs)} ({listing(theirs[:6])}); data: {len(classes)} ({listing(classes[:6])})",
        do=do,
    )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else f"[{', '.join(map(str, shape))}]"
