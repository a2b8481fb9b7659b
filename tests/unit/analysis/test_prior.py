"""Questions by an estimator with a prior: its default, what it takes, and what it says where there is none."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.program import tinfl, write_config
from tui_influence.analysis.class_effects import estimate_effects
from tui_influence.analysis.class_relative import class_relative_influence
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.reliability_curve import reliability_curve
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.export.json import rank_json
from tui_influence.influence.estimators import MAX_RIDGE_GROUPS
from tui_influence.pruning.options import PruningRequest
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info

PRIOR, MODELS = 2, 24


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> RunSnapshot:
    directory = tmp_path_factory.mktemp("prior")
    tinfl("sweep", "--foreground", write_config(directory, models=MODELS, swap={"prior = 0": f"prior = {PRIOR}"}))
    root = directory / "results"
    return read_snapshot(Paths(root), read_run_info(root))


def test_the_run_decides_the_estimator_unless_one_is_requested(snapshot):
    without = replace(snapshot.info, prior=0)
    assert Question().about(snapshot.info).estimator == "informed"
    assert Question().about(without).estimator == "ridge"
    many = replace(without, source=replace(without.source, groups=[str(k) for k in range(MAX_RIDGE_GROUPS + 1)]))
    assert Question().about(many).estimator == "difference"
    assert Question().about(snapshot.info, "ridge").estimator == "ridge"


@pytest.mark.parametrize(
    ("estimator", "has_prior", "option"),
    [
        (None, True, ""),
        ("difference", True, "--estimator=difference "),
        (None, False, ""),
        ("ridge", False, ""),
        ("difference", False, "--estimator=difference "),
    ],
)
def test_a_command_names_the_estimator_where_it_is_not_the_default_of_the_run(snapshot, estimator, has_prior, option):
    info = snapshot.info if has_prior else replace(snapshot.info, prior=0)
    question = Question().about(info, estimator)
    assert question.command("run") == f"tinfl rank {option}-- run"
    command = PruningRequest().command(Path("run"), "main", question=question)
    assert command == f"tinfl prune {option}-- run"


def test_probes_of_single_examples_leave_the_default_aside(snapshot):
    question = Question().about(snapshot.info)
    assert question.about_examples().estimator == "difference"
    assert question.about_examples().command("run", "failures") == "tinfl failures -- run"
    ridge = Question().about(snapshot.info, "ridge").about_examples()
    assert ridge.command("run", "failures") == "tinfl failures --estimator=ridge -- run"


def test_commands_about_single_examples_name_an_estimator_that_is_not_theirs(snapshot):
    question = Question().about(replace(snapshot.info, prior=0), "ridge")
    assert question.command("run", "subpops") == "tinfl subpops --estimator=ridge -- run"
    assert question.command("run", "show") == "tinfl show -- run"
    assert question.about_examples().estimator == "ridge"  # requested, though it is the default
    of_examples = Question().about(replace(snapshot.info, prior=0)).about_examples()
    assert of_examples.command("run", "subpops") == "tinfl subpops -- run"
    assert of_examples.command("run", "show") == "tinfl show --estimator=difference -- run"


def test_every_question_starts_from_the_prior(snapshot):
    question = Question().about(snapshot.info)
    report = rank(snapshot, question).report
    assert report.n_prior == PRIOR
    assert report.ranking.prior_share is not None
    assert report.ranking.reliability is not None
    effects = estimate_effects(snapshot, question)
    assert effects.classes.prior_share is not None
    assert effects.examples is not None
    assert np.isfinite(effects.examples.influence).all()
    one = rank(snapshot, replace(question, example=3)).report.ranking
    row = next(row for row in one.rows if row.index == 5)
    if snapshot.examples.estimate[3]:
        column = int(np.flatnonzero(np.flatnonzero(snapshot.examples.estimate) == 3)[0])
        assert row.influence == pytest.approx(float(effects.examples.influence[5, column]))


@pytest.mark.parametrize("models", [1, 2, 4])
def test_a_ranking_of_few_models_is_written_as_json(snapshot, models):
    outputs = snapshot.outputs
    few = replace(
        outputs,
        indices=outputs.indices[:models],
        clusters=outputs.clusters[:models],
        masks=outputs.masks[:models],
        margins=outputs.margins[:models],
        predicted=outputs.predicted[:models],
        metrics=outputs.metrics[:models],
    )
    report = rank(replace(snapshot, outputs=few), Question().about(snapshot.info)).report
    document = json.loads(rank_json(report))
    assert document["n_models"] == models
    assert document["prior_share"] is None or 0 <= document["prior_share"] <= 1


def test_of_the_difference_between_an_example_and_its_class_the_prior_says_nothing(snapshot):
    relative = class_relative_influence(snapshot, Question().about(snapshot.info))
    assert relative.estimate.prior_share is not None
    assert (relative.estimate.prior_share == 0).all()
    assert np.isfinite(relative.influence).all()


def test_the_reliability_is_followed_and_forecast(snapshot):
    curve = reliability_curve(snapshot, Question().about(snapshot.info))
    assert curve.measured[-1][0] == MODELS
    assert curve.models_needed.low > MODELS


def test_what_is_missing_is_named(snapshot):
    question = Question().about(snapshot.info)
    nothing = replace(snapshot.prior, mapping=snapshot.prior.mapping[:0], ablation=snapshot.prior.ablation[:0])
    with pytest.raises(ResultsError, match="none of its 2 prior networks is recorded; estimate by `difference`"):
        rank(replace(snapshot, prior=nothing), question)
    with pytest.raises(ConfigError, match="this run has none"):
        rank(replace(snapshot, prior=nothing, info=replace(snapshot.info, prior=0)), question)
