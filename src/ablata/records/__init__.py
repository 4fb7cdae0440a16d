"""The ledger of studies, runs and metrics; run folders; export and import. Knows recipes as JSON and hashes. No torch.

Within: `home` (where it lies), `database` (connections), `schema` and `migrations` (versions), `tables` and `values`
(what is kept), `rows` (what is returned), then one module a subject: `runs`, `leases`, `metrics`, `studies`, `events`,
`notes`, `caches`. `ledger` joins them, `writer` is the training process's side. `run_folder` holds what a run keeps
beside its curves, `questions` what is asked across runs; `moving` takes studies from one ledger to another.
"""

from typing import TYPE_CHECKING

from ablata.base.lazy import lazy_names

if TYPE_CHECKING:
    from ablata.records.fingerprint import code_fingerprint as code_fingerprint
    from ablata.records.fingerprint import environment as environment
    from ablata.records.fingerprint import environment_class as environment_class
    from ablata.records.home import lab_home as lab_home
    from ablata.records.ledger import Ledger as Ledger
    from ablata.records.rows import ArmRow as ArmRow
    from ablata.records.rows import Cell as Cell
    from ablata.records.rows import Claim as Claim
    from ablata.records.rows import Curve as Curve
    from ablata.records.rows import EventRow as EventRow
    from ablata.records.rows import LookRow as LookRow
    from ablata.records.rows import NewArm as NewArm
    from ablata.records.rows import NewRun as NewRun
    from ablata.records.rows import NoteEntry as NoteEntry
    from ablata.records.rows import NoteFile as NoteFile
    from ablata.records.rows import RunRow as RunRow
    from ablata.records.rows import StudyRow as StudyRow
    from ablata.records.writer import RunWriter as RunWriter

_PLACES = {
    "ArmRow": "ablata.records.rows",
    "Cell": "ablata.records.rows",
    "Claim": "ablata.records.rows",
    "Curve": "ablata.records.rows",
    "EventRow": "ablata.records.rows",
    "Ledger": "ablata.records.ledger",
    "LookRow": "ablata.records.rows",
    "NewArm": "ablata.records.rows",
    "NewRun": "ablata.records.rows",
    "NoteEntry": "ablata.records.rows",
    "NoteFile": "ablata.records.rows",
    "RunRow": "ablata.records.rows",
    "RunWriter": "ablata.records.writer",
    "StudyRow": "ablata.records.rows",
    "code_fingerprint": "ablata.records.fingerprint",
    "environment": "ablata.records.fingerprint",
    "environment_class": "ablata.records.fingerprint",
    "lab_home": "ablata.records.home",
}

__all__ = [
    "ArmRow",
    "Cell",
    "Claim",
    "Curve",
    "EventRow",
    "Ledger",
    "LookRow",
    "NewArm",
    "NewRun",
    "NoteEntry",
    "NoteFile",
    "RunRow",
    "RunWriter",
    "StudyRow",
    "code_fingerprint",
    "environment",
    "environment_class",
    "lab_home",
]

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
