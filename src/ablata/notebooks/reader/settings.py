"""Settings in a line: `lr=1e-2/1e-5`, `40k iters`, `ep=200`, `+ra -lbsmooth`, `crop=960`, `"workers": 8`, `nearest`.

First the vocabulary, what notes call a thing and the one name the grammar gives it; then the readers.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache

from ablata.notebooks.reader.model import NotedSetting, SettingValue

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
    r"ffm": "ffm",     r"lookahead": "lookahead", r"channel[-_ ]drop": "channel_drop",
    r"last[-_ ]gamma": "zero_init_residual",
    r"last[-_ ]bn": "last_bn", r"label[-_ ]refine(?:ry)?|lb[-_ ]refine(?:ry)?|"
    r"lable[-_ ]refine(?:ry)?": "refinery",
    r"pre[-_ ]?act": "preactivation",
    r"contrast(?:ive)?": "contrast", r"mem(?:ory)?_bank|contrast_mem": "memory", r"lovas?z": "lovasz",
    r"maxpool": "max_pool", r"focal(?:[-_ ]loss)?": "focal", r"soft_mapping": "soft_mapping", r"frelu": "frelu",
    r"ws|convws|wsconv": "weight_standardized", r"sharpen\w*": "sharpened",
}  # fmt: skip
"""What is on or off, as a pattern of what the notes write: the grammar's name."""

CHOICES: dict[str, dict[str, str]] = {
    "upsample": {"nearest": "nearest", "bilinear": "bilinear", "deconv": "transposed"},
    "activation": {"leaky-relu": "leaky_relu", "hswish": "hardswish", "swish": "silu", "relu": "relu"},
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


_FLOAT = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_IS_FLOAT = re.compile(_FLOAT)
_FLOATS = re.compile(rf"{_FLOAT}(?:[/,]\s?{_FLOAT})+")
_SHORT = re.compile(rf"({_FLOAT})([kw])", re.I)
_PRODUCT = re.compile(r"(\d+)\s?[x×*]\s?(\d+)")
_QUOTED = re.compile(r"\"([\w .\-/]+)\"\s*[:：]\s*(\"[^\"]*\"|\[[^\]]*\]?|\{|true|false|null|" + _FLOAT + r")")
_EQUALS = re.compile(
    rf"(?P<keys>(?:[A-Za-z_][\w.\-]*\s*=\s*)+)(?P<value>\[[^\]]*\]|\"[^\"]*\"|'[^']*'|{_FLOAT}(?:\s?[x×*]\s?\d+|"
    rf"(?:/{_FLOAT})+|(?:,\s?{_FLOAT})(?=[\s,，:：)]|$))?(?P<unit>k|w|ep(?:och)?s?|iters?)?(?![A-Za-z0-9_.])|"
    rf"[A-Za-z0-9_./*+\-]+)"
)
_WORD_BEFORE = re.compile(r"([A-Za-z]+) $")
_FLAG = re.compile(r"(?<!\S)--([A-Za-z][\w\-]*)(?:[= ]\s*((?!-)[^\s\\]+(?: \d+)*))?")
_ALONE = r"(?<![A-Za-z0-9_.=/])"
_COUNTED = (
    ("warmup_epochs", "warm", re.compile(r"warm-?up[^\d,，/]{0,6}(\d+)()\s*个?\s*(?:epochs?|ep)(?![a-z_])", re.I)),
    ("iterations", "",
     re.compile(rf"{_ALONE}(\d+(?:\.\d+)?)\s?(k|w)?\s*个?\s*(?:iter(?:ation)?s?|次|步|steps?)(?![a-z_])", re.I)),
    ("epochs", "ep", re.compile(r"(?<![A-Za-z0-9_.=+/])(\d+)(k)?\s*个?\s*(?:epochs?|ep)(?![a-z_])", re.I)),
    ("iterations", "k", re.compile(rf"{_ALONE}(\d+)(k)(?![\w])", re.I)),
    ("classes", "类", re.compile(rf"{_ALONE}(\d+)()\s*(?:个类|类)(?!似)")),
    ("depth", "层", re.compile(rf"{_ALONE}(\d+)()\s*层")),
    ("images", "张", re.compile(rf"{_ALONE}(\d+)()\s*张(?!卡)")),
    ("train_boxes", "box", re.compile(rf"{_ALONE}(\d+)()\s*box\(train\)", re.I)),
    ("test_boxes", "box", re.compile(rf"{_ALONE}(\d+)()\s*box(?![(A-Za-z0-9_])", re.I)),
)  # fmt: skip
"""Settings counted in a unit: name, what such a text contains in any case, pattern."""
_UNITS = re.compile(r"\d\s*[kKwW个次步类层张IiSsEeBb]|[Ww]arm", re.ASCII)
_SPOKEN_NAMES = "|".join(sorted(map(re.escape, SPOKEN), key=len, reverse=True))
_SPOKEN = re.compile(
    rf"(?<![\w.\-])\"?({_SPOKEN_NAMES})\"?\s*[:：]?\s*({_FLOAT})(k)?(?![\w.%/])",
    re.I,
)
_SPOKEN_SIGNS = re.compile("|".join(sorted({name[:2] for name in SPOKEN})))
_TIMES = re.compile(r"\d\s?[x×*\\]")
_SIZE = re.compile(r"(?<![\w.])(\d{3,4})\s?[x×*\\]+\s?(\d{3,4})(?![\w.])")
_WIDTHS = re.compile(r"(?<![\w.\-])(\d{2,4})(?:-(\d{2,4}))(?:-(\d{2,4}))(?![\w.\-])")
_OFF = re.compile(
    r"(?:不加|不带|不用|不使用|不要|去掉|取消|无|没有?|(?<![a-z])(?:non?|without|w/o|remove|drop|"
    r"disable))[\s\-_]*(?:\w{0,2}的)?$|(?<![\w.])-$"
)
_DIGIT = re.compile(r"\d")
_LETTER = re.compile("[A-z]")
_LETTERS = re.compile(r"[a-z]{2,}")
_OPENINGS = re.compile(r"([a-z]{2})[a-z]*")
_MODEL_SIGNS = re.compile(r"net|[rb]\d|xception|vit|deeplab|mask")
_NOT_CHOSEN = re.compile(r"(先|再|不用|不使用|去掉|不加|没有|without|no|不)\s*$")
_SEPARATORS = re.compile(r"[\s,，;；、。()（）\[\]{}+|\\:：'\"]+")


@lru_cache(maxsize=1 << 14)
def read_settings(text: str, *, written: bool = False) -> tuple[NotedSetting, ...]:
    """Return what a text sets, each name once, in the order in which the readers find them.

    Args:
        text: a label or a whole line.
        written: take only keys with values, as from a remark, whose other words may tell of anything.
    """
    found: dict[str, SettingValue] = {}
    for name, value, _, _ in _read(text, written):
        found.setdefault(name, value)
    return tuple(NotedSetting(name, value) for name, value in found.items())


def only_settings(text: str) -> bool:
    """Tell whether a text says nothing but settings written as keys and values or as counts."""
    spans = [(start, end) for name, _, start, end in _read(text, False) if name is not None]
    if not spans:
        return False
    left = text
    for start, end in spans:
        left = f"{left[:start]}{' ' * (end - start)}{left[end:]}"
    return not _SEPARATORS.sub("", left)


def parse_value(text: str) -> SettingValue:
    """Read a value as notes write it: numbers, `90k`, `1e-2/1e-5`, `1024x768`, lists, true and false; else the text."""
    text = text.strip().strip("\"'").rstrip(",")
    if text.lower() in ("true", "false", "null", "none"):
        return {"true": True, "false": False}.get(text.lower())
    if _IS_FLOAT.fullmatch(text):
        return _number(text)
    if short := _SHORT.fullmatch(text):
        return round(float(short[1]) * (1000 if short[2] in "kK" else 10_000))
    if size := _PRODUCT.fullmatch(text):
        return [int(size[1]), int(size[2])]
    if _FLOATS.fullmatch(text):
        return [_number(part.strip()) for part in re.split("[/,]", text)]
    if text[:1] == "[":
        try:
            return list(json.loads(text if text.endswith("]") else text.rstrip(", ") + "]"))
        except ValueError:
            return text
    return text


def _number(text: str) -> float | int:
    return int(text) if text.lstrip("-+").isdecimal() and len(text) < 1000 else float(text)


@lru_cache(maxsize=1 << 14)
def _read(text: str, written: bool = False) -> tuple[tuple[str, SettingValue, int, int], ...]:
    """Return (name, value, start, end) of everything set, the surest readers first."""
    found: list[tuple[str, SettingValue, int, int]] = []

    def add(name: str, value: SettingValue, start: int, end: int) -> None:
        if not any(start < taken_end and taken_start < end for _, _, taken_start, taken_end in found):
            found.append((name, value, start, end))

    if "=" in text or '"' in text or "--" in text:
        _read_written(text, found)
    if _DIGIT.search(text):
        lowered = text.lower()
        for name, sign, pattern in _COUNTED if not written and _UNITS.search(text) else ():
            for count in pattern.finditer(text) if sign in lowered else ():
                scale = {"k": 1000, "w": 10_000}.get((count[2] or "").lower(), 1)
                add(name, round(float(count[1]) * scale), count.start(), count.end())
        for spoken in _SPOKEN.finditer(text) if _SPOKEN_SIGNS.search(lowered) else ():
            value = parse_value(spoken[2] + (spoken[3] or ""))
            add(KEYS.get(normal(spoken[1]), normal(spoken[1])), value, spoken.start(), spoken.end())
        for size in _SIZE.finditer(text) if not written and _TIMES.search(text) else ():
            add("crop", [int(size[1]), int(size[2])], size.start(), size.end())
        for widths in _WIDTHS.finditer(text) if not written and text.count("-") > 1 else ():
            add("widths", [int(width) for width in widths.groups()], widths.start(), widths.end())
    if not written and _LETTER.search(text):
        for name, value, start, end in _read_words(text):
            add(name, value, start, end)
    return tuple(found)


def _read_written(text: str, found: list[tuple[str, SettingValue, int, int]]) -> None:
    """Keys with values: `"workers": 8`, `--gpu 0 1`, `lr=wd=0`."""
    for quoted in _QUOTED.finditer(text):
        name = KEYS.get(normal(quoted[1]), quoted[1])
        found.append((name, None if quoted[2] == "{" else parse_value(quoted[2]), quoted.start(), quoted.end()))
    for flag in _FLAG.finditer(text):
        name = KEYS.get(normal(flag[1]), normal(flag[1]))
        found.append((name, parse_value(flag[2]) if flag[2] else True, flag.start(), flag.end()))
    for equals in _EQUALS.finditer(text):
        if any(start <= equals.start() < end for _, _, start, end in found):
            continue
        written = equals["value"]
        value = parse_value(written[: -len(equals["unit"])] if equals["unit"] not in (None, "k", "w") else written)
        keys = re.findall(r"[A-Za-z_][\w.\-]*", equals["keys"])
        start = equals.start()
        if (before := _WORD_BEFORE.search(text[:start])) and normal(f"{before[1]} {keys[0]}") in KEYS:
            # `weight decay = 0.0005`
            keys[0], start = f"{before[1]} {keys[0]}", before.start()
        for key in keys:
            name = KEYS.get(normal(key), key)
            if "stride" in name and isinstance(value, list) and len(value) == 2:
                value = value[0] / value[1] if value[1] else written
            found.append((name, value, start, equals.end()))


@cache
def _switches() -> dict[str, list[tuple[re.Pattern[str], str]]]:
    """Patterns of the switches by the two letters they can open with: most words of a line open with others."""
    found: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    for pattern, name in SWITCHES.items():
        compiled = re.compile(rf"(?:{pattern})(?![a-z])")
        for opening in {alternative.replace("(?:", "")[:2] for alternative in pattern.split("|")} | {pattern[3:5]}:
            found.setdefault(opening, []).append((compiled, name))
    return found


@cache
def _choices() -> tuple[re.Pattern[str], re.Pattern[str], dict[str, tuple[str, str]]]:
    """Words that name a setting by its value: a pattern of them, a quicker one that finds more, and what they set."""
    words = {word: (name, value) for name, values in CHOICES.items() for word, value in values.items()}
    listed = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    return re.compile(rf"(?<![A-Za-z_\-])({listed})(?![A-Za-z_\-])", re.I), re.compile(listed.lower()), words


def _read_words(text: str) -> list[tuple[str, SettingValue, int, int]]:
    """Switches, networks and choices named by their value. A switch in a row behind "without" is off like the first."""
    found: list[tuple[str, SettingValue, int, int]] = []
    lowered = text.lower()
    off_until = taken = -1
    switches = _switches()
    opens = len(lowered) == len(text) and not switches.keys().isdisjoint(_OPENINGS.findall(lowered))
    for word in _LETTERS.finditer(lowered) if opens else ():
        if word.start() < taken:
            continue
        for pattern, name in switches.get(word[0][:2], ()):
            if switch := pattern.match(lowered, word.start()):
                off = bool(_OFF.search(lowered[max(0, word.start() - 10) : word.start()])) or word.start() == off_until
                taken = switch.end()
                if off and lowered[taken : taken + 1] == "/":
                    off_until = taken + 1
                found.append((name, not off, word.start(), taken))
                break
    if _MODEL_SIGNS.search(lowered):
        found += [("model", model[1].lower(), model.start(), model.end()) for model in MODELS.finditer(text)]
    pattern, quick, words = _choices()
    for choice in pattern.finditer(text) if quick.search(lowered) else ():
        before = text[max(0, choice.start() - 6) : choice.start()]
        if not _NOT_CHOSEN.search(before):
            name, value = words[choice[1].lower()]
            found.append((name, value, choice.start(), choice.end()))
    return found
