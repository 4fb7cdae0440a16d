"""ablata: a lab for vision models. Train from typed recipes, and ask whether a change helps.

    import ablata

    run = ablata.train("digits", seed=3, overrides={"model.width": 32})
    print(run.scores, run.folder)

    study = ablata.Study(
        name="width", question="Does a wider network help?", control=ablata.load_recipe("digits"),
        arms={"wide": {"model.width": 32}}, seeds=5, margin=1.0,
    )
    print(ablata.run_study(study).to_rows())

A training may also be a function of your own, in any framework, whose other arguments are its settings:

    def train(seed, lr=0.1, width=64):
        ...
        return {"acc": acc}

    verdict = ablata.compare(train, {"wide": {"width": 128}}, seeds=5, margin=0.5)

Names are imported when they are first used: `import ablata` itself loads neither torch nor the ledger. Everything that
is trained lies in the lab's home, the folder `ABLATA_HOME` or `.ablata`; the command `ablata` calls these functions.
"""

from typing import TYPE_CHECKING

from ablata.base.lazy import lazy_names
from ablata.base.version import __version__

if TYPE_CHECKING:
    from ablata import stats as stats
    from ablata.api.comparing import compare as compare
    from ablata.api.continuing import continue_run as continue_run
    from ablata.api.exporting import export_runs as export_runs
    from ablata.api.exporting import export_to_mlflow as export_to_mlflow
    from ablata.api.extending import confirm_study as confirm_study
    from ablata.api.extending import extend_study as extend_study
    from ablata.api.housekeeping import prune_runs as prune_runs
    from ablata.api.housekeeping import remove_runs as remove_runs
    from ablata.api.housekeeping import remove_study as remove_study
    from ablata.api.housekeeping import rename_study as rename_study
    from ablata.api.housekeeping import thin_checkpoints as thin_checkpoints
    from ablata.api.judging import JudgedScores as JudgedScores
    from ablata.api.judging import judge as judge
    from ablata.api.loops import Loop as Loop
    from ablata.api.models import evaluate as evaluate
    from ablata.api.models import export as export
    from ablata.api.models import load_model as load_model
    from ablata.api.models import predict as predict
    from ablata.api.moving import export_study as export_study
    from ablata.api.moving import import_study as import_study
    from ablata.api.runs import RunResult as RunResult
    from ablata.api.runs import compare_runs as compare_runs
    from ablata.api.runs import run as run
    from ablata.api.runs import runs as runs
    from ablata.api.studies import StudyResult as StudyResult
    from ablata.api.studies import plan_study as plan_study
    from ablata.api.studies import report as report
    from ablata.api.studies import run_study as run_study
    from ablata.api.studies import study as study
    from ablata.api.training import train as train
    from ablata.base import errors as errors
    from ablata.base.errors import AblataError as AblataError
    from ablata.base.settings import Settings as Settings
    from ablata.engine.recipe import Recipe as Recipe
    from ablata.recipes.index import load_recipe as load_recipe
    from ablata.records.ledger import Ledger as Ledger
    from ablata.studies.index import load_study as load_study
    from ablata.studies.study import Study as Study
    from ablata.trainers.function import Function as Function
    from ablata.trainers.hooks import log as log
    from ablata.trainers.hooks import score as score

_PLACES = {
    "AblataError": "ablata.base.errors",
    "Function": "ablata.trainers.function",
    "JudgedScores": "ablata.api.judging",
    "Ledger": "ablata.records.ledger",
    "Loop": "ablata.api.loops",
    "Recipe": "ablata.engine.recipe",
    "RunResult": "ablata.api.runs",
    "Settings": "ablata.base.settings",
    "Study": "ablata.studies.study",
    "StudyResult": "ablata.api.studies",
    "compare": "ablata.api.comparing",
    "compare_runs": "ablata.api.runs",
    "confirm_study": "ablata.api.extending",
    "continue_run": "ablata.api.continuing",
    "errors": "ablata.base.errors:",
    "evaluate": "ablata.api.models",
    "export": "ablata.api.models",
    "export_study": "ablata.api.moving",
    "export_runs": "ablata.api.exporting",
    "export_to_mlflow": "ablata.api.exporting",
    "extend_study": "ablata.api.extending",
    "import_study": "ablata.api.moving",
    "judge": "ablata.api.judging",
    "load_model": "ablata.api.models",
    "load_recipe": "ablata.recipes.index",
    "load_study": "ablata.studies.index",
    "log": "ablata.trainers.hooks",
    "plan_study": "ablata.api.studies",
    "predict": "ablata.api.models",
    "prune_runs": "ablata.api.housekeeping",
    "remove_runs": "ablata.api.housekeeping",
    "remove_study": "ablata.api.housekeeping",
    "rename_study": "ablata.api.housekeeping",
    "report": "ablata.api.studies",
    "run": "ablata.api.runs",
    "run_study": "ablata.api.studies",
    "runs": "ablata.api.runs",
    "score": "ablata.trainers.hooks",
    "stats": "ablata.stats:",
    "study": "ablata.api.studies",
    "thin_checkpoints": "ablata.api.housekeeping",
    "train": "ablata.api.training",
}

__all__ = [
    "AblataError",
    "Function",
    "JudgedScores",
    "Ledger",
    "Loop",
    "Recipe",
    "RunResult",
    "Settings",
    "Study",
    "StudyResult",
    "__version__",
    "compare",
    "compare_runs",
    "confirm_study",
    "continue_run",
    "errors",
    "evaluate",
    "export",
    "export_runs",
    "export_study",
    "export_to_mlflow",
    "extend_study",
    "import_study",
    "judge",
    "load_model",
    "load_recipe",
    "load_study",
    "log",
    "plan_study",
    "predict",
    "prune_runs",
    "remove_runs",
    "remove_study",
    "rename_study",
    "report",
    "run",
    "run_study",
    "runs",
    "score",
    "stats",
    "study",
    "thin_checkpoints",
    "train",
]

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
