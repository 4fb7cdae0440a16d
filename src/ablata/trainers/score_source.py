"""Where a program's score is: a name in its output, a key of a JSON file, a column of a CSV file, a pattern.

| written | read |
|---|---|
| `val_acc` | what `ablata.score` was given; else in the output the last `val_acc: 0.91`, `val_acc=0.91`,
  `"val_acc": 0.91`, or table column |
| `result.json:val.acc` | a key of a JSON file, or of the last line of JSON lines |
| `log.csv:val_acc`, `log.csv:val_acc@max` | a column: its `last` (the default), `max`, `min`, or `step=100` |
| `tensorboard:val/acc`, `tensorboard:val/acc@max` | a tag of the TensorBoard event files that the program wrote into
  its run's folder; where several folders below have it, `tensorboard:validation/acc` names one |
| `regex:acc (\\d+)` | the first group of the last match in the output |

Files lie in the run's folder (`{run_dir}`), or else in the program's working folder.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablata.base.errors import AblataError, DataError, RunError, SettingsError, choices
from ablata.base.files import inside
from ablata.trainers.readers.tables import finite_numbers, flatten, number, read_json_rows, read_table, read_text
from ablata.trainers.readers.tensorboard import is_event_file, read_points

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)"
_END = r"(?!\w|[.,/:]\d)"
"""Behind a number: not the rest of `91,35`, `1,234`, `9912/10000`, `12.3s` or a time of day."""
_PICKS = r"last|max|min|step=\d+"
_STEPS = ("step", "iteration", "iter", "global_step", "epoch")


@dataclass(frozen=True)
class ScoreSource:
    """Where one score is read.

    Args:
        text: as it was written.
        kind: `output`, `json`, `csv`, `tensorboard` or `regex`.
        name: of the score: its name in the output, its key, its column, its tag, or its pattern.
        file: of `json` and `csv`, relative.
        pick: of `csv` and `tensorboard`: `last`, `max`, `min` or `step=N`.
    """

    text: str
    kind: str
    name: str
    file: str = ""
    pick: str = "last"

    @property
    def label(self) -> str:
        """What the score is called in reports."""
        return "score" if self.kind == "regex" else self.name


def parse_score(text: str) -> ScoreSource:
    """Return where a score is read.

    Args:
        text: as in the table above.

    Raises:
        SettingsError: it has none of these forms.
    """
    if text.startswith("regex:"):
        return _pattern(text)
    file, colon, key = text.partition(":")
    if file == "tensorboard" and key:
        # A tag may have such a mark in it: mAP@50.
        marked = re.fullmatch(rf"(.+)@({_PICKS})", key)
        tag, pick = marked.groups() if marked else (key, "last")
        return ScoreSource(text, file, tag, pick=pick)
    suffix = Path(file).suffix.lower()
    if colon and suffix in (".json", ".jsonl", ".csv", ".tsv") and key:
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise SettingsError(
                "A file of scores must lie in the run's folder or the working folder",
                found=text,
                do="give its path from the working folder",
            )
        if suffix in (".json", ".jsonl"):
            return ScoreSource(text, "json", key, file)
        column, at, pick = key.rpartition("@")
        column, pick = (column, pick) if at else (key, "last")
        if not re.fullmatch(_PICKS, pick):
            raise SettingsError(
                "Of a column the value @last, @max, @min or @step=N can be taken",
                found=text,
                do="such as metrics.csv:acc@max",
            )
        return ScoreSource(text, "csv", column, file, pick)
    if not text.strip() or (colon and suffix in (".json", ".csv")):
        raise SettingsError(
            "A score must say where it is read",
            found=repr(text),
            do="val_acc (from the output), result.json:val.acc, log.csv:val_acc, tensorboard:val/acc, regex:acc=(\\S+)",
        )
    return ScoreSource(text, "output", text.strip())


def read_score(
    source: ScoreSource, output: str, folders: Sequence[Path], handed: Mapping[str, float] | None = None
) -> float:
    """Return a score.

    Args:
        source: where it is.
        output: what the program printed.
        folders: where its files may lie, the most likely first.
        handed: what it handed over by `ablata.score`.

    Raises:
        RunError: there is no such score, or it is not finite; what was there is said.
    """
    given = (handed or {}).get(source.name) if source.kind == "output" else None
    try:
        value = _READERS[source.kind](source, output, folders) if given is None else given
    except AblataError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(
            f"The score {source.text} must be readable",
            found=f"{error.must}: {error.found}",
            do="mend what the program writes there",
        ) from None
    if not math.isfinite(value):
        raise RunError(
            f"The score {source.text} must be finite",
            found=str(value),
            do="see why the program computed it; a diverged run may exit with an error",
        )
    return value


def last_in_output(name: str, output: str) -> float | None:
    """Return the last value of a name in the text a program printed; None where it is not in it."""
    word = re.escape(name)
    pair = re.compile(rf"""(?<![\w./-])["']?{word}["']?[ \t]*[:=]?[ \t]*["']?({NUMBER}){_END}""", re.IGNORECASE)
    found: tuple[int, float] | None = None
    for match in pair.finditer(output):
        value = number(match[1])
        if value is not None:
            found = (match.start(), value)
    table = _last_in_tables(name, output)
    if found is None or (table is not None and table[0] > found[0]):
        found = table or found
    return None if found is None else found[1]


def _last_in_tables(name: str, output: str) -> tuple[int, float] | None:
    """Return place and value of the last row below a line of names that has this one, in columns of a table."""
    found: tuple[int, float] | None = None
    column: int | None = None
    width = place = 0
    for line in output.splitlines(keepends=True):
        cells = [cell.strip() for cell in re.split(r"[|\t,;]|\s{2,}|\s+", line.strip().strip("|")) if cell.strip()]
        values = [number(cell) for cell in cells]
        if name in cells and sum(value is None for value in values) >= max(1, len(cells) - 1):
            column, width = cells.index(name), len(cells)
        elif column is not None and len(cells) == width:
            value = values[column]
            if value is not None:
                found = (place, value)
        place += len(line)
    return found


def names_in_output(output: str) -> list[str]:
    """Return the names that stand before numbers in the text a program printed, the latest first."""
    pair = re.compile(rf"""(?<![\w./-])["']?([A-Za-z_][\w./-]*)["']?\s*[:=]\s*["']?(?:{NUMBER}){_END}""")
    return list(dict.fromkeys(reversed([match[1] for match in pair.finditer(output)])))


def _from_output(source: ScoreSource, output: str, folders: Sequence[Path]) -> float:
    value = last_in_output(source.name, output)
    if value is None:
        known, line = names_in_output(output), line_of(source.name, output)
        found = f"it names {choices(known, source.name)}" if known else "no name with a number behind it"
        raise RunError(
            f"The output must hold the score {source.name}",
            found=found if line is None else f"no plain number in the line: {line}",
            do=f"print it as `{source.name}: 0.91`, or choose another with --score",
        )
    return value


def line_of(name: str, output: str) -> str | None:
    """Return the last line of the output that holds a name, for people to see what a score is read from."""
    word = re.compile(rf"(?<![\w./-]){re.escape(name)}(?![\w])", re.IGNORECASE)
    return next((line.strip()[:120] for line in reversed(output.splitlines()) if word.search(line)), None)


def _from_pattern(source: ScoreSource, output: str, folders: Sequence[Path]) -> float:
    matches = list(re.finditer(source.name, output, re.MULTILINE))
    if not matches:
        raise RunError(
            "The output must match the score's pattern",
            found=f"nothing matches {source.name}",
            do="print a line that it matches, or mend the pattern of --score",
        )
    text = matches[-1][1]
    value = number(text)
    if value is None:
        raise RunError(
            "The pattern's first group must be a number",
            found=repr(text),
            do=r"put the number into the first brackets, such as 'acc=([0-9.]+)'",
        )
    return value


def _from_json(source: ScoreSource, output: str, folders: Sequence[Path]) -> float:
    path = _file(source, folders)
    rows = [flatten(row) for row in read_json_rows(read_text(path), path)]
    for row in reversed(rows):
        value = number(row[source.name]) if source.name in row else None
        if value is not None:
            return value
    known = sorted({name for row in rows for name in finite_numbers(row)})
    raise RunError(
        f"{path.name} must hold a number at {source.name}",
        found=f"it holds {choices(known, source.name)}",
        do="name one of these with --score, or write it there",
    )


def _from_csv(source: ScoreSource, output: str, folders: Sequence[Path]) -> float:
    path = _file(source, folders)
    rows = read_table(path)
    points = [(row, value) for row in rows if (value := number(row.get(source.name, ""))) is not None]
    if not points:
        known = list(dict.fromkeys(name for row in rows for name in row))
        raise RunError(
            f"{path.name} must have a column {source.name}",
            found=f"it has {choices(known, source.name)}",
            do="name one of these with --score",
        )
    return _picked(source, [(_steps_of(row), value) for row, value in points], path.name)


def _steps_of(row: Mapping[str, str]) -> set[float | None]:
    return {number(row.get(name, "")) for name in _STEPS}


def _picked(source: ScoreSource, points: Sequence[tuple[Collection[float | None], float]], place: str) -> float:
    """Return the value of a curve that counts.

    Args:
        source: says which.
        points: what names the step of each, and its value; at least one.
        place: where they come from, for the message.

    Raises:
        RunError: there is none at the step that is asked for.
    """
    values = [value for _, value in points]
    if source.pick.startswith("step="):
        step = float(source.pick.removeprefix("step="))
        values = [value for steps, value in points if step in steps]
        if not values:
            raise RunError(
                f"{place} must have a value of step {step:g}",
                found=f"none of {source.name}",
                do="name a step that was logged, or @last",
            )
    return {"max": max, "min": min}.get(source.pick, lambda all_: all_[-1])(values)


def _from_tensorboard(source: ScoreSource, output: str, folders: Sequence[Path]) -> float:
    root = folders[0]
    files = [path for path in root.rglob("*tfevents*") if is_event_file(path.name) and path.is_file()]
    if not files:
        raise RunError(
            "The program must have written event files into its run's folder", found="none in {run_dir}",
            do="SummaryWriter(os.environ['ABLATA_RUN_DIR']), or pass {run_dir} to the program",
        )  # fmt: skip
    # A program that began again wrote another file, or another folder of a number: the newest comes last.
    files.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
    found: dict[str, list[tuple[Collection[float | None], float]]] = {}
    tags: dict[str, None] = {}
    named: dict[str, str] = {}
    for path in files:
        folder = path.parent.relative_to(root).as_posix()
        for step, tag, value in read_points(path):
            tags[tag] = None
            whole = tag if folder == "." else f"{folder}/{tag}"
            if source.name in (tag, whole):
                alike = re.sub(r"\d+", "", folder)
                found.setdefault(alike, []).append(((step,), value))
                named[alike] = f"tensorboard:{whole}"
    if not found:
        raise RunError(
            f"Event files must hold the tag {source.name}",
            found=f"they hold {choices(tags, source.name)}",
            do="name one of these with --score",
        )
    if len(found) > 1 and "." not in found:
        raise RunError(
            "A tag must be of one folder", found=f"{source.name} is in {len(found)}", do=choices(named.values())
        )
    return _picked(source, found.get(".") or next(iter(found.values())), "the event files")


def _file(source: ScoreSource, folders: Sequence[Path]) -> Path:
    for folder in folders:
        path = inside(folder, source.file)
        if path.is_file():
            return path
    # The folder of a trial run is gone by the time somebody reads this, so it is called what programs know it by.
    own, *others = folders
    alike = sorted(path.relative_to(own).as_posix() for path in own.rglob(f"*{Path(source.file).suffix}"))
    holds = f", which holds {choices(alike, source.file)}" if alike else ""
    raise DataError(
        "The program must have written its file of scores",
        found=f"no {source.file} in {' nor in '.join((*map(str, others), '{run_dir}'))}{holds}",
        do="let it write into {run_dir} (ABLATA_RUN_DIR in its environment), or name its file: --score FILE:KEY",
    )


def _pattern(text: str) -> ScoreSource:
    pattern = text.removeprefix("regex:")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SettingsError(
            "A pattern must be a regular expression",
            found=f"{text}: {error}",
            do="put a backslash before a sign that is meant itself",
        ) from None
    if compiled.groups < 1:
        raise SettingsError("A pattern must have a group around the number", found=text, do=f"regex:({pattern})")
    return ScoreSource(text, "regex", pattern)


_READERS = {
    "output": _from_output,
    "regex": _from_pattern,
    "json": _from_json,
    "csv": _from_csv,
    "tensorboard": _from_tensorboard,
}
