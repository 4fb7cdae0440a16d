"""The vocabulary of settings: what notes call a thing, and the one name the grammar gives it."""

from __future__ import annotations

import re
from functools import lru_cache

KEYS: dict[str, str] = {
    "lr": "lr", "lr0": "lr", "base_lr": "lr", "lr_start": "lr", "learning_rate": "lr", "学习率": "lr", "lr1": "lr",
    "wd": "weight_decay", "weight_decay": "weight_decay", "sgd_wd": "weight_decay", "weightdecay": "weight_decay",
    "momentum": "momentum", "bs": "batch", "batch": "batch", "batch_size": "batch", "batchsize": "batch",
    "samples_per_gpu": "batch", "ep": "epochs", "epoch": "epochs", "epochs": "epochs", "n_epoch": "epochs",
    "n_epochs": "epochs", "max_epochs": "epochs", "iter": "iterations", "iters": "iterations",
    "max_iter": "iterations", "max_iters": "iterations", "steps": "iterations", "iterations": "iterations",
    "warmup": "warmup_length", "warmup_steps": "warmup_steps", "warmup_epochs": "warmup_epochs",
    "warmup_epoch": "warmup_epochs", "warmup_start_lr": "warmup_start", "power": "power", "crop": "crop",
    "cropsize": "crop", "crop_size": "crop", "input_size": "crop", "eta": "floor", "cos": "floor", "eta_min": "floor",
    "lbsmooth": "smoothing", "label_smoothing": "smoothing", "alpha": "alpha", "thresh": "threshold",
    "threshold": "threshold", "slope": "slope", "msra": "init_slope", "temperature": "temperature",
    "len": "restart_length", "mult": "restart_multiplier", "decay": "restart_decay", "scale_search": "scales",
    "max_samples": "max_samples", "max_sample": "max_samples", "max_view": "max_views", "max_views": "max_views",
    "samples_list": "sample_list", "sample_list": "sample_list", "poly": "poly", "lamda_poly": "poly",
    "lambda_poly": "poly", "dropout": "dropout", "dropconnect": "drop_connect", "seed": "seed",
    "num_classes": "classes", "crop_pct": "crop_share", "drop_path": "drop_connect", "label_smooth": "smoothing",
    "gamma": "gamma", "ra": "rand_augment", "em_dim": "embedding", "box_num": "boxes",
}  # fmt: skip
"""Keys as written, in lower case with `_` for blanks and hyphens: the grammar's name."""

SPOKEN = (
    "max samples", "max_samples", "max view", "max_view", "max_views", "samples list", "sample list", "poly",
    "temperature", "batch", "lr", "wd", "dropout", "crop", "cropsize", "iter", "seed", "momentum", "power", "bs",
)  # fmt: skip
"""Keys that may be written without an equals sign: `temperature 0.4`, `samples list:1048576`."""

SWITCHES: dict[str, str] = {
    r"ra(?:nd(?:om)?[-_ ]?aug(?:ment)?\w*)?": "rand_augment",
    r"lbs?[-_ ]?sm(?:oo|o|m)+th\w*|labels?[-_ ]?sm(?:oo|o|m)+th\w*": "label_smoothing",
    r"mixup": "mixup", r"cutmix": "cutmix", r"ema": "ema", r"warm[-_ ]?up": "warmup",
    r"se(?:-block)?": "se", r"aux(?:i?liary)?(?:[-_ ]loss)?": "auxiliary_loss",
    r"ohem|hard[-_ ]?mining": "ohem", r"sync[-_ ]?bn": "sync_bn", r"auto[-_ ]?aug(?:ment)?": "auto_augment",
    r"color[-_ ]?jitter|"
    r"colour[-_ ]?jitter": "colour_jitter", r"random[-_ ]erasing": "random_erasing",
    r"pca[-_ ]noise": "pca_noise",     r"dropout|"
    r"droput": "dropout_on", r"flip": "flip", r"msc": "multi_scale", r"fpn": "fpn", r"arm": "arm",
    r"ffm": "ffm",     r"lookahead": "lookahead", r"channel[-_ ]drop": "channel_drop", r"last[-_ ]gamma": "zero_gamma",
    r"last[-_ ]bn": "last_bn", r"label[-_ ]refine(?:ry)?|lb[-_ ]refine(?:ry)?|"
    r"lable[-_ ]refine(?:ry)?": "refinery",
    r"pre[-_ ]?act": "preactivation",
    r"contrast(?:ive)?": "contrast", r"mem(?:ory)?_bank|contrast_mem": "memory", r"lovas?z": "lovasz",
    r"maxpool": "max_pool", r"focal(?:[-_ ]loss)?": "focal", r"soft_mapping": "soft_mapping", r"frelu": "frelu",
    r"ws|convws|wsconv": "weight_standardised", r"sharpen\w*": "sharpened",
}  # fmt: skip
"""What is on or off, as a pattern of what the notes write: the grammar's name."""

CHOICES: dict[str, dict[str, str]] = {
    "upsample": {"nearest": "nearest", "bilinear": "bilinear", "deconv": "transposed"},
    "activation": {"leaky-relu": "leaky", "hswish": "hswish", "swish": "swish", "relu": "relu"},
    "precision": {"fp16": "fp16", "fp32": "fp32", "bf16": "bf16"},
    "optimiser": {"sgd": "sgd", "rmsprop": "rmsprop", "rms-prop": "rmsprop", "rmsprob": "rmsprop",
                  "rmsprobtf": "rmsprop_tf", "adamw": "adamw", "adam": "adam", "lamb": "lamb"},
    "schedule": {"cosine": "cosine", "cosine-lr": "cosine", "sgdr": "sgdr", "sgd-restart": "sgdr"},
    "warmup_form": {"linear-warmup": "linear", "exp-warmup": "exponential"},
    "backend": {"pil": "pil", "opencv": "opencv", "cv2": "opencv"},
    "interpolation": {"cubic": "bicubic", "inter_cubic": "bicubic"},
    "box": {"任意大小位置的": "corners"},
}  # fmt: skip
"""Settings named by their value alone: `nearest`, `swish`."""

MODELS = re.compile(
    r"(?<![A-Za-z])((?:pa-|se-)*(?:resnet-?\d*|r\d{2,3})|(?:eff(?:icient)?net[-_]?)?b[0-7](?:-lite)?(?![A-Za-z\d])|"
    r"wide ?resnet|hrnet\w*"
    r"|deeplab[-_]?v?\d*|bisenet\w*|xception\d*|vit\w*|mask-?rcnn)(?![A-Za-z])",
    re.IGNORECASE,
)
"""Networks by the names the notes use."""


@lru_cache(maxsize=1 << 12)
def normal(key: str) -> str:
    """Return a key as `KEYS` has it."""
    return re.sub(r"[\s\-]+", "_", key.strip().strip("\"'").lower())
