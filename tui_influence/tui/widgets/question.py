"""The lines above the table: what is asked, how far the answer can be trusted, what part of it is shown."""

from rich.cells import cell_len
from rich.text import Text

from tui_influence.export.columns import cut, plain
from tui_influence.influence.reliability import describe
from tui_influence.tui.state import RunState


def question_lines(state: RunState, counts: tuple[int, int, str] | None, marks: int, width: int) -> Text:
    """Return two lines, and a third where something is wrong with the data.

    Args:
        state: question and answer.
        counts: rows shown, rows in all, and their order; None without a ranking.
        marks: lines that are marked.
        width: of the lines.
    """
    look, asked = state.look, state.question
    info = state.overview.info if state.overview else None
    target = asked.target or (info.targets[0].name if info else "")
    ellipsis = look.sign("…", "~")
    about = cut(plain(target, look.ascii), max(width // 3, 8), ellipsis)
    part = cut(plain(asked.target_class, look.ascii), 24, ellipsis) if asked.target_class else "all classes"
    first = Text.assemble((about, "bold"), (f"  {part}, {asked.output_kind}, {asked.estimator}", ""))
    second = Text(_counted(state, counts, marks), style=look.quiet)
    first = _with_right(first, _trust(state), width)
    lines = [first, second]
    if state.answer is not None and state.answer.notes and width >= 60:
        lines.append(Text(cut(plain(state.answer.notes[0], look.ascii), width, ellipsis), style=look.warning))
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
    return Text("\n").join(lines)


def _trust(state: RunState) -> Text:
    look, answer = state.look, state.answer
    if answer is None:
        return Text("")
    if state.answered != state.question:
        return Text("working it out...", style=look.warning)
    report = answer.report
    found = report.ranking.reliability
    if report.is_noise():
        return Text("NOISE, not a result", style=look.warning)
    if found is None:
        return Text("reliability unknown", style=look.quiet)
    word = describe(found)
    word = "uncertain" if word == "noise" else word
    return Text(f"reliability {found.value:z.2f}, {word}")


def _counted(state: RunState, counts: tuple[int, int, str] | None, marks: int) -> str:
    if counts is None:
        return ""
    shown, total, order = counts
    answer = state.answer
    nouns = answer.report.nouns if answer else "groups"
    count = answer.report.ranking.n_models if answer else 0
    models = f"{count:,} model{'' if count == 1 else 's'}"
    some = f"{shown:,} of {total:,} {nouns}" if shown != total else f"{total:,} {nouns}"
    marked = f", {marks:,} marked" if marks else ""
    problem = f", not up to date: {state.rank_problem}" if state.rank_problem else ""
    return plain(f"{some}, {models}, {order}{marked}{problem}", state.look.ascii)


def _with_right(left: Text, right: Text, width: int) -> Text:
    gap = width - cell_len(left.plain) - cell_len(right.plain)
    if gap < 2:
        left.truncate(max(width - cell_len(right.plain) - 2, 0))
        gap = max(width - cell_len(left.plain) - cell_len(right.plain), 0)
    return Text.assemble(left, " " * gap, right)
