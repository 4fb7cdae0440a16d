"""What goes wrong silently in a training is said aloud, with its name and its step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ablata.base.errors import DataError, DivergedError, SettingsError
from ablata.base.overrides import override
from ablata.engine.checkpoints import BEST, LAST, load_checkpoint
from ablata.engine.watchdogs import CollapseWatch, FiniteWatch, GradientWatch
from ablata.models.classification.digits_net import DigitsNet

CPU = torch.device("cpu")
NAN, INF = float("nan"), float("inf")


@pytest.fixture(params=["at once", "at the next log point"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read values at once, as on a processor, or later, as on a GPU."""
    if request.param != "at once":
        monkeypatch.setattr(FiniteWatch, "immediate", property(lambda self: False, lambda self, value: None), False)
    return request.param


def bad_loss(at: int, value: float = NAN) -> Callable:
    def change(terms: dict[str, Tensor], model: nn.Module, step: int) -> dict[str, Tensor]:
        return terms | {"extra": terms["cross_entropy"] * (value if step >= at else 0.5)}

    return change


def bad_gradient(at: int) -> Callable:
    """The term is 0 and its gradient, infinity times 0, is not a number; only the classifier's weights see it."""

    def change(terms: dict[str, Tensor], model: nn.Module, step: int) -> dict[str, Tensor]:
        return terms | {"root": (model.classifier.weight.square().sum() * 0).sqrt()} if step >= at else terms

    return change


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_loss_that_is_not_finite_is_named_with_its_step(
    digits: Callable, training: Callable, sabotage: Callable, reading: str, value: float
) -> None:
    sabotage(bad_loss(4, value))
    with pytest.raises(DivergedError, match="loss term extra is not finite at step 4") as caught:
        training(digits("train.log_every=7"))
    assert "cross_entropy" not in str(caught.value)
    assert "lower optim.lr" in str(caught.value)


def test_a_first_loss_that_is_not_finite_is_no_matter_of_the_learning_rate(
    digits: Callable, training: Callable, sabotage: Callable
) -> None:
    sabotage(bad_loss(0, NAN))
    with pytest.raises(DivergedError, match=r"at step 0\n  do:    no step was taken yet"):
        training(digits())


def test_a_gradient_that_is_not_finite_is_named_with_layer_and_step(
    digits: Callable, training: Callable, sabotage: Callable, reading: str
) -> None:
    terms = {"root": bad_gradient(5)}
    sabotage(
        lambda found, model, step: found | {"root": found["cross_entropy"] * 0} | terms["root"](found, model, step)
    )
    with pytest.raises(DivergedError, match=r"gradient of classifier\.weight is not finite at step 5"):
        training(digits("train.log_every=3"))


def test_the_last_good_checkpoint_outlives_a_divergence(
    digits: Callable, training: Callable, sabotage: Callable, reading: str, tmp_path: Path
) -> None:
    sabotage(bad_loss(4))
    with pytest.raises(DivergedError, match="step 4"):
        training(digits("train.checkpoint_seconds=1e-9", "train.log_every=50"))
    saved = load_checkpoint(tmp_path / "run" / LAST)
    assert saved.facts["step"] == 4
    assert all(tensor.isfinite().all() for group in saved.groups.values() for tensor in group.values())


def test_weights_that_diverged_are_not_kept_as_the_best(
    digits: Callable, training: Callable, sabotage: Callable, reading: str, tmp_path: Path
) -> None:
    sabotage(bad_loss(4))
    with pytest.raises(DivergedError, match="step 4"):
        training(digits("train.log_every=50", "train.evaluate_every=0.7"))
    assert not (tmp_path / "run" / BEST).exists()


def test_a_training_far_too_fast_ends_as_diverged(digits: Callable, training: Callable) -> None:
    with pytest.raises(DivergedError, match="is not finite at step"):
        training(digits("optim.lr=1e30", "model.norm=none"))


def with_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    build = DigitsNet.build

    def with_unused_layer(self: DigitsNet, classes: int, channels: int = 1) -> nn.Module:
        model = build(self, classes, channels)
        model.spare = nn.Linear(2, 2, bias=False)
        return model

    monkeypatch.setattr(DigitsNet, "build", with_unused_layer)


def test_a_parameter_that_no_gradient_reaches_is_named(
    digits: Callable, training: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_spare(monkeypatch)
    done = training(digits())
    assert done.listener.said("no_gradient") == ["no gradient reaches spare.weight: it stays as initialised"]


def test_nothing_is_said_where_all_is_well(digits: Callable, training: Callable) -> None:
    assert training(digits()).listener.events == []


def test_a_layer_without_gradient_hides_no_bad_gradient(
    digits: Callable, training: Callable, sabotage: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_spare(monkeypatch)
    sabotage(bad_gradient(0))
    with pytest.raises(DivergedError, match=r"gradient of classifier\.weight is not finite at step 0"):
        training(digits())


def test_several_bad_values_are_counted_and_the_first_step_wins() -> None:
    watch = FiniteWatch(["a", "b", "c", "d", "e"], "gradient of", CPU)
    watch.immediate = False
    watch.note(torch.tensor([1.0, NAN, 1.0, 1.0, 1.0]), 7)
    watch.note(torch.tensor([NAN] * 5), 8)
    with pytest.raises(DivergedError, match="gradient of b is not finite at step 7"):
        watch.read()
    watch = FiniteWatch(["a", "b", "c", "d", "e"], "gradient of", CPU)
    with pytest.raises(DivergedError, match="gradient of a, b, c and 2 more is not finite at step 8"):
        watch.note(torch.tensor([INF] * 5), 8)


def test_the_gradient_norm_is_that_of_all_gradients_together() -> None:
    net = nn.Linear(3, 2)
    watch = GradientWatch(net, CPU)
    assert watch.norm(0) == 0
    net.weight.grad, net.bias.grad = torch.full((2, 3), 2.0), torch.tensor([1.0, -1.0])
    assert watch.norm(0).item() == pytest.approx((6 * 4 + 2) ** 0.5)
    assert watch.missing() == []


def test_a_collapsed_term_is_said_once() -> None:
    watch = CollapseWatch()
    said = [watch.note({"a": 2.0 / (step + 1), "b": value}) for step, value in enumerate([1, 1e-7, 2e-8, 1e-9, 1e-10])]
    assert [len(messages) for messages in said] == [0, 0, 0, 1, 0]
    assert said[3] == ["loss term b fell from 1 to 1e-09: it no longer teaches anything"]


def test_a_term_that_stands_still_is_said_and_one_that_recovers_is_not() -> None:
    watch = CollapseWatch()
    said = [watch.note({"a": 0.5}) for _ in range(5)]
    assert [bool(messages) for messages in said] == [False, False, False, True, False]
    assert "has stayed at exactly 0.5" in said[3][0]
    assert not any(watch.note({"a": value}) for value in (0.4, 0.4, 0.3, 0.3, 0.2))


def test_a_constant_loss_term_is_noticed_in_a_training(
    digits: Callable, training: Callable, sabotage: Callable
) -> None:
    sabotage(lambda terms, model, step: terms | {"stuck": terms["cross_entropy"] * 0 + 0.25})
    (text,) = training(digits()).listener.said("collapse")
    assert text == "loss term stuck has stayed at exactly 0.25: it no longer teaches anything"


def test_an_average_that_does_not_follow_is_noticed(digits: Callable, training: Callable) -> None:
    slow = ("train.epochs=14", "ema.decay=0.99999", "ema.warmup=none", "train.evaluate_every=7", "model.norm=none")
    messages = training(digits(*slow, "optim.lr=0.1"), "slow").listener.said("ema_departs")
    assert len(messages) == 1
    assert "averaged weights are" in messages[0]
    assert "at step 126" in messages[0]
    quick = training(digits(*slow, "optim.lr=0.1", "ema.decay=0.8"), "quick")
    assert quick.listener.said("ema_departs") == []


def test_a_network_that_does_not_fit_its_labels_is_refused_before_the_first_step(
    digits: Callable, training: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build = DigitsNet.build
    monkeypatch.setattr(DigitsNet, "build", lambda self, classes, channels=1: build(self, classes + 1, channels))
    with pytest.raises(DataError, match=r"logits \(1, 11\) for 10 classes"):
        training(digits())
    assert training.heard[0].rows == []
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_a_loss_that_teaches_nothing_is_refused_or_told(digits: Callable, training: Callable, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "import torch\n\n\ndef constant(logits, labels):\n    return torch.tensor(3.0)\n\n\n"
        "def nothing(logits, labels):\n    return 0 * logits.sum()\n"
    )
    with pytest.raises(SettingsError, match="must depend on the network's outputs"):
        training(override(digits(), [f"loss={tmp_path / 'odd.py'}:constant"]))
    done = training(override(digits(), [f"loss={tmp_path / 'odd.py'}:nothing"]), "zero")
    assert done.listener.said("zero_loss") == ["the loss of the first batch is exactly zero"]
    assert training(digits(), "usual").listener.said("zero_loss") == []
