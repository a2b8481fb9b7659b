"""Warnings beside every result: margins that half floats round noticeably, a target that is hardly learnt."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.analysis.sweeps import read_sweep, write_sweep
from tui_influence.analysis.ranking import data_warnings

GROUPS, EXAMPLES = 4, 40
EFFECTS = np.random.default_rng(0).normal(size=(GROUPS, EXAMPLES))
LABELS = np.arange(EXAMPLES) % 2


@pytest.mark.parametrize(
    ("ease", "is_rounded"),
    [
        (1.0, False),
        (-20.0, False),
        (1000.0, True),
        (-1000.0, True),
        (np.where(np.arange(EXAMPLES) < 12, 1000.0, 1.0), False),
        (np.where(np.arange(EXAMPLES) < 28, 1000.0, 1.0), True),
    ],
)
def test_it_is_for_most_examples(tmp_path, ease, is_rounded):
    snapshot = read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=30, ease=ease))
    warnings = [warning for warning in data_warnings(snapshot) if "rounds them by more than 1% of" in warning]
    assert len(warnings) == is_rounded
    assert all("float16" in warning for warning in warnings)


@pytest.mark.parametrize("models", [1, 2])
def test_few_models_give_none(tmp_path, models):
    assert data_warnings(read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=models))) == ()


def test_what_does_not_vary_gives_none(tmp_path):
    flat = write_sweep(tmp_path, 0 * EFFECTS, LABELS, models=20, noise=0, shared=0, ease=1000.1)
    assert data_warnings(read_sweep(flat)) == ()


@pytest.mark.parametrize(("accuracy", "models", "is_warned"), [(0.54, 5, True), (0.6, 5, False), (0.54, 4, False)])
def test_a_target_near_chance_is_warned_about(tmp_path, accuracy, models, is_warned):
    snapshot = read_sweep(write_sweep(tmp_path, EFFECTS, LABELS, models=models))
    metrics = [{"target_class_accuracy": accuracy}] * models
    warnings = data_warnings(replace(snapshot, outputs=replace(snapshot.outputs, metrics=metrics)))
    assert len(warnings) == is_warned
    assert all("near chance on the target" in warning and "54.0%" in warning for warning in warnings)
