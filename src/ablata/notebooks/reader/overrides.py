"""From the grammar's names of settings to recipe keys, so that an imported trial can become an arm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ablata.notebooks.reader.model import NotedSetting, SettingValue

Override = tuple[str, SettingValue]
"""A recipe key and its value; null is off."""

PLAIN: dict[str, str] = {
    "momentum": "optim.momentum",
    "weight_decay": "optim.weight_decay",
    "batch": "train.batch",
    "iterations": "train.steps",
    "floor": "schedule.floor",
    "smoothing": "loss.smoothing",
    "dropout": "model.dropout",
    "slope": "model.slope",
    "init_slope": "model.init_slope",
    "precision": "compute.precision",
    "activation": "model.activation",
    "preactivation": "model.preactivation",
    "zero_init_residual": "model.zero_init_residual",
    "sync_bn": "compute.sync_batch_norm",
    "restart_length": "schedule.first",
    "restart_multiplier": "schedule.multiplier",
    "restart_decay": "schedule.peak_decay",
    "depth": "model.depth",
}
"""Settings whose value is the recipe key's value."""


def overrides(settings: Iterable[NotedSetting]) -> dict[str, SettingValue]:
    """Return the overrides of a recipe that reproduce settings, as far as their names are known.

    Args:
        settings: what a trial sets.

    Returns:
        Value by dotted key, in an order in which they can be applied; `arguments` writes them as a command line takes
        them. Which of the keys a recipe has depends on the recipe.
    """
    given = {setting.name: setting.value for setting in settings}
    found: dict[str, SettingValue] = {}
    for name, reader in _READERS.items():
        if name in given:
            found.update(reader(given))
    for name, value in given.items():
        if name in PLAIN and not isinstance(value, list):
            found.setdefault(PLAIN[name], value)
    if "schedule.first" in found:
        found = {"schedule": "sgdr", **found}
    return found


def arguments(found: Mapping[str, SettingValue]) -> list[str]:
    """Write overrides as `key=value`."""
    return [f"{key}={_written(value)}" for key, value in found.items()]


def _written(value: SettingValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pair(value: SettingValue) -> tuple[SettingValue, SettingValue]:
    """Take `1e-2/1e-5` apart; a lone value has no second."""
    if isinstance(value, list):
        return (value[0], value[1]) if len(value) == 2 else (None, None)
    return value, None


def _rate(given: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    """A rate; of two, the second is where the schedule ends."""
    first, second = _pair(given["lr"])
    if not isinstance(first, int | float):
        return {}
    return {"optim.lr": first} if second is None else {"optim.lr": first, "schedule.floor": second}


def _epochs(given: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    """A length; of two, the first is that of the warm-up."""
    first, second = _pair(given["epochs"])
    if not isinstance(first, int | float):
        return {}
    return {"train.epochs": first} if second is None else {"schedule.warmup.length": first, "train.epochs": second}


def _iterations(given: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    steps = given["iterations"]
    return {"train.epochs": None, "train.steps": steps} if isinstance(steps, int) and steps > 0 else {}


def _mixing(given: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    on = [name for name in ("mixup", "cutmix") if given.get(name) is True]
    if not on:
        return {"data.augment.mix": None}
    found: dict[str, SettingValue] = {"data.augment.mix": "both" if len(on) == 2 else on[0]}
    if "mixup" in on and isinstance(given.get("alpha"), int | float):
        found["data.augment.mix.alpha"] = given["alpha"]
    return found


def _alpha(given: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    """Alone, the alpha of mixup; beside a moving average, its decay."""
    if not isinstance(given["alpha"], int | float):
        return {}
    if given.get("ema"):
        return {"ema.decay": given["alpha"]}
    return {} if "mixup" in given else {"data.augment.mix": "mixup", "data.augment.mix.alpha": given["alpha"]}


def _policy(given: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
    """RandAugment, with the number of operations and the magnitude (`ra=2,9`) and their probability where given."""
    value = given["rand_augment"]
    if value is False:
        return {"data.augment.policy": None}
    found: dict[str, SettingValue] = {"data.augment.policy": "rand_augment"}
    if isinstance(value, list) and len(value) == 2:
        found |= {"data.augment.policy.count": value[0], "data.augment.policy.magnitude": value[1]}
    for name in ("p", "prob"):
        if isinstance(given.get(name), int | float):
            found["data.augment.policy.probability"] = given[name]
    return found


def _switch(
    on: dict[str, SettingValue], off: dict[str, SettingValue]
) -> Callable[[str], Callable[[Mapping[str, SettingValue]], dict[str, SettingValue]]]:
    return lambda name: lambda given: on if given[name] else off


_READERS: dict[str, Callable[[Mapping[str, SettingValue]], dict[str, SettingValue]]] = {
    "optimiser": lambda given: (
        {"optim": given["optimiser"]} if given["optimiser"] in ("sgd", "adamw", "rmsprop") else {}
    ),
    "schedule": lambda given: {"schedule": given["schedule"]},
    "lr": _rate,
    "epochs": _epochs,
    "iterations": _iterations,
    "mixup": _mixing,
    "cutmix": _mixing,
    "alpha": _alpha,
    "warmup_epochs": lambda given: {"schedule.warmup.length": given["warmup_epochs"]},
    "warmup": _switch({}, {"schedule.warmup": None})("warmup"),
    "label_smoothing": _switch({"loss.smoothing": 0.1}, {"loss.smoothing": 0.0})("label_smoothing"),
    "rand_augment": _policy,
    "max": lambda given: {"train.epochs": given["max"]} if "restart_length" in given else {},
    "dropout_on": lambda given: {"model.dropout": given["p"]} if given["dropout_on"] and "p" in given else {},
    "auto_augment": _switch({"data.augment.policy": "auto_augment"}, {"data.augment.policy": None})("auto_augment"),
    "random_erasing": _switch({"data.augment.erase": True}, {"data.augment.erase": None})("random_erasing"),
    "colour_jitter": _switch({"data.augment.color_jitter": True}, {"data.augment.color_jitter": None})("colour_jitter"),
    "pca_noise": _switch({"data.augment.lighting": 0.1}, {"data.augment.lighting": 0.0})("pca_noise"),
    "flip": _switch({"data.augment.flip": True}, {"data.augment.flip": False})("flip"),
    "se": _switch({"model.attention": "se"}, {"model.attention": "none"})("se"),
    "frelu": _switch({"model.activation": "frelu"}, {"model.activation": "relu"})("frelu"),
    "weight_standardized": _switch({"model.conv": "weight_standardized"}, {"model.conv": "plain"})(
        "weight_standardized"
    ),
    "refinery": _switch({"refine": True}, {"refine": None})("refinery"),
    "lookahead": _switch({"optim.lookahead": True}, {"optim.lookahead": None})("lookahead"),
}
