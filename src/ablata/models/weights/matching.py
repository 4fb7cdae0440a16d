"""Which tensor of a file becomes which of a network: by name, else by order and shape.

Published weights of one network come under many names. Those that are known are translated; others follow the order in
which the network was made, which two implementations share as a rule: where every module of the network, one after the
other, has tensors of the same names and shapes as the file's, the file is of that network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ablata.models.weights.files import State

COUNTER = "num_batches_tracked"
"""Files older than torch 0.4.1 do not count batches; the count matters to a cumulative average only."""
_COLOURS = 3
_DEPTH = 3
"""How many words of a name may stand before the network's own: `backbone.body.`."""

Translate = Callable[[str], str | None]


@dataclass(frozen=True)
class Match:
    """Tensors of a file under a network's names.

    Args:
        tensors: by the network's names.
        left: names in the file that are not used.
        new: names of the network that the file has nothing for.
        misshapen: names of the network that the file has in another shape, with both shapes, the file's first.
        how: `by name`, `by name behind backbone.`, `by order and shape`.
        refitted: names of the network whose tensors saw images of other bands in the file, see `refit_bands`.
    """

    tensors: Mapping[str, Tensor]
    left: tuple[str, ...]
    new: tuple[str, ...]
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    how: str
    refitted: tuple[str, ...] = ()

    def lacking(self, needed: set[str]) -> list[str]:
        """Return the needed names that the file does not fill."""
        return [name for name in (*self.misshapen, *self.new) if name in needed]


def match(state: State, own: Mapping[str, Tensor], translate: Translate, needed: set[str]) -> Match:
    """Match a file with a network.

    Args:
        state: the file's tensors.
        own: the network's, in the order in which it was made.
        translate: from a published name to the network's; None: the network has no such tensor.
        needed: names of the network without which the file is of another one: those of the backbone.

    Returns:
        The best match: one that fills all that is needed, where there is one.
    """
    own = {name: tensor for name, tensor in own.items() if not name.endswith(COUNTER)}
    needed = needed & own.keys()
    best = _best(state, own, translate, needed)
    changed = [name for name, tensor in best.tensors.items() if tensor.shape != own[name].shape]
    tensors = {**best.tensors, **{name: refit_bands(best.tensors[name], own[name].shape[1]) for name in changed}}
    return replace(best, tensors=tensors, refitted=tuple(changed))


def _best(state: State, own: Mapping[str, Tensor], translate: Translate, needed: set[str]) -> Match:
    found = {name: tensor for name, tensor in state.tensors.items() if not name.endswith(COUNTER)}
    named = [_by_name(found, own, one, prefix) for prefix in _prefixes(found, len(needed)) for one in (str, translate)]
    best = min(named, key=lambda one: (len(one.lacking(needed)), -len(one.tensors)))
    if best.lacking(needed) and state.ordered:
        for prefix in _prefixes(found, len(needed)):
            ordered = _by_order(found, own, needed, prefix)
            if ordered is not None:
                return ordered
    return best


def refit_bands(weight: Tensor, bands: int) -> Tensor:
    """Return the weights of a convolution over colours [O, 3, k, k] as one over images of other bands.

    One band sees the sum of the three, as grey did. More see the three in turn, times 3 over their number, so that
    outputs stay about as large. As timm has it (`adapt_input_conv`).

    Args:
        weight: of the file.
        bands: of the images.

    Returns:
        Tensor [O, bands, k, k].
    """
    if bands == 1:
        return weight.sum(1, keepdim=True)
    count = weight.shape[1]
    repeated = weight.repeat(1, -(-bands // count), 1, 1)[:, :bands]
    return repeated * (count / bands)


def parting(state: State, own: Mapping[str, Tensor], needed: set[str]) -> str:
    """Return where the order of a file and of a network part, for messages; empty: nowhere, or there is none."""
    if not state.ordered:
        return ""
    found = {name: tensor for name, tensor in state.tensors.items() if not name.endswith(COUNTER)}
    ours = list(_modules({name: own[name] for name in own if name in needed and not name.endswith(COUNTER)}))
    for number, (there, here) in enumerate(zip(_modules(found), ours, strict=False), 1):
        if not _alike(there, here, found, own):
            theirs, mine = next(iter(there.values())), next(iter(here.values()))
            return f"layer {number} is {theirs} {list(found[theirs].shape)} there, {mine} {list(own[mine].shape)} here"
    return ""


def _prefixes(found: Mapping[str, Tensor], needed: int) -> list[str]:
    """Return what may stand before the names of the network in a file: nothing, or words that most names begin with."""
    counts = Counter(
        "".join(f"{word}." for word in words[:depth])
        for words in (name.split(".") for name in found)
        for depth in range(1, min(_DEPTH, len(words) - 1) + 1)
    )
    return ["", *(prefix for prefix, count in counts.items() if count >= max(1, needed))]


def _by_name(found: Mapping[str, Tensor], own: Mapping[str, Tensor], translate: Translate, prefix: str) -> Match:
    tensors: dict[str, Tensor] = {}
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    left = []
    for name, tensor in found.items():
        ours = translate(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if ours is None or ours not in own:
            left.append(name)
            continue
        fitted = _fitted(tensor, own[ours])
        if fitted is None:
            misshapen[ours] = (tuple(tensor.shape), tuple(own[ours].shape))
            left.append(name)
        else:
            tensors[ours] = fitted
    new = tuple(name for name in own if name not in tensors and name not in misshapen)
    misshapen = {name: misshapen[name] for name in own if name in misshapen}
    return Match(tensors, tuple(left), new, misshapen, f"by name behind {prefix}" if prefix else "by name")


def _fitted(tensor: Tensor, own: Tensor) -> Tensor | None:
    """Return a tensor in the shape of the network's, or one of a convolution over colours as it is; None: it does not
    fit. A 1x1 convolution is a linear layer."""
    if tensor.shape == own.shape or _of_other_bands(tensor, own):
        return tensor
    without = [side for side in tensor.shape if side > 1] == [side for side in own.shape if side > 1]
    linear = {tensor.ndim, own.ndim} == {2, 4} and tensor.shape[:2] == own.shape[:2]
    return tensor.reshape(own.shape) if linear and without else None


def _of_other_bands(tensor: Tensor, own: Tensor) -> bool:
    """Tell whether both are weights of a network's first convolution, that of the file over three colours."""
    spatial = tensor.ndim == own.ndim == 4 and tensor.shape[1] == _COLOURS and own.shape[1] != _COLOURS
    return spatial and (tensor.shape[0], *tensor.shape[2:]) == (own.shape[0], *own.shape[2:])


def _by_order(found: Mapping[str, Tensor], own: Mapping[str, Tensor], needed: set[str], prefix: str) -> Match | None:
    """Match module by module; None: one that is needed is not at its place, so that the file is of another network."""
    theirs = list(_modules({name: one for name, one in found.items() if name.startswith(prefix)}))
    first = list(_modules({name: own[name] for name in own if name in needed}))
    rest = list(_modules({name: own[name] for name in own if name not in needed}))
    if not first or len(theirs) < len(first):
        return None
    pairs = list(zip(theirs, first, strict=False))
    if not all(_alike(there, here, found, own) for there, here in pairs):
        return None
    # Behind the backbone the file is of the same network only if it goes on alike, up to the number of classes.
    behind = list(zip(theirs[len(first) :], rest, strict=False))
    if len(theirs) == len(first) + len(rest) and all(_alike(*pair, found, own) for pair in behind[:-1]):
        pairs += [pair for pair in behind if _alike(*pair, found, own)]
    names = {here[leaf]: there[leaf] for there, here in pairs for leaf in here}
    tensors = {ours: fitted for ours, name in names.items() if (fitted := _fitted(found[name], own[ours])) is not None}
    used = set(names.values())
    return Match(
        tensors,
        tuple(name for name in found if name not in used),
        tuple(name for name in own if name not in tensors),
        {},
        f"by order and shape behind {prefix}" if prefix else "by order and shape",
    )


def _modules(state: Mapping[str, Tensor]) -> Iterator[dict[str, str]]:
    """Yield each module's tensors in turn: their full names by the last word."""
    before, module = None, dict[str, str]()
    for name in state:
        owner, _, leaf = name.rpartition(".")
        if owner != before and module:
            yield module
            module = {}
        module[leaf] = name
        before = owner
    if module:
        yield module


def _alike(
    theirs: Mapping[str, str], ours: Mapping[str, str], found: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> bool:
    return theirs.keys() == ours.keys() and all(
        _fitted(found[theirs[leaf]], own[name]) is not None for leaf, name in ours.items()
    )
