"""The layer over cosmic-ray: what is sampled of a module, and whether a test notices."""

from textwrap import dedent

import pytest

from tests.requirements import require

require("cosmic-ray and coverage")

from benchmarks.mutants.__main__ import ROOT, Outcome, table  # noqa: E402 - they import what is required
from benchmarks.mutants.accepted import load  # noqa: E402
from benchmarks.mutants.sampling import sample  # noqa: E402
from benchmarks.mutants.trial import Fate, fate_of, measure_reach  # noqa: E402

MODULE = dedent(
    '''
    """A toy."""

    from __future__ import annotations

    FEW = 3


    def double(value: int | None, *, more: int = 0) -> int | None:
        """Twice a value."""
        return value * 2 + more


    def halve(value: int) -> int:
        return value // 2


    def pairs(first: list[int], second: list[int]) -> list[tuple[int, int]]:
        return list(zip(first, second, strict=True))
    '''
)
TESTS = dedent(
    """
    import pytest
    from tui_influence.toy import FEW, double, pairs


    @pytest.fixture(scope="module")
    def doubled():
        return double(4, more=1)


    def test_double(doubled):
        assert doubled == 9


    def test_nothing():
        assert pairs([1], [2]) == [(1, 2)]
    """
)


@pytest.fixture
def toy(tmp_path):
    """A repository of one module and its tests."""
    copy = tmp_path / "copy"
    for name, text in {
        "tui_influence/toy.py": MODULE,
        "tests/test_toy.py": TESTS,
        "tui_influence/__init__.py": "",
    }.items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (copy / "benchmarks").symlink_to(ROOT / "benchmarks")
    (copy / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["gpu", "soak", "cluster"]\n')
    return copy


def test_a_sample_changes_behaviour_and_tests_notice_what_they_look_at(toy, tmp_path):
    module = (toy / "tui_influence/toy.py").relative_to(toy)
    mutants = sample([module], toy, 100, 1)
    assert mutants == sample([module], toy, 100, 1)
    changed = {(mutant.function, mutant.before) for mutant in mutants}
    assert changed == {
        ("", "FEW = 3"),
        ("double", "def double(value: int | None, *, more: int = 0) -> int | None:"),
        ("double", "return value * 2 + more"),
        ("halve", "return value // 2"),
    }
    assert len(mutants) == 7  # neither annotations, nor the markers of parameters, nor an assertion of `zip`
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    reach = measure_reach(["tests"], toy, scratch)
    fates = {mutant.before: fate_of(mutant, reach, toy, scratch) for mutant in mutants if mutant.function != "double"}
    assert fates == {"FEW = 3": Fate.SURVIVED, "return value // 2": Fate.UNREACHED}
    product = next(mutant for mutant in mutants if "value * 2" in mutant.before and " * 2 +" not in mutant.after)
    assert fate_of(product, reach, toy, scratch) is Fate.NOTICED
    assert (toy / module).read_text() == MODULE


def test_what_may_survive_is_listed_once():
    keys = [key for entry in load() for key in entry.keys]
    assert len(set(keys)) == len(keys)


def test_the_share_is_of_those_that_change_behaviour():
    outcome = Outcome("store", 24, 4, (("mutant", Fate.SURVIVED),) * 3)
    assert outcome.share == 17 / 20
    assert table([outcome]).splitlines()[1].split() == ["store", "24", "4", "17", "85%"]
