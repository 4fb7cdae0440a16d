from __future__ import annotations

import pytest

from ablata.base.errors import SettingsError
from ablata.notebooks.reader.overrides import arguments, overrides
from ablata.notebooks.reader.settings import only_settings, read_settings
from ablata.recipes.index import load_recipe


def test_settings_are_read_however_they_are_written(subtests: pytest.Subtests) -> None:
    for text, expected in [
        ("momentum = 0.9", {"momentum": 0.9}),
        ("lr=1e-2/1e-5, n_epoch=20/120", {"lr": [0.01, 1e-5], "epochs": [20, 120]}),
        ("lr=wd=0", {"lr": 0, "weight_decay": 0}),
        ("40k iters", {"iterations": 40_000}),
        ("改成450个epoch", {"epochs": 450}),
        ("ep=200", {"epochs": 200}),
        ("crop=960", {"crop": 960}),
        ("cropsize=1024x512", {"crop": [1024, 512]}),
        ("swish, +ra -lbsmooth", {"rand_augment": True, "label_smoothing": False, "activation": "silu"}),
        ("去掉ra/lbsmooth", {"rand_augment": False, "label_smoothing": False}),
        ("11000iter无warmup", {"iterations": 11_000, "warmup": False}),
        ("ra=2,9, p=0.5", {"rand_augment": [2, 9], "p": 0.5}),
        ('  "workers": 8,', {"workers": 8}),
        ('"crop_size": [520, 520]', {"crop": [520, 520]}),
        ("--gpu 0 1 --drop_last y", {"gpu": "0 1", "drop_last": "y"}),
        ("temperature 0.4, samples list:1048576", {"temperature": 0.4, "sample_list": 1_048_576}),
        ("32-128-512", {"widths": [32, 128, 512]}),
        ("512box(train) 128box", {"train_boxes": 512, "test_boxes": 128}),
        ("no mixup, without ema", {"mixup": False, "ema": False}),
        ("conv_bn_relu", {}),
        ("先relu再bn", {}),
    ]:
        with subtests.test(text=text, expected=expected):
            assert {setting.name: setting.value for setting in read_settings(text)} == expected


def test_a_remark_gives_written_settings_alone() -> None:
    assert [one.name for one in read_settings("80 epochs later mixup broke, lr=0.1", written=True)] == ["lr"]


def test_a_line_of_settings_is_told_from_words_about_them() -> None:
    assert only_settings("lr=0.1, wd=1e-4, 80k")
    assert not only_settings("lr=0.1 is too large")
    assert not only_settings("nothing set here")


def test_known_settings_are_overrides_that_a_recipe_takes(subtests: pytest.Subtests) -> None:
    for text, recipe, expected in [
        (
            "lr=1e-2/1e-5, wd=1e-4, n_epoch=20/120, bs=64",
            "resnet20_cifar10",
            [
                "optim.lr=0.01",
                "schedule.floor=1e-05",
                "schedule.warmup.length=20",
                "train.epochs=120",
                "optim.weight_decay=0.0001",
                "train.batch=64",
            ],
        ),
        (
            "len=10, mult=2, max=160",
            "resnet20_cifar10",
            ["schedule=sgdr", "train.epochs=160", "schedule.first=10", "schedule.multiplier=2"],
        ),
        ("mixup alpha=0.3", "resnet20_cifar10", ["data.augment.mix=mixup", "data.augment.mix.alpha=0.3"]),
        (
            "lbsmooth + mixup + cutmix + ra",
            "resnet50_imagenet",
            ["data.augment.mix=both", "loss.smoothing=0.1", "data.augment.policy=rand_augment"],
        ),
        (
            "ra=2,9, p=0.5",
            "resnet50_imagenet",
            [
                "data.augment.policy=rand_augment",
                "data.augment.policy.count=2",
                "data.augment.policy.magnitude=9",
                "data.augment.policy.probability=0.5",
            ],
        ),
        ("ema, alpha=0.9", "resnet20_cifar10", ["ema.decay=0.9"]),
        (
            "slope=0.01, leaky-relu, 不加last_gamma",
            "resnet20_cifar10",
            ["model.slope=0.01", "model.zero_init_residual=false", "model.activation=leaky_relu"],
        ),
        (
            "40k iters, 去掉warmup",
            "resnet20_cifar10",
            ["train.epochs=null", "train.steps=40000", "schedule.warmup=null"],
        ),
        (
            "加上se, pca-noise, color-jitter, random-erasing, fp16",
            "resnet50_imagenet",
            [
                "data.augment.erase=true",
                "data.augment.color_jitter=true",
                "data.augment.lighting=0.1",
                "model.attention=se",
                "compute.precision=fp16",
            ],
        ),
    ]:
        with subtests.test(text=text, recipe=recipe, expected=expected):
            made = arguments(overrides(read_settings(text)))
            assert sorted(made) == sorted(expected)
            given = ["data.root=somewhere", *made] if "imagenet" in recipe else made
            try:
                load_recipe(recipe, given)
            except SettingsError as error:  # pragma: no cover
                pytest.fail(str(error))
