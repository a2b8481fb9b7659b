"""The lines above the table: what is asked, how far the answer can be trusted, what part of it is shown.

The lines above what a probe found: which views there are, what is asked, what was found.
"""

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from tui_influence.analysis.question import Question
from tui_influence.render.format import plain
from tui_influence.render.run import reliability_word
from tui_influence.render.style import Style
from tui_influence.text import pluralize
from tui_influence.tui.state import PROBE_TRAITS, RunState

if TYPE_CHECKING:
    from tui_influence.analysis.types import RankReport
    from tui_influence.tui.table_models import RankModel


_SHORT = 60
"""Cells of a line below which only what matters most is said."""


def question_lines(
    state: RunState, model: "RankModel | None", n_shown: int, order: str, marks: int, width: int
) -> list[Text]:
    """Return two lines, and a third where something is wrong with the data.

    Args:
        state: question and answer.
        model: what the table holds; None without a ranking.
        n_shown: its rows that pass the filter.
        order: their order, in words.
        marks: lines that are marked.
        width: of the lines.
    """
    style = state.style
    first = _with_right(_question(state, width), _reliability(state, width), width)
    second = Text(_contents(state, model, n_shown, order, marks) if model else "", style=style.quiet)
    lines = [first, second]
    answers = (state.ranking.value, state.comparison.value)
    notes = [note for answer in answers if answer is not None for note in answer.warnings]
    if notes and width >= _SHORT:
        lines.append(Text(style.cut(notes[0], width), style=style.warning))
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
    return lines


def _question(state: RunState, width: int) -> Text:
    style, question, other = state.style, state.question, state.comparison.question
    room = max(width // (4 if other else 3), 8)
    target = style.cut(_target(state, question), room)
    how = f", {question.output_kind}, {question.estimator}"
    if other is None:
        return Text.assemble((target, "bold"), f"  {_part(question, style)}{how}")
    other_target = style.cut(_target(state, other), room)
    if _target(state, question) == _target(state, other):
        first, second, before = _part(question, style), _part(other, style), f"{target}  "
    else:
        first, second, before = _whole(target, question, style), _whole(other_target, other, style), ""
    return Text.assemble(before, (first, "bold"), " against ", (second, "bold"), how)


def _target(state: RunState, question: Question) -> str:
    info = state.info
    return question.target or (info.targets[0].name if info else "")


def _whole(target: str, question: Question, style: Style) -> str:
    return f"{target}, {_part(question, style)}" if question.target_class is not None else target


def _part(question: Question, style: Style) -> str:
    return "all classes" if question.target_class is None else style.cut(question.target_class, 24)


def _reliability(state: RunState, width: int) -> Text:
    style, answer, comparison = state.style, state.ranking.value, state.comparison
    if answer is None:
        return Text("")
    if state.ranking.is_stale:
        return Text("working it out...", style=style.warning)
    if comparison.question is None:
        return _reliability_words(answer.report, style)
    if comparison.error:
        return Text("cannot be compared", style=style.warning)
    if comparison.value is None or comparison.is_stale:
        return Text("working out the second...", style=style.warning)
    reports = (answer.report, comparison.value.report)
    noise = any(report.is_noise() for report in reports)
    if width < _SHORT and not noise:
        return Text("")
    return Text(f"reliability {' and '.join(map(_reliability_number, reports))}", style=style.warning if noise else "")


def _reliability_words(report: "RankReport", style: Style) -> Text:
    reliability = report.ranking.reliability
    word = reliability_word(reliability, any_significant=not report.is_noise())
    if word == "NOISE":
        return Text("NOISE, not a result", style=style.warning)
    if reliability is None or word == "unknown":
        return Text("reliability unknown", style=style.quiet)
    return Text(f"reliability {word}: {reliability.value:z.2f}")


def _reliability_number(report: "RankReport") -> str:
    reliability = report.ranking.reliability
    return "NOISE" if report.is_noise() else "unknown" if reliability is None else f"{reliability.value:z.2f}"


def _contents(state: RunState, model: "RankModel", n_shown: int, order: str, marks: int) -> str:
    total = len(model.rows)
    all_of_them = pluralize(total, model.noun, model.nouns)
    some = f"{n_shown:,} of {all_of_them}" if n_shown != total else all_of_them
    parts = [some, pluralize(model.n_models, "model"), order]
    if model.agreement:
        parts.append(model.agreement)
    if marks:
        parts.append(f"{marks:,} marked")
    if state.ranking.error:
        parts.append(f"not up to date: {state.ranking.error}")
    elif state.comparison.error and state.comparison.question is not None:
        parts.append(f"not compared: {state.comparison.error}")
    return plain(", ".join(parts), state.style.ascii)


def _with_right(left: Text, right: Text, width: int) -> Text:
    gap = width - cell_len(left.plain) - cell_len(right.plain)
    if gap < 2:
        left.truncate(max(width - cell_len(right.plain) - 2, 0))
        gap = max(width - cell_len(left.plain) - cell_len(right.plain), 0)
    return Text.assemble(left, " " * gap, right)


_MIN_QUESTION = 16
"""Cells of the question below which only the view that is shown is named."""


def probe_heading(state: RunState, summary: str, part: str, width: int) -> list[Text]:
    """Return two lines: three where the summary leaves no room beside it, and one more on what is wrong with the data.

    Args:
        state: what is probed.
        summary: what was found, in a sentence; empty before anything was.
        part: which part of it is seen, and in which order.
        width: of the lines.
    """
    style, probe = state.style, state.probe
    lines = [_tabs_and_question(state, width)]
    if summary:
        first, second = plain(summary, style.ascii), Text(plain(part, style.ascii), style.quiet)
        is_long = cell_len(first) + 2 + second.cell_len > width
        lines += [Text(first), second] if part and is_long else [Text.assemble(first, "  ", second)]
    result, error = probe.query.value, probe.query.error
    notes = [error] if result is not None and error else []
    notes += result.notes if result is not None else ()
    notes += [reason for reason in state.image_errors.values() if reason]
    if notes and summary:
        lines.append(Text(plain(notes[0], style.ascii), style.warning))
    for line in lines:
        line.truncate(width, overflow="crop" if style.ascii else "ellipsis")
        line.no_wrap = True
    return lines


def _tabs_and_question(state: RunState, width: int) -> Text:
    style, probe = state.style, state.probe
    tabs = Text("  ").join(
        Text(f" {traits.title} ", "bold reverse") if kind is probe.kind else Text(traits.title, style.quiet)
        for kind, traits in PROBE_TRAITS.items()
    )
    if width - tabs.cell_len - 2 < _MIN_QUESTION:
        tabs = Text(f" {PROBE_TRAITS[probe.kind].title} ", "bold reverse")
    query = probe.query
    stale = query.value is not None and query.is_stale and not query.error
    room = max(width - tabs.cell_len - 2, 0)
    right = Text("working it out..." if stale else _probe_question(state, query.question.question, room))
    right.stylize(style.warning if stale else "")
    right.truncate(room, overflow="crop")
    return Text.assemble(tabs, " " * (width - tabs.cell_len - right.cell_len), right)


def _probe_question(state: RunState, question: Question, room: int) -> str:
    style, info = state.style, state.info
    target = question.target or (info.targets[0].name if info else "")
    parts = [target, "all classes" if question.target_class is None else question.target_class]
    how = f", {question.output_kind}, {question.estimator}"
    text = plain(", ".join(part for part in parts if part), style.ascii)
    if cell_len(text) + len(how) > room:
        how = ""
    return style.cut(text, room - len(how)) + how
