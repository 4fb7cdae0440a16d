"""Users' files: loaded once, loaded anew when anything they import changed, listed with all that they import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ablata.base.errors import SettingsError
from ablata.base.imported_files import files_digest, imported_files, module_files
from ablata.base.parts import user_modules
from ablata.base.settings import Settings
from ablata.base.user_code import (
    CodeFolder,
    absolute,
    load_file,
    parse_reference,
    portable,
    reference_of,
    references,
    resolve,
)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """A function that writes files, given as path=text with `__` for `/`, and returns the folder."""
    paths, modules = [*sys.path], {*sys.modules}

    def build(folder: str, files: dict[str, str]) -> Path:
        for name, text in files.items():
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text(text)
        return tmp_path / folder

    yield build
    sys.path[:] = paths
    # Not all that is new: torch, for one, can be imported only once in a process.
    for name in {*sys.modules} - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def listed(file: Path) -> list[str]:
    """The names of the files that count as the code of a file."""
    return [found.relative_to(file.parent).as_posix() for found in module_files([load_file(file)])]


def test_a_reference_is_a_file_or_an_installed_module_and_a_name() -> None:
    for text in ("net.py:Own", "a b/net.py:Own", "/x/net.py:Own", "package.module:Own"):
        assert str(parse_reference(text)) == text
    for text in (
        "resnet",
        "net.py",
        "https://example.org/net.py",
        "net.py:",
        "a-b:Own",
        "net.py:f.<locals>.Own",
        3,
        None,
    ):
        assert parse_reference(text) is None
    assert portable("/home/me/net.py:Own") == "net.py:Own"


def test_the_same_file_is_the_same_module_until_it_or_what_it_imports_changes(write: Write) -> None:
    folder = write("a", {"net.py": "import helper\nclass Own: size = helper.SIZE\n", "helper.py": "SIZE = 1\n"})
    first = load_file(folder / "net.py")
    assert load_file(folder / "net.py") is first
    write("a", {"helper.py": "SIZE = 22\n"})
    again = load_file(folder / "net.py")
    assert (again is first, again.Own.size) == (False, 22)
    write("a", {"net.py": "class Own: size = 3\n"})
    assert load_file(folder / "net.py").Own.size == 3


def test_neighbours_of_one_name_in_two_folders_do_not_meet(write: Write) -> None:
    net = "import helper\ndef size():\n    import late\n    return helper.SIZE, late.SIZE\n"
    one = write("one", {"net.py": net, "helper.py": "SIZE = 1", "late.py": "SIZE = 10"})
    two = write("two", {"net.py": net, "helper.py": "SIZE = 2", "late.py": "SIZE = 20"})
    first, second = load_file(one / "net.py"), load_file(two / "net.py")
    assert second.size() == (2, 20)
    for folder, module in ((one, first), (two, second)):
        assert module_files([module]) == tuple(sorted(folder / name for name in ("helper.py", "late.py", "net.py")))
    assert load_file(one / "net.py") is first
    assert first.size() == (1, 10)


def test_all_that_is_imported_counts_wherever_the_import_stands(write: Write) -> None:
    folder = write(
        "a",
        {
            "net.py": "import os, numpy, ablata.base.seeds\nfrom lib.blocks import Block\nimportlib = None\n"
            "def build():\n    import late\n    from importlib import import_module\n    import_module('later')\n",
            "lib/__init__.py": "",
            "lib/blocks.py": "from . import parts\nfrom .deep.inner import INNER\nclass Block: pass\n",
            "lib/parts.py": "",
            "lib/deep/__init__.py": "from ..other import X\n",
            "lib/deep/inner.py": "INNER = 1\n",
            "lib/other.py": "X = 1\n",
            "lib/unused.py": "",
            "late.py": "",
            "later.py": "import late\n",
            "unused.py": "",
        },
    )
    wanted = ["lib/__init__.py", "lib/blocks.py", "lib/deep/__init__.py", "lib/deep/inner.py", "lib/other.py"]
    assert listed(folder / "net.py") == ["late.py", "later.py", *wanted, "lib/parts.py", "net.py"]


def test_what_a_programs_file_imports_is_found_and_none_of_it_runs(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("loud/__init__.py", "loud/parts/__init__.py", "loud/parts/net.py")
    away = write("away", dict.fromkeys(names, "raise SystemExit('this ran')"))
    monkeypatch.syspath_prepend(away)
    text = "from loud.parts.net import Net\nfrom turtledemo.clock import main\nimport absent.nn\n"
    script = write("here", {"train.py": text}) / "train.py"
    assert imported_files([script]) == tuple(sorted([script, *(away / name for name in names)]))
    assert not {"loud", "loud.parts", "turtledemo"} & sys.modules.keys()


def test_a_file_of_a_package_is_loaded_as_its_module(write: Write) -> None:
    folder = write(
        "a",
        {
            "mine/__init__.py": "",
            "mine/nets/__init__.py": "",
            "mine/nets/net.py": "from ..blocks import SIZE\nfrom .tail import TAIL\nclass Own: size = SIZE + TAIL\n",
            "mine/nets/tail.py": "TAIL = 1",
            "mine/blocks.py": "SIZE = 4",
        },
    )
    module = load_file(folder / "mine" / "nets" / "net.py")
    assert (module.__name__, module.Own.size) == ("mine.nets.net", 5)
    names = ["__init__.py", "blocks.py", "nets/__init__.py", "nets/net.py", "nets/tail.py"]
    assert module_files([module]) == tuple(sorted(folder / "mine" / name for name in names))
    write("b", {f"mine/{name}": (folder / "mine" / name).read_text() for name in names})
    write("b", {"mine/blocks.py": "SIZE = 9"})
    other = load_file(folder.parent / "b" / "mine" / "nets" / "net.py")
    assert (other.Own.size, module.Own.size) == (10, 5)
    assert load_file(folder / "mine" / "nets" / "net.py").Own.size == 5


def test_the_digest_is_of_names_below_the_common_folder_and_of_contents(write: Write) -> None:
    files = {"net.py": "import lib.x", "lib/x.py": "1", "lib/y.py": "2"}

    def digest(folder: str, **changed: str) -> str:
        place = write(folder, files | changed)
        return files_digest(place / name for name in files | changed)

    same = digest("a")
    assert digest("deep/er") == same
    assert files_digest(write("windows", {name: text + "\n" for name, text in files.items()}).rglob("*.py")) == (
        files_digest(write("unix", {name: text + "\r\n" for name, text in files.items()}).rglob("*.py"))
    )
    others = [{"net.py": "import lib.y"}, {"lib/x.py": "2", "lib/y.py": "1"}, {"lib/z.py": ""}]
    assert len({same, *(digest(f"other{index}", **changed) for index, changed in enumerate(others))}) == 4


def test_a_file_that_is_missing_or_does_not_run_is_told_with_its_line(write: Write) -> None:
    folder = write(
        "a", {"net.py": "x = 1\nraise ValueError('no good')\n", "half.py": "def f(:\n", "fine.py": "def Own(): 0"}
    )
    with pytest.raises(SettingsError, match="The file of a loss must exist"):
        resolve(f"{folder}/absent.py:Own", "loss")
    with pytest.raises(SettingsError, match=r"must run\n  found: .*net\.py, line 2: ValueError: no good"):
        resolve(f"{folder}/net.py:Own")
    with pytest.raises(SettingsError, match=r"half\.py, line 1: SyntaxError"):
        resolve(f"{folder}/half.py:Own")
    with pytest.raises(SettingsError, match=r"must define Wn\n  found: it defines Own\n  do:    did you mean .*:Own\?"):
        resolve(f"{folder}/fine.py:Wn")
    with pytest.raises(SettingsError, match="must be installed here"):
        resolve("no_such_package.nets:Own")


def test_what_no_other_process_can_find_is_refused_in_words(write: Write) -> None:
    class Inside(Settings):
        width: int = 1

    with pytest.raises(SettingsError, match=r"top of a file(.|\n)*Inside, defined inside a function(.|\n)*move it"):
        user_modules(Inside())
    with pytest.raises(SettingsError, match=r"defined in a file(.|\n)*Own, defined at a prompt or in a notebook"):
        resolve("__main__:Own")
    program = (
        "from ablata.base.settings import Settings\nfrom ablata.base.parts import user_modules\n"
        "class Own(Settings):\n    width: int = 1\nuser_modules(Own())"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr
    assert "Own, defined at a prompt or in a notebook" in said


def test_the_class_of_a_script_is_found_through_its_file(write: Write) -> None:
    script = write(
        "a",
        {
            "helper.py": "SIZE = 3",
            "train.py": "from helper import SIZE\nfrom ablata.base.user_code import *\n"
            "from ablata.base.user_code import reference_of, resolve, module_files\nimport sys\n"
            "class Own:\n    size = SIZE\n"
            "if __name__ == '__main__':\n    reference = reference_of(Own)\n    assert resolve(reference) is Own\n"
            "    print(reference)\n    print(*(f.name for f in module_files([sys.modules['__main__']])))\n",
        },
    )
    done = subprocess.run([sys.executable, "train.py"], cwd=script, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"{script / 'train.py'}:Own", "helper.py", "train.py"]
    assert resolve(done.stdout.split()[0]).size == 3


def test_a_class_imported_by_name_is_found_again_as_the_same_class(write: Write) -> None:
    folder = write("a", {"nets_of_mine.py": "class Own: pass\n"})
    sys.path.insert(0, str(folder))
    own = __import__("nets_of_mine").Own
    assert reference_of(own) == f"{folder / 'nets_of_mine.py'}:Own"
    assert resolve(reference_of(own)) is own


def test_the_copy_is_read_once_a_file_moved_or_changed(write: Write) -> None:
    source = write("a", {"net.py": "import helper", "helper.py": "1"})
    copies = write("code", {"net.py": "import helper", "helper.py": "1"})

    def folder(**options: bool) -> CodeFolder:
        named = ("net.py", "helper.py")
        return CodeFolder(copies, {str(source / name): copies / name for name in named}, **options)

    same = folder()
    assert absolute(f"{source}/net.py:Own", same) == f"{source}/net.py:Own"
    assert absolute(f"{source.parent}/elsewhere/net.py:Own", same) == f"{source}/net.py:Own"
    assert same.notice() is None
    assert absolute(f"{source}/net.py:Own", folder(foreign=True)) == f"{copies}/net.py:Own"
    assert absolute("package.module:Own", same) == "package.module:Own"

    (source / "helper.py").write_text("2")
    changed = folder()
    assert absolute(f"{source}/net.py:Own", changed) == f"{copies}/net.py:Own"
    assert changed.notice() == (f"{source}/helper.py has changed since this was trained: the copy in {copies} is used")
    (source / "net.py").unlink()
    gone = folder()
    assert absolute(f"{source}/net.py:Own", gone) == f"{copies}/net.py:Own"
    assert f"{source}/net.py is gone" in str(gone.notice())


def test_the_references_of_a_tree_are_all_but_the_recipes_name() -> None:
    tree = {
        "name": "mine.py:recipe",
        "model": {"kind": "net.py:Own", "act": "torch.nn:SiLU", "width": 3},
        "steps": [["a.py:b"]],
    }
    assert references(tree) == ["net.py:Own", "torch.nn:SiLU", "a.py:b"]
