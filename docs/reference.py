"""What the site takes from the source, as a hook of mkdocs: settings, recipes, commands, the Python face, the README.

Nothing here is kept in a file: every build reads the code anew, so a page cannot say what is no longer true.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import typer

import ablata
from ablata import stats
from ablata.base.fields import describe
from ablata.base.settings import Settings, field_texts
from ablata.cli.main import app
from ablata.recipes.index import recipe_entries
from ablata.tasks.any import recipe_classes

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = "reference/settings"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and name them in the navigation."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    config.nav = _navigation(config.nav)
    return files


def pages() -> dict[str, str]:
    """Return every generated page: its path in the site, and its Markdown."""
    found = {
        "index.md": "---\nhide: [navigation]\n---\n\n" + repository_page("README.md"),
        "contributing.md": repository_page("CONTRIBUTING.md"),
        "changelog.md": repository_page("CHANGELOG.md"),
        "reference/commands.md": commands_page(),
        "reference/python.md": python_page(),
        "reference/recipes.md": recipes_page(),
        "reference/stats.md": stats_page(),
    }
    return found | settings_pages()


def _navigation(entry: Any) -> Any:
    """Put the generated pages of settings, and the pages of results, where the navigation has the name of a folder."""
    if isinstance(entry, list):
        return [_navigation(item) for item in entry]
    if isinstance(entry, dict):
        return {title: _navigation(item) for title, item in entry.items()}
    if entry == SETTINGS:
        return [f"{SETTINGS}/index.md", *(_page(group) for group in _groups())]
    if entry == "results":
        listed = sorted(path.name for path in (ROOT / "docs" / "results").glob("*.md") if path.name != "index.md")
        return ["results/index.md", *(f"results/{name}" for name in listed)]
    return entry


def repository_page(name: str) -> str:
    """Return a file of the repository's root as a page: links lead into the site, those to source files to nothing."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(r"\]\(docs/", "](", text)
    text = re.sub(r"\[([^\]]+)\]\((?:src|tests|benchmarks|LICENSE)[^)]*\)", r"\1", text)
    return re.sub(r"\]\((\w+)\.md", lambda match: f"]({_ROOT_PAGES.get(match[1], match[1])}.md", text)


_ROOT_PAGES = {"README": "index", "CONTRIBUTING": "contributing", "CHANGELOG": "changelog"}


# Settings: a page for each sub-room, a section for each class.


@cache
def settings_classes() -> tuple[type[Settings], ...]:
    """Return every settings class that a recipe can hold, the recipes first, each once."""
    found: list[type[Settings]] = []
    waiting: list[type[Settings]] = list(recipe_classes())
    while waiting:
        kind = waiting.pop(0)
        if kind in found:
            continue
        found.append(kind)
        waiting.extend(inner for field in kind.model_fields.values() for inner in _held(field.annotation))
    return tuple(found)


def _held(annotation: Any) -> Iterator[type[Settings]]:
    """Yield the settings classes that an annotation mentions, in tuples and mappings too."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for inner in get_args(annotation):
        yield from _held(inner)


def _group(kind: type[Settings]) -> str:
    """Return the sub-room that a class belongs to: `losses/segmentation`."""
    return "/".join(kind.__module__.split(".")[1:-1][:2])


@cache
def _groups() -> dict[str, list[type[Settings]]]:
    groups: dict[str, list[type[Settings]]] = {}
    for kind in settings_classes():
        groups.setdefault(_group(kind), []).append(kind)
    return {name: sorted(groups[name], key=lambda kind: kind.__name__) for name in sorted(groups)}


def _page(group: str) -> str:
    return f"{SETTINGS}/{group.replace('/', '_')}.md"


def settings_pages() -> dict[str, str]:
    """Return the pages of settings: one for each sub-room, and their list."""
    made = {_page(group): _settings_page(group, kinds) for group, kinds in _groups().items()}
    rows = [
        f"| [{group}]({group.replace('/', '_')}.md) | {', '.join(_link(kind) for kind in kinds)} |"
        for group, kinds in _groups().items()
    ]
    trees = [_tree(recipe) for recipe in recipe_classes()]
    head = (
        "# Settings\n\nEvery key that a recipe can have, from the classes themselves. `ablata recipes show RECIPE` "
        "lists the keys in effect; any of them can be changed on the command line as `key=value`.\n\n"
    )
    table = "## All classes\n\n| room | settings |\n|---|---|\n" + "\n".join(rows) + "\n"
    return {f"{SETTINGS}/index.md": head + "\n".join(trees) + "\n" + table, **made}


def _tree(recipe: type[Settings]) -> str:
    """Return the first keys of a task's recipe, each with what it takes."""
    texts = field_texts(recipe)
    rows = [
        f"| `{key}` | {_allowed(field)} | {_cell(texts.get(key, ''))} |"
        for key, field in recipe.model_fields.items()
        if key not in ("task", "name")
    ]
    first = _first_line(recipe)
    return f"## {recipe.__name__}\n\n{first}\n\n| key | takes | what it is |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _settings_page(group: str, kinds: list[type[Settings]]) -> str:
    title = "Blocks" if group == "nn" else group.replace("_", " ").replace("/", ": ").capitalize()
    return f"# {title}\n\n" + "\n".join(_section(kind) for kind in kinds)


def _section(kind: type[Settings]) -> str:
    texts = field_texts(kind)
    rows = [
        f"| `{key}` | {_allowed(field)} | {_default(field)} | {_cell(texts.get(key, ''))} |"
        for key, field in kind.model_fields.items()
        if key != "kind"
    ]
    table = (
        "| key | allowed | default | what it does |\n|---|---|---|---|\n" + "\n".join(rows)
        if rows
        else "It has no keys."
    )
    source = (inspect.getdoc(importlib.import_module(kind.__module__)) or "").partition("\n\n")[0]
    facts = [
        f"Kind `{_kind(kind)}`" if _kind(kind) else "",
        f"`{kind.__module__}.{kind.__name__}`",
        f"*{_plain(source)}*",
    ]
    return f"## {kind.__name__}\n\n{docstring(kind)}\n\n{table}\n\n{' · '.join(filter(None, facts))}\n"


def _kind(kind: type[Settings]) -> str | None:
    """Return the word that chooses a class, where it has one."""
    word = kind.model_fields.get("kind")
    return word.default if word is not None and isinstance(word.default, str) else None


def _allowed(field: FieldInfo) -> str:
    """Say what a field allows; of parts, lead to each."""
    held = list(dict.fromkeys(_held(field.annotation)))
    if not held:
        return _cell(f"{describe(field)}")
    links = ", ".join(_link(kind) for kind in held)
    return f"{links} or null" if type(None) in get_args(field.annotation) else links


def _link(kind: type[Settings]) -> str:
    return f"[{_kind(kind) or kind.__name__}]({_group(kind).replace('/', '_')}.md#{kind.__name__.lower()})"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "to be given"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Settings):
        return _link(type(value)) if type(value) in settings_classes() else f"`{type(value).__name__}`"
    return f"`{_cell(json.dumps(value, default=str))}`"


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Return text in one line, safe from being read as HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


# Docstrings.


def docstring(thing: Any) -> str:
    """Return a docstring as Markdown: paragraphs as they are, the entries of Args, Returns and Raises as a list."""
    sections = re.split(r"^(Args|Returns|Raises|Yields|Attributes):\n", inspect.getdoc(thing) or "", flags=re.M)
    text = sections[0].strip()
    for title, body in zip(sections[1::2], sections[2::2], strict=True):
        text += f"\n\n**{title}**\n\n" + _entries(body)
    return text


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def _entries(body: str) -> str:
    """Return the indented entries of a docstring's section, `name: what it is`, as a list."""
    entries, rest = [], []
    for line in body.splitlines():
        inner = line[4:] if line.startswith("    ") else line
        if not line.strip():
            continue
        if not line.startswith("    "):
            rest.append(line)
        elif inner.startswith(" ") and entries:
            entries[-1] += f" {inner.strip()}"
        else:
            entries.append(inner.strip())
    listed = [re.sub(r"^([\w*]+(?: or [\w*]+)*): ", r"`\1`: ", entry) for entry in entries]
    return "\n".join(f"- {entry}" for entry in listed) + ("\n\n" + "\n".join(rest) if rest else "")


# Recipes, commands, the Python face.


def recipes_page() -> str:
    """Return the page of all recipes with what their docstrings say: command, expected score, time, source."""
    text = (
        "# Recipes\n\nFunctions that return one complete training each. *Expected* is a measured score, or says that "
        "none was measured.\n"
    )
    module = ""
    for entry in recipe_entries():
        if entry.module != module:
            module = entry.module
            text += f"\n## {module.rpartition('.')[2].replace('_', ' ').capitalize()}\n"
        summary, _, rest = entry.text.partition("\n")
        facts = re.sub(r"\n {4}", " ", rest.strip())
        facts = re.sub(r"^Command: (.*)$", r"- **Command**: `\1`", facts, flags=re.M)
        facts = re.sub(r"^(Expected|Time|Source): ", r"- **\1**: ", facts, flags=re.M)
        text += f"\n### {entry.name}\n\n{summary}\n\n{facts}\n"
    return text


def commands_page() -> str:
    """Return the page of the command line, from the help texts."""
    root = typer.main.get_command(app)
    lines = [
        "# Commands\n\nAlso: `ablata COMMAND --help`. "
        "Exit status 0: fine; 1: something failed; 2: wrong usage, said in words.\n"
    ]
    lines.extend(_commands(root, "ablata"))
    return "\n".join(lines)


def _commands(command: Any, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    if not inner:
        yield f"\n## {name}\n\n{_plain(command.help or '')}\n"
        yield "| argument | what it is |\n|---|---|"
        for parameter in command.params:
            if parameter.name != "help":
                yield f"| `{_spelling(parameter)}` | {_cell(getattr(parameter, 'help', None) or '')} |"
    for word, below in inner.items():
        yield from _commands(below, f"{name} {word}")


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    flag = max(parameter.opts, key=len)
    if getattr(parameter, "is_flag", False):
        return str(flag)
    return f"{flag} {parameter.metavar or parameter.name.upper()}".replace("|", "/")


def python_page() -> str:
    """Return the page of what `import ablata` gives."""
    text = (
        "# Python\n\nEverything that `import ablata` gives. Names are loaded when they are first used, so the import "
        "itself costs nothing.\n"
    )
    members = [(f"ablata.{name}", getattr(ablata, name)) for name in getattr(ablata, "__all__", ())]
    members += [(f"ablata.lab.{name}", getattr(ablata.lab, name)) for name in ablata.lab.__all__]
    return text + "".join(_member(name, thing) for name, thing in members)


def stats_page() -> str:
    """Return the page of `ablata.stats`."""
    text = f"# ablata.stats\n\n{docstring(stats)} Without torch; [how to use it](../howto/statistics.md).\n"
    return text + "".join(_member(f"ablata.stats.{name}", getattr(stats, name)) for name in stats.__all__)


def _member(name: str, thing: Any) -> str:
    if inspect.ismodule(thing):
        return f"\n## {name}\n\n{_first_line(thing)}\n"
    if not callable(thing) or not inspect.getdoc(thing):
        return f"\n## {name}\n"
    is_error = inspect.isclass(thing) and issubclass(thing, Exception)
    shown = "" if is_error else f"```python\n{_signature(thing, name)}\n```\n\n"
    return f"\n## {name}\n\n{shown}{docstring(thing)}\n"


def _signature(thing: Any, name: str) -> str:
    """Return how a function or class is called, types without the quotes of postponed annotations."""
    short = name.rpartition(".")[2]
    try:
        signature = inspect.signature(thing)
    except (ValueError, TypeError):
        return short
    parameters = [re.sub(r": '([^']*)'", r": \1", str(parameter)) for parameter in signature.parameters.values()]
    marks = [parameter.kind for parameter in signature.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in marks and inspect.Parameter.VAR_POSITIONAL not in marks:
        parameters.insert(marks.index(inspect.Parameter.KEYWORD_ONLY), "*")
    returned = signature.return_annotation
    answer = "" if inspect.isclass(thing) or returned is inspect.Signature.empty else f" -> {returned}"
    line = f"{short}({', '.join(parameters)}){answer}"
    return line if len(line) < 90 else f"{short}(\n    " + ",\n    ".join(parameters) + f",\n){answer}"
