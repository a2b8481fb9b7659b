"""The planner's job, started late or twice: what the run holds by then decides whether it does anything."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.program import write_config
from tui_influence.config.loader import load_config
from tui_influence.runs.cluster import slurm as module
from tui_influence.runs.cluster.rounds import read_round
from tui_influence.runs.cluster.slurm_client import SubmittedJobs, read_jobs, write_jobs
from tui_influence.runs.heartbeat import read_heartbeat
from tui_influence.runs.supervisor import Request, no_extension
from tui_influence.store.paths import Paths


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """A run whose planner is submitted; `scripts` is what Slurm was given, the planner's last."""
    swap = {"workers_per_device = 2": 'workers_per_device = 1\nexecutor = "slurm"\n[compute.slurm]\nsetup = ["true"]'}
    config = load_config(write_config(tmp_path, models=10, swap=swap))
    paths, scripts = Paths(tmp_path / "results"), []

    def sbatch(name, script, *options, planner=False, other_jobs=()):
        scripts.append((script.read_text().splitlines()[-1].split(), options))
        return str(len(scripts))

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(module, "sbatch", sbatch)
    monkeypatch.setattr("tui_influence.runs.cluster.slurm_submit.sbatch", sbatch)
    monkeypatch.setattr("tui_influence.runs.cluster.slurm_submit.max_array_size", lambda: 1000)
    monkeypatch.setattr(module, "unfinished_jobs", lambda name, planner=None: set())
    monkeypatch.setattr(module, "_test_submission", lambda scripts: None)
    monkeypatch.setattr(module, "_is_pilot", lambda config, planned: False)  # as with a partition for planners
    module.submit(Request(config, paths.root, trusted=True))
    return paths, scripts


def run(script) -> int:
    """Start a planner's job."""
    *_, root, after, digest = script[0]
    return module.run_planner(Path(root), int(after), digest, no_extension)


def test_a_planner_hands_out_a_round_and_the_planner_after_it(submitted):
    paths, scripts = submitted
    assert run(scripts[0]) == 0
    tasks, planner = scripts[1:]
    assert tasks[1][0] == "--array=0-0"
    assert planner[1] == ("--dependency=afterany:2",)
    jobs = read_jobs(paths)
    assert (jobs.arrays, jobs.planner, jobs.round, jobs.tasks) == (("2",), "3", 1, 1)
    assert tasks[0][-1] == read_round(paths, 1).request, "tasks say which request they are of"
    assert planner[0][-2:] == ["1", scripts[0][0][-1]]


def test_a_planner_that_slurm_starts_again_does_nothing_but_what_is_missing(submitted):
    paths, scripts = submitted
    run(scripts[0])
    jobs, before = read_jobs(paths), paths.heartbeat.read_bytes()
    assert run(scripts[0]) == 0
    assert len(scripts) == 3
    write_jobs(paths, replace(jobs, planner=""))  # as if it had been taken back before the last submission
    assert run(scripts[0]) == 0
    assert scripts[3:] == [scripts[2]]
    assert read_jobs(paths) == replace(jobs, planner="4")
    assert paths.heartbeat.read_bytes() == before
    assert not paths.round(2).exists()


def test_a_planner_that_was_taken_back_before_it_handed_anything_out_is_no_failure(submitted):
    paths, scripts = submitted
    jobs = read_jobs(paths)
    run(scripts[0])
    write_jobs(paths, jobs)  # the round is written, nobody was given it
    assert run(scripts[0]) == 0
    assert read_jobs(paths).round == 2
    assert not read_heartbeat(paths).warnings


def test_tasks_that_were_taken_before_their_planner_was_killed_are_waited_for(submitted, monkeypatch):
    paths, scripts = submitted
    jobs = read_jobs(paths)
    run(scripts[0])
    write_jobs(paths, jobs)  # the tasks' number was not written down
    monkeypatch.setattr(module, "unfinished_jobs", lambda name, planner=None: set() if planner else {"2"})
    assert run(scripts[0]) == 0
    assert scripts[3][1] == ("--dependency=afterany:2",)
    assert scripts[3][0] == scripts[0][0], "it takes in the same round"
    assert read_jobs(paths) == replace(jobs, arrays=("2",), planner="4")
    assert not paths.round(2).exists()
    monkeypatch.setattr(module, "unfinished_jobs", lambda name, planner=None: set())
    assert run(scripts[3]) == 0
    assert (read_jobs(paths).round, paths.round(2).exists()) == (2, True)


def test_a_planner_that_was_taken_without_its_number_written_down_is_not_doubled(submitted, monkeypatch):
    paths, scripts = submitted
    run(scripts[0])
    jobs = read_jobs(paths)
    write_jobs(paths, replace(jobs, planner=""))
    monkeypatch.setattr(module, "unfinished_jobs", lambda name, planner=None: {"3"} if planner else set())
    assert run(scripts[0]) == 0
    assert len(scripts) == 3
    assert read_jobs(paths) == jobs


@pytest.mark.parametrize("change", [{"token": "another"}, {"allow_code": True}, {"trusted": False}])
def test_what_is_asked_anew_or_changed_by_hand_is_not_followed(submitted, capfd, change):
    paths, scripts = submitted
    fields = json.loads(paths.request.read_text())
    paths.request.write_text(json.dumps(fields | change))
    assert run(scripts[0]) == 3
    fields["config"]["compute"]["slurm"]["setup"] = ["touch owned"]
    paths.request.write_text(json.dumps(fields))
    assert run(scripts[0]) == 3
    assert "has changed since this job was submitted" in capfd.readouterr().err
    assert len(scripts) == 1
    assert not paths.round(1).exists()


def test_a_planner_trusts_a_config_as_far_as_whoever_submitted_it(submitted):
    paths, _ = submitted
    request, _ = module._request(paths, json.loads(paths.request.read_text()))
    assert request.trusted
    module.submit(replace(request, trusted=False))
    request, _ = module._request(paths, json.loads(paths.request.read_text()))
    assert not request.trusted


def test_where_jobs_of_an_older_run_are_left_none_is_added(submitted, monkeypatch):
    paths, scripts = submitted
    monkeypatch.setattr(module, "unfinished_jobs", lambda name: {"7", "8"})
    request, _ = module._request(paths, json.loads(paths.request.read_text()))
    with pytest.raises(module.AlreadyRunningError, match="to end them: scancel 7 8"):
        module.submit(replace(request, trusted=True))
    assert len(scripts) == 1
    assert read_jobs(paths) == SubmittedJobs(read_jobs(paths).name, read_jobs(paths).submitted, planner="1")
