"""What is kept or left out as one."""

import os
from pathlib import Path

import pytest
from image_files import source

from tui_influence.config.schema import FolderSource
from tui_influence.datasets import DatasetProblemsError, Groups, groups_of
from tui_influence.errors import DatasetError


def grouped(folder: Path, cache: Path, groups: str, **settings: object) -> Groups:
    section = FolderSource(kind="folder", path=str(folder), groups=groups, **settings)
    return groups_of(section, source(folder, cache, **settings))


def table(folder: Path, text: str | bytes) -> str:
    path = folder.parent / "groups.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_classes_and_examples_are_groups(folder: Path, cache: Path) -> None:
    classes = grouped(folder, cache, "class")
    assert classes.names == ("a", "b")
    assert classes.of.tolist() == [0, 0, 0, 1, 1, 1]
    examples = grouped(folder, cache, "example")
    assert examples.names[4] == "b/1.png"
    assert examples.of.tolist() == list(range(6))


def test_a_table_groups_images_and_leaves_the_others_alone(folder: Path, cache: Path) -> None:
    text = "\ufeffnote,Group,path\r\n,red,a/0.png\n,blue,b/0.png\n,red,./b/1.png\n,,b/2.png\n\n,red,a/0.png\n"
    groups = grouped(folder, cache, table(folder, text))
    assert groups.names == ("blue", "red")
    assert groups.of.tolist() == [1, -1, -1, 0, 1, -1]
    assert groups.of.dtype == "int32"
    assert groups.ungrouped == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 must name the columns path and group; it has no path"),
        ("path,class\n", "it has no group"),
        ("path,group\na/9.png,x\n", r"line 2: the source has no image a/9\.png$"),
        ("path,group\na/0.png\n", "line 2 has no group"),
        ("path,group\n,x\n", "line 2 has no path"),
        ("path,group\na/0.png,x\na/0.png,y\n", r"line 3: a/0\.png was in another group on line 2"),
        ("path,group\na/8.png,x\na/9.png,x\n", r"line 2: .* \(2 problems in all\)"),
        (b"path,group\na/0.png,\xff\n", "is not UTF-8"),
        ('path,group\na/0.png,"x"y\n', "line 2 cannot be read"),
        ("path,group\na/0.png,\n", "puts no image of the source in a group"),
        ("path,group,group\na/0.png,x,y\n", "line 1 names the column group more than once; which one is meant"),
        ("group,path, Path \nx,a/0.png,a/1.png\n", "line 1 names the column path more than once"),
        ("path,group\n\0,x\n", r"no image \\x00|cannot be read"),
        ("path,group\n" + "a" * 200_000, "line 2 is longer than 131,072 characters"),
        ('path,group\n"' + "a" * 100_000 + "\n" + "a" * 100_000 + '",x', "line 2 cannot be read: field larger"),
        ("path,group\n\x1b[2J,x\n", r"no image \\x1b\[2J"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_wrong_with_a_table_is_said_with_its_line(
    folder: Path, cache: Path, text: str | bytes, message: str
) -> None:
    path = table(folder, text)
    with pytest.raises(DatasetError, match=message) as caught:
        grouped(folder, cache, path)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


def test_every_problem_of_a_table_is_listed(folder: Path, cache: Path) -> None:
    path = table(folder, "path,group\nx,1\ny,2\na/0.png\n")
    with pytest.raises(DatasetProblemsError) as caught:
        grouped(folder, cache, path)
    assert [detail.partition(": ")[2][:6] for detail in caught.value.details] == ["line 2", "line 3", "line 4"]


def test_a_missing_table_is_named(folder: Path, cache: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.csv does not exist"):
        grouped(folder, cache, "nowhere.csv")


def test_images_that_were_skipped_or_not_chosen_may_be_listed(folder: Path, cache: Path) -> None:
    (folder / "a" / "bad.png").write_text("no")
    rows = "".join(f"{name}/{index}.png,g{index}\n" for name in "ab" for index in range(3))
    path = table(folder, "path,group\na/bad.png,g9\n" + rows)
    assert grouped(folder, cache, path, on_bad_image="skip").names == ("g0", "g1", "g2")
    few = grouped(folder, cache, path, on_bad_image="skip", per_class=1)
    assert (few.of >= 0).all()
    assert len(few.names) <= 2


@pytest.mark.parametrize(
    ("name", "message"),
    [("pipe.csv", "cannot read .*: not a regular file"), ("zero.csv", "cannot read .*: not a regular file"),
     ("folder.csv", "cannot read .*: Is a directory"), ("~nobody-has-this-name/x.csv", "does not exist")],
)  # fmt: skip
def test_a_table_that_is_no_regular_file_is_not_opened(folder: Path, cache: Path, name: str, message: str) -> None:
    os.mkfifo(folder.parent / "pipe.csv")
    (folder.parent / "zero.csv").symlink_to("/dev/zero")
    (folder.parent / "folder.csv").mkdir()
    with pytest.raises(DatasetError, match=message):
        grouped(folder, cache, name if name.startswith("~") else str(folder.parent / name))
