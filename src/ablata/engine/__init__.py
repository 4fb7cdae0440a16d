"""The one training loop and what it needs: recipe, task interface, optimisers, schedules, EMA, checkpoints."""

from typing import TYPE_CHECKING

from ablata.base.lazy import lazy_names

if TYPE_CHECKING:
    from ablata.base.metric import Metric as Metric
    from ablata.engine.predictor import Prediction as Prediction
    from ablata.engine.predictor import PredictOptions as PredictOptions
    from ablata.engine.predictor import Predictor as Predictor
    from ablata.engine.recipe import Compute as Compute
    from ablata.engine.recipe import Recipe as Recipe
    from ablata.engine.recipe import Train as Train
    from ablata.engine.reporting import Reporter as Reporter
    from ablata.engine.task import RunContext as RunContext
    from ablata.engine.task import Task as Task

_PLACES = {
    "Compute": "ablata.engine.recipe",
    "Metric": "ablata.base.metric",
    "PredictOptions": "ablata.engine.predictor",
    "Prediction": "ablata.engine.predictor",
    "Predictor": "ablata.engine.predictor",
    "Recipe": "ablata.engine.recipe",
    "Reporter": "ablata.engine.reporting",
    "RunContext": "ablata.engine.task",
    "Task": "ablata.engine.task",
    "Train": "ablata.engine.recipe",
}

__all__ = [
    "Compute",
    "Metric",
    "PredictOptions",
    "Prediction",
    "Predictor",
    "Recipe",
    "Reporter",
    "RunContext",
    "Task",
    "Train",
]

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
