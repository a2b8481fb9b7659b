"""Whatever happens to a sweep, `resume` ends with the records of an undisturbed run, bit for bit."""

import os
import random
import time

import pytest

from tests.e2e.chaos import fill_disk_and_resume, torment
from tests.e2e.program import record_bytes, tinfl, write_config
from tui_influence.store.paths import Paths


def test_killed_processes_and_damaged_records_cost_nothing_that_was_finished(here, reference):
    counts = torment(write_config(here), here / "results", random.Random(3), rounds=4)
    assert counts["supervisor"] >= 2
    assert counts["damaged"] >= 1
    assert record_bytes(here / "results") == reference
    assert len(list(Paths(here / "results").quarantine.iterdir())) == counts["damaged"]


def test_a_full_disk_ends_the_sweep_with_its_reason_and_loses_nothing(here, reference):
    said = fill_disk_and_resume(write_config(here), here / "results")
    assert said.startswith("exit 3"), said
    assert "no space left on the disk" in said
    assert "tiny: failed" in said
    assert record_bytes(here / "results") == reference


@pytest.mark.soak
def test_soak(tmp_path, finished, reference):
    """For SOAK_SECONDS: sweeps tormented with one seed after another."""
    end, seed, total = time.monotonic() + float(os.environ.get("SOAK_SECONDS", "120")), 100, {}
    while time.monotonic() < end:
        directory = tmp_path / str(seed)
        directory.mkdir()
        counts = torment(write_config(directory), directory / "results", random.Random(seed), rounds=8)
        assert record_bytes(directory / "results") == reference
        total = {name: total.get(name, 0) + count for name, count in counts.items()}
        print(f"seed {seed}: {counts}; in all {total}")
        seed += 1
    assert tinfl("status", finished).returncode == 0
