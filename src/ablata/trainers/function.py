"""Function: a Python function that trains and returns its scores, as a trainer."""

from __future__ import annotations

import functools
import inspect
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo

from ablata.base.errors import RunError, SettingsError, listing
from ablata.base.imported_files import files_digest, imported_names, module_files
from ablata.base.metric import Metric
from ablata.base.overrides import Overrides, parse, parse_value
from ablata.base.settings import INCIDENTAL, ON_DISK, Settings
from ablata.base.user_code import absolute, module_of, parse_reference, reference_of, resolve
from ablata.records.fingerprint import COMPUTING, code_fingerprint
from ablata.trainers.arguments import Arguments
from ablata.trainers.given import lower_is_better
from ablata.trainers.hooks import as_number
from ablata.trainers.identity import content_digest
from ablata.trainers.live_code import live_digest, reads_as_on_disk
from ablata.trainers.returned_names import returned_names

FUNCTION_CODE = "function"
"""What the code of every function's run begins with: ablata's own counts where the function's files import it."""
FILE_CODE = f"{FUNCTION_CODE}-file"
"""The same of functions that another process finds again."""
LIVE_CODE = f"{FUNCTION_CODE}-live"
"""The same of functions that live in one process alone."""
SCORE = "score"
"""What the score of a function that returns a single number is called."""


def _placed(text: str, info: ValidationInfo) -> str:
    return absolute(text, (info.context or {}).get("code"))


class Function(Settings):
    """A Python function as a trainer: it is called with a seed and its settings, and returns its scores.

    Its settings are its arguments beside `seed` and `run_dir`, the run's own folder. Where it has no `seed`, its runs
    are unseeded repeats.
    """

    task: Literal["function"] = "function"
    name: Annotated[str, INCIDENTAL] = "function"
    """What people call it."""
    function: Annotated[str, AfterValidator(_placed)]
    """`path/to/file.py:train` or `module:train`; of one that lives in one process alone its name and content,
    `train#5ac1f3`."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Values of its arguments, defaults included; an object that no file can hold is told by its name and content."""
    seeded: bool = True
    """Whether it takes a seed."""
    score: Annotated[str, INCIDENTAL] = SCORE
    """The score that is judged; all that it returns are recorded."""
    lower: Annotated[bool, INCIDENTAL] = False
    """Lower scores are better."""
    timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds after which a run has failed; null: none."""
    inputs: Annotated[tuple[str, ...], ON_DISK] = ()
    """Files and folders that it reads, whose content is part of what a run is."""

    _call: Callable[..., Any] | None = PrivateAttr(default=None)
    _objects: dict[str, Any] = PrivateAttr(default_factory=dict)
    _digest: str = PrivateAttr(default="")
    _blind: tuple[str, ...] = PrivateAttr(default=())
    _unclear: bool = PrivateAttr(default=False)

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        score: str | None = None,
        lower: bool | None = None,
        timeout: float | None = None,
        inputs: Sequence[str | Path] = (),
        here: bool = False,
    ) -> Self:
        """Return the trainer of a function.

        Args:
            function: a function, a method, a lambda, or a `functools.partial` of one, whose keywords are settings.
            score: the score that is judged; None: the one that it returns, as far as its text tells.
            lower: lower scores are better; None: higher ones, unless the score's name sounds like a loss.
            timeout: seconds after which a run has failed.
            inputs: files and folders that it reads.
            here: it will be called in this process, so that what this process holds of it counts; otherwise what its
                file holds counts, where it has one.

        Raises:
            SettingsError: it is no function, an argument has no value, or it returns several scores and none is chosen.
        """
        plain, given = _unwrapped(function)
        arguments = Arguments.of(plain)
        label = _label(plain)
        told = [score] if score is not None else returned_names(plain)
        names = told or []
        if len(names) > 1:
            raise several_scores(label, names)
        judged = names[0] if names else SCORE
        made = cls(
            name=label, function=label, seeded=arguments.takes("seed"), score=judged,
            lower=lower_is_better(judged, lower), timeout=timeout,
            inputs=tuple(str(Path(one).expanduser().absolute()) for one in inputs),
        )  # fmt: skip
        made._call, made._unclear = plain, told is None
        reference = None if here and not _is_as_filed(plain) else _reference(plain)
        return made._with(reference, arguments.defaults, {**given})

    def arm(self, change: Overrides | Callable[..., Any]) -> Self:
        """Return the function as an arm changes it.

        Args:
            change: other values of its arguments, such as `{"lr": 0.3}` or `["lr=0.3"]`; or another function, whose
                score and limits are this one's.

        Raises:
            SettingsError: it has no such argument, or the value does not fit.
        """
        if callable(change):
            here = parse_reference(self.function) is None or not _is_as_filed(_unwrapped(change)[0])
            return type(self).of(
                change, score=self.score, lower=self.lower, timeout=self.timeout, inputs=self.inputs, here=here
            )
        if isinstance(change, str):
            raise SettingsError(
                "An arm of a function must be values of its arguments, or another function",
                found=repr(change),
                do='give {"argument": value}, or another function',
            )
        texts = [] if isinstance(change, Mapping) else [parse(text) for text in change]
        values = (
            change
            if isinstance(change, Mapping)
            else {assignment.key: parse_value(assignment.text) for assignment in texts}
        )
        reference = self.function if parse_reference(self.function) is not None else None
        return self._with(reference, self.values | self._objects, values)

    def _with(self, reference: str | None, before: Mapping[str, Any], changes: Mapping[str, Any]) -> Self:
        """Return a copy with other values; one that holds objects, or has no reference, lives in this process alone."""
        arguments = Arguments.of(self.find())
        values, objects = arguments.checked({**before, **changes}, self.name)
        made = self.model_copy(update={"values": values})
        made._call, made._objects = self.find(), objects
        if reference is not None and not objects:
            return made.model_copy(update={"function": reference})
        made._digest, made._blind = live_digest(functools.partial(self.find(), **objects))
        if made._blind:
            # It may be another one the next time: no score of this one is used again.
            made._digest = secrets.token_hex(16)
        texts = {name: _told(value) for name, value in objects.items()}
        return made.model_copy(update={"function": f"{self.name}#{made._digest[:12]}", "values": {**values, **texts}})

    @property
    def is_seeded(self) -> bool:
        """Whether it takes a seed; without one its runs are unseeded repeats."""
        return self.seeded

    @property
    def is_importable(self) -> bool:
        """Whether another process can find it again."""
        return parse_reference(self.function) is not None

    @property
    def blind(self) -> tuple[str, ...]:
        """What it uses that cannot be told from something else of that name, such as an open file; mostly empty."""
        return self._blind

    @property
    def is_score_unclear(self) -> bool:
        """Whether no score was chosen, and its text does not tell what it returns."""
        return self._unclear

    def metric(self) -> Metric:
        """Return the score that is judged."""
        return Metric(self.score, split="", protocol="", higher_is_better=not self.lower, unit="")

    def parent(self) -> None:
        """Return nothing: a function starts from no other run."""

    def text(self) -> str:
        """Return the call as it could be typed."""
        shown = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"{self.name}({'seed, ' if self.seeded else ''}{shown})"

    def find(self) -> Callable[..., Any]:
        """Return the function itself.

        Raises:
            SettingsError: its file or name is gone, or it lived in another process.
        """
        if self._call is not None:
            return self._call
        if not self.is_importable:
            raise SettingsError(
                "A function that was typed into a notebook, prompt or script can be called there alone",
                found=f"{self.name} is in no file that this process can import",
                do="ask again where it is (the runs that are recorded are used again), or write it to a file",
            )
        found: Callable[..., Any] = resolve(self.function, "function")
        return found

    def files(self) -> tuple[Path, ...]:
        """Return the files that its code lies in: its module's and those of the user's own that this one imports."""
        if not self.is_importable:
            return ()
        module = module_of(resolve(self.function, "function"))
        own = module_files([module]) if module is not None else ()
        file = getattr(module, "__file__", None)
        return own or ((Path(file),) if isinstance(file, str) else ())

    def code(self) -> str:
        """Return the fingerprint of its code; of ablata's own where its files import what computes.

        Raises:
            SettingsError: its file or name is gone, or it lived in another process.
        """
        if not self.is_importable:
            self.find()
            return f"{LIVE_CODE}-{self._digest}"
        files = self.files()
        computing = tuple(f"ablata.{room}" for room in COMPUTING if room != "base")
        uses = any(name.startswith(computing) for file in files for name in imported_names(file))
        return f"{FILE_CODE}-{files_digest(files)}{f'-{code_fingerprint()}' if uses else ''}"

    def data(self) -> str:
        """Return the fingerprint of its inputs; `none` where it has none.

        Raises:
            DataError: one is missing.
        """
        digests = [content_digest(Path(name).parent, [Path(name).name]) for name in self.inputs]
        return "-".join(digests) or "none"

    def run(self, seed: int, folder: Path) -> Any:
        """Call it and return what it returns.

        Args:
            seed: given where it takes one.
            folder: the run's own folder, given where it takes `run_dir`.
        """
        call = self.find()
        arguments = Arguments.of(call)
        given = {"seed": seed, "run_dir": folder}
        values = {name: value for name, value in self.values.items() if name not in self._objects}
        return call(
            **arguments.restored(values), **self._objects,
            **{name: value for name, value in given.items() if arguments.takes(name)},
        )  # fmt: skip


def several_scores(function: str, names: Sequence[str]) -> SettingsError:
    """Return the error for a function that returns several scores of which none is chosen."""
    return SettingsError(
        "The score that is judged must be chosen where a function returns several",
        found=f"{function} returns {listing(names)}",
        do=f'score="{names[0]}"',
    )


def read_result(result: Any, name: str) -> dict[str, float]:
    """Return the scores by name in what a function returned.

    Args:
        result: a number; or numbers by name, of which other things are left out; or None.
        name: what a plain number is called.

    Raises:
        RunError: there is no number in it.
    """
    named = result if isinstance(result, Mapping) else {name: result}
    scores = {str(name): number for name, value in named.items() if (number := as_number(value)) is not None}
    if result is not None and not scores:
        raise RunError(
            "A function must return its score: a number, or numbers by name",
            found=f"a {type(result).__name__}: {repr(result)[:80]}",
            do='return {"acc": 0.91}',
        )
    return scores


def _unwrapped(function: Any) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what a `functools.partial` of keywords is of, and these; anything else as it is.

    Raises:
        SettingsError: it is no function.
    """
    if isinstance(function, functools.partial) and not function.args:
        inner, given = _unwrapped(function.func)
        return inner, {**given, **function.keywords}
    if not (inspect.isroutine(function) or isinstance(function, functools.partial)):
        raise SettingsError(
            "What is compared must be a function that trains and returns its score",
            found=f"a {type(function).__name__}: {repr(function)[:80]}",
            do="def train(seed, lr=0.1): ...",
        )
    return function, {}


def _label(function: Callable[..., Any]) -> str:
    plain = function.func if isinstance(function, functools.partial) else function
    return str(getattr(plain, "__name__", type(plain).__name__)).strip("<>")


def _reference(function: Callable[..., Any]) -> str | None:
    """Return the reference by which another process finds a function; None where none does."""
    if not isinstance(function, FunctionType) or "<" in function.__qualname__ or "." in function.__qualname__:
        return None
    file = function.__globals__.get("__file__")
    typed = _is_main(function) and file != function.__code__.co_filename
    if typed or module_of(function) is not None:
        return None if typed else reference_of(function)
    # A file that was edited is imported anew where it is needed, and what was imported before is forgotten.
    return f"{Path(file).resolve()}:{function.__name__}" if isinstance(file, str) and Path(file).is_file() else None


def _is_as_filed(function: Callable[..., Any]) -> bool:
    """Tell whether a function of this process is what an import of its file would give."""
    if not isinstance(function, FunctionType) or _is_main(function) or _reference(function) is None:
        return False
    module = module_of(function)
    return getattr(module, function.__name__, None) is function and reads_as_on_disk(function)


def _is_main(function: FunctionType) -> bool:
    return module_of(function) is sys.modules["__main__"]


def _told(value: Any) -> str:
    name = getattr(value, "__qualname__", type(value).__name__)
    return f"{name}#{live_digest(value)[0][:6]}"
