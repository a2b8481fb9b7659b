"""What the demo's pruning finds, for several seeds of the run: printed characters to digits.

    python -m benchmarks.bench_pruning [--results results/pruning] [--seeds 0 1 2 3] [--repeats 24]

For each seed a sweep is trained and pruned at the same number of steps, in a directory of its own; those that exist are
read. The tables have the gain of dropping the lowest-ranked characters as it was forecast and as it was measured, and
the finding.
"""

import argparse
from pathlib import Path

from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank_run
from tui_influence.cli.commands.demo import demo_config
from tui_influence.cli.launch import run_here
from tui_influence.pruning.options import PruningRequest
from tui_influence.pruning.planning import plan_pruning, pruning_directory
from tui_influence.pruning.recommendation import measured_best
from tui_influence.pruning.results import load_pruning
from tui_influence.pruning.types import PruningResults
from tui_influence.render.gains import format_gain
from tui_influence.render.pruning import recommendation_line
from tui_influence.render.style import Style
from tui_influence.roles import ArmKind
from tui_influence.runs.supervisor import Request
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, read_run_info

DROP_COUNTS = (9, 12, 18)
NAME = "same"


def sweep(root: Path, seed: int) -> tuple[Paths, RunInfo]:
    """Train the demo's sweep with another seed, unless it is there."""
    paths = Paths(root)
    if not paths.run.exists():
        config = demo_config(root)
        run_here(Request(config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})}), root))
    return paths, read_run_info(root)


def prune(paths: Paths, info: RunInfo, repeats: int) -> PruningResults:
    """Retrain without the lowest, as many at random and the highest, unless that is done."""
    pruning_paths = pruning_directory(paths, NAME)
    if not pruning_paths.run.exists():
        request = PruningRequest(drop_counts=DROP_COUNTS, seeds=repeats, baselines=(), same="steps")
        plan = plan_pruning(paths, info, pruning_paths, request)
        run_here(Request(plan.config, pruning_paths.root, pruning=plan.pruning))
    return load_pruning(pruning_paths)


def first_digits(paths: Paths, info: RunInfo) -> int:
    """Return for how many digits the printed digit is the most helpful character."""
    questions = {digit: Question(target_class=digit).about(info) for digit in info.targets[0].classes}
    return sum(rank_run(paths, info, question).report.ranking.rows[0].group == d for d, question in questions.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results/pruning"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--repeats", type=int, default=24)
    options = parser.parse_args()
    runs = {seed: sweep(options.results / f"r{seed}", seed) for seed in options.seeds}
    results = {seed: prune(paths, info, options.repeats) for seed, (paths, info) in runs.items()}
    print("| seed | reliability | digits first | finding |\n| --- | --- | --- | --- |")
    for seed, (paths, info) in runs.items():
        reliability = rank_run(paths, info, Question().about(info)).report.ranking.reliability
        finding = recommendation_line(measured_best(results[seed]), Style(), "").plain.removeprefix(": ")
        value = "-" if reliability is None else f"{reliability.value:.2f}"
        print(f"| {seed} | {value} | {first_digits(paths, info)} of 10 | {finding} |")
    for quantity in ("margin", "accuracy"):
        print(f"\n| seed | drop | over random, forecast | measured | over everything | random ({quantity}) |")
        print("| --- | --- | --- | --- | --- | --- |")
        for seed, measured in results.items():
            for result in measured.results:
                if result.arm.kind is not ArmKind.LOWEST:
                    continue
                forecast, score = measured.forecast(result.arm.k), result.score(quantity)
                random = measured.result_of(ArmKind.RANDOM, result.arm.k)
                over = forecast and (
                    forecast.margin_over_random if quantity == "margin" else forecast.accuracy_over_random
                )
                cells = [over, score.over.get(ArmKind.RANDOM), score.gain, random and random.score(quantity).gain]
                texts = [format_gain(cell, quantity) if cell else "-" for cell in cells]
                print(f"| {seed} | {result.arm.k} | {' | '.join(texts)} |")


if __name__ == "__main__":
    main()
