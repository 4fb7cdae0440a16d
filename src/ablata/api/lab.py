"""Runs and studies that exist: continued with more seeds, moved elsewhere, renamed and removed."""

from ablata.api.exporting import export_runs, export_to_mlflow
from ablata.api.extending import confirm_study, extend_study
from ablata.api.housekeeping import prune_runs, remove_runs, remove_study, rename_study, thin_checkpoints
from ablata.api.moving import export_study, import_study

__all__ = [
    "confirm_study",
    "export_runs",
    "export_study",
    "export_to_mlflow",
    "extend_study",
    "import_study",
    "prune_runs",
    "remove_runs",
    "remove_study",
    "rename_study",
    "thin_checkpoints",
]
