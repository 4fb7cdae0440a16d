"""Runs that one worker trains together: which they are, and how many.

Runs of one network go together, whatever else they differ in: seed, rates, decay, smoothing, augmentation, length. Each
is claimed, keeps its lease and is recorded by itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablata.base.errors import SettingsError
from ablata.records.database import PATIENCE_SECONDS, persist
from ablata.records.fingerprint import code_fingerprint
from ablata.records.ledger import Ledger
from ablata.records.questions.judged import is_time
from ablata.records.rows import Claim, RunRow
from ablata.trainers.any import Outside

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

_AUTO = 8
_SMALL = 5e6
"""Multiply-adds for an image up to which stacked layers are faster than one network after the other on a processor."""
_OWN = ("optim", "schedule", "loss", "ema", "name", "metrics", "judge", "protocols", "start")
"""Settings that each training of a group has for itself."""


@dataclass(frozen=True)
class Together:
    """How many runs a worker trains together.

    Attributes:
        most: runs in a group; 1: each run is trained by itself.
        chosen: leave networks alone that gain nothing by it.
    """

    most: int = 1
    chosen: bool = False

    @staticmethod
    def parse(text: str) -> Together:
        """Return what `auto`, `never` or a number says.

        Raises:
            SettingsError: none of these.
        """
        if text in ("auto", "never"):
            return Together(_AUTO, True) if text == "auto" else Together()
        if text.isdecimal() and int(text) > 0:
            return Together(int(text))
        raise SettingsError(
            "--together must be auto, never or how many runs are trained as one",
            found=text,
            do="--together auto, or a number such as 4",
        )

    def __str__(self) -> str:
        return "auto" if self.chosen else str(self.most)

    def of_study(self, spec: dict[str, Any]) -> tuple[Together, str]:
        """Return how a study's runs are trained, and what is to be said about it.

        Args:
            spec: the study's specification; one that compares times needs runs by themselves.
        """
        keys = [spec["metric"]["key"], *(guard["key"] for guard in spec.get("guards", ()))]
        if self.most > 1 and (times := [key for key in keys if is_time(key)]):
            return Together(), f"its runs are trained one by one: it compares a time, {times[0]}"
        return self, ""

    def why_alone(self, recipe: Recipe | Outside) -> str:
        """Return why runs of a recipe are trained one by one, as far as its settings tell; empty: they need not be."""
        if self.most == 1:
            return "nothing else was asked for"
        if isinstance(recipe, Outside):
            return f"a {recipe.task} is run by itself"
        from ablata.engine.hardware.precision import choose_device
        from ablata.engine.together.group import why_alone

        recipe = recipe.effective()
        why = why_alone(recipe)
        if why or not self.chosen or choose_device(recipe.compute.device).type != "cpu":
            return why
        work = recipe.complexity().flops
        return f"stacked layers gain nothing on a processor at {work / 1e6:.0f} million multiply-adds an image" * (
            work > _SMALL
        )

    def sentence(self, recipes: Mapping[str, Recipe | Outside]) -> str:
        """Return how the runs of a study's arms are trained, by the arms' names; empty: nobody asked for groups."""
        if self.most == 1:
            return ""
        alone = {name: why for name, recipe in recipes.items() if (why := self.why_alone(recipe))}
        reasons = [f"{name} by itself: {why}" for name, why in alone.items()]
        together = [] if len(alone) == len(recipes) else [f"up to {self.most} runs of one network as one"]
        return "; ".join(together + reasons)


ALONE = Together()
"""Each run by itself."""


class Companions:
    """Finds runs that can be trained together with one that a worker has claimed.

    Args:
        ledger: where runs wait.
        study: keep to this study's; None: any.
        together: how many.
        beside: workers that share what waits.
    """

    def __init__(self, ledger: Ledger, study: str | None, together: Together, beside: int) -> None:
        self._ledger, self._study, self._together, self._beside = ledger, study, together, beside
        self._keys: dict[str, str] = {}
        self.why: dict[str, str] = {}
        """Why runs of a recipe, by its hash, are trained one by one; empty: they need not be."""

    def ids(self, claim: Claim) -> list[str]:
        """Return the runs that wait and may join a claimed one, first come first, no more than this worker's share.

        Workers that train a group share nothing: what waits is for those that are free.
        """
        run = claim.run
        if self._together.most == 1 or self.why_alone(claim):
            return []
        waiting = self._ledger.runs.find(state="waiting", study=self._study)
        alike = [other for other in reversed(waiting) if _beside(run, other) and self._key(other) == self._key(run)]
        running = self._ledger.runs.find(state="running", study=self._study)
        busy = {one.owner for one in running if one.launch == run.launch and one.progress and one.owner != run.owner}
        share = -(-(len(waiting) + 1) // max(1, self._beside - len(busy)))
        return [other.id for other in alike[: min(self._together.most, share) - 1]]

    def why_alone(self, claim: Claim) -> str:
        """Return why a claimed run is trained by itself whatever waits; empty: it need not be."""
        run = claim.run
        if run.parent is not None:
            return "it begins with the weights of another run"
        if run.code != code_fingerprint():
            return "it needs code that is not ablata's own"
        return self.why[run.recipe_hash] if not self._key(run) else ""

    def tell(self, claims: Sequence[Claim]) -> None:
        """Record why a run is trained by itself where groups were asked for."""
        if self._together.most > 1 and len(claims) == 1:
            why = self.why_alone(claims[0]) or "no other run of its network waited for this worker"
            text, run = f"trained by itself: {why}", claims[0].run.id
            persist(lambda: self._ledger.events.add("info", "together", text, run_id=run), patience=PATIENCE_SECONDS)

    def _key(self, run: RunRow) -> str:
        """Return what runs of one network have in common; empty: a run is trained by itself."""
        if run.recipe_hash not in self._keys:
            from ablata.studies.identity import restore_trainer

            recipe = restore_trainer(self._ledger.runs.settings(run), source=f"run {run.id}")
            self.why[run.recipe_hash] = why = self._together.why_alone(recipe)
            self._keys[run.recipe_hash] = "" if why or isinstance(recipe, Outside) else network_key(recipe.effective())
        return self._keys[run.recipe_hash]


def network_key(recipe: Recipe) -> str:
    """Return a hash of the settings that the trainings of a group must have in common: network, images, batch."""
    from ablata.base.settings import expand

    tree = {name: value for name, value in expand(recipe).items() if name not in _OWN}
    tree["train"] = {name: tree["train"][name] for name in ("batch", "accumulate")}
    tree["data"] = {name: value for name, value in tree["data"].items() if name != "augment"}
    return hashlib.blake2b(json.dumps(tree, sort_keys=True).encode(), digest_size=8).hexdigest()


def _beside(run: RunRow, other: RunRow) -> bool:
    same = (other.code, other.environment) == (run.code, run.environment)
    return same and other.parent is None and other.id != run.id
