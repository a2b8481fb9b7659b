"""Probes against planted truth, really trained: hidden digits, groups of swapped labels, mislabelled images."""

import json

import numpy as np
import pytest

from benchmarks.bench_probes import (
    KINDS,
    SWAPPED,
    area_of,
    harm_of,
    hidden_digits,
    mislabelled_digits,
    purity_of,
    swapped_groups,
)
from benchmarks.planted import auc
from tests.integration.command_line import run
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import rank
from tui_influence.analysis.subpopulations import find_subpopulations
from tui_influence.roles import ArmKind
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import read_arms

MODELS = 128


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return hidden_digits(tmp_path_factory.mktemp("round"), MODELS)


def test_digits_hidden_inside_a_label_are_its_subpopulations(trained):
    reading, hidden = trained
    classes = find_subpopulations(reading, Question(split="all").about_examples())
    assert sum(found.n_assigned for found in classes) > 60
    for found in classes:
        purity, chance = purity_of(found, hidden)
        assert purity > 0.85
        assert purity > chance + 0.25


def test_printed_digits_drive_their_handwritten_likeness(trained):
    reading, hidden = trained
    areas = [area_of(reading, kind, digit, hidden) for kind, members in KINDS.items() for digit in members]
    assert np.mean(areas) > 0.65


def test_groups_of_swapped_labels_are_the_harmful_ones_and_leaving_them_out_gains(tmp_path):
    reading = swapped_groups(tmp_path / "swapped", 64)
    rows = rank(reading, Question(estimator="difference")).report.ranking.rows
    assert {row.index for row in rows[-2:]} == set(SWAPPED)
    assert all(row.high < 0 and row.q < 0.01 for row in rows[-2:])
    root = reading.paths.root
    assert (
        run("prune", root, "--drop-counts", len(SWAPPED), "--seeds", 6, "--baselines", "none", "--foreground").code == 0
    )
    pruning = read_arms(Paths(root / "prune" / "main"))
    (lowest,) = [arm for arm in pruning.arms if arm.kind is ArmKind.LOWEST]
    assert all(set(row.dropped) == set(SWAPPED) for row in lowest.rows)
    found = json.loads(run("prune", root, "--report", "--json").out)["results"]
    (gain,) = [arm["margin"]["gain"] for arm in found if arm["kind"] == "lowest"]
    assert gain["low"] > 0


def test_mislabelled_images_rank_as_harmful(tmp_path):
    reading, wrong = mislabelled_digits(tmp_path / "mislabelled", 192)
    assert auc(harm_of(reading), np.isin(np.arange(len(reading.info.source.groups)), wrong)) > 0.65
