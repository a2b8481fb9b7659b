"""A short slice of every kind of bad luck of the soak campaign (`make soak`), and the campaign itself."""

from collections import Counter
from functools import partial

import pytest

from tests.soak import damage, hostile_datasets, hostile_results, mutated_configs, prunings, races, workers
from tests.soak.__main__ import KINDS
from tests.soak.campaign import run, table

SLICES = {
    "configs": partial(mutated_configs.attempt, configs=300),
    "damage": damage.attempt,
    "datasets": hostile_datasets.attempt,
    "prunings": partial(prunings.attempt, blows=1),
    "races": partial(races.attempt, volleys=1),
    "results": hostile_results.attempt,
    "workers": workers.attempt,
}
ELSEWHERE = {"kills", "disks"}
"""In `test_faults`."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A directory in which attempts share what is made once."""
    return tmp_path_factory.mktemp("soak")


def test_every_kind_has_a_slice():
    assert SLICES.keys() | ELSEWHERE == KINDS.keys()


@pytest.mark.xdist_group("soak")
@pytest.mark.parametrize("kind", SLICES)
def test_a_slice_is_survived(kind, shared):
    reports: list[str] = []
    tallies = run({kind: SLICES[kind]}, shared, seed=7, seconds=0, attempts=1, report=reports.append)
    assert not tallies[kind].failed, "\n".join(reports)
    assert tallies[kind].tried


def test_an_attempt_is_repeated_by_its_seed_and_number(tmp_path):
    drawn = []

    def attempt(directory, rng):
        drawn.append((directory.name, rng.random()))
        return Counter({"draws": 1})

    run({"a": attempt, "b": attempt}, tmp_path, seed=5, seconds=60, attempts=3, report=lambda _: None)
    before = dict(drawn)
    drawn.clear()
    run({"b": attempt}, tmp_path, seed=5, seconds=60, first=2, attempts=1, report=lambda _: None)
    assert drawn == [("b-2", before["b-2"])]
    assert len(set(before.values())) == 6


def test_what_is_not_survived_is_counted_and_kept(tmp_path):
    def attempt(directory, rng):
        assert directory.name != "a-1", "bad luck"
        return Counter({"things": 2})

    tallies = run({"a": attempt}, tmp_path, seed=1, seconds=60, attempts=3, report=lambda _: None)
    assert (tallies["a"].survived, tallies["a"].failed, tallies["a"].tried["things"]) == (2, [1], 4)
    assert "bad luck" in (tmp_path / "a-1" / "failure.txt").read_text()
    assert not (tmp_path / "a-0").exists()
    assert "| a | 3 | 2 (not: 1) | 4 things |" in table(tallies, 1)
