"""Rankings end to end: which outputs count, in which order, and what happens when there is next to nothing."""

import subprocess
import sys

import numpy as np
import pytest
from simulated_sweeps import simulate

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence import outputs as outputs_module
from tui_influence.influence.difference import difference
from tui_influence.influence.lds_ceiling import lds_ceiling
from tui_influence.influence.outputs import OutputMatrix, mean_output, outputs_of_kind
from tui_influence.influence.ranking import Heldout, influence_matrix, rank_groups
from tui_influence.influence.ridge import ridge
from tui_influence.influence.types import OutputKind

NAMES = [f"group {k}" for k in range(12)]


@pytest.fixture
def sweep():
    return simulate("pairs", 80, 12, 30, seed=1)


@pytest.fixture
def predictions(sweep):
    rng = np.random.default_rng(2)
    return {
        "masks": sweep.masks,
        "margins": (sweep.outputs / 4).astype(np.float16),
        "predicted": rng.integers(0, 3, sweep.outputs.shape).astype(np.int16),
        "labels": rng.integers(0, 3, 30),
        "clusters": sweep.clusters,
    }


def slow_outputs(predictions, kind):
    margins = predictions["margins"].astype(np.float64)
    return {
        "margin": margins,
        "probability": 1 / (1 + np.exp(-margins)),
        "correct": (predictions["predicted"] == predictions["labels"]).astype(np.float64),
    }[kind]


@pytest.mark.parametrize("kind", list(OutputKind))
@pytest.mark.parametrize("columns", [slice(None), slice(3, 9), [7], [20, 3, 11]], ids=["all", "run", "one", "some"])
def test_outputs_are_averaged_over_the_chosen_examples(predictions, kind, columns, monkeypatch):
    monkeypatch.setattr(outputs_module, "_ROW_BLOCK_VALUES", 500)
    matrix = OutputMatrix(predictions["margins"], predictions["predicted"], predictions["labels"], kind)
    index = np.arange(30)[columns]
    expected = slow_outputs(predictions, kind)[:, index].mean(axis=1)
    np.testing.assert_allclose(mean_output(matrix, index), expected, atol=1e-6)
    chosen = np.zeros(30, dtype=bool)
    chosen[index] = True
    np.testing.assert_allclose(mean_output(matrix, chosen), expected, atol=1e-6)


@pytest.mark.parametrize("kind", list(OutputKind))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_outputs_of_every_kind_and_precision(predictions, kind, dtype):
    margins = predictions["margins"].astype(dtype)
    found = outputs_of_kind(margins, predictions["predicted"], predictions["labels"], kind)
    np.testing.assert_allclose(found, slow_outputs(predictions, kind), rtol=1e-6, atol=1e-7)
    assert kind != "margin" or found is margins


@pytest.mark.filterwarnings("error")
def test_probabilities_of_extreme_margins_are_zero_and_one():
    for dtype in (np.float16, np.float32, np.float64):
        found = outputs_of_kind(np.array([[-60000, 60000]], dtype=dtype), None, None, "probability")
        np.testing.assert_array_equal(found, [[0, 1]])


@pytest.mark.parametrize(("estimator", "method"), [("difference", difference), ("ridge", ridge)])
@pytest.mark.parametrize("kind", list(OutputKind))
def test_a_ranking_is_the_estimate_of_the_mean_sorted_with_the_most_helpful_first(predictions, estimator, method, kind):
    ranking = rank_groups(**predictions, group_names=NAMES, examples=np.arange(5), estimator=estimator, kind=kind)
    mean = slow_outputs(predictions, kind)[:, :5].mean(axis=1)
    expected = method(predictions["masks"], mean, predictions["clusters"])
    assert [row.rank for row in ranking.rows] == list(range(1, 13))
    assert [row.group for row in ranking.rows] == [NAMES[row.index] for row in ranking.rows]
    influences = [row.influence for row in ranking.rows]
    assert influences == sorted(influences, reverse=True)
    for row in ranking.rows:
        assert row.influence == pytest.approx(expected.influence[row.index, 0], rel=1e-4, abs=1e-6)
        assert row.se == pytest.approx(expected.se[row.index, 0], rel=1e-4)
        assert row.low < row.influence < row.high
        assert 0 <= row.q <= 1
        assert (row.n_with, row.n_without) == (40, 40)
    assert (ranking.n_models, ranking.n_examples, ranking.output) == (80, 5, kind)
    assert ranking.reliability is not None
    assert ranking.forecast.target_reliability == 0.9


def test_averaging_commutes_with_estimating_so_a_class_is_the_mean_of_its_examples(predictions):
    found = influence_matrix(**predictions)
    ranking = rank_groups(**predictions, group_names=NAMES, examples=np.array([3, 8]))
    mean = found.influence[:, [3, 8]].mean(axis=1)
    for row in ranking.rows:
        assert row.influence == pytest.approx(mean[row.index], abs=1e-5)


def test_one_groups_row_is_that_row_of_the_matrix(predictions):
    whole = influence_matrix(**predictions, kind="probability")
    row = influence_matrix(**predictions, kind="probability", only=np.array([4]))
    np.testing.assert_allclose(row.influence[0], whole.influence[4], rtol=1e-6)
    np.testing.assert_allclose(row.se[0], whole.se[4], rtol=1e-6)
    assert row.n_with == [40]


def test_heldout_models_score_the_ranking_on_the_same_examples(predictions, sweep):
    other = simulate("fixed", 50, 12, 30, seed=9, effects=sweep.effects, noise=0.1)
    heldout = Heldout(other.masks, other.outputs.astype(np.float32))
    ranking = rank_groups(**predictions, group_names=NAMES, examples=np.arange(30), heldout=heldout)
    assert ranking.lds.n == 50
    assert ranking.lds.value > 0.3
    assert ranking.lds_ceiling is None
    rng = np.random.default_rng(0)
    masks = other.masks.repeat(2, axis=0)
    outputs = (other.outputs.repeat(2, axis=0) + rng.standard_normal((100, 30))).astype(np.float32)
    ranking = rank_groups(
        **predictions, group_names=NAMES, examples=np.arange(5), heldout=Heldout(masks, outputs), kind="probability"
    )
    probability = 1 / (1 + np.exp(-outputs[:, :5]))
    assert ranking.lds_ceiling.value == pytest.approx(lds_ceiling(masks, probability.mean(axis=1)).value)
    assert ranking.lds.value < ranking.lds_ceiling.value
    few = Heldout(other.masks[:3], other.outputs[:3])
    assert rank_groups(**predictions, group_names=NAMES, examples=np.arange(30), heldout=few).lds is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("estimator", ["difference", "ridge"])
@pytest.mark.parametrize("m", [0, 1, 2, 3, 5])
def test_a_run_that_has_just_begun_is_ranked_calmly(predictions, estimator, m):
    young = {name: value[:m] if name != "labels" else value for name, value in predictions.items()}
    heldout = Heldout(predictions["masks"][:m], predictions["margins"][:m])
    ranking = rank_groups(**young, group_names=NAMES, examples=np.arange(30), estimator=estimator, heldout=heldout)
    assert len(ranking.rows) == 12
    assert ranking.n_models == m
    if m < 3:
        assert ranking.reliability is None
        assert ranking.forecast.n_models is None
        assert all(np.isnan(row.q) for row in ranking.rows)


def test_without_a_seed_a_ranking_is_that_of_seed_zero(predictions):
    def ranked(**seed):
        heldout = Heldout(predictions["masks"][:40], predictions["margins"][:40])
        return rank_groups(**predictions, group_names=NAMES, examples=np.arange(9), heldout=heldout, **seed)

    assert ranked() == ranked(seed=0)
    other = ranked(seed=1)
    assert (other.reliability, other.lds) != (ranked().reliability, ranked().lds)
    assert other.rows == ranked().rows


@pytest.mark.parametrize("columns", [[3, 8], np.isin(np.arange(30), [3, 8])])
def test_the_examples_of_a_ranking_are_counted_however_they_are_chosen(predictions, columns):
    assert rank_groups(**predictions, group_names=NAMES, examples=np.asarray(columns)).n_examples == 2


def test_names_or_margins_that_do_not_fit_the_masks_are_refused(predictions):
    for wrong in ({"group_names": NAMES[1:]}, {"group_names": NAMES, "margins": predictions["margins"][1:]}):
        with pytest.raises(ValueError, match="do not fit masks"):
            rank_groups(**predictions | wrong, examples=np.arange(3))


def test_groups_of_unknown_influence_come_last_and_are_named(predictions):
    predictions["masks"] = predictions["masks"].copy()
    predictions["masks"][:, 2] = True
    ranking = rank_groups(**predictions, group_names=NAMES, examples=np.arange(30))
    assert ranking.constant_groups == ("group 2",)
    assert ranking.rows[-1].group == "group 2"
    assert np.isnan(ranking.rows[-1].influence)
    assert ranking.rows[-1].n_without == 0
    assert not np.isnan(ranking.rows[0].q)


def test_what_cannot_be_ranked_is_refused_in_a_line(predictions):
    def ranked(columns=(0,), **options):
        return rank_groups(**predictions | options, group_names=NAMES, examples=np.array(columns))

    with pytest.raises(ConfigError, match="one of difference, ridge"):
        ranked(estimator="magic")
    with pytest.raises(ConfigError, match="one of margin, probability, correct"):
        ranked(kind="loss")
    with pytest.raises(ConfigError, match="30 is not one of 0 to 29"):
        ranked(columns=[2, 30])
    with pytest.raises(ConfigError, match="no target example"):
        ranked(columns=np.array([], dtype=int))
    with pytest.raises(ConfigError, match="needs the predicted"):
        ranked(kind="correct", predicted=None)
    predictions["margins"][3, 0] = np.inf
    with pytest.raises(ResultsError, match="1 model"):
        ranked()


def test_importing_it_is_light():
    code = "import sys, tui_influence.influence.ranking as _; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "scipy.stats", "scipy.linalg", "pandas", "textual", "rich", "term_image"} & set(loaded)
