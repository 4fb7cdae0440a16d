"""The ledger of studies, runs and metrics; run folders; export and import. Knows recipes as JSON and hashes. No torch.

Within: `home` (where it lies), `database` (connections), `schema` and `migrations` (versions), `tables` and `values`
(what is kept), `rows` (what is returned), then one module a subject: `runs`, `leases`, `metrics`, `studies`, `events`,
`notes`, `caches`. `ledger` joins them, `writer` is the training process's side, `archive`, `exporting` and `importing`
move studies between ledgers.
"""

from ablata.records.fingerprint import code_fingerprint, environment, environment_class
from ablata.records.home import lab_home
from ablata.records.ledger import Ledger
from ablata.records.rows import (
    ArmRow,
    Cell,
    Claim,
    Curve,
    EventRow,
    LookRow,
    NewArm,
    NewRun,
    NoteEntry,
    NoteFile,
    RunRow,
    StudyRow,
)
from ablata.records.writer import RunWriter

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
