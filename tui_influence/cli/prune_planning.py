"""What `tinfl prune` is told to plan, read from its options, and the plan shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tui_influence.cli import diagnostics, output
from tui_influence.cli.live import StageLine
from tui_influence.datasets.class_list import read_class_list
from tui_influence.errors import ConfigError
from tui_influence.pruning.arms import Chosen, choice
from tui_influence.pruning.documents import plan_document
from tui_influence.pruning.report import cost_line, plan_lines
from tui_influence.pruning.request import Planned, cost_of
from tui_influence.runs.heartbeat import observe
from tui_influence.runs.measure import NOT_TIMED, trains_here
from tui_influence.runs.supervisor import Request
from tui_influence.store.arms_file import BASELINES, ArmKind, Pruning
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable


def kinds(text: str) -> tuple[ArmKind, ...]:
    """Return the kinds of arms that `--baselines` lists; none for "none".

    Raises:
        ConfigError: there is no such baseline.
    """
    parts = [part.strip() for part in text.split(",")]
    if parts == ["none"]:
        return ()
    for part in parts:
        if part not in BASELINES:
            raise ConfigError(f'--baselines "{printable(text, 60)}": must be {", ".join(BASELINES)}, or none')
    return tuple(ArmKind(part) for part in parts)


def lists(info: RunInfo, keep: Sequence[Path], drop: Sequence[Path]) -> list[Chosen]:
    """Return the arms of `--keep` and `--drop`.

    Raises:
        ConfigError: a list cannot be read, names an unknown class, or leaves too few.
    """
    groups = info.source.groups
    listed = [*((path, ArmKind.KEEP) for path in keep), *((path, ArmKind.DROP) for path in drop)]
    names = [path.name for path, _ in listed]
    return [
        choice(read_class_list(path, groups), groups, kind, path.name if names.count(path.name) == 1 else str(path))
        for path, kind in listed
    ]


def show_plan(found: Planned, request: Request, *, json: bool, ascii_only: bool) -> None:
    """Show what would be trained and what it would cost; see `show_with_cost`."""
    lines = plan_lines(found.pruning, ascii_only=ascii_only)
    show_with_cost(found, request, plan_document(found.pruning), lines, json=json)


def show_with_cost(found: Planned, request: Request, document: dict[str, Any], lines: list[str], *, json: bool) -> None:
    """Show a plan as a document or as lines, and what it would cost, after timing a few training steps.

    Where others would train it, nothing is timed; what Slurm would be given is shown instead.
    """
    if not trains_here(found.config):
        _show_submission(request, document, lines, json=json)
        return
    with StageLine() as line:
        line.stage("timing a few training steps", 0, 0)
        cost = cost_of(found)
    if json:
        output.write_json(
            {
                **document,
                "seconds_per_model": cost.seconds_per_model,
                "seconds": cost.seconds,
                "disk_bytes": cost.disk,
            }
        )
        return
    for text in [*lines, cost_line(found.pruning, cost)]:
        output.line(text)


def _show_submission(request: Request, document: dict[str, Any], lines: list[str], *, json: bool) -> None:
    if json:
        output.write_json(document)
        return
    for text in lines:
        output.line(text)
    if request.config.compute.executor == "slurm":
        from tui_influence.runs.cluster.slurm import dry_run

        for text in ["", *dry_run(request)]:
            output.line(text)
    diagnostics.say(NOT_TIMED)


def say_how_many(paths: Paths, info: RunInfo, pruning: Pruning) -> None:
    """Say how many models the ranking is from, where the sweep is not done yet."""
    state = observe(paths)[0]
    if pruning.ranking.models < info.models:
        diagnostics.warn(
            f"ranked by {pruning.ranking.models} of {info.models} models (the sweep is {state.value}); "
            "the ranking stays as it is now"
        )
