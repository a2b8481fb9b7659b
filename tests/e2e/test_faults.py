"""Whatever happens to a sweep, `resume` ends with the records of an undisturbed run, bit for bit."""

import os
import random
import time

import pytest

from tests.e2e.chaos import fill_disk_and_resume, torment
from tests.e2e.program import record_bytes, tinfl, write_config
from tui_influence.store.paths import Paths

MODELS = 40
"""Enough that four rounds of bad luck come before the end."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, bytes]:
    """Every record of a run that nothing happened to."""
    directory = tmp_path_factory.mktemp("undisturbed")
    tinfl("sweep", "--foreground", write_config(directory, models=MODELS))
    return record_bytes(directory / "results")


def test_killed_processes_and_damaged_records_cost_nothing_that_was_finished(here, undisturbed):
    counts = torment(write_config(here, models=MODELS), here / "results", random.Random(3), rounds=4)
    assert counts["supervisor"] >= 2
    assert counts["damaged"] >= 1
    assert record_bytes(here / "results") == undisturbed
    assert len(list(Paths(here / "results").quarantine.iterdir())) == counts["damaged"]


def test_a_full_disk_ends_the_sweep_with_its_reason_and_loses_nothing(here, reference):
    said = fill_disk_and_resume(write_config(here), here / "results")
    assert said.startswith("exit 3"), said
    assert "no space left on the disk" in said
    assert "tiny: failed" in said
    assert record_bytes(here / "results") == reference


@pytest.mark.soak
def test_soak(tmp_path, undisturbed):
    """For SOAK_SECONDS: sweeps tormented with one seed after another."""
    end, seed, total = time.monotonic() + float(os.environ.get("SOAK_SECONDS", "120")), 100, {}
    while time.monotonic() < end:
        directory = tmp_path / str(seed)
        directory.mkdir()
        counts = torment(write_config(directory, models=MODELS), directory / "results", random.Random(seed), rounds=6)
        assert record_bytes(directory / "results") == undisturbed
        total = {name: total.get(name, 0) + count for name, count in counts.items()}
        print(f"seed {seed}: {counts}; in all {total}")
        seed += 1
