"""What the scores of a function are called, as far as its text tells before it has run."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

_NUMBERS = ("float", "int", "round", "sum", "min", "max", "abs", "item", "mean", "score")


def returned_names(function: Callable[..., Any]) -> list[str] | None:
    """Return the names of the scores that a function returns or hands to `score`, in their order.

    Empty where it returns plain numbers; None where its text does not tell, as what it calls may return anything.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    whole = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)), None)
    if whole is None:
        return None
    returned: dict[str, None] = {}
    scored: dict[str, None] = {}
    clear = True
    for node in _own_nodes(whole):
        if isinstance(node, ast.Return):
            returned |= dict.fromkeys(_keys(node.value))
            clear = clear and (node.value is None or _is_clear(node.value))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "score":
            scored |= dict.fromkeys(keyword.arg for keyword in node.keywords if keyword.arg is not None)
    return list(returned or scored) if clear else None


def _is_clear(value: ast.expr) -> bool:
    """Tell whether an expression is a number or has names, for sure."""
    if isinstance(value, ast.Call):
        called = getattr(value.func, "id", getattr(value.func, "attr", ""))
        return called in _NUMBERS or (called == "dict" and not value.args)
    return isinstance(value, ast.Dict | ast.Constant | ast.BinOp | ast.UnaryOp)


def _own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Give the nodes of a function without those of the functions inside it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield node
            yield from _own_nodes(node)


def _keys(value: ast.expr | None) -> Iterator[str]:
    if isinstance(value, ast.Dict):
        yield from (key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
    elif isinstance(value, ast.Call) and getattr(value.func, "id", "") == "dict":
        yield from (keyword.arg for keyword in value.keywords if keyword.arg is not None)
