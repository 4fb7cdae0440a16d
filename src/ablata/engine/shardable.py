"""Which trainings can share their network out among processes; see `hardware.sharding`."""

from __future__ import annotations

import torch

from ablata.base.errors import SettingsError, listing
from ablata.engine.hardware.precision import Precision
from ablata.engine.optim.optimisers import AdamW, Sgd
from ablata.engine.recipe import Recipe


def refuse_unshardable(recipe: Recipe, precision: Precision) -> None:
    """Refuse to shard what FSDP cannot, or what would look at parameters that are elsewhere.

    Args:
        recipe: what is trained.
        precision: as it was chosen.

    Raises:
        SettingsError: names all that does not fit, and what does.
    """
    optim, compute = recipe.optim, recipe.compute
    ahead = optim.lookahead is not None
    wrong: list[tuple[str, str]] = []
    if ahead or not isinstance(optim, Sgd | AdamW):
        wrong.append((f"optim={optim.kind}{' with lookahead' * ahead}", "optim=sgd or adamw without lookahead"))
    if compute.compile:
        wrong.append(("compute.compile=true", "compute.compile=false"))
    if precision.dtype == torch.float16:
        wrong.append(("compute.precision=fp16", "compute.precision=bf16 or fp32"))
    if not compute.sync_batch_norm:
        wrong.append(("compute.sync_batch_norm=false", "compute.sync_batch_norm=true"))
    if recipe.freeze is not None:
        wrong.append((f"freeze={recipe.freeze}", "freeze=null"))
    # Whatever task has teachers names them so.
    if getattr(recipe, "refine", None) is not None:
        wrong.append(("refine, a teacher", "refine=null"))
    if wrong:
        raise SettingsError(
            "compute.shard shares out networks that train with plain sgd or adamw, whole, uncompiled, without a "
            "teacher and with statistics that processes share",
            found=listing(found for found, _ in wrong),
            do=f"{listing(do for _, do in wrong)}; or compute.shard=false",
        )
