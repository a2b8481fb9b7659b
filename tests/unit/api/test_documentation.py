"""The examples in the docstrings of the API and on its page run, on a synthetic results directory."""

import doctest
from pathlib import Path

import pytest

from tests.tui.runs import make_run
from tui_influence.api import results, run

PAGE = Path(__file__).resolve().parents[3] / "docs/python.md"


@pytest.fixture
def in_a_directory_with_results(tmp_path, monkeypatch):
    make_run(tmp_path / "results/my-run", models=120, planned=120, groups=10)
    monkeypatch.chdir(tmp_path)


def failures_of(test: doctest.DocTest) -> int:
    return doctest.DocTestRunner().run(test).failed


EXAMPLES = [
    test for module in (run, results) for test in doctest.DocTestFinder().find(module, globs={}) if test.examples
]


def test_the_run_and_each_of_its_answers_have_an_example():
    names = {test.name.removeprefix("tui_influence.api.run.") for test in EXAMPLES}
    answers = ("info", "masks", "outputs", "ranking", "influence", "prunings", "failures", "subpopulations")
    assert {"open_run", "Run", *(f"Run.{name}" for name in answers)} <= names


@pytest.mark.usefixtures("in_a_directory_with_results")
@pytest.mark.parametrize("test", EXAMPLES, ids=lambda test: test.name)
def test_examples_in_docstrings_run(test):
    assert failures_of(test) == 0


@pytest.mark.usefixtures("in_a_directory_with_results")
def test_examples_on_the_page_run():
    test = doctest.DocTestParser().get_doctest(PAGE.read_text(), {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) > 10
    assert failures_of(test) == 0
