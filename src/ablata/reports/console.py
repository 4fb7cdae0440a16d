"""Between rich and the console: tables that fit, plain output where there is no terminal, text that stays text."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from io import StringIO

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ablata.base.printable import printable
from ablata.reports.figures import clean

ASCII = str.maketrans({"→": ">", "×": "x", "–": "-", "−": "-", "±": "+-", "…": "~", "·": "-"})


def new_console(*, stderr: bool = False) -> Console:
    """Return a console of standard output or standard error that shows texts as they are, control characters escaped.

    Names of classes and files come from others: `[red]` and `:cat:` are no markup in them.
    """
    console = _LastingConsole(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)
    console.push_render_hook(_PrintableHook())
    return console


class _LastingConsole(Console):
    """A console that goes quiet once its terminal is gone: what it was to show must not end a training.

    A terminal that hangs up also sends a signal, but a write that is under way raises before the signal is heard.
    """

    def _check_buffer(self) -> None:
        try:
            super()._check_buffer()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self.quiet = True


class _PrintableHook(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Printable(renderable) for renderable in renderables]


class _Printable:
    """A renderable without the control characters of its texts: names of files and titles may come from others."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


class Fitted:
    """The first of several tables that fits the console's width, else the last; full ones come first."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tables

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the widest table that fits."""
        free = options.update(width=10_000)
        fits = (table for table in self.tables if console.measure(table, options=free).maximum <= options.max_width)
        yield next(fits, self.tables[-1])


def show(renderable: RenderableType, console: Console) -> None:
    """Print to a console; where it is no terminal, as plain lines of any length, without colour and trailing blanks."""
    if console.is_terminal:
        console.print(renderable)
        return
    console.file.write(plain_lines(renderable))
    console.file.flush()


def plain_lines(renderable: RenderableType, width: int = 240) -> str:
    """Return a renderable as text of at most `width` columns, without colour."""
    stream = StringIO()
    Console(file=stream, width=width, color_system=None, force_terminal=False, markup=False, emoji=False).print(
        renderable
    )
    return "\n".join(line.rstrip() for line in printable(stream.getvalue()).rstrip("\n").split("\n")) + "\n"


def form(words: str, plain: bool) -> str:
    """Words for the console: free of control characters, with ASCII for the signs this room uses if plain."""
    return clean(words).translate(ASCII) if plain else clean(words)


def text(words: str, plain: bool, style: str = "") -> Text:
    """Return words as rich text in a style; a plain console has none."""
    return Text(form(words, plain), style="" if plain else style)
