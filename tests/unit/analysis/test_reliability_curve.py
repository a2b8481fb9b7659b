import numpy as np
import pytest

from tests.unit.store.conftest import make_info, make_record
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank_run
from tui_influence.analysis.reliability_curve import reliability_curve
from tui_influence.analysis.snapshot import read_snapshot
from tui_influence.analysis.types import MIN_MODELS
from tui_influence.store.examples import Examples, write_examples
from tui_influence.store.paths import Paths
from tui_influence.store.records import as_margins, write_record
from tui_influence.store.run_info import SourceInfo, TargetInfo, write_run_info

GROUPS, EXAMPLES = 12, 12


def run_of(tmp_path, models: int, noise: float = 0.5, planned: int = 400):
    """A run whose groups have known effects."""
    paths = Paths(tmp_path)
    examples = Examples(np.arange(EXAMPLES) % 3, np.arange(EXAMPLES) % 2 == 0, ("x",) * EXAMPLES)
    digests = write_examples(paths, 0, examples, np.zeros((EXAMPLES, 8, 8, 1), np.uint8))
    source = SourceInfo(["a"] * GROUPS, [f"g{k}" for k in range(GROUPS)], [2] * GROUPS, 2 * GROUPS, "f0", 0)
    targets = [TargetInfo("digits", "fixed-feature", ["x", "y", "z"], 3, EXAMPLES, ["f1", "f2"], 0, digests)]
    info = make_info(source=source, targets=targets, models=planned)
    write_run_info(paths, info)
    rng = np.random.default_rng(0)
    effects = np.linspace(-1, 1, GROUPS)
    for index in range(models):
        mask = rng.random(GROUPS) < 0.5
        margins = as_margins(mask @ effects + noise * rng.normal() + 0.01 * rng.normal(size=EXAMPLES))
        write_record(paths, make_record(index, mask=mask, margins=margins))
    return paths, info


def test_reliability_is_measured_at_growing_numbers_of_models_and_the_last_is_the_ranking_s_own(tmp_path):
    paths, info = run_of(tmp_path, 64)
    found = reliability_curve(read_snapshot(paths, info), Question())
    counts = [count for count, _ in found.measured]
    assert counts == sorted(set(counts))
    assert counts[-1] == found.models == 64
    assert found.reliability == rank_run(paths, info, Question()).report.ranking.reliability
    assert found.target_accuracy == (0.25,) * 64


def test_the_forecast_goes_on_from_the_last_measurement_and_never_falls(tmp_path):
    paths, info = run_of(tmp_path, 40, noise=0.8)
    found = reliability_curve(read_snapshot(paths, info), Question())
    values = [found.reliability.value, *(value for _, value in found.forecast)]
    assert values == sorted(values)
    assert found.forecast[-1][0] <= 20 * 40
    assert found.models_needed is not None


@pytest.mark.parametrize("models", [0, 1, MIN_MODELS - 1])
def test_a_few_models_have_no_reliability(tmp_path, models):
    paths, info = run_of(tmp_path, models)
    found = reliability_curve(read_snapshot(paths, info), Question())
    assert (found.models, found.measured, found.forecast, found.reliability) == (models, (), (), None)
