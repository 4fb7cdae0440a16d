"""Reading hand-written training notes, in Chinese or English, into trials: a grammar of small readers, nothing learned.

Within: `text` (bytes to lines), then what one line says: `scores`, `settings` (what is set) and `overrides` (which
recipe key that is), `claims` (better, worse, same, failed), `tool_output` (code, paths, logs of tools), all joined by
`line`. What lines say together: `tables`, `outline` (which line is what, under which heading), `trials` (lines that
belong together), `reading` (a whole file). Then `ledger` (entries of the ledger) and `page` (the notes beside what was
read).
"""

from ablata.notebooks.reader.model import Claim, LineKind, NotedScore, NotedSetting, NotedTrial, NoteLine, NotesReading
from ablata.notebooks.reader.reading import read_file, read_text

__all__ = [
    "Claim",
    "LineKind",
    "NoteLine",
    "NotedScore",
    "NotedSetting",
    "NotedTrial",
    "NotesReading",
    "read_file",
    "read_text",
]
