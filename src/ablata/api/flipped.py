"""The images on which arms of a study disagree, brought from its data to where its page finds them."""

from __future__ import annotations

from ablata.base.errors import UserError, reason
from ablata.records.ledger import Ledger
from ablata.reports.items.flips import flipped_items
from ablata.studies.identity import COMMAND_CODE
from ablata.studies.item_images import keep_item_images
from ablata.trainers.function import FUNCTION_CODE


def keep_flipped(ledger: Ledger, name: str) -> str:
    """Keep images of the items that a study's page draws, beside a run of its control.

    Args:
        ledger: where the study is.
        name: of the study.

    Returns:
        Why that cannot be, in a sentence; empty where it can, or where there are none.

    Raises:
        RecordError: there is no such study.
    """
    row = ledger.studies.get(name)
    outside = any(arm.recipe.get("task") in (COMMAND_CODE, FUNCTION_CODE) for arm in ledger.studies.arms(name))
    if row.is_given or outside or (found := flipped_items(ledger, name)) is None:
        return ""
    run, items = found
    try:
        keep_item_images(ledger, run, str(row.spec["metric"]["split"]), items)
    except (UserError, OSError) as error:
        why = (error.found or str(error)) if isinstance(error, UserError) else reason(error)
        return f"They are named, not drawn, since their data cannot be read here: {why}."
    return ""
