"""`tinfl demo`: an experiment whose answer can be checked by eye, from nothing to a ranking and its worth."""

from pathlib import Path
from statistics import median

from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank_run
from tui_influence.cli import diagnostics, output
from tui_influence.cli.commands.rank import show_ranking
from tui_influence.cli.launch import device_list, refuse_failed_models, run_here
from tui_influence.cli.options.starting import DemoOptions
from tui_influence.config.loader import parse_config
from tui_influence.config.schema import Config
from tui_influence.pruning.options import DEFAULT_NAME, PruningRequest
from tui_influence.pruning.planning import plan_pruning, pruning_directory
from tui_influence.pruning.recommendation import measured_best
from tui_influence.pruning.results import load_pruning
from tui_influence.render.pruning import recommendation_line, summary_lines
from tui_influence.render.style import Style
from tui_influence.roles import ArmKind
from tui_influence.runs.devices import with_devices
from tui_influence.runs.heartbeat import Heartbeat
from tui_influence.runs.resume import check_against_results
from tui_influence.runs.supervisor import Request
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import Pruning
from tui_influence.store.run_info import RunInfo, read_run_info
from tui_influence.text import quote_path

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

_DROP_COUNT = 18
"""Characters that the pruning drops: half."""
_SEEDS = 16
"""Retrainings of each arm."""


def demo(options: DemoOptions) -> None:
    """Train, rank, retrain without the lowest-ranked characters, and print the commands that help next."""
    config = with_devices(demo_config(options.results, options.models), device_list(options.devices))
    check_against_results(config, options.results)
    diagnostics.info(
        f"Training {config.n_models} models, {config.n_prior} on all of 36 printed characters, the others on half of\n"
        "them, and transferring each to 2,000 handwritten digits with 10 labelled examples per digit."
    )
    finished = [(options.results, run_here(Request(config, options.results)))]
    paths, info = Paths(options.results), read_run_info(options.results)
    for line in _rank(paths, info):
        output.write_line(line)
    if options.prune:
        finished.append(_prune(paths, info, options.devices))
    path = quote_path(options.results)
    suggestions = {f"tinfl rank {path} --class 7": "the characters that help to read one digit"}
    if options.prune:
        suggestions[f"tinfl prune {path}"] = "the gain of each digit, and the removal curve"
    suggestions |= {f"tinfl explore {path}": "all results, with images", "tinfl init": "a config for your own data"}
    width = max(map(len, suggestions))
    for number, (command, purpose) in enumerate(suggestions.items()):
        diagnostics.info(f"{'      ' if number else chr(10) + 'next: '}{command:{width}}   {purpose}")
    for root, heartbeat in finished:
        refuse_failed_models(root, heartbeat)


def _prune(paths: Paths, info: RunInfo, devices: str | None) -> tuple[Path, Heartbeat]:
    """Retrain without some characters, chosen in several ways, and print the gains."""
    pruning_paths = pruning_directory(paths, DEFAULT_NAME)
    request = PruningRequest(
        drop_counts=(_DROP_COUNT,),
        seeds=_SEEDS,
        baselines=(ArmKind.LABELS,),
        devices=device_list(devices),
        same="steps",
    )
    plan = plan_pruning(paths, info, pruning_paths, request)
    diagnostics.info(
        f"\nRetraining without {_DROP_COUNT} of {len(info.source.groups)} characters: the least helpful, as many at "
        f"random, the most helpful,\nand those that a single model does not use. {_models_sentence(plan.pruning)}"
    )
    last = run_here(Request(plan.config, pruning_paths.root, pruning=plan.pruning))
    output.write_line()
    results = load_pruning(pruning_paths)
    for line in summary_lines(results, Style()):
        output.write_line(line)
    output.write_line(recommendation_line(measured_best(results), Style(), "finding").plain)
    return pruning_paths.root, last


def _models_sentence(pruning: Pruning) -> str:
    """Return how many models are retrained: at first, where some arms have fewer, and in the end."""
    later = pruning.max_rows - pruning.n_rows
    follow = f", {later} of them once the others are trained" if later else ""
    return f"{pruning.max_rows} models, {_SEEDS} of each arm{follow}; all for the same number of steps."


def demo_config(results: Path, models: int | None = None) -> Config:
    """Return the config of the demo."""
    config = parse_config(_CONFIG, "the config of the demo")
    design = config.design.model_copy(update={"models": models}) if models else config.design
    return config.model_copy(update={"run": config.run.model_copy(update={"output": str(results)}), "design": design})


def _rank(paths: Paths, info: RunInfo) -> list[str]:
    """Show the ranking for the whole target; return lines on the rankings for each digit."""
    show_ranking(rank_run(paths, info, Question().about(info)).report, top=None)
    lines = ["", "Most helpful printed characters for each handwritten digit:"]
    ranks = []
    for digit in info.targets[0].classes:
        rows = rank_run(paths, info, Question(target_class=digit).about(info)).report.ranking.rows
        ranks.append(next(row.rank for row in rows if row.group == digit))
        lines.append(f"  {digit}   {'  '.join(row.group for row in rows[:6])}")
    return [
        *lines,
        "",
        f"For {ranks.count(1)} of {len(ranks)} handwritten digits the most helpful printed character is the digit "
        f"itself (median rank {median(ranks):g} of {len(info.source.groups)}).",
    ]
