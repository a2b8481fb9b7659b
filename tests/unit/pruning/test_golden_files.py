"""What is shown, byte by byte. After a wanted change: TINFL_REGENERATE=1 pytest tests/unit/pruning; read the diff."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest

from tests.requirements import require
from tests.unit.export.reports import NAN, alphabet_report, few_models_report
from tests.unit.golden_files import REGENERATE, content_and_golden
from tests.unit.pruning.prunings import made, planned
from tui_influence.export.csv import csv_text
from tui_influence.export.figure import removal_figure
from tui_influence.export.pruning import classes_table, plan_document, pruning_document, pruning_table
from tui_influence.export.ranking_score import score_document
from tui_influence.influence.types import LDS
from tui_influence.pruning.recommendation import measured_best, predicted_best
from tui_influence.pruning.types import LowestArm, OrderAgreement, RankingScore
from tui_influence.render.pruning import cost_line, plan_lines, report_lines, summary_lines
from tui_influence.render.ranking_score import score_lines
from tui_influence.render.removal_curve import removal_curve
from tui_influence.render.style import Style
from tui_influence.roles import ArmKind
from tui_influence.runs.cost import Cost
from tui_influence.store.pruning_plan import Stages

GOLDEN = Path(__file__).parent / "golden"
TWO = ("digits", "cars")
OTHER_RECIPE = OrderAgreement(("train.epochs: 4 -> not set", "train.steps: not set -> 234"), 6, 5, 6)


def document(values):
    return json.dumps(values, indent=1, allow_nan=False) + "\n"


def lines(found):
    return "".join(f"{line}\n" for line in found)


def uneven(pruning):
    """With more repeats of some arms than of others, and nothing that follows."""
    arms = [replace(arm, rows=arm.rows[: 1 + place % 3]) for place, arm in enumerate(pruning.arms)]
    return replace(pruning, arms=tuple(arms), stages=Stages(3, most=9))


def plan(pruning, *, ascii_only=False):
    return plan_lines(pruning, predicted_best(pruning), Style(ascii_only), {"train": {"epochs": 4, "steps": None}})


def report(results, width, *, agreement=None, ascii_only=False):
    return report_lines(results, measured_best(results), Style(ascii_only), width, agreement)


def scored(models=3):
    """The score of a ranking with influences, beside prunings of which so many retrainings are recorded."""
    results = made(planned(), models=models, baselines=False)
    lowest = [result for result in results.results if result.arm.kind is ArmKind.LOWEST]
    arms = [
        LowestArm(name, result.arm.k, 36, result.arm.k - 1, result.models, result.by_target["digits"])
        for name in ("main", "a name that is far too long for its column")
        for result in lowest
    ]
    lds, of_size = LDS(0.2871, 0.0412, 0.5012, 40, 20, 20), LDS(0.21, 0.0, 0.4, 40, 20, 20)
    report = alphabet_report()
    return RankingScore("their\x1b[2J.csv", 36, 2, True, 40, report, lds, of_size, 0.6234, 34, tuple(arms), 1, ())


def order_scored():
    """The score of an order, on a run that has neither held-out models nor prunings."""
    return RankingScore("order.txt", 4, 0, False, 0, few_models_report(), None, None, NAN, 3, (), 2, ())


def score(of, *, ascii_only=False, width=80):
    return lines(line.plain for line in score_lines(of, Style(ascii_only), width))


FORMATS = {
    "score.txt": lambda: score(scored()),
    "score_none_yet_ascii.txt": lambda: score(scored(models=0), ascii_only=True, width=50),
    "score_of_order.txt": lambda: score(order_scored()),
    "score.json": lambda: document(score_document(scored())),
    "score_of_order.json": lambda: document(score_document(order_scored())),
    "plan.txt": lambda: lines(plan(planned(seeds=3))),
    "plan_relative_ascii.txt": lambda: lines(plan(planned(relative=True, targets=TWO), ascii_only=True)),
    "plan_uneven.txt": lambda: lines(plan(uneven(planned()))),
    "plan.json": lambda: document(plan_document(planned(), {"train": {"epochs": None, "steps": 234}})),
    "summary.txt": lambda: lines(summary_lines(made(planned()), Style())),
    "report_80.txt": lambda: lines(report(made(planned()), 80)),
    "report_60_ascii.txt": lambda: lines(report(made(planned(targets=TWO)), 60, ascii_only=True)),
    "report_one_retraining.txt": lambda: lines(report(made(planned(relative=True), models=1), 100)),
    "report_none_yet.txt": lambda: lines(report(made(planned(), models=0), 80)),
    "report_other_recipe.txt": lambda: lines(
        report(made(planned(), train={"steps": 234}), 80, agreement=OTHER_RECIPE, ascii_only=True)
    ),
    "margin.txt": lambda: lines(removal_curve(made(planned()), 50, quantity="margin", height=7)),
    "pruning.csv": lambda: csv_text(pruning_table(made(planned(targets=TWO))), comments=True),
    "pruning_one_retraining.csv": lambda: csv_text(pruning_table(made(planned(relative=True), models=1))),
    "classes.csv": lambda: csv_text(classes_table(made(planned(targets=TWO))), comments=True),
    "pruning.json": lambda: document(pruning_document(made(planned(targets=TWO)), OTHER_RECIPE)),
    "cost.txt": lambda: lines(
        cost_line(planned(seeds=seeds), Cost(1.234, 46, 2, 9, 3 << 20, [])) for seeds in (1, 3, 9)
    ),
}


FIGURES = {
    "figure.svg": lambda: removal_figure(made(planned()), "svg"),
    "figure_of_few.svg": lambda: removal_figure(made(planned(targets=TWO), models=1, baselines=False), "svg"),
}
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_said_is_that_of_the_golden_file(name):
    content, golden = content_and_golden(GOLDEN / name, FORMATS[name]())
    assert content == golden


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_that_of_the_golden_file(name):
    """Up to rounding; another version of matplotlib may draw the same otherwise."""
    require("the pinned matplotlib")
    text, path = FIGURES[name]().decode(), GOLDEN / name
    if os.environ.get(REGENERATE):
        path.write_text(text, encoding="utf-8")
    golden = path.read_text(encoding="utf-8")
    assert f"Matplotlib v{matplotlib.__version__}," in golden
    assert NUMBER.sub("0", text) == NUMBER.sub("0", golden)
    numbers = [[float(number) for number in NUMBER.findall(one)] for one in (text, golden)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.02)


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.iterdir()} == {*FORMATS, *FIGURES}
