"""Weights from files: our own, published ones, parts, and every misfit named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from ablata.base.errors import CheckpointError
from ablata.engine.checkpoints import Checkpoint, save_checkpoint
from ablata.models.backbones.resnet import ResNet
from ablata.models.classification.timm_model import TimmModel
from ablata.nn.loaded_weights import loaded_weights

TINY = {"depth": 18, "width": 4}


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(3)
    return ResNet(**TINY).build(5)


def loaded(path: Path, classes: int = 5, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    settings = ResNet(**TINY, weights=str(path), **changes)
    model = settings.build(classes)
    settings.load_into(model)
    return model


def same(model: nn.Module, other: nn.Module, prefix: str = "") -> bool:
    theirs = other.state_dict()
    return all(
        torch.equal(value, theirs[name]) for name, value in model.state_dict().items() if name.startswith(prefix)
    )


def written(trained: nn.Module, path: Path, form: str) -> Path:
    state = trained.state_dict()
    if form == "safetensors":
        save_file(state, path.with_suffix(".safetensors"))
        return path.with_suffix(".safetensors")
    if form == "checkpoint":
        save_checkpoint(path.with_suffix(".safetensors"), Checkpoint({"model": state, "ema": state}, {"step": 3}))
        return path.with_suffix(".safetensors")
    if form == "torch wrapped":
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("form", ["safetensors", "checkpoint", "torch", "torch wrapped"])
def test_a_whole_state_comes_back_from_every_kind_of_file(form: str, trained: nn.Module, tmp_path: Path) -> None:
    assert same(loaded(written(trained, tmp_path / "w.pth", form)), trained)


def test_without_a_file_the_weights_stay_as_drawn(trained: nn.Module) -> None:
    torch.manual_seed(3)
    settings = ResNet(**TINY)
    model = settings.build(5)
    settings.load_into(model)
    assert same(model, trained)


def test_torchvisions_names_are_taken(tmp_path: Path) -> None:
    torch.manual_seed(0)
    reference = torchvision.models.resnet18(num_classes=5).eval()
    torch.save(reference.state_dict(), tmp_path / "resnet18.pth")
    settings = ResNet(depth=18, weights=str(tmp_path / "resnet18.pth"))
    model, x = settings.build(5).eval(), torch.randn(1, 3, 64, 64)
    settings.load_into(model)
    with torch.no_grad():
        torch.testing.assert_close(model(x)["logits"], reference(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("part", ["backbone", "auto"])
def test_the_backbone_fits_other_classes_and_leaves_the_classifier(
    part: str, trained: nn.Module, tmp_path: Path
) -> None:
    path = written(trained, tmp_path / "w.pth", "torch")
    model = loaded(path, classes=9, weights_part=part, new_classifier="drawn")
    torch.manual_seed(0)
    fresh = ResNet(**TINY).build(9)
    assert same(model, trained, "backbone.")
    assert torch.equal(model.classifier.weight, fresh.classifier.weight)
    (told,) = loaded_weights(model)
    assert told.new == ("classifier.weight", "classifier.bias") == told.left


def test_a_new_classifier_begins_small_or_at_zero_so_that_its_first_loss_is_a_guess(
    trained: nn.Module, tmp_path: Path
) -> None:
    path = written(trained, tmp_path / "w.pth", "torch")
    small = loaded(path, classes=9).classifier
    assert 0.005 < float(small.weight.detach().std()) < 0.015
    assert not small.bias.any()
    assert not loaded(path, classes=9, new_classifier="zero").classifier.weight.any()
    kept = loaded(path)
    assert same(kept, trained), "a classifier that the file has is not new"


def test_a_file_of_the_backbone_alone_is_enough_for_it(trained: nn.Module, tmp_path: Path) -> None:
    state = {name: value for name, value in trained.state_dict().items() if name.startswith("backbone.")}
    save_file(state, tmp_path / "w.safetensors")
    assert same(loaded(tmp_path / "w.safetensors", weights_part="backbone"), trained, "backbone.")
    with pytest.raises(
        CheckpointError, match=r"missing classifier.weight, classifier.bias; left in the file: nothing"
    ) as caught:
        loaded(tmp_path / "w.safetensors", weights_part="full")
    assert "model.weights_part=auto" in str(caught.value)


def test_other_classes_are_refused_with_both_counts(trained: nn.Module, tmp_path: Path) -> None:
    path = written(trained, tmp_path / "w.pth", "torch")
    with pytest.raises(CheckpointError, match=r"5 classes in .*w.pth.*, 9 in the data") as caught:
        loaded(path, classes=9, weights_part="full")
    assert "model.weights_part=auto" in str(caught.value)


def test_missing_and_unexpected_names_are_told(trained: nn.Module, tmp_path: Path) -> None:
    state = trained.state_dict()
    state["backbone.extra"] = state.pop("backbone.stage1.0.units.1.conv.weight")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(
        CheckpointError, match=r"missing backbone.stage1.0.units.1.conv.weight; left in the file: backbone.extra"
    ):
        loaded(tmp_path / "w.safetensors")


def test_other_shapes_are_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(ResNet(depth=18, width=8).build(5).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"\[8, 3, 7, 7\] against \[4, 3, 7, 7\]"):
        loaded(tmp_path / "w.safetensors", weights_part="backbone")


def test_counts_of_batches_may_be_missing(trained: nn.Module, tmp_path: Path) -> None:
    state = {name: value for name, value in trained.state_dict().items() if "num_batches_tracked" not in name}
    save_file(state, tmp_path / "w.safetensors")
    assert same(loaded(tmp_path / "w.safetensors"), trained)


class Trap:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo trapped",)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": Trap()}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="must hold tensors and nothing that runs"):
        loaded(tmp_path / "w.pth")
    assert "trapped" not in capfd.readouterr().out


@pytest.mark.parametrize(("name", "content"), [("w.pth", b"no weights"), ("w.safetensors", b"\0" * 64)])
def test_a_damaged_file_is_refused_by_name(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        loaded(tmp_path / name)


def test_a_file_without_tensors_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="tensors by name"):
        loaded(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"no file .*nowhere"):
        loaded(tmp_path / "nowhere.pth")


def test_the_backbone_of_a_network_of_timm_is_all_but_its_classifier(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = TimmModel(name="test_resnet").build(5)
    torch.save(source.backbone.state_dict(), tmp_path / "w.pth")
    settings = TimmModel(name="test_resnet", weights=str(tmp_path / "w.pth"), weights_part="backbone")
    model = settings.build(9)
    settings.load_into(model)
    theirs = source.state_dict()
    kept = {name for name, value in model.state_dict().items() if not torch.equal(value, theirs[name])}
    assert kept == {"backbone.fc.weight", "backbone.fc.bias"}
