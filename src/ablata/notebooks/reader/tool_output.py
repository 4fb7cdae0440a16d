"""Lines that are no notes though they stand among them: code, shell, settings files, paths, trees, logs of tools."""

from __future__ import annotations

import re
from typing import Literal

ForeignKind = Literal["remark", "setting", "failed"]

_HISTORY = re.compile(
    r"\d{1,5}\s{1,4}(git|cd|python\d?|pip|ls|sudo|docker|conda|source|export|bash|sh|mkdir|cp|mv|rm|tar|wget)\b"
)
_COMMAND = re.compile(
    r"(\$|>>>)\s+\S|(sudo|git|pip3?|conda|docker|wget|curl|torchrun|CUDA_VISIBLE_DEVICES=\S+|"
    r"python3?)\s+[\w./\-]+(\s|$)"
)
_CODE = re.compile(
    r"(import \w[\w.]*|from [\w.]+ import .+|def \w+\(.*|class \w+.*:|return\b.*|print\(.*|(if|for|while|with|"
    r"elif) .*:\s*(#.*)?|else:|@\w[\w.]*.*"
    r"|\w[\w.]*\((?!.*\w \w).*\)[;,]?|[{}\[\]();,\s]+|(if|fi|done|do|then|esac)\b.*;.*)$"
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][\w.]*(?:\[[^\]]*\])?\s+[-+*/]?=\s+\S.*(?:[\[(].*|[A-Za-z_]\w*\.[A-Za-z_]\w*.*)$")
_NUMBERS = re.compile(
    r"\[?\s*(?:[-+]?\d+(?:\.\d+)?\s*,\s*)+(?:[-+]?\d+(?:\.\d+)?)?\s*\]?,?|[-+]?\d+(?:\.\d+)?\s*\],?|"
    r"\[\s*[-+]?\d+(?:\.\d+)?\s*,?"
)
_PAIR = re.compile(r"\"[^\"]+\"\s*:\s*(\S.*)")
_FLAGS = re.compile(r"(.*\s)?--[A-Za-z][\w\-]*(\s.*|=.*|\\)?$")
_PATH = re.compile(
    r"(?:[\w.+-]+\s*[:：]\s*)?(?:~|\.{1,2}|[A-Za-z]:)?[/\\]?(?:[\w.+\-]+[/\\])+[\w.+\-*]*(?:\s+\S{1,12}){0,2}"
)
_ADDRESS = re.compile(r"(https?|ftp|git|ssh)://|www\.\w+")
_FILE = re.compile(r"[\w\-]+\.(txt|py|json|ya?ml|pth|pt|log|md|sh|csv|zip|ipynb|cfg)(\s+\S.{0,60})?")
_TREE = re.compile(r"[│├└┌─┬┴|`]+\s*[─-]+\s*\S|[│|]\s+[│├└|`]")
_FAULT = re.compile(
    r"\b[A-Z]\w*(Error|Exception)\b:?|^Traceback \(most|\bAssertion\b.*\bfailed\b|^\s*File \".*\", line \d+|"
    r"\bcore dumped\b|\bSegmentation fault\b"
)
_LEVEL = r"\[?(?:INFO|WARNING|WARN|ERROR|DEBUG|CRITICAL)\]?"
_TIMED = re.compile(
    # 2023-05-01 12:30:59,123 - mmseg - INFO -
    r"\[?\d{4}[-/.]\d{1,2}[-/.]\d{1,2}[T ,]\s*\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?Z?\]?[\s:\-|]*"
    rf"(?:(?:[\w.]+\s+-\s+)?{_LEVEL}\b)?(?:\s*\[?[\w.]+(?::\d+)?\]?\s*(?=[-:]\s))?[\s:\-|]*"
    rf"|{_LEVEL}\s*[:\-]?\s+"
    # glog, a bare time, [base.py, 49]
    r"|[IWEF]\d{4}\s\d{2}:\d{2}:\d{2}[.\d]*\s[^\]]*\]\s*"
    r"|\[?\d{2}:\d{2}:\d{2}(?:[.,]\d+)?\]\s*"
    r"|\[[\w.]+\.(?:py|cpp|cc)[,:]\s?\d+\]\s*"
)
_DIGIT = re.compile(r"\d")
_PROGRESS = re.compile(
    r"[\[(]?\s*(?:(?:Iter(?:ation)?|Epoch|Step|Batch|global_step|Train|Test|Eval|Val(?:id(?:ate|"
    r"ation)?)?)(?:\(\w+\))?\s*[:\[(#]*\s*\[?\s*\d+(?!\.\d)|\d+\s*/\s*\d+[\])\s]|\d+%\|)",
    re.IGNORECASE,
)


_SHELL = re.compile(
    r"(?P<marks>[#\s]*)(?:\$\s+)?(?P<command>(?:[A-Z_]+=\S+\s+)*(?:python\d?|torchrun|accelerate|bash|sh|\./\S+)\s+"
    r"(?=\S*[./-])\S[^#]*?)(?:\s+(?:#+|-+>|=>|→)\s*(?P<note>.*))?"
)


def shell_note(stripped: str) -> tuple[str, str] | None:
    """Return the command and the comment behind it of a line of a shell script; None where neither is a note.

    A command that is neither commented nor commented out is none: it only says what is run.
    """
    if "python" not in stripped and "sh" not in stripped and "run" not in stripped and "acc" not in stripped:
        return None
    found = _SHELL.fullmatch(stripped) if stripped.isascii() or "→" in stripped else None
    if not found or not (found["note"] or "#" in found["marks"]):
        return None
    return found["command"].strip(), (found["note"] or "").strip()


def foreign_kind(stripped: str) -> ForeignKind | None:
    """Tell what a line that is no note is: words, a setting, an error message; None if it may be a note.

    Args:
        stripped: the line without the blanks around it.
    """
    first = stripped[0]
    if first in '"-' or "--" in stripped:
        if _PAIR.fullmatch(stripped.rstrip(", ")) and first == '"':
            return "setting"
        if _FLAGS.fullmatch(stripped) and ("\\" in stripped[-2:] or first == "-"):
            return "setting"
    if "://" in stripped and _ADDRESS.search(stripped):
        return "remark"
    if first in "│├└┌|`" and _TREE.match(stripped):
        return "remark"
    if "." in stripped and _FILE.fullmatch(stripped.lstrip("-| ")):
        return "remark"
    if first.isdigit() and _HISTORY.match(stripped):
        return "remark"
    if ("/" in stripped or "\\" in stripped) and _is_path(stripped.lstrip("-| ")):
        return "remark"
    if first in "[-+0123456789" and stripped[-1] in "],[" and "," in stripped and _NUMBERS.fullmatch(stripped):
        return "setting"
    if (
        "Err" in stripped
        or "Exce" in stripped
        or "ssert" in stripped
        or "raceback" in stripped
        or "dump" in stripped
        or "ault" in stripped
        or "File" in stripped
    ) and _FAULT.search(stripped):
        return "failed"
    if _COMMAND.match(stripped) and stripped.isascii():
        return "remark"
    if stripped.isascii() and (_CODE.fullmatch(stripped) and not stripped[0].isdigit()):
        return "remark"
    return "setting" if _ASSIGNMENT.fullmatch(stripped) else None


def _is_path(text: str) -> bool:
    return (
        bool(_PATH.fullmatch(text))
        and not re.fullmatch(r"[\d./\s%]+", text)
        and not re.search(r"[:：]\s*\d", text)
        and "=" not in text
        and (text.count("/") + text.count("\\") > 1 or "." in text or text.endswith("/"))
    )


def without_time(stripped: str) -> tuple[str, bool]:
    """Take off what a logging library puts before a message; tell whether there was any."""
    if stripped[0] not in "[0123456789IWDEFC":
        return stripped, False
    found = _TIMED.match(stripped)
    return (stripped[found.end() :], True) if found and found.end() < len(stripped) else (stripped, False)


def progress_key(label: str) -> str | None:
    """Return what the lines of a progress log have in common; None if a label does not open with a count of steps."""
    found = _PROGRESS.match(label) if _DIGIT.search(label) else None
    return re.sub(r"\s*\d+", " #", label[: found.end()]) if found else None
