"""A teacher's weights read from a checkpoint, and soft labels kept in files; each is checked against its use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ablata.base.errors import CheckpointError, listing
from ablata.base.files import atomic_path
from ablata.base.settings import Settings, restore
from ablata.engine.checkpoints import BEST, LAST, Checkpoint, load_checkpoint, refuse_other_run
from ablata.models.classification.any import AnyClassifier
from ablata.nn.state_digest import state_digest
from ablata.records.home import RUNS_FOLDER
from ablata.records.run_folder.code import check_trust, code_folder, ids_of, is_imported

MUST_AGREE = ("classes", "channels", "mean", "std", "image_size")
"""What teacher and student must have in common, since the teacher sees the student's images."""


class _Network(Settings):
    model: AnyClassifier


def find_checkpoint(source: Path, which: str) -> Path:
    """Return the checkpoint `last` or `best` of a run folder; a file is taken as it is.

    Raises:
        CheckpointError: there is no such file.
    """
    path = source / (BEST if which == "best" else LAST) if source.is_dir() else source
    if not path.is_file():
        raise CheckpointError(
            "A teacher's checkpoint must exist",
            found=f"no file {path}",
            do="give a checkpoint, or the folder of a run that holds one",
        )
    return path


def teacher_weights(saved: Checkpoint) -> dict[str, Tensor]:
    """Return the weights of the classifier that a run delivers: averaged ones where it averages, the student's of a
    pair of peers, none of a second head."""
    weights = saved.weights()
    for inner, beside in (("student.", "peer."), ("network.", "rotation_head.")):
        # A network of the user's own may keep all its layers in something called network.
        paired = inner == "student." or any(name.startswith(beside) for name in weights)
        if paired and all(name.startswith((inner, beside)) for name in weights):
            weights = {name.removeprefix(inner): value for name, value in weights.items() if name.startswith(inner)}
    return weights


def load_teacher(
    source: Path, which: str, contract: Mapping[str, Any], home: Path | None = None, *, trust_code: bool = False
) -> tuple[nn.Module, str]:
    """Build a teacher's network from its checkpoint.

    Args:
        source: a checkpoint, or a run folder.
        which: `last` or `best`.
        contract: the student's; see `MUST_AGREE`.
        home: the lab's home; a run in it was trained here, so that its own code may be run. None: none was.
        trust_code: whether the code of a checkpoint that came from elsewhere may be run.

    Returns:
        The network on the processor, and the digest of its weights.

    Raises:
        CheckpointError: the file is missing or damaged, holds no classifier, or was trained on other classes or on
            images prepared otherwise; both sides are named.
        RecordError: it needs code that came from elsewhere and is not trusted.
    """
    path = find_checkpoint(source, which)
    saved = load_checkpoint(path)
    ours = home is not None and path.resolve().is_relative_to(home.resolve() / RUNS_FOLDER)
    theirs = saved.facts.get("contract", {})
    for key in MUST_AGREE:
        if key in contract and theirs.get(key) != contract[key]:
            raise CheckpointError(
                f"Teacher and student must have the same {key}",
                found=f"the teacher {path} has {_told(theirs.get(key), contract[key])}, "
                f"the student {_told(contract[key], theirs.get(key))}",
                do="choose a teacher trained on data prepared like the student's",
            )
    if ours:
        refuse_other_run(saved.facts, ids_of(path.parent), path)
    tree = {"model": saved.facts.get("recipe", {}).get("model")}
    foreign = not ours or is_imported(path.parent)
    code = code_folder(path.parent, foreign=foreign)
    if foreign:
        check_trust(f"the teacher {path}", tree, code, trust=trust_code)
    settings = restore(_Network, tree, source=f"teacher {path}", code=code)
    network = settings.model.build(len(theirs["classes"]), theirs["channels"])
    weights = teacher_weights(saved)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            "A teacher's checkpoint must fit its network",
            found=f"{path}: {error}",
            do="give the checkpoint of the recipe that teaches, or correct refine.teacher",
        ) from None
    return network, state_digest(weights)


def _told(mine: Any, other: Any) -> str:
    """Write one side of a difference: of two lists, how long it is and what the other does not have."""
    if not isinstance(mine, list) or not isinstance(other, list) or len(mine) < 8:
        return json.dumps(mine)
    extra = [str(value) for value in mine if value not in other]
    return (
        f"{len(mine)} ({listing(extra[:4])}{' ...' if len(extra) > 4 else ''})" if extra else f"{len(mine)}, reordered"
    )


def stored_labels(
    folder: Path, facts: dict[str, Any], compute: Callable[[], Tensor], file: Path | None = None
) -> Tensor:
    """Return soft labels from a file, computing and keeping them first where the cache lacks them.

    Args:
        folder: of the cache.
        facts: what they depend on: teacher, data, split, classes, arithmetic; JSON-safe.
        compute: gives the logits, float32 [N, K].
        file: a file that must hold them, in place of the cache.

    Raises:
        CheckpointError: the file is missing, damaged, or of another teacher, split or data; both sides are named.
    """
    key = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=12).hexdigest()
    path = file or folder / f"soft-labels-{key}.safetensors"
    if file is None and not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as draft:
            save_file({"logits": compute()}, str(draft), metadata={"ablata": json.dumps(facts)})
    try:
        with safe_open(path, framework="pt") as opened:
            saved = json.loads((opened.metadata() or {}).get("ablata", "null"))
            logits: Tensor = opened.get_tensor("logits")
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            "Soft labels must be readable",
            found=f"{path}: {error}",
            do="remove the file; the teacher then makes it anew",
        ) from None
    for name, value in facts.items():
        if not isinstance(saved, dict) or saved.get(name) != value:
            there = saved.get(name) if isinstance(saved, dict) else None
            raise CheckpointError(
                f"Soft labels must be of the same {name}",
                found=f"{path} has {_told(there, value)}, asked for {_told(value, there)}",
                do="delete the file to have the labels made anew" if file is None else "leave refine.teacher.file out",
            )
    return logits
