"""The combination that a factorial study predicts to be best, beside its control, on fresh seeds."""

from __future__ import annotations

from ablata.base.errors import RecordError
from ablata.base.metric import Metric
from ablata.base.overrides import override
from ablata.records.ledger import Ledger
from ablata.records.studies import NAME
from ablata.stats import rule_of
from ablata.stats.factors.designs import names_of
from ablata.stats.factors.factorial import predicted_best
from ablata.stats.margin import PERCENT
from ablata.studies.assess import assess
from ablata.studies.extending import control_of, ended_study
from ablata.studies.factors import Factors
from ablata.studies.study import CONTROL, Study
from ablata.trainers.any import Outside

SEEDS = 10


def confirming(ledger: Ledger, study: Study | str, seeds: int | None = None, *, trust_code: bool = False) -> Study:
    """Return the study of the predicted best combination and the control.

    What a factorial study shows of its best cell is flattered by luck, and holds averaged over the other changes; a
    study of this one cell with fresh seeds is not.

    Args:
        ledger: where the factorial study is.
        study: that study, or its name; of functions that live in this process alone the study itself.
        seeds: at most; None: 10. It stops once it is decided.
        trust_code: whether code that came with an imported study may be run.

    Raises:
        RecordError: it is not factorial, has not ended, or predicts the control to be the best.
    """
    name = study if isinstance(study, str) else study.name
    row = ended_study(ledger, name, ("given", "aa", "pick"))
    spec = row.spec
    if "design" not in spec:
        raise RecordError(
            "Only a factorial study has a best combination to confirm",
            found=f"study {name!r} is one of arms",
            do="look at its arms: ablata study report NAME; more seeds: ablata study extend NAME",
        )
    factors, found = Factors.from_json(spec["design"]), assess(ledger, name).factorial
    best = predicted_best(found, higher=spec["metric"]["higher_is_better"]) if found is not None else ()
    if not best:
        raise RecordError(
            "There must be a combination that is predicted to beat the control",
            found=f"study {name!r} says that no change helps" if found else f"study {name!r} has no whole block",
            do="keep the control",
        )
    control = control_of(ledger, name, trust_code=trust_code) if isinstance(study, str) else study.recipes[CONTROL]
    texts = tuple(text for factor in best for text in factors.changes[factors.names[factor]])
    cell = names_of(factors.names, best)
    arm = cell if NAME.fullmatch(cell) else "best"
    named, rule = f"{name}-confirm", rule_of(spec)
    typed = f"ablata study confirm {name}" + ("" if seeds is None else f" --seeds {seeds}")
    return Study(
        name=named,
        question=f"Is {cell}, which {name} predicts to be best, better than the control?",
        control=control,
        arms={arm: control.arm(texts) if isinstance(control, Outside) else override(control, texts)},
        metric=Metric(**{key: value for key, value in spec["metric"].items() if key != "key"}),
        margin=f"{spec[PERCENT]:g}%" if PERCENT in spec else rule.margin,
        seeds=seeds or SEEDS,
        first_seed=spec["first_seed"] + rule.seeds,
        confirms=name,
        commands=(typed,),
    )
