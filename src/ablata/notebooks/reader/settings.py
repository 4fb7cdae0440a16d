"""Settings in a line: `lr=1e-2/1e-5`, `40k iters`, `ep=200`, `+ra -lbsmooth`, `crop=960`, `"workers": 8`, `nearest`."""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache

from ablata.notebooks.reader.model import Setting, Value
from ablata.notebooks.reader.names import CHOICES, KEYS, MODELS, SPOKEN, SWITCHES, normal

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
def read_settings(text: str, *, written: bool = False) -> tuple[Setting, ...]:
    """Return what a text sets, each name once, in the order in which the readers find them.

    Args:
        text: a label or a whole line.
        written: take only keys with values, as from a remark, whose other words may tell of anything.
    """
    found: dict[str, Value] = {}
    for name, value, _, _ in _read(text, written):
        found.setdefault(name, value)
    return tuple(Setting(name, value) for name, value in found.items())


def only_settings(text: str) -> bool:
    """Tell whether a text says nothing but settings written as keys and values or as counts."""
    spans = [(start, end) for name, _, start, end in _read(text, False) if name is not None]
    if not spans:
        return False
    left = text
    for start, end in spans:
        left = f"{left[:start]}{' ' * (end - start)}{left[end:]}"
    return not _SEPARATORS.sub("", left)


def parse_value(text: str) -> Value:
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
    return int(text) if text.lstrip("-+").isdecimal() else float(text)


@lru_cache(maxsize=1 << 14)
def _read(text: str, written: bool = False) -> tuple[tuple[str, Value, int, int], ...]:
    """Return (name, value, start, end) of everything set, the surest readers first."""
    found: list[tuple[str, Value, int, int]] = []

    def add(name: str, value: Value, start: int, end: int) -> None:
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


def _read_written(text: str, found: list[tuple[str, Value, int, int]]) -> None:
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
        for key in re.findall(r"[A-Za-z_][\w.\-]*", equals["keys"]):
            name = KEYS.get(normal(key), key)
            if "stride" in name and isinstance(value, list) and len(value) == 2:
                value = value[0] / value[1] if value[1] else written
            found.append((name, value, equals.start(), equals.end()))


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


def _read_words(text: str) -> list[tuple[str, Value, int, int]]:
    """Switches, networks and choices named by their value. A switch in a row behind "without" is off like the first."""
    found: list[tuple[str, Value, int, int]] = []
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
