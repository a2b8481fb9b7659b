"""The lines above the table: what is asked, how far the answer can be trusted, what part of it is shown."""

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from tui_influence.analysis.question import Question
from tui_influence.influence.types import (
    describe,
)
from tui_influence.render.format import cut, plain
from tui_influence.text import pluralize
from tui_influence.tui.state import RunState
from tui_influence.tui.theme import Look

if TYPE_CHECKING:
    from tui_influence.analysis.types import (
        RankReport,
    )
    from tui_influence.tui.sheets import Sheet

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
    look = state.look
    first = _with_right(_asked(state, width), _trust(state, width), width)
    second = Text(_counted(state, sheet, shown, order, marks) if sheet else "", style=look.quiet)
    lines = [first, second]
    notes = [note for answer in (state.answer, state.second) if answer is not None for note in answer.warnings]
    if notes and width >= _NARROW:
        lines.append(Text(cut(plain(notes[0], look.ascii), width, look.sign("…", "~")), style=look.warning))
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
    return lines


def _asked(state: RunState, width: int) -> Text:
    look, asked, versus = state.look, state.question, state.versus
    room = max(width // (4 if versus else 3), 8)
    target = _cut(_target(state, asked), room, look)
    how = f", {asked.output_kind}, {asked.estimator}"
    if versus is None:
        return Text.assemble((target, "bold"), f"  {_part(asked, look)}{how}")
    rival = _cut(_target(state, versus), room, look)
    if _target(state, asked) == _target(state, versus):
        first, second, before = _part(asked, look), _part(versus, look), f"{target}  "
    else:
        first, second, before = _whole(target, asked, look), _whole(rival, versus, look), ""
    return Text.assemble(before, (first, "bold"), " against ", (second, "bold"), how)


def _target(state: RunState, asked: Question) -> str:
    info = state.overview.info if state.overview else None
    return asked.target or (info.targets[0].name if info else "")


def _whole(target: str, asked: Question, look: Look) -> str:
    return f"{target}, {_part(asked, look)}" if asked.target_class is not None else target


def _part(asked: Question, look: Look) -> str:
    return "all classes" if asked.target_class is None else _cut(asked.target_class, 24, look)


def _cut(name: str, cells: int, look: Look) -> str:
    return cut(plain(name, look.ascii), cells, look.sign("…", "~"))


def _trust(state: RunState, width: int) -> Text:
    look, answer, second = state.look, state.answer, state.second
    if answer is None:
        return Text("")
    if state.answered != state.question:
        return Text("working it out...", style=look.warning)
    if state.versus is None:
        return _one(answer.report, look)
    if state.versus_problem:
        return Text("cannot be compared", style=look.warning)
    if second is None or state.second_answered != state.versus:
        return Text("working out the second...", style=look.warning)
    reports = (answer.report, second.report)
    noise = any(report.is_noise() for report in reports)
    if width < _NARROW and not noise:
        return Text("")
    return Text(f"reliability {' and '.join(map(_word, reports))}", style=look.warning if noise else "")


def _one(report: "RankReport", look: Look) -> Text:
    found = report.ranking.reliability
    if report.is_noise():
        return Text("NOISE, not a result", style=look.warning)
    if found is None:
        return Text("reliability unknown", style=look.quiet)
    word = describe(found)
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
    return plain(", ".join(parts), state.look.ascii)


def _with_right(left: Text, right: Text, width: int) -> Text:
    gap = width - cell_len(left.plain) - cell_len(right.plain)
    if gap < 2:
        left.truncate(max(width - cell_len(right.plain) - 2, 0))
        gap = max(width - cell_len(left.plain) - cell_len(right.plain), 0)
    return Text.assemble(left, " " * gap, right)
