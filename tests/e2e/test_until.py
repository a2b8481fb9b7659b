"""A sweep that trains until a reliability, by the command line: it grows, ends at its limit, and is continued."""

import json

import pytest

from tests.e2e.program import record_bytes, status, tinfl, write_config
from tui_influence.roles import Role
from tui_influence.store.events import read_events
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan
from tui_influence.store.run_info import read_run_info

MODELS, MOST = 8, 14


def goal_of(most):
    return {"prior = 0": f"prior = 0\nuntil = 0.99\nmax_models = {most}"}


def growing(directory, most=MOST, **options):
    return write_config(directory, models=MODELS, swap=goal_of(most), **options)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep that has grown to its limit, and what the command said."""
    directory = tmp_path_factory.mktemp("until")
    config = growing(directory)
    planned = tinfl("sweep", "--dry-run", config)
    return config, directory / "results", planned, tinfl("sweep", "--foreground", config).stderr


def test_the_plan_states_least_and_most_and_the_models_that_it_will_take(swept):
    planned, warnings = swept[2].stdout, swept[2].stderr
    assert "plan     10 models, 2 of them held out" in planned
    assert "until    reliability 0.99: up to 6 further models" in planned
    assert "36 classes: about " in planned
    assert "the 8 planned will likely give noise" in planned
    assert "hardly" not in planned, "the warning says it"
    assert warnings.count("will hardly be reached") == 1
    assert "until = 0.99 will hardly be reached with max_models = 14" in warnings


def test_check_shows_the_plan_as_it_is_now(swept):
    config, root, *_ = swept
    assert "grown" in [event["event"] for event, _ in read_events(Paths(root).events)]
    checked = tinfl("check", config, "--no-time").stdout
    assert f"plan     {MOST + 2} models, 2 of them held out" in checked
    assert "until    reliability 0.99: up to 0 further models" in checked
    assert "plan     16 models" in tinfl("sweep", "--dry-run", config).stdout
    longer = write_config(config.parent, name="longer.toml", models=MODELS, epochs=2, swap=goal_of(MOST))
    assert "plan     10 models" in tinfl("check", longer, "--no-time").stdout, "it is another run"


def test_it_grows_to_its_limit_and_gives_the_reasons(swept):
    _, root, _, message = swept
    info = read_run_info(root)
    assert (info.models, info.heldout) == (MOST, 2)
    rows = read_plan(Paths(root))
    assert [row.index for row in rows if row.role is Role.ESTIMATE] == list(range(MOST))
    assert [row.role for row in rows[MODELS + 2 :]] == [Role.ESTIMATE] * (MOST - MODELS)
    assert "at 8 models, goal 0.99: " in message
    assert "at 14 models: max_models is reached, the goal, 0.99, is not" in message
    current = status(root)
    assert (current["state"], current["done"]) == ("done", {"estimate": MOST, "heldout": 2})
    assert current["growth"]["outcome"] == "limit"
    assert current["growth"]["decisions"][0]["models"] == MODELS
    text = tinfl("status", root).stdout
    assert "  growth    reliability " in text
    assert "max_models is reached" in text
    events = [event for event, _ in read_events(Paths(root).events)]
    grown = [event for event in events if event["event"] == "grown"]
    assert sum(event["rows"] for event in grown) == MOST - MODELS
    assert [event["outcome"] for event in events if event["event"] == "growth"] == ["grown"] * len(grown) + ["limit"]
    assert "goal 0.99: " in tinfl("logs", root, "--lines", "100").stdout
    tinfl("verify", root)
    assert json.loads(tinfl("rank", root, "--json").stdout)["n_models"] == MOST


def test_the_same_config_continues_it_and_a_higher_limit_lets_it_grow(swept):
    config, root, _, _ = swept
    before = record_bytes(root)
    assert "nothing left to train" in tinfl("sweep", config).stderr
    tinfl("resume", "--foreground", root)
    assert record_bytes(root) == before
    growing(config.parent, most=MOST + 2)
    assert "at 16 models: max_models is reached" in tinfl("sweep", "--foreground", config).stderr
    after = record_bytes(root)
    assert after.items() > before.items()
    assert len(after) == len(before) + 2
    refused = tinfl("sweep", growing(config.parent, most=MOST), code=2).stderr
    assert "not shortened to max_models = 14" in refused
