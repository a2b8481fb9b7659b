"""What a user chooses of a pruning, as it is read and as a command line says it again."""

import shlex
from pathlib import Path

import pytest

from tui_influence.analysis.question import Question
from tui_influence.errors import ConfigError
from tui_influence.pruning.options import BOTH, Choice, listed_text, numbers

RESULTS = Path("results/my run")


def words(choice, name="main", **options):
    return shlex.split(choice.command(RESULTS, name, **options))


def test_a_command_says_what_is_chosen_and_nothing_else():
    assert words(Choice()) == ["tinfl", "prune", "--", "results/my run"]
    chosen = Choice(ks=(2, 10), seeds=3, baselines=True, verb="keep", listed=("a",))
    question = Question(target="-1", estimator="ridge", output_kind="correct")
    assert words(chosen, "other", question=question, listed=Path("my list.txt")) == [
        "tinfl", "prune", "--name=other", "--drop-counts=2,10", "--keep=my list.txt", "--seeds=3",
        f"--baselines={BOTH}", "--target=-1", "--estimator=ridge", "--output-kind=correct", "--", "results/my run",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("baselines", "said"), [(None, []), (True, [f"--baselines={BOTH}"]), (False, ["--baselines=none"])]
)
def test_baselines_are_said_where_they_are_chosen_or_refused(baselines, said):
    assert words(Choice(baselines=baselines)) == ["tinfl", "prune", *said, "--", "results/my run"]


def test_a_list_is_said_only_with_its_file():
    assert words(Choice(listed=("a",)))[2:-2] == []
    assert words(Choice(), listed=Path("x.txt"))[2:-2] == []
    assert words(Choice(listed=("a",)), listed=Path("x.txt"))[2:-2] == ["--drop=x.txt"]


@pytest.mark.parametrize(
    ("choice", "empty"),
    [
        (Choice(), True),
        (Choice(verb="keep"), True),
        (Choice(ks=(1,)), False),
        (Choice(listed=("a",)), False),
        (Choice(seeds=1), False),
        (Choice(baselines=False), False),
    ],
)
def test_a_choice_is_empty_where_nothing_is_chosen(choice, empty):
    assert choice.is_empty == empty


def test_numbers_are_read_with_blanks_and_in_their_order():
    assert numbers("10, 2,40 ") == (10, 2, 40)
    assert numbers("0") == (0,)
    assert numbers("9" * 9) == (999_999_999,)


@pytest.mark.parametrize("text", ["", "1,,2", "x", "-1", "1.5", "9" * 10, "²", "1,\x1b"])
def test_what_is_no_number_is_refused_in_a_line(text):
    with pytest.raises(ConfigError, match="must be numbers of classes, such as 10,20,40") as refused:
        numbers(text)
    assert str(refused.value).isprintable()


def test_a_list_is_a_name_a_line():
    assert listed_text(["a", "b c"]) == "a\nb c\n"
    assert listed_text([]) == ""
