"""How values are kept: JSON that holds nan and infinity, figures that may be nan, and the database's own clock."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Double, Float, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from ablata.base.json_text import parse_json, with_each_key_once

MARK = "$float"
"""The key of an object that stands for a figure JSON has no form for: {"$float": "nan"}."""
_STRICT = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def encode(value: Any) -> str:
    """Return `value` (dicts, lists, strings, figures, None) as strict JSON; nan and infinities become marked objects.

    Raises:
        ValueError: a value has no JSON form.
    """
    try:
        return _STRICT.encode(value)
    except TypeError as error:
        raise ValueError(f"a record holds only JSON values: {error}") from error
    except ValueError:
        return _STRICT.encode(_marked(value))


def _marked(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {MARK: repr(value)}
    if isinstance(value, Mapping):
        return {key: _marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]
    return value


def decode(text: str | bytes) -> Any:
    """Return what `encode` was given (tuples as lists).

    Raises:
        ValueError: the text is no JSON, an object holds a key twice, or a mark holds no figure.
    """
    plain = MARK.encode() not in text if isinstance(text, bytes) else MARK not in text
    return parse_json(text) if plain else json.loads(text, object_pairs_hook=_unmarked)


def _unmarked(pairs: Sequence[tuple[str, Any]]) -> Any:
    item = with_each_key_once(pairs)
    return float(str(item[MARK])) if item.keys() == {MARK} else item


class Json(TypeDecorator[Any]):
    """A column of JSON text, the same bytes in SQLite and Postgres; NULL is None."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Return JSON text of a value."""
        return None if value is None else encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return the value of a JSON text."""
        return None if value is None else decode(value)


class Prose(TypeDecorator[str]):
    """A column of text from anywhere: what no database can keep (a zero byte, half a character) becomes U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text in a form that any database keeps."""
        return None if value is None else keepable(value)


def keepable(text: str) -> str:
    """Return a text with U+FFFD for what no database can keep."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "\ufffd")


class Figure(TypeDecorator[float]):
    """A column of floating-point numbers in which NULL is nan: SQLite keeps infinities but turns nan into NULL."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Return the figure, nan as NULL."""
        return None if value is None or math.isnan(value) else value

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        """Return the figure, NULL as nan."""
        return math.nan if value is None else value


class clock(FunctionElement[float]):  # noqa: N801 (a function of the database, written like one)
    """The database's clock, in seconds since 1970 (UTC): leases never compare the clocks of two machines."""

    type = Float()
    name = "clock"
    inherit_cache = True


@compiles(clock, "sqlite")
def _sqlite_clock(element: clock, compiler: SQLCompiler, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(clock, "postgresql")
def _postgres_clock(element: clock, compiler: SQLCompiler, **options: Any) -> str:
    # Not now(): that is the start of the transaction, which may have waited for a lock since.
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
