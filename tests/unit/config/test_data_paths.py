"""Paths in a config that lead to nothing: all of them at once, with their lines, for those who are to open the data."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tui_influence.config.errors import InvalidConfigError
from tui_influence.config.loader import check_data_paths, load_config

TEXT = """\
[run]
name = "r"
[source]
kind = "folder"
path = "{source}"
groups = "{groups}"
keep = "{keep}"
[[target]]
kind = "npz"
name = "a"
train = "{train}"
test = "{test}"
[[target]]
kind = "torchvision"
name = "b"
dataset = "CIFAR10"
root = "{root}"
[design]
models = 3
[model]
weights = "{weights}"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "file.csv").write_text("")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def written(**paths: str) -> Path:
    sound = {"source": "folder", "groups": "class", "keep": "file", "train": "file", "test": "file", "root": "folder"}
    sound |= {"weights": "timm:a1_in1k"}
    Path("c.toml").write_text(TEXT.format(**(sound | paths)))
    return Path("c.toml")


def problems(**paths: str) -> list[str]:
    with pytest.raises(InvalidConfigError) as caught:
        check_data_paths(written(**paths))
    return [f"{problem.line}:{problem.column} {problem.message}" for problem in caught.value.problems]


def test_what_is_there_is_no_problem(here: Path) -> None:
    check_data_paths(written())
    check_data_paths(written(source=str(here / "folder"), groups="file.csv"))
    check_data_paths(written(groups="example"))


def test_reading_a_config_does_not_look_at_its_data(here: Path) -> None:
    load_config(written(source="nowhere", root="nowhere"))


def test_all_wrong_paths_are_told_at_once_in_the_order_of_the_file(here: Path) -> None:
    assert problems(
        source="x", groups="y.csv", keep="folder", train="pipe", test="~nobody-here/t.npz", root="file"
    ) == [
        "5:8 source.path does not exist: x",
        "6:10 source.groups does not exist: y.csv",
        "7:8 source.keep is a directory, not a file: folder",
        "11:9 target.train is not a regular file: pipe",
        "12:8 target.test does not exist: ~nobody-here/t.npz",
        "17:8 target.root is not a directory: file",
    ]
    assert problems(weights="start.pt") == ["21:11 model.weights does not exist: start.pt"]


def test_a_relative_path_is_shown_from_the_root(here: Path) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        check_data_paths(written(source="x", root=str(here / "y")))
    relative, absolute = caught.value.problems
    assert relative.hint == f"relative paths start at the working directory: {here / 'x'}"
    assert absolute.hint is None


def test_a_path_that_leads_through_a_file_or_in_a_circle_is_a_problem(here: Path) -> None:
    (here / "loop").symlink_to("loop")
    assert problems(source="file/x", keep="loop") == [
        "5:8 source.path cannot be read (not a directory): file/x",
        "7:8 source.keep cannot be read (too many levels of symbolic links): loop",
    ]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the privilege of root to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_a_problem(here: Path) -> None:
    path = written()
    check_data_paths(path)
    here.chmod(0o755)  # the paths are relative: nobody has to get here
    (here / "file").chmod(0)
    (here / "folder").chmod(0)
    with as_nobody(), pytest.raises(InvalidConfigError) as caught:
        check_data_paths(path)
    assert [f"{problem.line}:{problem.column} {problem.message}" for problem in caught.value.problems] == [
        "5:8 source.path cannot be read (permission denied): folder",
        "7:8 source.keep cannot be read (permission denied): file",
        "11:9 target.train cannot be read (permission denied): file",
        "12:8 target.test cannot be read (permission denied): file",
        "17:8 target.root cannot be read (permission denied): folder",
    ]


def test_a_path_may_be_of_a_file_or_of_a_directory(here: Path) -> None:
    path = here / "c.toml"
    kind = 'kind = "huggingface"\npath = "{0}"'
    text = f'[run]\nname = "r"\n[source]\n{kind}\n[[target]]\nname = "t"\n{kind}\n[design]\nmodels = 3\n'
    for sound in ("file", "folder"):
        path.write_text(text.format(sound))
        check_data_paths(path)
    for absent, reason in (("pipe", "is neither a file nor a directory"), ("none", "does not exist")):
        path.write_text(text.format(absent))
        with pytest.raises(InvalidConfigError) as caught:
            check_data_paths(path)
        assert [problem.message for problem in caught.value.problems] == [
            f"source.path {reason}: {absent}",
            f"target.path {reason}: {absent}",
        ]
