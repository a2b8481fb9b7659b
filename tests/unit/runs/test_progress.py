"""Rates, time left and warnings."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tui_influence.roles import Role
from tui_influence.runs.progress import ModelStatistics, RunningMean, is_near_chance
from tui_influence.runs.protocol import (
    Alive,
    Assignment,
    Begun,
    Done,
    Failed,
    FailureKind,
    Fatal,
    Ready,
    from_line,
    to_line,
)


def done(seconds, loss=0.5, classes=10.0):
    metrics = {"source_loss": loss, "source_classes": classes, "source_accuracy": 0.8, "target_accuracy": 0.6}
    return Done(Role.ESTIMATE, 0, seconds, [metrics, metrics])


def test_running_mean_and_error_agree_with_numpy():
    values = np.random.default_rng(0).normal(3, 2, 50)
    mean = RunningMean()
    for value in values:
        mean.add(float(value))
    assert mean.mean == pytest.approx(values.mean())
    assert mean.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(50))


def test_prior_networks_count_for_the_rate_until_another_model_is_finished():
    progress = ModelStatistics(workers=1)
    for _ in range(3):
        progress.add(replace(done(2.0), role=Role.PRIOR))
    assert progress.models_per_hour == 1800
    progress.add(done(4.0))
    progress.add(replace(done(2.0), role=Role.PRIOR))
    progress.add(done(4.0))
    assert progress.models_per_hour == 900
    assert progress.eta(10)[0] == 40
    assert progress.source_accuracy.count == 6


def test_eta_covers_what_really_happens():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        progress = ModelStatistics(workers=2)
        for seconds in rng.gamma(4, 0.5, 20):
            progress.add(done(float(seconds)))
        _, low, high = progress.eta(100)
        covered += low <= rng.gamma(4, 0.5, 100).sum() / 2 <= high
    assert covered >= 200 * 0.95 - 4 * math.sqrt(200 * 0.95 * 0.05)
    assert covered < 200


def test_nothing_is_promised_before_it_is_known():
    progress = ModelStatistics(workers=2)
    assert progress.eta(10) is None
    assert progress.models_per_hour == 0
    progress.add(done(2.0))
    assert progress.eta(10) is None
    assert progress.models_per_hour == 3600
    assert progress.target_accuracy[1].mean == 0.6


def test_a_target_that_models_hardly_learn_is_warned_about():
    progress = ModelStatistics(workers=1)
    metrics = [{"target_class_accuracy": 0.2}, {"target_class_accuracy": 0.09}, {"target_class_accuracy": 0.54}]
    for count in range(6):
        assert bool(progress.warnings([("a", 10), ("b\x1b", 20), ("c", 2)])) is (count >= 5)
        progress.add(Done(Role.ESTIMATE, 0, 1.0, metrics))
    assert progress.warnings([("a", 10), ("b\x1b", 20), ("c", 2)]) == [
        "the models are near chance on the target b\\x1b (mean accuracy of its classes 9.0%, by guessing 5.0%): "
        "rankings for it are mostly noise; train longer, or on a source that is closer to it",
        "the models are near chance on the target c (mean accuracy of its classes 54.0%, by guessing 50.0%): "
        "rankings for it are mostly noise; train longer, or on a source that is closer to it",
    ]
    assert [is_near_chance(0.2, 1), is_near_chance(0.18, 10), is_near_chance(0.2, 10)] == [False, True, False]


@pytest.mark.parametrize(("loss", "warned"), [(0.5, False), (0.95 * math.log(10), True)])
def test_an_unlearnt_source_is_warned_about(loss, warned):
    progress = ModelStatistics(workers=1)
    for _ in range(10):
        progress.add(done(1.0, loss=loss))
    assert bool(progress.warnings()) is warned


@pytest.mark.parametrize(
    "message",
    [
        Ready("cpu fp32 1 thread"),
        Alive(),
        Begun(Role.ARM, 4),
        Done(Role.HELDOUT, 3, 1.5, [{"a": 1.0}]),
        Failed(Role.ESTIMATE, 2, FailureKind.MEMORY, "no\nroom \x1b"),
        Fatal("gone", 5),
        Assignment(Role.ESTIMATE, 7),
    ],
)
def test_messages_come_back_as_sent_on_one_line(message):
    line = to_line(message)
    assert line.count(b"\n") == 1
    assert from_line(line) == message


@pytest.mark.parametrize("line", [b"{}", b"[]", b"x", b'{"message": "Ready"}', b'{"message": "os.system"}'])
def test_what_is_no_message_is_passed_over(line):
    assert from_line(line) is None


def test_time_that_was_lost_is_expected_to_be_lost_again():
    progress = ModelStatistics(workers=1)
    for _ in range(10):
        progress.add(done(2.0))
    assert progress.eta(10)[0] == pytest.approx(20)
    progress.lost = 30.0
    assert progress.eta(10)[0] == pytest.approx(50)
    assert progress.models_per_hour == pytest.approx(720)


def test_a_model_that_is_late_is_expected_to_take_as_much_longer():
    progress = ModelStatistics(workers=1)
    for _ in range(10):
        progress.add(done(2.0))
    assert progress.eta(1, [1.0]) == progress.eta(1)
    assert progress.eta(1, [62.0, 1.0]) == (60.0, 60.0, 60.0)


def test_the_usual_time_of_a_model_is_the_median_of_its_device():
    progress = ModelStatistics(workers=1)
    assert progress.usual_seconds("cuda:0", 10) is None
    for seconds in (1.0, 1.0, 9.0, 2.0, 500.0):
        progress.add_time("cuda:0", seconds, 10)
    assert progress.usual_seconds("cuda:0", 10) == 2.0
    assert progress.usual_seconds("cuda:1", 10) == 2.0, "another of its kind"
    assert progress.usual_seconds("cpu", 10) is None
    progress.add_time("cuda:1", 7.0, 10)
    assert progress.usual_seconds("cuda:1", 10) == 7.0


def test_a_model_of_more_groups_usually_takes_as_much_longer():
    progress = ModelStatistics(workers=1)
    progress.add_time("cpu", 3.0, 10)
    assert progress.usual_seconds("cpu", 100) == 30.0
    assert progress.usual_seconds("cpu", 5) == 3.0


def test_earlier_sessions_say_how_long_models_take():
    progress = ModelStatistics(workers=1)
    started = {"event": "worker-started", "worker": 0, "device": "cuda:0"}
    model = {"event": "model", "worker": 0, "role": "estimate", "index": 1, "seconds": 4.0}
    nonsense = [
        {key: value, **{other: model[other] for other in model if other != key}}
        for key, value in [("worker", []), ("worker", 7), ("role", []), ("index", {}), ("index", 99),
                           ("seconds", "x"), ("seconds", -1), ("seconds", 10**400), ("seconds", None)]
    ]  # fmt: skip
    progress.add_past_times([model, started, *nonsense], {("estimate", 1): 5})
    assert progress.usual_seconds("cuda:0", 5) is None
    progress.add_past_times([started, model], {("estimate", 1): 5})
    assert progress.usual_seconds("cuda:0", 5) == 4.0
