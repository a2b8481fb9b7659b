"""What a user chooses of a pruning, as it is read and as a command line says it again."""

import shlex
from pathlib import Path

import pytest

from tui_influence.analysis.question import Question
from tui_influence.errors import ConfigError
from tui_influence.pruning.options import ClassList, PruningRequest, class_list_text, parse_drop_counts
from tui_influence.roles import BASELINES, ArmKind

RESULTS = Path("results/my run")
BOTH = "label-mapping,feature-mapping"
LIST = ClassList(ArmKind.DROP, ("a",), "x.txt")


def words(request, name="main", **options):
    return shlex.split(request.command(RESULTS, name, **options))


def test_a_command_says_what_is_chosen_and_nothing_else():
    assert words(PruningRequest()) == ["tinfl", "prune", "--", "results/my run"]
    chosen = PruningRequest(
        drop_counts=(2, 10), seeds=3, baselines=BASELINES, lists=(ClassList(ArmKind.KEEP, ("a",), "my list.txt"),)
    )
    question = Question(target="-1", estimator="ridge", output_kind="correct")
    assert words(chosen, "other", question=question, list_file=Path("my list.txt")) == [
        "tinfl", "prune", "--name=other", "--drop-counts=2,10", "--keep=my list.txt", "--seeds=3",
        f"--baselines={BOTH}", "--target=-1", "--estimator=ridge", "--output-kind=correct", "--", "results/my run",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("baselines", "said"), [(None, []), (BASELINES, [f"--baselines={BOTH}"]), ((), ["--baselines=none"])]
)
def test_baselines_are_said_where_they_are_chosen_or_refused(baselines, said):
    assert words(PruningRequest(baselines=baselines)) == ["tinfl", "prune", *said, "--", "results/my run"]


def test_a_list_is_said_only_with_its_file():
    assert words(PruningRequest(lists=(LIST,)))[2:-2] == []
    assert words(PruningRequest(), list_file=Path("x.txt"))[2:-2] == []
    assert words(PruningRequest(lists=(LIST,)), list_file=Path("x.txt"))[2:-2] == ["--drop=x.txt"]


@pytest.mark.parametrize(
    ("request_", "empty"),
    [
        (PruningRequest(), True),
        (PruningRequest(settings={"train.epochs": 3}, devices="cpu"), True),
        (PruningRequest(drop_counts=(1,)), False),
        (PruningRequest(lists=(LIST,)), False),
        (PruningRequest(seeds=1), False),
        (PruningRequest(baselines=()), False),
    ],
)
def test_a_request_chooses_arms_by_numbers_lists_seeds_or_baselines(request_, empty):
    assert request_.chooses_arms != empty


def test_numbers_are_read_with_blanks_and_in_their_order():
    assert parse_drop_counts("10, 2,40 ") == (10, 2, 40)
    assert parse_drop_counts("0") == (0,)
    assert parse_drop_counts("9" * 9) == (999_999_999,)


@pytest.mark.parametrize("text", ["", "1,,2", "x", "-1", "1.5", "9" * 10, "²", "1,\x1b"])
def test_what_is_no_number_is_refused_in_a_line(text):
    with pytest.raises(ConfigError, match="must be numbers of classes, such as 10,20,40") as refused:
        parse_drop_counts(text)
    assert str(refused.value).isprintable()


def test_a_list_is_a_name_a_line():
    assert class_list_text(["a", "b c"]) == "a\nb c\n"
    assert class_list_text([]) == ""
