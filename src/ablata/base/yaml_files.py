"""YAML that people and tools write, read without surprises: no tags that run or make anything, no bombs, no guessing.

YAML 1.1 reads `no` as false, `010` as 8, `1:30` as 90 and 2020-01-01 as a date; as YAML 1.2 does, these are texts here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ablata.base.files import read_text

_MOST_VALUES = 1_000_000
"""Of a document, each as often as aliases repeat it."""
_NUMBER = re.compile(r"[-+]?(0|[1-9]\d{0,300})")
_REAL = re.compile(r"[-+]?((\.\d+|\d+\.\d*)([eE][-+]?\d+)?|\d+[eE][-+]?\d+|\.(inf|Inf|INF))|\.(nan|NaN|NAN)")


class YamlFileError(ValueError):
    """A text is no YAML; the message says where."""


class _Text(yaml.SafeLoader):
    """Reads every scalar as text: a class may be called `no` or `12`."""

    yaml_implicit_resolvers: dict[str, list[object]] = {}  # noqa: RUF012


class _Typed(yaml.SafeLoader):
    """Reads numbers, true, false and null as such, and all else as text."""

    yaml_implicit_resolvers: dict[str, list[object]] = {}  # noqa: RUF012


_Typed.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Typed.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Typed.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(f"({_NUMBER.pattern})$"), list("-+0123456789"))
_Typed.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"({_REAL.pattern})$"), list("-+.0123456789"))
_Typed.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<$"), ["<"])
_Typed.add_constructor("tag:yaml.org,2002:float", lambda loader, node: _real(str(node.value)))


def _real(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan") if text[-1:].isalpha() else text)


def read_plain_yaml(file: Path) -> Any:
    """Return a file's tree of dicts, lists and texts, every scalar as it stands there.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
        YamlFileError: it is no YAML, or names a key twice.
    """
    return _read(_Text, read_text(file))


def parse_yaml(text: str) -> Any:
    """Return the tree of a YAML text; keys are texts, as they stand there.

    Raises:
        YamlFileError: it is no YAML, or names a key twice.
    """
    return _read(_Typed, text)


def _read(kind: type[yaml.SafeLoader], text: str) -> Any:
    try:
        loader = kind(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {}, set())
        return loader.construct_document(node)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError, AttributeError) as error:
        raise YamlFileError(" ".join(str(error).split())) from None


def _check(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """Return how many values a node stands for, making its keys texts.

    Raises:
        YamlFileError: it holds itself, too many values, a key twice, or a key that is no text.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in above:
        raise YamlFileError(f"an alias of what it lies in{_where(node)}")
    if id(node) not in known:
        inner = node.value
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            inner = [value for _, value in node.value]
        known[id(node)] = 1 + sum(_check(one, known, above | {id(node)}) for one in inner)
    if known[id(node)] > _MOST_VALUES:
        raise YamlFileError(f"its aliases stand for more than {_MOST_VALUES:,} values")
    return known[id(node)]


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise YamlFileError(f"a key must be a text{_where(key)}")
        if key.tag != "tag:yaml.org,2002:merge":
            key.tag = "tag:yaml.org,2002:str"
        if key.value in seen:
            raise YamlFileError(f"the key {key.value!r} stands twice{_where(key)}")
        seen.add(key.value)


def _where(node: yaml.Node) -> str:
    return f" in line {node.start_mark.line + 1}"
