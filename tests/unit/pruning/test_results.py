"""What an arm is said to have gained, on records whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.pruning.plans import bare
from tests.unit.pruning.test_golden_files import plan, report
from tests.unit.store.conftest import make_info, make_record
from tui_influence.export.csv import csv_text
from tui_influence.export.pruning import COLUMNS, pruning_document, pruning_table
from tui_influence.pruning.arms import with_arms
from tui_influence.pruning.options import ClassList
from tui_influence.pruning.recommendation import measured_best, predicted_best
from tui_influence.pruning.results import difference, load_results
from tui_influence.pruning.types import lost_and_gained
from tui_influence.roles import ArmKind, Role
from tui_influence.store.examples import Examples, write_examples
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import GainForecast
from tui_influence.store.records import as_margins, write_record
from tui_influence.store.run_info import SourceInfo, TargetInfo, read_run_info, write_run_info

N = 240
LABELS = np.arange(N) % 3
ESTIMATE = np.arange(N) // 3 % 2 == 0


def pruned(root, pruning, margin, *, only=None, seed=0, targets=("digits",)):
    """A pruning whose row of an arm has margins `margin(arm, row, target)` (n,), plus a little noise."""
    paths = Paths(root)
    examples = Examples(LABELS, ESTIMATE, ("x",) * N)
    pictures = np.zeros((N, 8, 8, 1), np.uint8)
    described = [
        TargetInfo(
            name,
            "fixed-feature",
            ["x", "y", "z"],
            3,
            N,
            ["f1", "f2"],
            0,
            write_examples(paths, place, examples, pictures),
        )
        for place, name in enumerate(targets)
    ]
    count = len(pruning.groups)
    source = SourceInfo(list(pruning.groups), list(pruning.groups), [2] * count, 2 * count, "f0", 0)
    info = replace(make_info(source=source, targets=described), models=0, arms=pruning.n_rows)
    write_run_info(paths, info)
    masks = {row.index: row.mask for row in pruning.rows()}
    for arm in pruning.arms:
        for row in arm.rows:
            if only is not None and row.index not in only:
                continue
            for place, name in enumerate(targets):
                rng = np.random.default_rng((seed, row.index, place))
                margins = as_margins(margin(arm, row, name) + 0.1 * rng.normal(size=N))
                predicted = np.where(margins > 0, LABELS, (LABELS + 1) % 3).astype(np.uint16)
                record = make_record(
                    row.index, Role.ARM, place, mask=masks[row.index], margins=margins, predicted=predicted
                )
                write_record(paths, record)
    return load_results(paths, info, pruning)


def flat(value):
    return np.full(N, float(value))


def test_welchs_interval_holds_the_truth_95_percent_of_the_time():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(4000):
        found = difference(rng.normal(1.0, 1.0, 5), rng.normal(0.5, 3.0, 8))
        held.append(found.low <= 0.5 <= found.high)
    assert abs(np.mean(held) - 0.95) < 4 * np.sqrt(0.05 * 0.95 / 4000)


def test_one_retraining_has_a_difference_and_no_interval():
    found = difference(np.array([1.0]), np.array([0.5, 0.25]))
    assert found.value == 0.625
    assert np.isnan([found.low, found.high]).all()
    assert found.sign == 0


def test_retrainings_that_agree_by_chance_are_not_taken_for_certain():
    equal = difference(np.array([1.0, 1.0]), np.array([0.5, 0.5]))
    assert equal.value == 0.5
    assert np.isnan([equal.low, equal.high, equal.p]).all()
    one_example = difference(np.array([0.95, 0.95]), np.array([0.9, 0.9]), step=0.05)
    assert one_example.low < 0 < one_example.high
    all_of_them = difference(np.array([1.0, 1.0]), np.array([0.0, 0.0]), step=0.05)
    assert all_of_them.p < 0.01


def test_gains_are_of_the_evaluate_half_alone(tmp_path):
    pruning = with_arms(bare(), [3], [], 4)

    def margin(arm, row, target):
        worth = {ArmKind.ALL: 1.0, ArmKind.LOWEST: 1.5, ArmKind.RANDOM: 0.8, ArmKind.HIGHEST: -1.0}[arm.kind]
        return np.where(ESTIMATE, 50.0, worth)

    measured = pruned(tmp_path, pruning, margin)
    lowest = measured.result_of(ArmKind.LOWEST, 3)
    assert lowest.margin.mean.value == pytest.approx(1.5, abs=0.02)
    assert lowest.margin.gain.value == pytest.approx(0.5, abs=0.02)
    assert lowest.margin.gain.sign == 1
    assert lowest.margin.over[ArmKind.RANDOM].value == pytest.approx(0.7, abs=0.02)
    assert measured.result_of(ArmKind.HIGHEST, 3).accuracy.mean.value == 0
    assert measured.result_of(ArmKind.HIGHEST, 3).accuracy.gain.value == -1


def test_each_target_class_says_what_it_gained_and_lost(tmp_path):
    pruning = with_arms(bare(), [3], [], 4)

    def margin(arm, row, target):
        if arm.kind is not ArmKind.LOWEST:
            return np.where(LABELS == 2, 0.0, 5.0)
        return np.where(LABELS == 0, -5.0, 5.0)

    gains = {gain.name: gain for gain in pruned(tmp_path, pruning, margin).result_of(ArmKind.LOWEST, 3).by_class}
    assert gains["x"].accuracy.value == -1
    assert gains["y"].accuracy.value == 0
    assert gains["z"].accuracy.sign == 1
    assert gains["z"].margin.value == pytest.approx(5, abs=0.02)


def test_classes_that_changed_by_chance_are_not_named(tmp_path):
    """Of forty arms that change nothing, hardly any names a class; one that changes a class names it."""
    named = 0
    for seed in range(40):
        pruning = with_arms(bare(seed=seed), [3], [], 4)

        def noise(arm, row, target, seed=seed):
            return np.random.default_rng((seed, row.index, 7)).normal(0, 1, 3)[LABELS]

        result = pruned(tmp_path / str(seed), pruning, noise, seed=seed).result_of(ArmKind.LOWEST, 3)
        named += any(lost_and_gained(result.by_class))
    assert named <= 7  # binomial, 40 at 5%: p = 0.0007

    def changed(arm, row, target):
        return np.where((LABELS == 1) & (arm.kind is ArmKind.LOWEST), -5.0, 5.0)

    lost, gained = lost_and_gained(pruned(tmp_path / "real", pruning, changed).result_of(ArmKind.LOWEST, 3).by_class)
    assert [gain.name for gain in lost] == ["y"]
    assert gained == []


def test_targets_are_averaged_by_their_weights(tmp_path):
    pruning = with_arms(bare(), [3], [], 3)
    pruning = replace(pruning, ranking=replace(pruning.ranking, targets={"a": 3.0, "b": 1.0}))
    of_target = {"a": np.where(ESTIMATE, -9.0, 4.0), "b": np.where(ESTIMATE, -9.0, 8.0)}
    measured = pruned(tmp_path, pruning, lambda arm, row, target: of_target[target], targets=("a", "b"))
    control = measured.result_of(ArmKind.ALL, 0)
    assert control.margin.mean.value == pytest.approx(5, abs=0.02)
    assert control.by_target["b"]["margin"].mean.value == pytest.approx(8, abs=0.02)
    assert control.by_target["a"]["accuracy"].mean.value == 1


def noisy(gains, seed, spread=0.2):
    """Margins of arms that gain so much, by k, and vary by their training seed."""

    def margin(arm, row, target):
        own = gains.get(arm.k, 0.0) if arm.kind is ArmKind.LOWEST else 0.0
        return flat(1.0 + own + spread * np.random.default_rng((seed, row.index)).normal())

    return margin


def test_the_luckiest_of_several_arms_is_not_recommended(tmp_path):
    """Of 60 prunings without any gain, a recommendation in about 1 of 40, as of a single arm."""
    found = 0
    for seed in range(60):
        pruning = with_arms(bare(seed=seed), [2, 3, 5, 7], [], 4)
        found += measured_best(pruned(tmp_path / str(seed), pruning, noisy({}, seed), seed=seed)).k is not None
    assert found <= 6  # binomial, 60 at 2.5%: p = 0.001


def test_a_gain_that_is_there_is_recommended_with_an_interval_for_the_best_of_all(tmp_path):
    pruning = with_arms(bare(), [3, 5], [], 6)
    best = measured_best(pruned(tmp_path, pruning, noisy({3: 1.0, 5: 0.2}, 0)))
    assert best.k == 3
    assert "an interval for the best of 2" in best.why


def test_what_would_tell_a_gain_is_said_where_it_can_be_known(tmp_path):
    for seed in range(9):
        measured = pruned(tmp_path / str(seed), with_arms(bare(), [3], [], 6), noisy({3: 0.12}, seed))
        gain = measured.result_of(ArmKind.LOWEST, 3).margin.gain
        if gain.low < 0 < gain.value - 0.5 * gain.se:
            break
    unsure = measured_best(measured)
    assert unsure.k is None
    seeds = int(unsure.why.partition("--seeds ")[2].rstrip(")"))
    normal = 2 * 6 / 2 * ((1.96 + 0.84) * gain.se / gain.value) ** 2
    assert normal <= seeds <= 1.4 * normal + 3
    alone = measured_best(pruned(tmp_path / "alone", with_arms(bare(), [3], [], 1), noisy({3: 1.0}, 1)))
    assert alone.k is None
    assert "no interval" in alone.why


def test_a_record_that_was_trained_on_other_groups_does_not_count(tmp_path):
    pruning = with_arms(bare(), [3], [], 3)
    pruned(tmp_path, pruning, lambda arm, row, target: flat(1))
    paths = Paths(tmp_path)
    row = next(arm for arm in pruning.arms if arm.kind is ArmKind.LOWEST).rows[1]
    stranger = make_record(
        row.index,
        Role.ARM,
        0,
        mask=pruning.rows()[0].mask,
        margins=as_margins(flat(9)),
        predicted=np.zeros(N, np.uint16),
    )
    paths.record(Role.ARM, row.index, 0).unlink()
    write_record(paths, stranger)
    measured = load_results(paths, read_run_info(paths.root), pruning)
    assert measured.result_of(ArmKind.LOWEST, 3).models == 2
    assert measured.damaged == (f"arm {row.index}: it was trained on other groups than its arm keeps",)


def test_before_training_the_largest_gain_that_is_told_from_zero_is_recommended():
    pruning = with_arms(bare(), [3, 5, 7], [], 1)
    over = (1.0, 0.5, 1.5)
    gains = {1: (9.0, 8.0, 10.0), 3: (0.5, 0.1, 0.9), 5: (0.7, 0.2, 1.2), 7: (2.0, -1.0, 5.0)}
    forecast = tuple(GainForecast(k, over, over, gain, gain) for k, gain in gains.items())
    assert predicted_best(replace(pruning, forecast=forecast)).k == 5
    unsure = tuple(replace(found, margin=(0.1, -0.1, 0.3)) for found in forecast)
    assert predicted_best(replace(pruning, forecast=unsure)).k is None
    relative = tuple(replace(found, margin=None, accuracy=None) for found in forecast)
    assert predicted_best(replace(pruning, forecast=relative)).k is None


def test_a_pruning_under_way_is_shown_as_far_as_it_is(tmp_path):
    pruning = with_arms(bare(), [3], [], 3)
    for only in ((), (0,), (0, 1), (0, 1, 2, 3, 4)):
        measured = pruned(tmp_path / str(len(only)), pruning, lambda arm, row, target: flat(1), only=only)
        assert measured.models == len(only)
        assert not measured.is_complete
        assert report(measured, 100)
        assert pruning_document(measured)["n_models"] == len(only)
        assert len(csv_text(pruning_table(measured)).splitlines()) == 1 + len(pruning.arms)


def test_the_csv_says_what_the_json_says(tmp_path):
    import csv

    pruning = with_arms(bare(), [3], [ClassList(ArmKind.DROP, ("class 1",), "=1.txt")], 3)
    measured = pruned(tmp_path, pruning, lambda arm, row, target: flat(1 + len(row.dropped)))
    rows = list(csv.DictReader(csv_text(pruning_table(measured)).splitlines()))
    document = pruning_document(measured)
    assert tuple(rows[0]) == COLUMNS
    for row, result in zip(rows, document["results"], strict=True):
        assert float(row["margin"]) == result["margin"]["mean"]["value"]
        low = result["accuracy"]["gain"]["low"]
        assert float(row["accuracy_gain_low"] or "nan") == pytest.approx(
            float("nan") if low is None else low, nan_ok=True
        )
        over = result["margin"]["gain_over"].get("random", {"value": None})["value"]
        assert float(row["margin_gain_over_random"] or "nan") == pytest.approx(
            float("nan") if over is None else over, nan_ok=True
        )
        assert int(row["n_models"]) == result["n_models"] == 3


def test_reports_can_be_ascii_and_hide_nothing_in_names(tmp_path):
    groups = ("\x1b[2Jbell", *bare().groups[1:])
    pruning = replace(bare(), groups=groups, sweep="caf\u00e9\x07")
    pruning = with_arms(pruning, [3, 5], [ClassList(ArmKind.DROP, (groups[1],), "\x1bliste\u00e9.txt")], 3)
    measured = pruned(tmp_path, pruning, lambda arm, row, target: flat(1 - len(row.dropped) / 9 + row.repeat / 50))
    for text in [*report(measured, 80, ascii_only=True), *plan(pruning, ascii_only=True)]:
        assert text.isascii()
        assert text.isprintable()


def test_a_plan_of_lists_alone_says_nothing_of_predictions():
    groups = bare().groups
    lists = with_arms(bare(), [], [ClassList(ArmKind.DROP, tuple(groups[:2]), "two")], 3)
    assert [line for line in plan(lists) if "predict" in line or "recommend" in line] == []
    assert any("drop two, random 2" in line for line in plan(lists))
    assert sum("a gain forecast takes" in line for line in plan(with_arms(bare(), [2], [], 3))) == 1


def test_the_plot_puts_a_higher_accuracy_higher_up(tmp_path):
    pruning = with_arms(bare(), [4], [], 3)
    values = {ArmKind.ALL: 0.0, ArmKind.LOWEST: 0.08, ArmKind.RANDOM: -0.05, ArmKind.HIGHEST: -0.15}
    measured = pruned(tmp_path, pruning, lambda arm, row, target: flat(values[arm.kind]))
    lines = report(measured, 80)
    start = lines.index("accuracy on the evaluate half, with 95% intervals")
    plot = [line[9:] for line in lines[start + 1 : start + 13]]
    where = {mark: [place for place, line in enumerate(plot) if mark in line[20:]] for mark in "●◇▲"}
    assert where["●"] < where["◇"] < where["▲"]
