"""Starting the retrainings of a pruning that is planned, in the background; the one way in which they begin."""

from tui_influence.pruning.request import Planned
from tui_influence.runs.launch import start
from tui_influence.runs.supervisor import Observer, Request
from tui_influence.store.paths import Paths


def begin(plan: Planned, own: Paths, observer: Observer) -> int:
    """Start a supervisor that trains what is planned.

    Args:
        plan: what `request.planned` returned.
        own: where the pruning is kept.
        observer: is told what is being prepared until the run is under way.

    Returns:
        the pid of the supervisor.

    Raises:
        TinflError: it could not be started.
    """
    return start(Request(plan.config, own.root, pruning=plan.pruning), observer)
