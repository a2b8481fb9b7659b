"""`tinfl demo`: the embedded experiment, from nothing to a ranking that can be checked by eye, and what it is worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options import Devices

if TYPE_CHECKING:
    from tui_influence.config.schema import Config
    from tui_influence.runs.heartbeat import Heartbeat
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import RunInfo

_CONFIG = """\
[run]
name = "demo"
seed = 0

[source]
kind = "builtin"
name = "glyphs"

[[target]]
kind = "builtin"
name = "digits"
train_per_class = 10
test_per_class = 200

[design]
kind = "balanced"
models = 256
heldout = 32

[model]
arch = "small-cnn"
resolution = 14

[train]
epochs = 4
batch_size = 128
lr = 0.2
probe_l2 = 1.0
"""

_DROPPED = (6, 18)
"""Characters that are left out in the second part: a few, and half."""
_SEEDS = 8


def demo(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Where the results go.")] = Path("results/demo"),
    models: Annotated[int | None, typer.Option(min=2, help="Train this many models instead.")] = None,
    devices: Devices = None,
    prune: Annotated[bool, typer.Option(help="Also retrain without what helps least, and most.")] = True,
) -> None:
    """Run the embedded experiment: which printed characters help to read handwritten digits?"""
    from tui_influence.cli.launch import device_list, refuse_failed_models, run_here, shown
    from tui_influence.runs.devices import with_devices
    from tui_influence.runs.resume import check_against_results
    from tui_influence.runs.supervisor import Request
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info

    config = with_devices(demo_config(results, models), device_list(devices))
    check_against_results(config, results)
    diagnostics.say(
        f"Training {config.design.models + config.design.heldout} networks, each on half of 36 printed characters,\n"
        "and reading 2,000 handwritten digits with each after 10 labelled examples a digit."
    )
    ends = [(results, run_here(Request(config, results)))]
    paths, info = Paths(results), read_run_info(results)
    for line in _answer(paths, info):
        output.line(line)
    if prune:
        ends.append(_retrain(paths, info, devices))
    where = shown(results)
    diagnostics.say(f"\nnext: tinfl rank {where} --class 7     the characters that help to read one digit")
    if prune:
        diagnostics.say(f"      tinfl prune {where}           what each digit gained and lost, and the removal curve")
    diagnostics.say(f"      tinfl explore {where}         all of it, with pictures")
    diagnostics.say("      tinfl init      a config for your own data")
    for root, last in ends:
        refuse_failed_models(root, last)


def _retrain(paths: "Paths", info: "RunInfo", devices: str | None) -> "tuple[Path, Heartbeat]":
    """Retrain without half of the characters, chosen in several ways, and show what that does."""
    from tui_influence.cli.launch import device_list, run_here
    from tui_influence.pruning.options import PruningRequest
    from tui_influence.pruning.planning import plan_pruning, pruning_directory
    from tui_influence.pruning.results import load_results
    from tui_influence.render.pruning import summary_lines
    from tui_influence.roles import (
        ArmKind,
    )
    from tui_influence.runs.supervisor import Request
    from tui_influence.store.pruning_plan import (
        read_arms,
    )
    from tui_influence.store.run_info import read_run_info

    pruning_paths = pruning_directory(paths, "main")
    request = PruningRequest(
        drop_counts=_DROPPED, seeds=_SEEDS, baselines=(ArmKind.LABELS,), devices=device_list(devices)
    )
    plan = plan_pruning(paths, info, pruning_paths, request)
    diagnostics.say(
        f"\nRetraining without {' and '.join(map(str, _DROPPED))} of {len(info.source.groups)} characters: those that "
        "help least, as many at random, those that\nhelp most, and those that one network finds no use for; "
        f"{_SEEDS} networks each."
    )
    last = run_here(Request(plan.config, pruning_paths.root, pruning=plan.pruning))
    output.line("")
    for line in summary_lines(load_results(pruning_paths, read_run_info(pruning_paths.root), read_arms(pruning_paths))):
        output.line(line)
    return pruning_paths.root, last


def demo_config(results: Path, models: int | None = None) -> "Config":
    """Return the config of the embedded experiment."""
    from tui_influence.config.loader import parse_config

    config = parse_config(_CONFIG, "the embedded config")
    design = config.design.model_copy(update={"models": models}) if models else config.design
    return config.model_copy(update={"run": config.run.model_copy(update={"output": str(results)}), "design": design})


def _answer(paths: "Paths", info: "RunInfo") -> list[str]:
    """Return the ranking for the whole target, that of each digit, and what they show."""
    from statistics import median

    from tui_influence.analysis.ranking import Question, rank_run
    from tui_influence.cli.commands.rank import show

    show(rank_run(paths, info, Question()).report, top=None)
    lines = ["", "Most helpful printed characters for each handwritten digit:"]
    places = []
    for digit in info.targets[0].classes:
        rows = rank_run(paths, info, Question(target_class=digit)).report.ranking.rows
        places.append(next(row.rank for row in rows if row.group == digit))
        lines.append(f"  {digit}   {'  '.join(row.group for row in rows[:6])}")
    first = sum(place == 1 for place in places)
    return [
        *lines,
        "",
        f"For {first} of {len(places)} handwritten digits the printed character that helps most is the digit itself "
        f"(median rank {median(places):g} of {len(info.source.groups)}).",
    ]
