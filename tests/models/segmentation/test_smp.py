"""Networks of segmentation_models_pytorch: the library's own logits, any size and bands, weights, what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from ablata.base.errors import SettingsError
from ablata.engine.optim.parameter_groups import Multiplier, ParameterGroups
from ablata.models.segmentation.smp import Smp
from ablata.nn.loaded_weights import loaded_weights

pytest.importorskip("segmentation_models_pytorch")
SMALL = "tu-test_efficientnet"
CASES = dict.fromkeys(("unet", "fpn", "deeplabv3plus", "segformer", "upernet"), SMALL) | {"dpt": "tu-test_vit"}


@pytest.mark.parametrize("decoder", CASES)
def test_logits_are_the_librarys_at_any_size_and_number_of_bands(decoder: str) -> None:
    torch.manual_seed(0)
    model = Smp.model_validate({"decoder": decoder, "encoder": CASES[decoder]}).build(3, 4).eval()
    images = torch.randn(2, 4, 45, 70)
    with torch.no_grad():
        outputs = model(images)
        whole = model.network(functional.pad(images, (0, -70 % model.multiple, 0, -45 % model.multiple)))
    assert outputs["logits"].shape == (2, 3, 45, 70)
    torch.testing.assert_close(model.full_size(outputs, (45, 70))["logits"], whole[:, :, :45, :70])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_it_can_be_traced_at_a_size_that_its_stride_does_not_divide() -> None:
    model = Smp(encoder=SMALL).build(3).eval()
    images = torch.randn(1, 3, 45, 70)
    traced = torch.jit.trace(model, images, strict=False)
    torch.testing.assert_close(traced(images)["logits"], model(images)["logits"])


def test_weights_of_the_encoder_are_taken_and_the_rest_is_new(tmp_path: Path) -> None:
    import timm

    weights = timm.create_model("test_efficientnet").state_dict()
    torch.save(weights, tmp_path / "w.pth")
    settings = Smp(encoder=SMALL, encoder_weights=str(tmp_path / "w.pth"))
    model = settings.build(3)
    settings.load_into(model)
    torch.testing.assert_close(model.network.encoder.model.conv_stem.weight.detach(), weights["conv_stem.weight"])
    (told,) = loaded_weights(model)
    assert (told.how, told.new) == ("by name", ())
    assert settings.weight_files() == (str(tmp_path / "w.pth"),)
    multipliers = tuple(Multiplier(pattern=pattern, lr=10) for pattern in settings.new_layers())
    ParameterGroups(multipliers=multipliers).build(model, 1e-4)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Smp(encoder="resnet3"), "did you mean resnet34"),
        (Smp(decoder="dpt"), "dpt needs a vision transformer"),
        (Smp(encoder="tu-test_vit"), "such as model.encoder=resnet34"),
    ],
)
def test_encoders_that_do_not_fit_are_refused_with_one_that_does(settings: Smp, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.build(3)
    assert told in str(caught.value.do)


def test_one_image_a_batch_is_refused_where_a_mean_is_normalised() -> None:
    with pytest.raises(SettingsError, match="two images a batch"):
        Smp(decoder="deeplabv3plus", encoder=SMALL).build(3)(torch.randn(1, 3, 64, 64))


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(SettingsError, match="model=smp needs") as caught:
        Smp().build(3)
    assert caught.value.do == "pip install 'ablata[smp]'"
