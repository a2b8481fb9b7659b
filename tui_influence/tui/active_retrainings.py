"""The retrainings of a sweep that go on when the app is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tui_influence.pruning.options import counterfactual_example
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.ownership import Owner
from tui_influence.runs.run_list import MAX_RUNS
from tui_influence.store.paths import Paths
from tui_influence.text import printable
from tui_influence.tui.background import attempt


@dataclass(frozen=True)
class ActiveRun:
    """A run that goes on when the app is left.

    Attributes:
        name: such as "the pruning main".
        owner: its supervisor, if known.
    """

    name: str
    owner: Owner | None = None


def active_retrainings(sweep: Path) -> list[ActiveRun]:
    """Return the prunings and counterfactuals of a sweep that are being trained, whoever has started them."""
    roots, _ = attempt(lambda: sorted(entry for entry in Paths(sweep).prunings.iterdir() if entry.is_dir()))
    observed = [(root, attempt(partial(observe, Paths(root)))[0]) for root in (roots or ())[:MAX_RUNS]]
    return [
        ActiveRun(_name(root), state_and_owner[2])
        for root, state_and_owner in observed
        if state_and_owner is not None and state_and_owner[0] in ACTIVE
    ]


def enumerate_runs(runs: Sequence[ActiveRun]) -> str:
    """Return runs in words, each with the process of its supervisor."""
    names = [f"{run.name} (pid {run.owner.pid})" if run.owner is not None else run.name for run in runs]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _name(root: Path) -> str:
    kind = "pruning" if counterfactual_example(root.name) is None else "counterfactual"
    return f"the {kind} {printable(root.name, 60)}"
