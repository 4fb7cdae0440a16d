"""Rows of a result: plain dictionaries, a data frame where pandas is installed, a table in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from ablata.base.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

MOST_SHOWN = 60
"""Rows that a notebook shows."""


class ResultRows(Sequence[dict[str, Any]]):
    """Rows with named columns, in order; a list of dictionaries for all that reads one.

    Args:
        rows: each maps column to value; a column that a row lacks is None there.
        columns: their order; None: as the rows bring them.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
        found = [dict(row) for row in rows]
        self.columns = tuple(columns if columns is not None else dict.fromkeys(key for row in found for key in row))
        self._rows = [{column: row.get(column) for column in self.columns} for row in found]

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> ResultRows: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | ResultRows:
        if isinstance(index, slice):
            return ResultRows(self._rows[index], self.columns)
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ResultRows):
            return self.columns == other.columns and self._rows == other._rows
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def column(self, name: str) -> list[Any]:
        """Return the values of a column."""
        return [row[name] for row in self._rows]

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a plain list of dictionaries."""
        return [dict(row) for row in self._rows]

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame.

        Raises:
            SettingsError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise SettingsError(
                "A DataFrame needs pandas", found="it is not installed", do="pip install pandas, or use to_rows()"
            ) from None
        return pandas.DataFrame(self._rows, columns=list(self.columns))

    def __repr__(self) -> str:
        shown = [[cell_text(value) for value in row.values()] for row in self._rows[:MOST_SHOWN]]
        widths = [max(map(len, column)) for column in zip(self.columns, *shown, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                 for row in (self.columns, *shown)]  # fmt: skip
        return "\n".join([*lines, *self._more()])

    def _repr_html_(self) -> str:
        return html_table(self.columns, [list(row.values()) for row in self._rows[:MOST_SHOWN]], self._more())

    def _more(self) -> list[str]:
        hidden = len(self._rows) - MOST_SHOWN
        return [f"and {hidden} more rows"] if hidden > 0 else [] if self._rows else ["no rows"]


def cell_text(value: Any) -> str:
    """Write a value for people: six digits of a number, a dash for None."""
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def html_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], after: Sequence[str] = ()) -> str:
    """Return a table as HTML, every cell escaped; numbers stand right."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    more = "".join(f"<p>{html.escape(line)}</p>" for line in after)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: Any) -> str:
    side = "right" if isinstance(value, int | float) and not isinstance(value, bool) else "left"
    return f'<td style="text-align: {side}">{html.escape(cell_text(value))}</td>'
