"""A run's tasks on a cluster, a line each: which job, on which node, or why it waits. Pure functions of a heartbeat."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from tui_influence.render.format import cut, plain
from tui_influence.render.run_words import by_state, where, why_waiting
from tui_influence.render.style import LABEL, Style
from tui_influence.runs.cluster.slurm_client import SlurmTask
from tui_influence.runs.heartbeat import Heartbeat

MOST = 8
"""Lines that running tasks take at most."""
MOST_WAITING = 4


def task_lines(heartbeat: Heartbeat, style: Style, width: int) -> Iterator[Text]:
    """Yield a line that counts the tasks, then a line a task; the rest of a large crowd is counted.

    Args:
        heartbeat: with what the engine said of the tasks; nothing is drawn if that is nothing.
        style: colours and signs.
        width: of the lines.
    """
    running, waiting = by_state(heartbeat.tasks)
    if running:
        yield style.fact("tasks", _cut(where(running, 3), style, width))
    shown = running if len(running) <= MOST else running[: MOST - 1]
    yield from _each(shown, [_on(task) for task in shown], style, width)
    if left := running[len(shown) :]:
        yield style.fact("", f"and {len(left):,} more")
    yield from _each(waiting[:MOST_WAITING], [why_waiting(task) for task in waiting], style, width, style.quiet)
    if left := waiting[MOST_WAITING:]:
        yield style.fact("", f"and {sum(task.count for task in left):,} more wait", style.quiet)


def _each(
    tasks: Sequence[SlurmTask], said: Sequence[str], style: Style, width: int, text_style: str = ""
) -> Iterator[Text]:
    room = max((len(task.job) for task in tasks), default=0)
    for task, words in zip(tasks, said, strict=False):
        state = cut(task.state.lower(), LABEL - 1, "")
        yield style.fact(state, _cut(f"{task.job:<{room}}  {words}", style, width), text_style)


def _on(task: SlurmTask) -> str:
    return f"{task.node}  plans the next round" if task.is_planner else task.node


def _cut(text: str, style: Style, width: int) -> str:
    return cut(plain(text, style.ascii), max(width - LABEL, 1), style.ellipsis)
