"""The lines above the table: what is asked, how far the answer can be trusted, what part of it is shown.

The lines above what a probe found: which views there are, what is asked, what was found.
"""

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from tui_influence.analysis.question import Question
from tui_influence.analysis.types import ProbeKind
from tui_influence.influence.types import (
    reliability_grade,
)
from tui_influence.render.format import cut, plain
from tui_influence.render.style import Style
from tui_influence.text import pluralize
from tui_influence.tui.state import RunState

if TYPE_CHECKING:
    from tui_influence.analysis.types import (
        RankReport,
    )
    from tui_influence.tui.table_models import Sheet


_NARROW = 60


def question_lines(
    state: RunState, sheet: "Sheet | None", shown: int, order: str, marks: int, width: int
) -> list[Text]:
    """Return two lines, and a third where something is wrong with the data.

    Args:
        state: question and answer.
        sheet: what the table holds; None without a ranking.
        shown: its rows that pass the filter.
        order: their order, in words.
        marks: lines that are marked.
        width: of the lines.
    """
    style = state.style
    first = _with_right(_asked(state, width), _trust(state, width), width)
    second = Text(_counted(state, sheet, shown, order, marks) if sheet else "", style=style.quiet)
    lines = [first, second]
    notes = [note for answer in (state.answer, state.second) if answer is not None for note in answer.warnings]
    if notes and width >= _NARROW:
        lines.append(Text(cut(plain(notes[0], style.ascii), width, style.ellipsis), style=style.warning))
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
    return lines


def _asked(state: RunState, width: int) -> Text:
    style, asked, versus = state.style, state.question, state.versus
    room = max(width // (4 if versus else 3), 8)
    target = _cut(_target(state, asked), room, style)
    how = f", {asked.output_kind}, {asked.estimator}"
    if versus is None:
        return Text.assemble((target, "bold"), f"  {_part(asked, style)}{how}")
    rival = _cut(_target(state, versus), room, style)
    if _target(state, asked) == _target(state, versus):
        first, second, before = _part(asked, style), _part(versus, style), f"{target}  "
    else:
        first, second, before = _whole(target, asked, style), _whole(rival, versus, style), ""
    return Text.assemble(before, (first, "bold"), " against ", (second, "bold"), how)


def _target(state: RunState, asked: Question) -> str:
    info = state.overview.info if state.overview else None
    return asked.target or (info.targets[0].name if info else "")


def _whole(target: str, asked: Question, style: Style) -> str:
    return f"{target}, {_part(asked, style)}" if asked.target_class is not None else target


def _part(asked: Question, style: Style) -> str:
    return "all classes" if asked.target_class is None else _cut(asked.target_class, 24, style)


def _cut(name: str, cells: int, style: Style) -> str:
    return cut(plain(name, style.ascii), cells, style.ellipsis)


def _trust(state: RunState, width: int) -> Text:
    style, answer, second = state.style, state.answer, state.second
    if answer is None:
        return Text("")
    if state.answered != state.question:
        return Text("working it out...", style=style.warning)
    if state.versus is None:
        return _one(answer.report, style)
    if state.versus_problem:
        return Text("cannot be compared", style=style.warning)
    if second is None or state.second_answered != state.versus:
        return Text("working out the second...", style=style.warning)
    reports = (answer.report, second.report)
    noise = any(report.is_noise() for report in reports)
    if width < _NARROW and not noise:
        return Text("")
    return Text(f"reliability {' and '.join(map(_word, reports))}", style=style.warning if noise else "")


def _one(report: "RankReport", style: Style) -> Text:
    found = report.ranking.reliability
    if report.is_noise():
        return Text("NOISE, not a result", style=style.warning)
    if found is None:
        return Text("reliability unknown", style=style.quiet)
    word = reliability_grade(found)
    word = "uncertain" if word == "noise" else word
    return Text(f"reliability {found.value:z.2f}, {word}")


def _word(report: "RankReport") -> str:
    found = report.ranking.reliability
    return "NOISE" if report.is_noise() else "unknown" if found is None else f"{found.value:z.2f}"


def _counted(state: RunState, sheet: "Sheet", shown: int, order: str, marks: int) -> str:
    total = len(sheet.rows)
    all_of_them = pluralize(total, sheet.noun, sheet.nouns)
    some = f"{shown:,} of {all_of_them}" if shown != total else all_of_them
    parts = [some, pluralize(sheet.models, "model"), order]
    if sheet.agreement:
        parts.append(sheet.agreement)
    if marks:
        parts.append(f"{marks:,} marked")
    problem = state.rank_problem or (state.versus_problem if state.versus is not None else "")
    if problem:
        parts.append(f"not up to date: {problem}" if state.rank_problem else f"not compared: {problem}")
    return plain(", ".join(parts), state.style.ascii)


def _with_right(left: Text, right: Text, width: int) -> Text:
    gap = width - cell_len(left.plain) - cell_len(right.plain)
    if gap < 2:
        left.truncate(max(width - cell_len(right.plain) - 2, 0))
        gap = max(width - cell_len(left.plain) - cell_len(right.plain), 0)
    return Text.assemble(left, " " * gap, right)


_WORDS = {ProbeKind.FAILURES: "Failures", ProbeKind.PARTS: "Subpopulations", ProbeKind.LEAKS: "Leaks"}
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
    stale = found is not None and found.question != asked and not probe.problem
    room = max(width - tabs.cell_len - 2, 0)
    right = Text("working it out..." if stale else _probe_heading_asked(state, asked.question, room))
    right.stylize(style.warning if stale else "")
    right.truncate(room, overflow="crop")
    return Text.assemble(tabs, " " * (width - tabs.cell_len - right.cell_len), right)


def _probe_heading_asked(state: RunState, asked: Question, room: int) -> str:
    style, info = state.style, state.overview.info if state.overview else None
    target = asked.target or (info.targets[0].name if info else "")
    parts = [target, "all classes" if asked.target_class is None else asked.target_class]
    how = f", {asked.output_kind}, {asked.estimator}"
    shown = plain(", ".join(part for part in parts if part), style.ascii)
    if cell_len(shown) + len(how) > room:
        how = ""
    return cut(shown, room - len(how), style.ellipsis) + how
