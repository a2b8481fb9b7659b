"""A sweep with class clusters grows by stages, from prior networks to class rows. Nobody trains: records are drawn."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.e2e.program import write_config
from tests.integration.command_line import run
from tests.unit.store.conftest import make_record
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank_run
from tui_influence.config.loader import load_config
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.export.json import rank_json
from tui_influence.growth.extension import extend_sweep
from tui_influence.influence.ridge import ridge
from tui_influence.roles import Role
from tui_influence.runs.cluster.planner import Planner
from tui_influence.runs.heartbeat import State
from tui_influence.runs.integrity import check_results
from tui_influence.runs.overview import overview
from tui_influence.runs.resume import check_against_results
from tui_influence.runs.supervisor import Request
from tui_influence.store.class_clusters import read_class_clusters, write_class_clusters
from tui_influence.store.events import EventLog, read_events
from tui_influence.store.examples import read_examples
from tui_influence.store.paths import Paths
from tui_influence.store.plan import read_plan
from tui_influence.store.records import Record, as_margins, write_record
from tui_influence.store.run_info import read_run_info

CLASSES, CLUSTERS, PRIOR, MODELS, HELDOUT = 36, 9, 2, 40, 4
PLANTED = np.random.default_rng(4).permutation(np.arange(CLASSES) % CLUSTERS)
EFFECTS = np.random.default_rng(5).normal(size=(CLUSTERS, 10))[PLANTED] + 0.3 * np.random.default_rng(6).normal(
    size=(CLASSES, 10)
)


def config_of(directory, models=MODELS, clusters=f"clusters = {CLUSTERS}", name="sweep.toml", prior=PRIOR):
    swap = {
        'kind = "fixed"\n': 'kind = "balanced"\n',
        "heldout = 2": f"heldout = {HELDOUT}",
        "prior = 0": f"prior = {prior}\n{clusters}",
        "workers_per_device = 2": 'executor = "slurm"\n[compute.slurm]\narray_concurrency = 2',
    }
    return load_config(write_config(directory, name=name, models=models, swap=swap))


def draw_record(info, row, noise: float, labels) -> Record:
    """The record of a row: effects of classes on each target class, and noise."""
    rng = np.random.default_rng((row.seed, row.index))
    outputs = row.mask @ EFFECTS + noise * rng.normal(size=10)
    is_prior = row.role is Role.PRIOR
    mapping = (EFFECTS - EFFECTS.min() + 0.1).astype(np.float32)
    features = (5 * np.eye(CLUSTERS)[PLANTED] + rng.normal(size=(CLASSES, CLUSTERS)) * 0.1).astype(np.float32)
    return make_record(
        row.index,
        row.role,
        seed=row.seed,
        cluster=row.cluster,
        identity=info.identity,
        mask=row.mask,
        margins=as_margins(outputs[labels]),
        predicted=labels.astype(np.uint16),
        metrics={"target_accuracy": 0.5},
        mapping=mapping if is_prior else None,
        ablation=mapping if is_prior else None,
        class_features=features if is_prior else None,
    )


def status_of(growth) -> dict:
    return json.loads(run("status", growth.paths.root, "--json").out)


class Growth:
    """A run on a cluster whose models are drawn."""

    def __init__(self, directory, noise: float = 1.0, **options) -> None:
        self.directory, self.noise = directory, noise
        self.paths = Paths(directory / "results")
        self.config = config_of(directory, **options)
        self.planner = Planner(Request(self.config, self.paths.root), extend_sweep)

    @property
    def info(self):
        return read_run_info(self.paths.root)

    @property
    def clusters(self):
        return read_class_clusters(self.paths, self.info.identity, self.info.source.groups)

    def play(self, planned, features: bool = True) -> None:
        """All tasks of a round end well."""
        rows, info = read_plan(self.paths), self.info
        labels = read_examples(self.paths, info, 0).labels
        for task, positions in enumerate(planned.tasks):
            events = EventLog(self.paths.task_events(planned.number, task), task=f"{planned.number}.{task}")
            events.write("task-started", node="n1", rows=len(positions))
            events.write("worker-ready", worker=0, numerics="cpu fp32 1 thread")
            for row in (rows[position] for position in positions):
                record = draw_record(info, row, self.noise, labels)
                write_record(self.paths, record if features else replace(record, class_features=None))
                events.write("model", role=row.role.value, index=row.index, worker=0, seconds=1.0)
            events.write("task-ended", left=0)
            events.close()
            self.paths.task_log(planned.number, task).touch()

    def rounds(self, first: bool = True, features: bool = True, limit: int = 20):
        """Plan and play rounds to the end of the run; yield the roles and indices of each."""
        for number in range(limit):
            following = self.planner.step(first=first and number == 0)
            if following.round is None:
                assert following.heartbeat.state is State.DONE
                return
            rows = read_plan(self.paths)
            yield [(rows[place].role, rows[place].index) for task in following.round.tasks for place in task]
            self.play(following.round, features)

    def plan(self):
        return [(row.role, row.index, row.seed, row.mask.tobytes()) for row in read_plan(self.paths)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run to its end, and the rows of its rounds. Tests must not change it."""
    growth = Growth(tmp_path_factory.mktemp("growth"))
    return growth, list(growth.rounds())


def test_a_round_of_prior_rows_is_followed_by_one_of_cluster_rows(finished):
    growth, rounds = finished
    roles = [{role for role, _ in rows} for rows in rounds]
    assert roles[0] == {Role.PRIOR}
    assert Role.PRIOR not in roles[1]
    masks = {(row.role, row.index): row.mask for row in read_plan(growth.paths)}
    decided = growth.clusters
    trained = [key for rows in rounds for key in rows]
    assert len(trained) == len(set(trained)) == PRIOR + MODELS + HELDOUT
    for index in range(decided.cluster_rows):
        mask = masks[Role.ESTIMATE, index]
        assert all(len(set(mask[cluster == PLANTED])) == 1 for cluster in range(CLUSTERS)), index
    before_decision = trained[: PRIOR + decided.first_rows + HELDOUT // 2]
    assert {index for role, index in before_decision if role is Role.ESTIMATE} == set(range(decided.first_rows))


def test_the_total_is_that_of_the_config_from_the_start(tmp_path):
    growth = Growth(tmp_path)
    following = growth.planner.step(first=True)
    assert following.heartbeat.total == PRIOR + MODELS + HELDOUT
    assert (growth.info.models, growth.info.heldout, growth.info.prior) == (MODELS, HELDOUT, PRIOR)
    assert overview(growth.paths).total == PRIOR + MODELS + HELDOUT
    assert len(read_plan(growth.paths)) == PRIOR


def test_the_clusters_are_those_of_the_features_and_the_reason_is_told(finished):
    growth, _ = finished
    clusters = growth.clusters
    assert len(set(zip(clusters.clusters, PLANTED.tolist(), strict=True))) == CLUSTERS
    assert clusters.classes == tuple(growth.info.source.groups)
    assert (clusters.prior_rows, clusters.first_rows) == (PRIOR, MODELS // 2)
    assert MODELS // 2 <= clusters.cluster_rows <= MODELS
    expected = {name: clusters.numbers[f"expected_variance_{name}"] for name in ("clusters", "half", "classes")}
    best = {"clusters": MODELS, "half": MODELS // 2 + 10, "classes": MODELS // 2}[min(expected, key=expected.get)]
    assert clusters.cluster_rows == best
    assert clusters.reason.startswith("expected standard error of a class")
    events = [event for event, _ in read_events(growth.paths.events) if event["event"] == "grown"]
    assert [event["total"] for event in events] == [PRIOR + 20 + 2, PRIOR + MODELS + HELDOUT]
    assert events[0]["reason"].startswith("9 clusters of 4 classes by 2 prior networks")
    share = f"{best} of {MODELS} models have cluster masks: {clusters.reason}"
    assert events[1]["reason"] == overview(growth.paths).clusters == share
    assert "class features" not in clusters.reason


@pytest.mark.parametrize(("noise", "cluster_rows"), [(0.05, MODELS // 2), (60.0, MODELS)])
def test_noise_decides_between_clusters_and_classes(tmp_path, noise, cluster_rows):
    growth = Growth(tmp_path, noise=noise)
    list(growth.rounds())
    assert growth.clusters.cluster_rows == cluster_rows, growth.clusters.numbers


def test_a_run_that_is_stopped_anywhere_and_continued_is_the_same(finished, tmp_path):
    reference, rounds = finished
    for stop in range(1, len(rounds)):
        growth = Growth(tmp_path / str(stop)) if (tmp_path / str(stop)).mkdir() is None else None
        for number, _ in enumerate(growth.rounds()):
            if number + 1 == stop:
                break
        again = Growth(growth.directory)
        list(again.rounds())
        assert again.plan() == reference.plan()
        assert again.clusters == reference.clusters


def test_a_decision_is_never_taken_again(finished, tmp_path):
    shutil.copytree(finished[0].paths.root, tmp_path / "results")
    growth = Growth(tmp_path)
    changed = growth.clusters.decided(24, "by hand", {})
    write_class_clusters(growth.paths, changed)
    growth.paths.record(Role.ESTIMATE, 0, 0).unlink()
    extend_sweep(growth.paths)
    assert growth.clusters == changed


def test_more_models_are_class_rows(finished, tmp_path):
    shutil.copytree(finished[0].paths.root, tmp_path / "results")
    before = set(finished[0].plan())
    growth = Growth(tmp_path, models=MODELS + 8)
    assert check_against_results(growth.config, growth.paths.root).startswith("extending the run from 40 + 4")
    trained = [key for rows in growth.rounds() for key in rows]
    assert {key for key in trained if key[0] is Role.ESTIMATE} == {(Role.ESTIMATE, MODELS + i) for i in range(8)}
    assert before < set(growth.plan())
    assert growth.clusters == finished[0].clusters
    rows, stage = growth.clusters.cluster_rows, status_of(growth)["clusters"]
    assert stage["text"].startswith(f"{rows} of {MODELS + 8} models have cluster masks: expected standard error")
    assert (stage["clusters"], stage["is_decided"]) == (CLUSTERS, True)
    assert (stage["cluster_models"], stage["class_models"]) == (rows, MODELS + 8 - rows)


def test_the_status_has_the_stage_of_the_clusters_as_json(tmp_path):
    growth = Growth(tmp_path)
    rounds = growth.rounds()
    next(rounds)
    expected = {"clusters": CLUSTERS, "cluster_models": None, "class_models": None, "is_decided": False}
    assert status_of(growth)["clusters"] == expected | {"text": "9, once the prior networks are trained"}
    next(rounds)
    stage = status_of(growth)["clusters"]
    assert stage.pop("text").startswith("9 clusters of 4 classes by 2 prior networks")
    assert stage == expected | {"cluster_models": MODELS // 2}


def test_a_run_without_clusters_has_no_stage(tmp_path):
    growth = Growth(tmp_path, clusters="clusters = 0\n")
    growth.planner.step(first=True)
    assert status_of(growth)["clusters"] is None


def test_a_run_that_was_extended_before_the_decision_keeps_its_first_rows(tmp_path):
    growth = Growth(tmp_path)
    for number, _ in enumerate(growth.rounds()):
        if number == 1:
            break
    extended = Growth(tmp_path, models=2 * MODELS)
    list(extended.rounds())
    clusters = extended.clusters
    assert (clusters.first_rows, Counter(row[0] for row in extended.plan())[Role.ESTIMATE]) == (20, 2 * MODELS)
    assert clusters.cluster_rows >= 2 * MODELS / 3


def test_without_features_all_masks_are_over_classes(tmp_path):
    growth = Growth(tmp_path)
    list(growth.rounds(features=False))
    assert growth.clusters.clusters == ()
    assert "no prior network has recorded the features" in growth.clusters.reason
    plain = Growth(tmp_path, clusters="clusters = 0\n")
    assert Counter(row[0] for row in growth.plan())[Role.ESTIMATE] == MODELS
    assert len(plain.config.target) == 1


def test_another_number_of_clusters_is_another_run(finished, tmp_path):
    root = finished[0].paths.root
    config = config_of(tmp_path, clusters="clusters = 12")
    with pytest.raises(ConfigError) as refusal:
        check_against_results(config, root)
    assert refusal.value.details == ("design.clusters: 9 -> 12",)


def test_a_config_without_the_key_continues_a_run_only_where_its_default_is_the_same(finished, tmp_path):
    root = finished[0].paths.root
    with pytest.raises(ConfigError) as refusal:
        check_against_results(config_of(tmp_path, clusters=""), root)
    assert refusal.value.details == ("design.clusters: 9 -> 0 (the default; this run needs clusters = 9)",)
    growth = Growth(tmp_path, clusters="")
    shutil.copytree(root, growth.paths.root)
    with pytest.raises(ConfigError, match=r"planned otherwise: design\.clusters: 9 -> 0"):
        growth.planner.step(first=True)
    (tmp_path / "plain").mkdir()
    plain = Growth(tmp_path / "plain", clusters="clusters = 0\n")
    plain.planner.step(first=True)
    assert check_against_results(config_of(tmp_path / "plain", clusters=""), plain.paths.root) == ""


def test_a_complete_run_is_sound_and_a_damaged_one_is_not(finished, tmp_path):
    root = finished[0].paths.root
    report = check_results(root, lambda *_: None)
    assert report.is_sound, report.damaged
    assert report.checked["clusters"] == 1
    shutil.copytree(root, tmp_path / "results")
    growth = Growth(tmp_path)
    path = growth.paths.class_clusters
    content = path.read_text()
    path.write_text(content.replace("expected", "expectod", 1))
    (damage,) = check_results(growth.paths.root, lambda *_: None).damaged
    assert (damage.path, damage.problem) == (path, "its content does not match its digest: damaged or edited")
    with pytest.raises(ResultsError, match=r"clusters\.json: its content does not match its digest"):
        growth.planner.step(first=True)
    assert "does not match its digest" in overview(growth.paths).clusters  # the status is shown all the same
    path.unlink()
    (damage,) = check_results(growth.paths.root, lambda *_: None).damaged
    assert damage.problem.startswith("missing, though models with masks over clusters are recorded")
    with pytest.raises(ResultsError, match="missing, though models"):
        growth.planner.step(first=True)
    path.write_text(content)
    other = replace(growth.clusters, clusters=tuple(reversed(growth.clusters.clusters)))
    write_class_clusters(growth.paths, other)
    damage, *records = check_results(growth.paths.root, lambda *_: None).damaged
    assert (damage.path, damage.problem) == (growth.paths.plan, "row 0 does not follow from clusters.json")
    assert all("its mask or seed is not the plan's" in record.problem for record in records)


def test_a_ranking_goes_on_without_clusters_that_cannot_be_read(finished):
    growth, _ = finished
    content = growth.paths.class_clusters.read_text()
    growth.paths.class_clusters.write_text("{")
    try:
        result = rank_run(growth.paths, growth.info, Question().about(growth.info))
    finally:
        growth.paths.class_clusters.write_text(content)
    assert result.report.clusters == {}
    assert any("clusters.json" in warning for warning in result.warnings)


def test_a_ranking_names_the_cluster_of_each_class(finished):
    growth, _ = finished
    info = growth.info
    result = rank_run(growth.paths, info, Question().about(info))
    rows = json.loads(rank_json(result.report))["rows"]
    named = dict(zip(info.source.groups, growth.clusters.clusters, strict=True))
    assert {row["group"]: row["cluster"] for row in rows} == named
    assert not result.warnings
    warned = rank_run(growth.paths, info, Question().about(info, "difference"))
    assert any("`--estimator ridge` or `informed` separates them" in text for text in warned.warnings)


def test_one_regression_joins_both_stages(finished):
    growth, _ = finished
    rows = [row for row in read_plan(growth.paths) if row.role is Role.ESTIMATE]
    masks, seeds = np.array([row.mask for row in rows]), np.array([row.cluster for row in rows])
    outputs = np.array([row.mask @ EFFECTS for row in rows])
    estimate = ridge(masks, outputs, seeds)
    assert np.corrcoef(estimate.influence.ravel(), EFFECTS.ravel())[0, 1] > 0.8
