"""Output, byte by byte. After a wanted change: TINFL_REGENERATE=1 pytest tests/unit/analysis; read the diff."""

import json
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from tests.unit.golden_files import content_and_golden
from tests.unit.pruning.plans import bare
from tests.unit.store.conftest import make_info
from tui_influence.analysis.duplicates import DuplicateKind
from tui_influence.analysis.probe_types import (
    ClassSubpopulations,
    DrivenExample,
    DrivenExamples,
    Duplicate,
    Duplicates,
    Failure,
    Failures,
    HarmfulGroup,
    Leak,
    Leaks,
    Subpopulation,
)
from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.export.counterfactual import counterfactual_document, plan_document
from tui_influence.export.csv import csv_text
from tui_influence.export.failures import failures_document, failures_table
from tui_influence.export.leakage import duplicates_table, leaks_document, leaks_table
from tui_influence.export.subpopulations import (
    classes_document,
    driven_table,
    examples_in_order,
    image_names,
    list_file_names,
    source_document,
)
from tui_influence.influence.types import RankedGroup
from tui_influence.pruning.arms import with_arms
from tui_influence.pruning.options import ClassList, PruningRequest
from tui_influence.pruning.types import (
    ArmOnExample,
    ControlComparison,
    CounterfactualPlan,
    CounterfactualPreview,
    CounterfactualResult,
    FlipCounts,
    Interval,
)
from tui_influence.render.counterfactual import counterfactual_lines, counterfactual_plan, counterfactual_title
from tui_influence.render.style import Style
from tui_influence.roles import ArmKind, Role
from tui_influence.store.examples import Examples
from tui_influence.store.generation import Outputs
from tui_influence.store.paths import Paths
from tui_influence.store.prior_records import PriorMeasures
from tui_influence.store.run_info import SourceInfo, TargetInfo

GOLDEN = Path(__file__).parent / "golden"
GROUPS = ["=1+1", "b/0", "a/1", "a/2", "n\x07ot", "b/1"]
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


def reading(*, images: bool = True) -> RunSnapshot:
    """Eight examples of three classes, and what is known of forty models."""
    source = SourceInfo(["a", "b", "=1+1"], GROUPS, [1 if images else 5] * len(GROUPS), 30, "f0", 0)
    target = TargetInfo("things", "fixed-feature", ["x", "@y", "z z"], 3, len(LABELS), ["f1", "f2"], 0, {})
    models = 40
    outputs = Outputs(
        np.arange(models),
        np.ones((models, len(GROUPS)), dtype=bool),
        np.arange(models),
        np.zeros((models, len(LABELS)), np.float16),
        np.zeros((models, len(LABELS)), np.uint16),
        [],
    )
    names = ("p0.png", " p1", "p2\n", "+p3", "p4", "p5", "p6 ", "p7")
    examples = Examples(LABELS, np.arange(len(LABELS)) % 2 == 0, names)
    info = make_info(source=source, targets=[target], models=models)
    measure = np.zeros((0, len(info.source.groups), len(target.classes)), np.float32)
    prior = PriorMeasures(measure, measure)
    return RunSnapshot(
        Paths(Path("results/small")), info, 0, examples, outputs, outputs, prior, {role: frozenset() for role in Role}
    )


def numbers(place: int) -> tuple[float, float, float, float, float]:
    """Influence, standard error, both ends and q, no two alike."""
    value = 0.5 - place / 8
    return value, 0.1 + place / 100, value - 0.21, value + 0.22, 0.001 + place / 50


LEAKS = Leaks(
    helped=(Leak(2, 0, *numbers(0), 0.9), Leak(0, 3, *numbers(1), 0.8), Leak(5, 4, *numbers(2), 0.7)),
    hurt=(Leak(1, 7, *numbers(6), -0.6), Leak(4, 5, *numbers(7), -0.5)),
    n_helped=5, n_hurt=1, n_tested=48, n_examples=8, models=40, detectable_influence=0.75,
)  # fmt: skip
COPIES = Duplicates(
    pairs=(
        Duplicate(3, 0, DuplicateKind.IDENTICAL, 0.0, 0.0),
        Duplicate(1, 4, DuplicateKind.CROP, 0.00125, 0.0625),
        Duplicate(0, 7, DuplicateKind.NEAR, 0.002, 0.125),
    ),
    n_compared=5, n_examples=8, names=("=1+1", "b/1", "c/0", "a/1", "b/0"), source_classes=("=1+1", "b", "c", "a", "b"),
)  # fmt: skip
ROWS = [RankedGroup(place, GROUPS[k], k, *numbers(place), 20, 20) for place, k in enumerate((3, 2, 5), start=1)]
FAILURES = Failures(
    examples=(
        Failure(3, 0, 2, 0.25, -1.5, tuple(HarmfulGroup(k, *numbers(n)) for k, n in ((1, 5), (0, 7), (4, 6)))),
        Failure(5, 2, 1, 0.475, -0.25, (HarmfulGroup(2, -0.5, 0.1, -0.7, -0.3, 0.049),)),
        Failure(1, 1, 1, 0.625, 0.125, ()),
        Failure(0, 0, 77, 0.0, inf, (HarmfulGroup(2, -0.5, 0.1, -0.7, -0.3, 0.05),)),
    ),
    n_wrong=3, n_low_margin=1, n_examples=8, models=40, relative=True,
)  # fmt: skip


def driven(example: int, group: int | None, place: int, q: float) -> DrivenExample:
    beyond, se, low, high, _ = numbers(place)
    if group is None:
        return DrivenExample(example, int(LABELS[example]), None, nan, nan, nan, nan, nan, 1.0)
    return DrivenExample(example, int(LABELS[example]), group, beyond + 0.25, beyond, se, low, high, q)


PARTS = (
    ClassSubpopulations(
        0,
        (Subpopulation(2, (driven(3, 2, 0, 0.001), driven(0, 2, 1, 0.0499))), Subpopulation(0, ())),
        (driven(6, 1, 2, 0.05),),
        3,
        40,
        123,
    ),
    ClassSubpopulations(
        1, (Subpopulation(0, (driven(1, 0, 0, 0.01),)),), (driven(4, None, 0, 1), driven(7, 1, 3, 0.9)), 3, 40, None
    ),
)  # fmt: skip
DRIVEN_BY = DrivenExamples(
    group=0,
    examples=(driven(3, 0, 0, 0.001), driven(1, 0, 1, 0.002), driven(0, 0, 2, 0.003), driven(4, 0, 3, 0.5)),
    not_helped=(driven(2, 0, 7, 0.001),),
    n_examples=8, class_sizes=np.array([3, 3, 2]), models=40,
)  # fmt: skip


def around(value: float) -> Interval:
    return Interval(value, value - 0.25, value + 0.5, 0.01, 0.1, 6.0)


def verification(*, models: int = 4) -> CounterfactualResult:
    """Two lists to blame, of different sizes; of the second nothing is as it is of the first."""
    groups = tuple(GROUPS)
    lists = [
        ClassList(ArmKind.DROP, tuple(groups[1:2]), "1 blamed"),
        ClassList(ArmKind.DROP, tuple(groups[2:5]), "3 blamed"),
    ]
    plan = replace(bare(len(GROUPS)), groups=groups)
    pruning = with_arms(plan, [], lists, 1 if models == 1 else 4)
    arms = []
    for place, arm in enumerate(pruning.arms):
        control = arm.kind in (ArmKind.ALL, ArmKind.RANDOM)
        recorded = models if place < 3 else min(models, 2)
        against = ControlComparison(0.01 * (place + 1), around(0.125 * place))
        arms.append(
            ArmOnExample(
                arm=arm,
                models=recorded,
                right=0 if control else recorded,
                margin=around(-0.5 + place) if recorded > 1 else Interval(-0.5 + place, nan, nan),
                over_all=None if arm.kind is ArmKind.ALL else against,
                over_random=None if control else replace(against, p=0.04 if place == 1 else 0.05),
                flips=None if arm.kind is ArmKind.ALL or not recorded else FlipCounts(1000 * place, place + 1, 1234),
            )
        )
    return CounterfactualResult(reading().info, pruning, 5, 2, tuple(arms), ())


def as_json(values) -> str:
    return json.dumps(values, indent=1, allow_nan=False) + "\n"


def lines(found) -> str:
    return "".join(f"{line}\n" for line in found)


def retrained(found: CounterfactualResult, width: int, *, ascii: bool = False) -> list[str]:
    style = Style(ascii)
    texts = [counterfactual_title(found, style), *counterfactual_lines(found, style, width)]
    return [text.plain.rstrip() for text in texts]


def preview() -> CounterfactualPreview:
    """Without the two groups that hurt an example most, of which one is significant."""
    pruning = verification().pruning
    pruning = replace(pruning, ranking=replace(pruning.ranking, targets={"things": 1.0}))
    hurt = tuple(HarmfulGroup(place, *numbers(place)) for place in (5, 4))
    return CounterfactualPreview(
        ONE, "z z", CounterfactualPlan(Paths(Path("x")), hurt, PruningRequest()), pruning, None
    )


def without_controls() -> CounterfactualResult:
    """As far as nothing but the first list has been retrained, and nothing is left out at random."""
    found = verification()
    arms = [
        replace(one, over_random=None) if one.arm.k == 1 else replace(one, models=0, right=0, flips=None)
        for one in found.arms
        if one.arm.kind is not ArmKind.RANDOM
    ]
    against = replace(arms[1].over_all, p=nan)
    return replace(found, arms=(arms[0], replace(arms[1], over_all=against), *arms[2:]))


CLASS = Question(target_class="x", split="all", estimator="ridge", output_kind="correct")
ONE = Question(example=5)
FORMATS = {
    "leaks.json": lambda: as_json(leaks_document(reading(), CLASS, LEAKS, COPIES, images=ROWS, top=2)),
    "leaks_alone.json": lambda: as_json(leaks_document(reading(), ONE, LEAKS, None, duplicates_error="moved")),
    "leaks_of_groups.json": lambda: as_json(leaks_document(reading(images=False), ONE, LEAKS, COPIES)),
    "copies_alone.json": lambda: as_json(leaks_document(reading(), CLASS, None, COPIES, top=1)),
    "leaks.csv": lambda: csv_text(leaks_table(reading(), CLASS, LEAKS, COPIES), comments=True),
    "leaks_alone.csv": lambda: csv_text(leaks_table(reading(), ONE, LEAKS, None), comments=True),
    "copies.csv": lambda: csv_text(duplicates_table(reading(), COPIES), comments=True),
    "failures.csv": lambda: csv_text(failures_table(reading(), CLASS, FAILURES), comments=True),
    "failures.json": lambda: as_json(failures_document(reading(), ONE, FAILURES)),
    "driven.csv": lambda: csv_text(driven_table(reading(), CLASS, examples_in_order(PARTS)), comments=True),
    "driven_bare.csv": lambda: csv_text(driven_table(reading(), Question(), DRIVEN_BY.examples)),
    "classes.json": lambda: as_json(classes_document(reading(), CLASS, PARTS, 1)),
    "no_classes.json": lambda: as_json(classes_document(reading(), Question(), (), None)),
    "source.json": lambda: as_json(source_document(reading(), Question(), DRIVEN_BY, 2)),
    "verification.txt": lambda: lines(retrained(verification(), 80)),
    "verification_begun.txt": lambda: lines(retrained(verification(models=1), 60, ascii=True)),
    "verification_not_begun.txt": lambda: lines(retrained(verification(models=0), 40, ascii=True)),
    "verification_without_controls.txt": lambda: lines(retrained(without_controls(), 40)),
    "verification.json": lambda: as_json(counterfactual_document(verification())),
    "planned.txt": lambda: lines(counterfactual_plan(preview(), Style(ascii=True))),
    "planned.json": lambda: as_json(plan_document(preview(), reading().info)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_that_of_the_golden_file(name):
    content, golden = content_and_golden(GOLDEN / name, FORMATS[name]())
    assert content == golden


def test_no_golden_file_is_left_over():
    assert {path.name for path in GOLDEN.iterdir()} == set(FORMATS)


def test_names_that_cannot_stand_on_a_line_of_a_list_are_counted():
    told = [driven(example, 0, 0, 0.01) for example in range(len(LABELS))]
    names, others = image_names(reading(), [*told, driven(5, 0, 0, 0.5), driven(4, None, 0, 1)])
    assert names == ["p0.png", "+p3", "p4", "p5", "p7"]
    assert others == 3


def test_lists_have_safe_names_and_no_two_are_alike_in_any_file_system():
    assert list_file_names(["a", "A", "a", "b/../c", "..", "--x--", "狮子", "n" * 70, "a-2"]) == [
        "a.txt", "A-2.txt", "a-3.txt", "b_.._c.txt", "group.txt", "x.txt", "狮子.txt", "n" * 60 + ".txt", "a-2-2.txt",
    ]  # fmt: skip
