"""Tasks on a cluster in words: what `tinfl status` and the app both say of them.

Plain text, safe to show. Loads nothing heavy: `tinfl status` answers at once.
"""

from collections import Counter
from collections.abc import Sequence

from tui_influence.runs.jobs import Task
from tui_influence.text import counted


def by_state(tasks: Sequence[Task]) -> tuple[list[Task], list[Task]]:
    """Return the tasks that have a node, and those that wait for one; what is over is left out."""
    alive = [task for task in tasks if not task.is_over]
    return [task for task in alive if task.is_running], [task for task in alive if not task.is_running]


def where(running: Sequence[Task], most: int = 8) -> str:
    """Return how many tasks run and on which nodes, such as "3 tasks on n1 (2), n2"."""
    nodes = Counter(task.node for task in running)
    named = ", ".join(node + (f" ({count})" if count > 1 else "") for node, count in list(nodes.items())[:most])
    more = f" and {counted(len(nodes) - most, 'more node')}" if len(nodes) > most else ""
    return f"{counted(len(running), 'task')} on {named}{more}"


def why_waiting(task: Task) -> str:
    """Return what waits and for what, in Slurm's word where it has one, such as "97 tasks: Priority"."""
    if task.is_planner and task.reason == "Dependency":
        return "planner of the next round: after the tasks before it"
    what = "planner" if task.is_planner else counted(task.count, "task")
    return f"{what}: {task.reason or task.state.lower()}"
