"""Probes against planted truth, really trained: digits hidden inside the labels round, straight and curled."""

import numpy as np
import pytest

from benchmarks.probes_subpopulations import KINDS, area_of, hidden_digits, purity_of
from tui_influence.probes.subpopulations import subpopulations
from tui_influence.ranking_question import Question

MODELS = 96


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return hidden_digits(tmp_path_factory.mktemp("round"), MODELS)


def test_digits_hidden_inside_a_label_are_its_subpopulations(trained):
    reading, hidden = trained
    classes = subpopulations(reading, Question(split="all"))
    assert sum(found.told for found in classes) > 60
    for found in classes:
        purity, chance = purity_of(found, hidden)
        assert purity > 0.85
        assert purity > chance + 0.25


def test_printed_digits_drive_their_handwritten_likeness(trained):
    reading, hidden = trained
    areas = [area_of(reading, kind, digit, hidden) for kind, members in KINDS.items() for digit in members]
    assert np.mean(areas) > 0.65
