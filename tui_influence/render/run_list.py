"""The runs of a folder as a table of plain text."""

from collections.abc import Sequence

from rich.text import Text

from tui_influence.render.format import small_table
from tui_influence.render.run_words import state_word
from tui_influence.render.style import Style
from tui_influence.runs.run_list import RunSummary
from tui_influence.text import format_duration, pluralize, printable

_HEADER = ("", "results", "state", "target", "classes", "models", "reliability", "accuracy", "changed", "note")
_MAX_NAME, _MAX_NOTE = 40, 120


def run_list_lines(runs: Sequence[RunSummary], now: float) -> list[str]:
    """Return a line for each run below a header; what cannot be opened says why.

    Args:
        runs: in the order in which they are shown.
        now: seconds since 1970, of which the age of each is reckoned.
    """
    readable = [run for run in runs if not run.error]
    rows = [[Text(cell) for cell in _cells(run, now)] for run in readable]
    table = small_table([Text(cell) for cell in _HEADER], rows, left=4) if rows else []
    lines = [line.plain.rstrip() for line in table]
    return lines + [f"{printable(run.root.name, _MAX_NAME)}: {printable(run.error, 300)}" for run in runs if run.error]


def run_facts(run: RunSummary) -> list[str]:
    """Return target, number of classes, reliability and accuracy of a run in words, those of them that are known."""
    facts = [
        _targets(run),
        pluralize(run.groups, "class", "classes") if run.groups else "",
        f"reliability {_reliability(run)}" if run.reliability is not None else "",
        f"accuracy {_accuracy(run)}" if run.accuracy and run.accuracy[0] is not None else "",
    ]
    return [fact for fact in facts if fact]


def _targets(run: RunSummary) -> str:
    """Return the first target, and the number of further ones."""
    further = len(run.targets) - 1
    return printable(run.targets[0], _MAX_NAME) + (f" +{further}" if further else "") if run.targets else ""


def _reliability(run: RunSummary) -> str:
    return "-" if run.reliability is None else f"{round(run.reliability, 2) + 0.0:.2f}"


def _accuracy(run: RunSummary) -> str:
    accuracy = run.accuracy[0] if run.accuracy else None
    return "-" if accuracy is None else f"{accuracy:.1%}"


def _cells(run: RunSummary, now: float) -> tuple[str, ...]:
    sign = Style().state_sign(run.state, silent=run.silent) if run.state is not None else "?"
    word = state_word(run.state, silent=run.silent) if run.state is not None else ""
    return (
        sign,
        printable(run.root.name, _MAX_NAME),
        word,
        _targets(run),
        f"{run.groups:,}" if run.groups else "-",
        f"{run.done:,} of {run.total:,}" if run.total else "-",
        _reliability(run),
        _accuracy(run),
        f"{format_duration(max(0.0, now - run.active_at))} ago" if run.active_at else "-",
        printable(str(run.note), _MAX_NOTE),
    )
