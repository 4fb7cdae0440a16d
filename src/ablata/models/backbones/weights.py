"""Networks that can begin with pretrained weights: what is taken from a file, and how a new classifier begins.

A state has the names of our models (`backbone.*` and the rest), or the published ones, which each model translates;
files under other names are matched by order and shape, see `ablata.models.weights.matching`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from ablata.base.errors import CheckpointError, listing
from ablata.base.files import digest
from ablata.base.settings import ON_DISK, Settings
from ablata.models.weights.files import State, read_state, weights_file
from ablata.models.weights.matching import COUNTER, Match, match, parting
from ablata.models.weights.sources import Source, locate, source_of
from ablata.nn.loaded_weights import LoadedWeights, keep_loaded, last_modules

BACKBONE = "backbone."
_SMALL = 0.01

NewClassifier = Literal["small", "zero", "drawn"]


class Loadable(Settings):
    """Base of the settings of models with pretrained weights; not itself a choice."""

    kind: str
    """Which network."""
    weights: Annotated[str | None, ON_DISK] = None
    """File or folder of weights to begin with (safetensors, or torch's, which is read without running code), or a name
    of `ablata weights list`; null: drawn anew."""
    weights_part: Literal["auto", "full", "backbone"] = "auto"
    """What is taken: auto, whatever fits, and the backbone must; full: everything, or it is refused; backbone: all but
    the classifier."""
    new_classifier: NewClassifier = "small"
    """How a classifier begins that the file has not, so that its first loss is that of a guess: small, from N(0, 0.01)
    and without bias; zero; drawn, as without a file."""

    def published_name(self, name: str) -> str | None:
        """Translate the name of a tensor in published weights to ours; None: the network needs no such tensor."""
        return name

    def weight_files(self) -> tuple[str, ...]:
        """Return the files, or names, that `load_into` reads."""
        # A user's own class may have an argument of that name.
        own = "weights" in getattr(self, "ARGUMENTS", ())
        return () if self.weights is None or own else (self.weights,)

    def load_into(self, model: nn.Module) -> None:
        """Load the file's weights, if one is set, into a model built from these settings; note it with the model.

        Raises:
            CheckpointError: the file cannot be read, or does not fit the network; names what was taken, what was left
                in the file and what would be new.
        """
        if Loadable.weight_files(self):
            self._load(model, str(self.weights))

    def is_of_backbone(self, name: str, model: nn.Module) -> bool:
        """Tell whether a tensor of a state, under our name, belongs to what `weights_part=backbone` loads: what is
        called so, or in a network without a part of that name all before its last linear layer or convolution."""
        if isinstance(getattr(model, "backbone", None), nn.Module):
            return name.startswith(BACKBONE)
        return name.rpartition(".")[0] not in last_modules(model)

    def _load(self, model: nn.Module, given: str) -> None:
        path = weights_file(locate(given))
        state = read_state(path)
        own = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith(COUNTER)}
        backbone = {name for name in own if self.is_of_backbone(name, model)}
        if self.weights_part == "backbone":
            own = {name: tensor for name, tensor in own.items() if name in backbone}
        needed = set(own) if self.weights_part == "full" else backbone
        found = match(state, own, self.published_name, needed)
        if found.lacking(needed):
            raise _misfit(found, own, needed, backbone, state, self.weights_part)
        model.load_state_dict(dict(found.tensors), strict=False)
        new = tuple(name for name in model.state_dict() if name not in found.tensors and not name.endswith(COUNTER))
        self._begin_classifiers(model, set(new))
        keep_loaded(model, _loaded(path, state, found, new, getattr(self, "name", None)))

    @torch.no_grad()
    def _begin_classifiers(self, model: nn.Module, new: set[str]) -> None:
        """Begin the classifiers that are new as the settings say."""
        if self.new_classifier == "drawn":
            return
        last = last_modules(model)
        for name, module in model.named_modules():
            named = name.rpartition(".")[2] in ("classifier", "fc", "head") or name in last
            if isinstance(module, nn.Linear | nn.Conv2d) and named and f"{name}.weight" in new:
                if self.new_classifier == "zero":
                    module.weight.zero_()
                else:
                    module.weight.normal_(0, _SMALL)
                if module.bias is not None:
                    module.bias.zero_()


def _loaded(path: Path, state: State, found: Match, new: tuple[str, ...], network: str | None) -> LoadedWeights:
    sha256 = digest(path)
    source = source_of(sha256)
    return LoadedWeights(
        file=str(path.absolute()),
        sha256=sha256,
        source=str(source) if source is not None else "",
        how=found.how,
        averaged=state.averaged,
        taken=len(found.tensors),
        left=found.left,
        new=new,
        notes=_other_network(source, network) + _other_bands(found),
        expected=_expected(source),
    )


def _expected(source: Source | None) -> dict[str, object]:
    """Return what images must be like for weights whose source is known."""
    if source is None:
        return {}
    return {"mean": list(source.mean), "std": list(source.std), "size": source.size,
            "interpolation": source.interpolation}  # fmt: skip


def _other_network(source: Source | None, network: str | None) -> tuple[str, ...]:
    if source is None or network is None or network.partition(".")[0] == source.network:
        return ()
    told = f"the weights {source.name} are of timm's {source.network}, the network is {network}: both have the same"
    return (f"{told} tensors, but may pad and normalize otherwise; set name={source.network}",)


def _other_bands(found: Match) -> tuple[str, ...]:
    """Say that a first convolution saw red, green and blue, and what its weights for other bands are."""
    notes = []
    for name in found.refitted:
        bands = found.tensors[name].shape[1]
        how = "the sum over the three" if bands == 1 else f"the three in turn, times 3/{bands}"
        count = "1 band" if bands == 1 else f"{bands} bands"
        notes.append(f"{name} saw red, green and blue; for images of {count} it begins as {how}")
    return tuple(notes)


def _misfit(
    found: Match, own: Mapping[str, Tensor], needed: set[str], backbone: set[str], state: State, part: str
) -> CheckpointError:
    """Return what is told of a file that lacks tensors that are needed."""
    lacking = found.lacking(needed)
    source = f"{state.path} (model.weights_part={part})"
    heads = [name for name in found.misshapen if name not in backbone]
    if heads and set(lacking) <= set(heads) and part == "full":
        theirs, ours = found.misshapen[heads[0]]
        return CheckpointError(
            "Full weights must be of a network with as many classes",
            found=f"{theirs[0]} classes in {source}, {ours[0]} in the data",
            do="take what fits, the backbone: model.weights_part=auto",
        )
    said = f"in {source}: taken {len(found.tensors)} of {len(own)}; missing {_some(found.new, needed)}"
    shapes = [f"{name} {list(theirs)} against {list(ours)}" for name, (theirs, ours) in found.misshapen.items()]
    said += f"; of another shape: {listing(shapes[:2])}" if shapes else ""
    said += f"; left in the file: {_some(found.left)}"
    if not found.tensors and not found.misshapen and (where := parting(state, own, needed)):
        said += f"; by order, {where}"
    if part == "full" and not set(lacking) & backbone:
        do = "the file has no such classifier: take what fits, model.weights_part=auto"
    elif not state.ordered and not found.tensors and not found.misshapen:
        do = "its names are not known, and safetensors keep no order to match by: save it with torch, or rename them"
    else:
        do = "build the network that the file was made with: model, its name, depth and width"
    return CheckpointError("Weights must be of the network, by name, or by order and shape", found=said, do=do)


def _some(names: tuple[str, ...], of: set[str] | None = None) -> str:
    shown = [name for name in names if of is None or name in of]
    return listing(shown[:4]) + (f" and {len(shown) - 4} more" if len(shown) > 4 else "")
