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
is trained lies in the lab's home, the folder `ABLATA_HOME` or `.ablata`; `ablata.lab` moves, renames and removes it
there, and the command `ablata` calls these functions.
"""

from typing import TYPE_CHECKING

from ablata.base.lazy import lazy_names
from ablata.base.version import __version__

if TYPE_CHECKING:
    from ablata import stats as stats
    from ablata.api import lab as lab
    from ablata.api.comparing import compare as compare
    from ablata.api.continuing import continue_run as continue_run
    from ablata.api.judging import JudgedScores as JudgedScores
    from ablata.api.judging import judge as judge
    from ablata.api.loops import Loop as Loop
    from ablata.api.models import evaluate as evaluate
    from ablata.api.models import export as export
    from ablata.api.models import load_model as load_model
    from ablata.api.models import predict as predict
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
    from ablata.base.settings import Settings as Settings
    from ablata.engine.recipe import Recipe as Recipe
    from ablata.recipes.index import load_recipe as load_recipe
    from ablata.records.ledger import Ledger as Ledger
    from ablata.studies.study import Study as Study
    from ablata.trainers.command import Command as Command
    from ablata.trainers.function import Function as Function
    from ablata.trainers.hooks import log as log
    from ablata.trainers.hooks import score as score

_PLACES = {
    "Command": "ablata.trainers.command",
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
    "continue_run": "ablata.api.continuing",
    "errors": "ablata.base.errors:",
    "evaluate": "ablata.api.models",
    "export": "ablata.api.models",
    "judge": "ablata.api.judging",
    "lab": "ablata.api.lab:",
    "load_model": "ablata.api.models",
    "load_recipe": "ablata.recipes.index",
    "log": "ablata.trainers.hooks",
    "plan_study": "ablata.api.studies",
    "predict": "ablata.api.models",
    "report": "ablata.api.studies",
    "run": "ablata.api.runs",
    "run_study": "ablata.api.studies",
    "runs": "ablata.api.runs",
    "score": "ablata.trainers.hooks",
    "stats": "ablata.stats:",
    "study": "ablata.api.studies",
    "train": "ablata.api.training",
}

__all__ = [
    "Command",
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
    "continue_run",
    "errors",
    "evaluate",
    "export",
    "judge",
    "lab",
    "load_model",
    "load_recipe",
    "log",
    "plan_study",
    "predict",
    "report",
    "run",
    "run_study",
    "runs",
    "score",
    "stats",
    "study",
    "train",
]

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
