"""Ground of the package: errors, settings, seeds and safe files. Imports nothing of ablata and no torch."""

from typing import TYPE_CHECKING

from ablata.base.lazy import lazy_names

if TYPE_CHECKING:
    from ablata.base.errors import AblataError as AblataError
    from ablata.base.errors import SettingsError as SettingsError
    from ablata.base.errors import UserError as UserError
    from ablata.base.overrides import Overrides as Overrides
    from ablata.base.overrides import override as override
    from ablata.base.overrides import override_texts as override_texts
    from ablata.base.quantities import duration as duration
    from ablata.base.quantities import quantity as quantity
    from ablata.base.seeds import derive as derive
    from ablata.base.settings import INCIDENTAL as INCIDENTAL
    from ablata.base.settings import ON_DISK as ON_DISK
    from ablata.base.settings import Change as Change
    from ablata.base.settings import Settings as Settings
    from ablata.base.settings import as_text as as_text
    from ablata.base.settings import diff as diff
    from ablata.base.settings import expand as expand
    from ablata.base.settings import restore as restore
    from ablata.base.settings import settings_hash as settings_hash

_PLACES = {
    "AblataError": "ablata.base.errors",
    "Change": "ablata.base.settings",
    "INCIDENTAL": "ablata.base.settings",
    "ON_DISK": "ablata.base.settings",
    "Overrides": "ablata.base.overrides",
    "Settings": "ablata.base.settings",
    "SettingsError": "ablata.base.errors",
    "UserError": "ablata.base.errors",
    "as_text": "ablata.base.settings",
    "derive": "ablata.base.seeds",
    "diff": "ablata.base.settings",
    "duration": "ablata.base.quantities",
    "expand": "ablata.base.settings",
    "override": "ablata.base.overrides",
    "override_texts": "ablata.base.overrides",
    "quantity": "ablata.base.quantities",
    "restore": "ablata.base.settings",
    "settings_hash": "ablata.base.settings",
}

__all__ = [
    "INCIDENTAL",
    "ON_DISK",
    "AblataError",
    "Change",
    "Overrides",
    "Settings",
    "SettingsError",
    "UserError",
    "as_text",
    "derive",
    "diff",
    "duration",
    "expand",
    "override",
    "override_texts",
    "quantity",
    "restore",
    "settings_hash",
]

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
