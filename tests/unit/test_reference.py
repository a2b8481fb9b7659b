"""The reference sweep: the committed arrays are what their page says, and estimators are compared as they should be."""

import re
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_reference
from benchmarks.bench_reference import Estimator, Truth, cost_figure, estimators, label_mapping, lasso, tables
from benchmarks.reference_sweep import (
    FILE,
    Reference,
    collect,
    influences,
    load_reference,
    measure_seconds,
    reliability,
    write_reference,
)
from tui_influence.roles import Role
from tui_influence.store.paths import Paths
from tui_influence.store.records import decode, encode

PAGE = FILE.parent / "README.md"
MAX_BYTES = 20_000_000


@pytest.fixture(scope="module")
def reference():
    return load_reference()


def planted(models=256, groups=8, classes=3, noise=0.2):
    """A reference of influences that are known."""
    rng = np.random.default_rng(3)
    effects = rng.normal(size=(groups, classes))
    half = rng.random((models // 2, groups)) < 0.5
    masks = np.stack([half, ~half], axis=1).reshape(models, groups)
    pairs = np.arange(models) // 2
    outputs = (
        masks @ effects + rng.normal(size=(models // 2, classes))[pairs] + noise * rng.normal(size=(models, classes))
    )
    prior = (effects + 0.5 * rng.normal(size=(16, groups, classes))).astype(np.float32)
    made = Reference(
        groups=np.array([f"g{k}" for k in range(groups)]),
        classes=np.array([f"c{k}" for k in range(classes)]),
        masks=masks,
        seed_pairs=pairs.astype(np.int32),
        margins=outputs.astype(np.float16),
        predicted=np.zeros((models, classes), np.uint8),
        labels=np.arange(classes, dtype=np.uint8),
        estimate_half=np.ones(classes, bool),
        class_outputs=outputs.astype(np.float32),
        mapping=prior,
        ablation=prior,
        truth=np.zeros((groups, classes + 1), np.float32),
        truth_se=np.zeros((groups, classes + 1), np.float32),
        truth_reliability=np.zeros(classes + 1, np.float32),
        model_seconds=np.full(2, 0.25, np.float32),
        network_seconds=np.full(2, 0.5, np.float32),
        versions=np.array(["numpy 2"]),
    )
    truth, se = influences(made.masks, made.outputs, made.seed_pairs)
    known = reliability(made.masks, made.outputs, made.seed_pairs)
    return effects, replace(
        made, truth=truth.astype(np.float32), truth_se=se.astype(np.float32), truth_reliability=known.astype(np.float32)
    )


def test_the_committed_arrays_are_consistent_and_small(reference):
    assert sum(path.stat().st_size for path in FILE.parent.iterdir()) < MAX_BYTES
    m, groups = reference.masks.shape
    n, classes = len(reference.labels), len(reference.classes)
    assert (m, groups, n, classes) == (1264, 36, 2000, 10)
    assert len(reference.groups) == groups
    assert reference.margins.shape == reference.predicted.shape == (m, n)
    assert (np.bincount(reference.seed_pairs) == 2).all()
    first, second = np.argsort(reference.seed_pairs, kind="stable").reshape(-1, 2).T
    assert (reference.masks[first] != reference.masks[second]).all()
    assert reference.mapping.shape == reference.ablation.shape == (16, groups, classes)
    by_class = np.stack(
        [reference.margins[:, reference.labels == c].astype(np.float64).mean(axis=1) for c in range(10)]
    )
    np.testing.assert_allclose(reference.class_outputs, by_class.T, atol=1e-5)
    truth, se = influences(reference.masks, reference.outputs, reference.seed_pairs)
    np.testing.assert_allclose(reference.truth, truth, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(reference.truth_se, se, rtol=1e-4)
    computed = reliability(reference.masks, reference.outputs, reference.seed_pairs)
    np.testing.assert_allclose(reference.truth_reliability, computed, rtol=1e-4)
    assert min(reference.model_seconds.min(), reference.network_seconds.min()) > 0


def test_the_page_names_every_array():
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|(.*?)\|", PAGE.read_text(), re.MULTILINE))))
    assert named == {field.name for field in fields(Reference)}


def test_the_code_of_the_page_gives_the_numbers_of_the_benchmark(reference):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    variables = {"my_estimator": lambda masks, outputs: lasso(masks, outputs, reference.seed_pairs[: len(masks)])}
    exec(code, variables)
    truth = Truth(reference)
    root = np.sqrt(reference.truth_reliability.astype(float))
    block = truth.block(0, 96)
    mine = lasso(reference.masks[block], reference.outputs[block], reference.seed_pairs[block])
    expected = bench_reference.correlation(mine, truth._outside(0, 96)) / root
    np.testing.assert_allclose(variables["r"], expected)


def test_arrays_are_written_and_read_unchanged_and_nothing_is_unpickled(tmp_path):
    _, made = planted()
    paths = [tmp_path / "a.npz", tmp_path / "below" / "b.npz"]
    for path in paths:
        write_reference(made, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    read = load_reference(paths[0])
    for field in fields(Reference):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(made, field.name))
    np.savez(tmp_path / "evil.npz", groups=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_reference(tmp_path / "evil.npz")


def test_the_right_influences_are_perfect_and_random_ones_are_worth_nothing():
    effects, made = planted(noise=0.05)
    whole = np.column_stack([effects, effects.mean(axis=1)])
    right = Truth(made).compare(Estimator("right", lambda *_: whole), 12)
    assert min(right.correlation) > 0.98
    assert right.blocks == 3
    reverse = Truth(made).compare(Estimator("reverse", lambda *_: -whole), 12)
    assert np.allclose(reverse.correlation, -np.array(right.correlation))
    assert np.allclose(reverse.lds, -np.array(right.lds))
    shifted = Truth(made).compare(Estimator("shifted", lambda *_: whole + 3), 12)
    assert np.allclose(shifted.correlation, right.correlation)
    assert np.allclose(shifted.centred_lds, right.centred_lds, atol=1e-3)  # equal sums are rounded
    assert shifted.lds[0] < 0.9 * right.lds[0]
    results = {estimator.name: Truth(made).compare(estimator, 64) for estimator in estimators(made)}
    assert abs(results["random"].correlation[0]) < 0.5
    best = min(results[name].correlation[0] for name in ("difference", "ridge", "lasso", "informed, 8 networks"))
    assert best > 0.9
    assert results["equal"].correlation == results["equal"].centred_lds == (0, 0)
    assert results["label mapping, 8 networks"].correlation[0] > results["label mapping, 1 network"].correlation[0]


def test_the_models_of_a_block_have_no_part_in_its_truth():
    _, made = planted()
    changed = made.class_outputs.copy()
    changed[:16] += 100 * made.masks[:16, :1]
    assert np.array_equal(Truth(made)._outside(0, 16), Truth(replace(made, class_outputs=changed))._outside(0, 16))
    with pytest.raises(ValueError, match="blocks of 130 models"):
        Truth(made).compare(estimators(made)[0], 130)


def test_the_lasso_needs_no_order_of_the_models():
    _, made = planted()
    order = np.random.default_rng(0).permutation(len(made.masks))
    arrays = made.masks, made.outputs, made.seed_pairs
    shuffled = lasso(*(array[order] for array in arrays))
    assert np.allclose(shuffled, lasso(*arrays), atol=0.05)


def test_costs_are_those_of_the_models_and_networks_that_are_needed():
    _, made = planted()
    costs = {estimator.name: estimator.cost(made, 10) for estimator in estimators(made)}
    assert costs["ridge"] == 2.5
    assert costs["informed, 8 networks"] == 2.5 + 4
    assert costs["label mapping, 1 network"] == 0.5
    assert costs["random"] == 0
    assert label_mapping(made, 16).cost(made, 10) == 8


def test_tables_and_figure_have_every_estimator_and_size():
    _, made = planted()
    truth, sizes = Truth(made), [12, 64]
    results = {
        estimator.name: {size: truth.compare(estimator, size) for size in sizes} for estimator in estimators(made)
    }
    lines = tables(made, results, sizes)
    assert "Blocks: 3 of 12, 3 of 64." in lines[0]
    assert "CPU seconds of a model 0.25, of a prior network 0.50." in lines[0]
    for name in results:
        rows = [line for line in lines if line.startswith(f"| {name} |")]
        assert len(rows) == 4
        assert all(row.count("|") == 4 for row in rows)
    assert "{:.2f}/{:.2f}".format(*results["ridge"][64].correlation) in lines[5]
    drawn = cost_figure(truth, results, sizes)
    assert drawn == cost_figure(truth, results, sizes)
    text = drawn.decode()
    for name in ("difference", "ridge", "lasso", "informed, 8 networks", "label mapping", "CPU seconds of training"):
        assert f">{name}<" in text


def test_the_published_table_is_of_the_committed_arrays(reference):
    """A column of it, computed anew."""
    (page,) = (Path(FILE).parents[1] / "results").glob("*-reference-embedded-pair.md")
    text = page.read_text()
    size = 384
    truth = Truth(reference)
    for estimator in estimators(reference):
        if estimator.name in ("ridge", "difference", "label mapping, 8 networks"):
            result = truth.compare(estimator, size)
            expected = ["{:.2f}/{:.2f}".format(*pair) for pair in (result.correlation, result.lds, result.centred_lds)]
            rows = re.findall(rf"^\| {re.escape(estimator.name)} \|.* (\S+) \|$", text, re.MULTILINE)
            assert rows[:3] == expected


def test_a_finished_sweep_becomes_a_reference(finished, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(finished, results)
    seconds = measure_seconds(results)
    assert {role: len(measured) for role, measured in seconds.items()} == {"estimate": 10, "prior": 0}
    made = collect(results, seconds)
    assert made.masks.shape == (10, 36)
    assert made.margins.dtype == np.float16
    assert made.class_outputs.shape == (10, len(made.classes))
    assert made.mapping.shape == (0, 36, 10)
    assert made.model_seconds.min() > 0
    assert made.truth.shape == (36, 11)

    record = Paths(results).record(Role.ESTIMATE, 3, 0)
    record.write_bytes(encode(replace(decode(record.read_bytes()), margins=made.margins[2])))
    with pytest.raises(ValueError, match="estimate 3: trained again, it has other outputs than its record"):
        measure_seconds(results)
