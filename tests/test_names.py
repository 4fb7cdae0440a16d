"""Words: one name stands for one class, everything public says what it is, and messages say what to do."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import ablata

ROOT = Path(ablata.__file__).parent


def test_no_class_name_is_defined_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice


def definitions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """Yield what a user may call: public classes, functions and methods, by their dotted names."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
            yield prefix + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from definitions(child, f"{prefix}{child.name}.")


def test_every_public_class_and_function_says_what_it_is() -> None:
    silent = []
    for path in sorted(ROOT.rglob("*.py")):
        if "migrations" in path.parts:
            continue
        for name, node in definitions(ast.parse(path.read_text(encoding="utf-8"))):
            marks = " ".join(map(ast.unparse, node.decorator_list))
            if not ast.get_docstring(node) and not any(one in marks for one in ("overload", "setter", "validator")):
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert not silent


def test_every_file_of_a_model_begins_with_its_shapes() -> None:
    without_tensors = {"any.py", "__init__.py"}
    lacking = []
    for path in sorted((ROOT / "models").rglob("*.py")):
        if path.name in without_tensors or "weights" in path.relative_to(ROOT).as_posix():
            continue
        head = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if not re.search(r"\b(Shapes|Letters):|no shapes|\[\w+, [^\]]+\]", head):
            lacking.append(str(path.relative_to(ROOT)))
    assert not lacking


def test_messages_say_image_where_no_drawing_is_meant() -> None:
    words = re.compile(r"\b(picture|pictures|film|films)\b", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value[:80]}"
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and " " in node.value
        and words.search(node.value)
    ]
    assert not found


def test_what_the_user_did_wrong_is_told_with_what_to_do() -> None:
    """Of data sets and their tools, whose messages people meet first: a `DataError` without `do` says what to do by
    itself, in few places that are known."""
    lacking = []
    for room in ("data/labels", "data/label_tools", "data/formats", "data/detection"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "DataError":
                    given = {keyword.arg for keyword in node.keywords}
                    if not {"found", "do"} <= given and ast.unparse(node.args[0]) != "error.must":
                        lacking.append(f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.args[0])}")
    assert not lacking
