"""YAML files that people and tools write, every scalar read as the text that stands there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ablata.base.files import read_text


class PlainYamlError(ValueError):
    """A file is no YAML; the message says where."""


class _Text(yaml.SafeLoader):
    """Reads every scalar as text: a class may be called `no` or `12`."""

    yaml_implicit_resolvers: dict[str, list[object]] = {}  # noqa: RUF012


def read_plain_yaml(file: Path) -> Any:
    """Return a file's tree of dicts, lists and texts.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
        PlainYamlError: it is no YAML.
    """
    text = read_text(file)
    try:
        return _Text(text).get_single_data()
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PlainYamlError(" ".join(str(error).split())) from None
