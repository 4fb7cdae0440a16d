"""Studies: a question fixed before launch, its runs, and the verdicts."""

from typing import TYPE_CHECKING

from ablata.base.lazy import lazy_names

if TYPE_CHECKING:
    from ablata.studies.assess import Assessment as Assessment
    from ablata.studies.evaluation import Evaluation as Evaluation
    from ablata.studies.evaluation import evaluate_run as evaluate_run
    from ablata.studies.index import load_study as load_study
    from ablata.studies.index import study_entries as study_entries
    from ablata.studies.launch import StudyRunner as StudyRunner
    from ablata.studies.launch import create as create
    from ablata.studies.planning.noise import KnownNoise as KnownNoise
    from ablata.studies.planning.noise import known_noise as known_noise
    from ablata.studies.planning.plan import plan_study as plan_study
    from ablata.studies.planning.study_plan import StudyPlan as StudyPlan
    from ablata.studies.study import Study as Study
    from ablata.studies.workers.pool import Workers as Workers
    from ablata.studies.workers.worker import work as work

_PLACES = {
    "Assessment": "ablata.studies.assess",
    "Evaluation": "ablata.studies.evaluation",
    "KnownNoise": "ablata.studies.planning.noise",
    "Study": "ablata.studies.study",
    "StudyPlan": "ablata.studies.planning.study_plan",
    "StudyRunner": "ablata.studies.launch",
    "Workers": "ablata.studies.workers.pool",
    "create": "ablata.studies.launch",
    "evaluate_run": "ablata.studies.evaluation",
    "known_noise": "ablata.studies.planning.noise",
    "load_study": "ablata.studies.index",
    "plan_study": "ablata.studies.planning.plan",
    "study_entries": "ablata.studies.index",
    "work": "ablata.studies.workers.worker",
}

__all__ = [
    "Assessment",
    "Evaluation",
    "KnownNoise",
    "Study",
    "StudyPlan",
    "StudyRunner",
    "Workers",
    "create",
    "evaluate_run",
    "known_noise",
    "load_study",
    "plan_study",
    "study_entries",
    "work",
]

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
