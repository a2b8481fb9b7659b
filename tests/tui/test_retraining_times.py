"""How long retrainings take, from the rate of the sweep: as many times as long as they have steps."""

from dataclasses import replace

import pytest

from tests.tui.runs import make_run
from tests.unit.config.configs import VALID
from tui_influence.config.loader import config_to_json, parse_config
from tui_influence.pruning.options import PruningRequest
from tui_influence.pruning.planning import preview_plan, pruning_directory
from tui_influence.runs.heartbeat import Heartbeat, State
from tui_influence.runs.overview import overview
from tui_influence.store.run_info import read_run_info
from tui_influence.tui.retrainings import expected_seconds

RATE = 3600.0
"""Models of the sweep in an hour: one a second."""


@pytest.mark.parametrize(
    ("sweep_train", "request_options", "seconds_of_a_retraining"),
    [
        ({"epochs": 4}, {}, "share of images"),
        ({"steps": 50}, {}, 1.0),
        ({"steps": 50}, {"settings": {"train.steps": 100}}, 2.0),
        ({"epochs": 4}, {"same": "steps"}, 2.0),
    ],
)
def test_a_retraining_takes_as_long_as_its_steps(tmp_path, sweep_train, request_options, seconds_of_a_retraining):
    paths = make_run(tmp_path / "run", models=6)
    info = read_run_info(paths.root)
    config = config_to_json(parse_config(VALID, "")) | {"train": {"batch_size": 2, **sweep_train}}
    config["design"] |= {"alpha": 0.5}
    info = replace(info, config=config, source=replace(info.source, images=4000))
    request = PruningRequest(drop_counts=(3, 12), seeds=2, **request_options)
    pruning, pruning_config = preview_plan(paths, info, pruning_directory(paths, "main"), request)
    heartbeat = Heartbeat(State.DONE, 0.0, 0.0, models_per_hour=RATE)
    sweep = replace(overview(paths), info=info, heartbeat=heartbeat)
    rows = pruning.rows()
    if seconds_of_a_retraining == "share of images":
        seconds_of_a_retraining = sum(row.mask.mean() for row in rows) / len(rows) / 0.5
    expected = len(rows) * seconds_of_a_retraining
    assert expected_seconds(pruning, pruning_config, sweep, None) == pytest.approx(expected)
