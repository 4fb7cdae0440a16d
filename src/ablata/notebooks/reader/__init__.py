"""Reading hand-written training notes, in Chinese or English, into trials: a grammar of small readers, nothing learned.

Within: `decoding` (bytes to text), then what one line says: `shape` (indent and marker), `figures` (scores), `settings`
with `names` (what is set) and `keys` (which recipe key that is), `claims` (better, worse, same, failed), `foreign`
(code, paths, logs of tools), all joined by `wording`. What lines say together: `tables`, `outline` (which line is what,
under which heading), `trials` (lines that belong together), `reading` (a whole file). Then `keeping` (to the ledger)
and `page` (the notes beside what was read).
"""

from ablata.notebooks.reader.model import Claim, Kind, Line, Reading, Score, Setting, Trial
from ablata.notebooks.reader.reading import read_file, read_text

__all__ = ["Claim", "Kind", "Line", "Reading", "Score", "Setting", "Trial", "read_file", "read_text"]
