"""A trained network exported as a folder: weights, settings, and a card that says what it is.

model.safetensors      all weights, under our names
backbone.safetensors   without what belongs to the classes, to begin another training with (model.weights_part=backbone)
recipe.json            settings, contract, scores; what is needed to build the network and prepare images
README.md              the card
code/                  the user's own files, where the settings refer to such: the network is built from them
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ablata.base.errors import CheckpointError, reason
from ablata.base.files import atomic_path, draft_folder, write_text
from ablata.base.imported_files import module_files, relative_names
from ablata.base.parts import user_modules
from ablata.base.user_code import CodeFolder, parse_reference, portable
from ablata.base.version import __version__
from ablata.engine.predictor import Predictor
from ablata.models.backbones.weights import Loadable
from ablata.models.weights.files import read_state
from ablata.nn.state_digest import state_digest
from ablata.records.run_folder.code import check_trust, code_folder, keep_code
from ablata.tasks.inference.graph_checks import preparation
from ablata.tasks.inference.load import assemble

RECIPE = "recipe.json"
MODEL = "model.safetensors"
BACKBONE = "backbone.safetensors"
_FORMAT = 1
_AGAIN = """\
    ablata train RECIPE model.weights=FOLDER/backbone.safetensors model.weights_part=backbone    # other classes
"""


def export_hub(model: Predictor, folder: Path) -> float:
    """Write a network as a folder, load it back and compare.

    Returns:
        The largest difference of an output on a batch of noise.

    Raises:
        CheckpointError: the folder is there already.
    """
    if folder.exists():
        raise CheckpointError(
            "An export must go to a new folder", found=f"{folder} exists", do="remove it, or choose another --output"
        )
    with draft_folder(folder) as draft:
        _fill(draft, model)
        back = load_exported(draft, lambda tree, code: None)
        with torch.no_grad():
            images = model.example(2)
            difference = (back.outputs(images) - model.outputs(images)).abs().max()
        draft.rename(folder)
    return float(difference)


def is_exported(folder: Path) -> bool:
    """Tell whether a folder is one that `export_hub` wrote."""
    return (folder / RECIPE).is_file() and (folder / MODEL).is_file()


CheckCode = Callable[[Mapping[str, Any], CodeFolder | None], None]
"""Given expanded settings and the users' files beside them, raises where those may not be run."""


def load_exported(folder: Path, check: CheckCode | None = None) -> Predictor:
    """Build a network from an exported folder, wherever it lies; no data set and no ledger is needed.

    Args:
        folder: what `export_hub` wrote.
        check: called before any code of the folder is run; raises where it may not be. None: none may be.

    Raises:
        CheckpointError: a file is missing, damaged, newer, or the weights are not those that were exported.
        SettingsError: the settings are of another version.
        RecordError: the folder brings code along that may not be run.
    """
    path = folder / RECIPE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, recipe, contract, digest = (content[key] for key in ("format", "recipe", "contract", "weights_digest"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            "An exported model must be a folder with a whole recipe.json",
            found=f"{path}: {reason(error)}",
            do="write it with ablata export RUN --format hub",
        ) from None
    if version > _FORMAT:
        raise CheckpointError(
            "An exported model must not be newer than ablata",
            found=f"{path} has format {version}, this version reads formats up to {_FORMAT}",
            do="install a newer ablata",
        )
    weights = read_state(folder / MODEL).tensors
    if state_digest(weights) != digest:
        raise CheckpointError(
            "Weights must be those that were exported",
            found=f"{folder / MODEL} has {state_digest(weights)}, recipe.json says {digest}",
            do="fetch the folder again",
        )
    facts = {key: value for key, value in content.items() if key not in ("format", "contract", "weights_digest")}
    code = code_folder(folder, foreign=True)
    if check is None:
        check_trust(f"the exported folder {folder}", recipe, code, trust=False)
    else:
        check(recipe, code)
    return assemble(recipe, contract, weights, facts, str(folder), code)


def _fill(folder: Path, model: Predictor) -> None:
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    header = {"format": "pt", "ablata": json.dumps(preparation(model))}
    for name, tensors in ((MODEL, weights), (BACKBONE, _backbone(model, weights))):
        with atomic_path(folder / name) as temporary:
            save_file(tensors, temporary, metadata=header)
    files = _keep_code(folder, model)
    content = {
        "format": _FORMAT,
        "ablata": __version__,
        **model.facts,
        "recipe": _placeless(model.facts["recipe"], files),
        "contract": dict(model.contract),
        "weights_digest": state_digest(weights),
    }
    write_text(folder / RECIPE, json.dumps(content, indent=2) + "\n")
    write_text(folder / "README.md", card(model))


def _keep_code(folder: Path, model: Predictor) -> dict[str, str]:
    """Write the user's files that a network is built from; return where each lies in the folder, by its name."""
    if model.code is not None:
        root = model.code.folder
        copies = {copy: copy.relative_to(root.resolve()).as_posix() for copy in model.code.copies.values()}
    else:
        copies = relative_names(module_files(user_modules(model.settings)))
    keep_code(folder, copies, portable=True)
    return {path.name: name for path, name in copies.items()}


def _placeless(recipe: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Return settings without this machine's folders: that of the training data, and those of the user's files."""

    def moved(value: Any) -> Any:
        """Return a tree of settings whose files are those of the folder."""
        if isinstance(value, Mapping):
            return {key: moved(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [moved(inner) for inner in value]
        reference = parse_reference(value)
        if reference is None or reference.file is None:
            return value
        return f"{files.get(reference.file.name, reference.file.name)}:{reference.name}"

    data = recipe.get("data")
    if isinstance(data, Mapping) and "root" in data:
        recipe = {**recipe, "data": {**data, "root": None}}
    return dict(moved(recipe))


def _backbone(model: Predictor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    settings = model.model
    if isinstance(settings, Loadable):
        return {name: value for name, value in weights.items() if settings.is_of_backbone(name, model.network)}
    return {name: value for name, value in weights.items() if not name.startswith("classifier.")}


def card(model: Predictor) -> str:
    """Return the page of an exported model: what it is, how it was scored, what it must be fed, how it is used."""
    info, facts = preparation(model), model.facts
    name = facts.get("recipe", {}).get("name", portable(model.kind))
    scores = facts.get("scores") or {}
    rows = "\n".join(f"| {key.replace('/', ' | ', 2)} | {value:.6g} |" for key, value in _named(scores))
    count = sum(parameter.numel() for parameter in model.network.parameters())
    listed = "\n".join(f"{label}. {one}" for label, one in enumerate(model.class_list()))
    on_data = f", on data {facts['data']}" if "data" in facts else ""
    again = _AGAIN if isinstance(model.model, Loadable) else ""
    prepared = "\n".join(f"- {sentence}" for sentence in model.preparation())
    classes = f"\n## Classes\n\n{listed}\n" if listed else ""
    return f"""---
library_name: ablata
pipeline_tag: {model.pipeline}
tags:
- {model.pipeline}
- {portable(model.kind)}
---
# {name}

A {model.summary()}, {count:,} parameters, trained by ablata {__version__}: recipe `{name}`,
seed {facts.get("seed")}, run {facts.get("run")}, {facts.get("step")} steps. Every setting is in recipe.json.

## Scores

As the run recorded them{on_data}. Split and protocol (which part of an image is seen, in which views)
belong to a score.

| split | protocol | score | value |
|---|---|---|---|
{rows}

## Preparation

- {info["input"]}
{prepared}
- {info["output"]}

## Use

    {f"{model.use:<71}"} # this folder, with images prepared so
{again}{classes}"""


def _named(scores: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return scores by `split/protocol/name`, those of raw weights (`raw/...`) marked in the split's column."""
    return [
        (f"raw {key.removeprefix('raw/')}" if key.startswith("raw/") else key, value) for key, value in scores.items()
    ]
