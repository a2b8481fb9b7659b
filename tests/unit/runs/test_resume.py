"""What a config may change of a run that has begun: more models, not fewer; and of one that has grown."""

import pytest

from tests.unit.growth.growing import GrowingRun
from tui_influence.errors import ConfigError
from tui_influence.roles import Role
from tui_influence.runs.prepare import extend_plan_file
from tui_influence.runs.resume import check_against_results
from tui_influence.store.plan import read_plan
from tui_influence.store.run_info import read_run_info


@pytest.fixture
def grown(tmp_path):
    """A sweep of 16 models that has grown to 24."""
    run = GrowingRun(tmp_path / "results")
    further = run.design.rows(Role.ESTIMATE, 24)[16:]
    extend_plan_file(run.paths, read_run_info(run.paths.root), [*read_plan(run.paths), *further])
    assert run.models == 24
    return run


def changed(run, **design):
    return run.config.model_copy(update={"design": run.config.design.model_copy(update=design)})


def test_the_config_of_a_run_that_has_grown_continues_it(grown):
    assert check_against_results(grown.config, grown.paths.root) == ""


@pytest.mark.parametrize(
    "design", [{"until": 0.5}, {"max_models": 24}, {"max_models": 1000}, {"models": 20}, {"models": 10}]
)
def test_its_goal_and_its_limits_may_change(grown, design):
    assert check_against_results(changed(grown, **design), grown.paths.root) == ""


def test_more_models_than_it_has_grown_by_extend_it(grown):
    message = check_against_results(changed(grown, models=30), grown.paths.root)
    assert message == "extending the run from 24 + 2 held-out models to 30 + 2 held-out models"


@pytest.mark.parametrize("design", [{"max_models": 22}, {"until": None, "max_models": None}, {"heldout": 1}])
def test_it_is_not_shortened(grown, design):
    with pytest.raises(ConfigError, match="extended, not shortened"):
        check_against_results(changed(grown, **design), grown.paths.root)
