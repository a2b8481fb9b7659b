"""The lines above what a probe found: which views there are, what is asked, what was found."""

from rich.cells import cell_len
from rich.text import Text

from tui_influence.analysis.question import Question
from tui_influence.render.format import cut, plain
from tui_influence.tui.probe_state import View
from tui_influence.tui.state import RunState

_WORDS = {View.FAILURES: "Failures", View.PARTS: "Subpopulations", View.LEAKS: "Leaks"}
_LEAST = 16
"""Cells of the question below which only the view that is shown is named."""


def probe_heading(state: RunState, summary: str, part: str, width: int) -> list[Text]:
    """Return two lines, and a third where something is wrong with the data.

    Args:
        state: what is probed.
        summary: what was found, in a sentence; empty before anything was.
        part: which part of it is seen, and in which order.
        width: of the lines.
    """
    style, probe = state.style, state.probe
    lines = [_first(state, width)]
    if summary:
        more = f"  {part}" if part else ""
        lines.append(Text.assemble(plain(summary, style.ascii), (plain(more, style.ascii), style.quiet)))
    found = probe.found
    notes = [probe.problem] if found is not None and probe.problem else []
    notes += found.notes if found is not None else ()
    notes += [reason for reason in state.image_problems.values() if reason]
    if notes and summary:
        lines.append(Text(plain(notes[0], style.ascii), style.warning))
    for line in lines:
        line.truncate(width, overflow="crop" if style.ascii else "ellipsis")
        line.no_wrap = True
    return lines


def _first(state: RunState, width: int) -> Text:
    style, probe = state.style, state.probe
    tabs = Text("  ").join(
        Text(f" {word} ", "bold reverse") if view is probe.view else Text(word, style.quiet)
        for view, word in _WORDS.items()
    )
    if width - tabs.cell_len - 2 < _LEAST:
        tabs = Text(f" {_WORDS[probe.view]} ", "bold reverse")
    asked = probe.asked(state.question)
    found = probe.found
    stale = found is not None and found.asked != asked and not probe.problem
    room = max(width - tabs.cell_len - 2, 0)
    right = Text("working it out..." if stale else _asked(state, asked.question, room))
    right.stylize(style.warning if stale else "")
    right.truncate(room, overflow="crop")
    return Text.assemble(tabs, " " * (width - tabs.cell_len - right.cell_len), right)


def _asked(state: RunState, asked: Question, room: int) -> str:
    style, info = state.style, state.overview.info if state.overview else None
    target = asked.target or (info.targets[0].name if info else "")
    parts = [target, "all classes" if asked.target_class is None else asked.target_class]
    how = f", {asked.output_kind}, {asked.estimator}"
    shown = plain(", ".join(part for part in parts if part), style.ascii)
    if cell_len(shown) + len(how) > room:
        how = ""
    return cut(shown, room - len(how), style.ellipsis) + how
