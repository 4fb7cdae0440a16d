"""A loop in words: how it judges, where it stands, what each proposal came to; in the terminal and as results.tsv."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ablata.base.quantities import NOTHING, counted, duration
from ablata.reports.console import text
from ablata.reports.figures import clean, clip
from ablata.reports.loops.view import OUTCOMES, LoopView, Measured, ProposalView

_LONGEST = 50
_USUAL = 0.95
"""Of an interval whose confidence need not be said."""
_STYLES = {"keep": "bold cyan", "discard": "", "undecided": "yellow", "crash": "bold magenta"}


def judged_words(view: LoopView) -> str:
    """Return how proposals are judged, in a sentence."""
    way = "higher" if view.higher_is_better else "lower"
    margin = "" if view.margin is None else f", differences below {view.margin:g} do not matter"
    rate = f"{100 * view.level:.2g}%"
    held = (
        f"a change that does nothing is kept in at most {rate} of cases"
        if view.mode == "progress"
        else f"at most {rate} of what is kept is no improvement"
    )
    return f"{way} {view.metric} is better{margin}; {held}; at most {view.most_runs} runs a proposal"


def span(view: LoopView, found: Measured | None, *, sign: bool = False) -> str:
    """Write a mean or a difference with its interval: `+1.20 [+0.80, +1.60]`."""
    if found is None:
        return NOTHING
    figures = view.figures
    ends = "" if found.low is None or found.high is None else (
        f" [{figures.number(found.low, sign=sign)}, {figures.number(found.high, sign=sign)}]"
        + ("" if found.confidence == _USUAL else f" ({100 * found.confidence:.0f}%)")
    )  # fmt: skip
    return figures.number(found.value, sign=sign) + ends


def best_words(view: LoopView) -> str:
    """Return what is the best so far, and what fresh runs of it score."""
    best = view.proposals[view.best]
    name = "the start" if view.best == 0 else f"#{best.number} {clip(best.text, _LONGEST)}"
    commit = f" (commit {best.commit[:10]})" if best.commit else ""
    if best.fresh is None:
        return f"{name}{commit}, not measured anew yet"
    runs = counted(best.fresh.runs, "run")
    return f"{name}{commit}: {view.metric} {span(view, best.fresh)} by {runs} made since"


def stand_words(view: LoopView) -> Iterator[tuple[str, str]]:
    """Yield what a loop has come to, as words and sentences."""
    yield "best", best_words(view)
    counts = [f"{view.count(outcome)} {word}" for outcome, word in OUTCOMES.items() if view.count(outcome)]
    left = "" if view.budget is None else f" of {duration(view.budget)}"
    runs = f"{counted(view.runs, 'run')}, {duration(view.seconds)}{left}"
    tried = counted(len(view.tried), "proposal")
    yield "so far", f"{tried}{': ' if counts else ''}{', '.join(counts)}; {runs}"
    yield "noise", noise_words(view)
    yield from (("warning", warning) for warning in view.warnings)
    if view.kept:
        yield "gain", gain_words(view)
    yield from _waiting(view)
    if view.tried:
        yield "greedy", greedy_words(view)


def noise_words(view: LoopView) -> str:
    """Return how much a run varies, and the size of change that is found in spite of it."""
    if view.noise is None or view.findable is None:
        return "not known after one run: the first proposal is tried beside further runs of the start, which tell it"
    if view.still:
        return (
            "none: equal runs score the same, and nothing is decided without knowing what chance does. Does {seed} "
            "arrive, or are the score's steps too large?"
        )
    number = view.figures.number
    told = f"one run varies by {number(view.noise)} (standard deviation of equal runs)"
    size = number(view.findable)
    return f"{told}; a change that gains {size} or more is kept in 8 of 10 cases, a smaller one less often"


def _waiting(view: LoopView) -> Iterator[tuple[str, str]]:
    if waiting := [one for one in view.tried if one.state == "waiting"]:
        named = ", ".join(f"#{one.number}" for one in waiting)
        yield "waiting", f"{named}, for a worker: ablata loop work --loop {view.name}"
    if begun := [one for one in view.tried if one.state == "open"]:
        yield "begun", ", ".join(f"#{one.number} {clip(one.text, _LONGEST)}" for one in begun)
    if left := view.undecided:
        named = ", ".join(f"#{one.number} {clip(one.text, 30)}" for one in left[:3])
        yield "open", f"{named}: worth a second chance in this order, ablata loop retry {left[0].number}"


def gain_words(view: LoopView) -> str:
    """Return what was gained: as claimed, and as confirmed."""
    claimed = f"{view.figures.number(view.claimed, sign=True)} claimed when changes were kept"
    if view.confirmed is None:
        return f"{claimed}; not confirmed yet: ablata loop confirm"
    found = view.confirmed
    runs = f"{found.start_runs} and {found.gain.runs} fresh runs of start and best"
    more = found.wanted is not None and found.wanted > found.gain.runs
    further = f"; to a tenth of it by {found.wanted} each: ablata loop confirm --runs {found.wanted}" if more else ""
    return f"{span(view, found.gain, sign=True)} by {runs}; {claimed}{further}"


def greedy_words(view: LoopView) -> str:
    """Return what a loop would have done that keeps every change whose one run looks better."""
    greedy, ours = view.greedy, {one.number for one in view.kept}
    others = [f"#{number}" for number in greedy.kept if number not in ours]
    more = f", among them {', '.join(others[:8])} that were not kept here" if others else ""
    believed = view.figures.number(greedy.believed, sign=True)
    return f"one run each would have kept {len(greedy.kept)}{more}, and believe in {believed}"


def loop_status(view: LoopView, *, plain: bool = False) -> RenderableType:
    """Return where a loop stands, for the terminal."""
    parts: list[RenderableType] = [text(f"{view.name}: {judged_words(view)}", plain, "bold")]
    for word, words in stand_words(view):
        line = Text(f"{word:<8}", style="" if plain else "dim")
        line.append(clean(words), style="default")
        parts.append(line)
    return Group(*parts)


def loop_log(view: LoopView, *, plain: bool = False) -> RenderableType:
    """Return a table of all proposals, for the terminal."""
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, header_style="" if plain else "dim")
    right = ("#", view.metric, "runs")
    for head in ("#", "proposal", "became", view.metric, "runs", "difference", "why"):
        table.add_column(text(head, plain), justify="right" if head in right else "left")
    for one in view.proposals:
        table.add_row(
            str(one.number),
            text(clip(one.text, _LONGEST), plain),
            text(outcome_word(view, one), plain, _STYLES.get(one.outcome or "", "")),
            text(view.figures.number(one.score), plain),
            str(one.runs),
            text(span(view, one.claimed, sign=True) if one.claimed else "", plain),
            text(one.reason, plain, "dim"),
        )
    return table


def outcome_word(view: LoopView, one: ProposalView) -> str:
    """Say what became of a proposal in a word or two."""
    if one.number == 0:
        return "the start"
    if one.outcome is None:
        return "waits" if one.state == "waiting" else "begun"
    return OUTCOMES[one.outcome] + (", the best" if one.number == view.best else "")


def results_tsv(view: LoopView) -> str:
    """Return a loop as a table of tabs, as loops of agents write it: commit, score, memory_gb, status, description.

    Two columns more say of how many runs a score is the mean, and how much one of them varies; `ablata loop audit`
    reads them. What stayed undecided was not kept, and stands as `discard`; of a crash the score is 0.
    """
    lines = ["\t".join(("commit", view.metric, "memory_gb", "status", "description", "runs", "noise"))]
    noise = "" if view.noise is None else f"{view.noise:.6g}"
    for one in view.proposals:
        if one.outcome is None:
            continue
        status = "discard" if one.outcome == "undecided" else one.outcome
        told = "baseline" if one.number == 0 else one.text + (" (undecided)" if one.outcome == "undecided" else "")
        score = 0.0 if one.score is None or status == "crash" else one.score
        memory = f"{(one.memory or 0.0) / 1e9:.1f}"
        commit, words = one.commit[:7] or f"#{one.number}", clean(" ".join(told.split()))
        lines.append("\t".join((commit, f"{score:.6f}", memory, status, words, str(one.runs), noise)))
    return "\n".join(lines) + "\n"
