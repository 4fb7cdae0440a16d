"""Images of the items that a page of a study names: read from the data of one of its runs, and kept in its folder."""

from __future__ import annotations

from collections.abc import Sequence

from ablata.base.errors import DataError
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.records.run_folder.item_images import read_item_image, write_item_images
from ablata.studies.identity import cache_folder, data_again, restore_run


def keep_item_images(ledger: Ledger, run: RunRow, split: str, items: Sequence[str]) -> None:
    """Keep small images of some items beside a run's item scores; those that are there already are not read again.

    Args:
        ledger: holds the run.
        run: a completed run of a recipe that was scored on them.
        split: the split that they are of.
        items: what they are called in the run's item scores.

    Raises:
        UserError: the data is missing or is not the run's own, or its code came from elsewhere and is not trusted.
    """
    folder = ledger.files.bring(run)
    missing = [item for item in items if read_item_image(folder, split, item) is None]
    if not missing:
        return
    recipe, cache = restore_run(ledger, run), cache_folder(ledger)
    if (here := data_again(recipe, run, cache)) != run.data:
        raise DataError(
            "Images of a run's items are of the data it was scored on",
            found=f"{here}, not {run.data}",
            do="put back the data that the run was scored on; its scores are in the report without images",
        )
    write_item_images(folder, split, recipe.item_images(cache, split, missing))
