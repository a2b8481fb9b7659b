"""Data paths that mean the same from every directory."""

from pathlib import Path

import pytest

from tui_influence.config.identity import with_absolute_paths
from tui_influence.config.loader import parse_config

TEXT = """\
[run]
name = "x"
[source]
kind = "folder"
path = "data/source"
groups = "groups.csv"
[[target]]
name = "t"
kind = "folder"
train = "/abs/train"
test = "data/test"
[design]
models = 4
"""


def test_data_paths_become_absolute_and_nothing_else_changes():
    config = parse_config(TEXT, "x")
    found = with_absolute_paths(config, Path("/here"))
    assert found.source.path == "/here/data/source"
    assert found.source.groups == "/here/groups.csv"
    assert (found.target[0].train, found.target[0].test) == ("/abs/train", "/here/data/test")
    assert found.model_copy(update={"source": None, "target": None}) == config.model_copy(
        update={"source": None, "target": None}
    )


def test_a_home_directory_is_not_below_the_current_one():
    config = parse_config(TEXT.replace("data/source", "~/source"), "x")
    assert with_absolute_paths(config, Path("/here")).source.path == str(Path.home() / "source")


def test_a_grouping_that_is_no_file_stays():
    config = parse_config(TEXT.replace("groups.csv", "class"), "x")
    assert with_absolute_paths(config, Path("/here")).source.groups == "class"


@pytest.mark.parametrize(
    ("weights", "absolute"), [("w.pt", "/here/w.pt"), ("/w.pt", "/w.pt"), ("timm:a1_in1k", "timm:a1_in1k")]
)
def test_a_file_of_weights_is_a_path_and_a_name_is_none(weights, absolute):
    config = parse_config(f'{TEXT}[model]\nweights = "{weights}"\n', "x")
    assert with_absolute_paths(config, Path("/here")).model.weights == absolute
