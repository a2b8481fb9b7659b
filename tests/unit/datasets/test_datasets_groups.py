"""What is kept or left out as one."""

import os
import tracemalloc
from pathlib import Path

import pytest
from image_files import source

from tui_influence.config.schema import FolderSource
from tui_influence.datasets import DatasetProblemsError, Groups, assign_groups
from tui_influence.errors import DatasetError


def grouped(folder: Path, cache: Path, groups: str, **settings: object) -> Groups:
    section = FolderSource(kind="folder", path=str(folder), groups=groups, **settings)
    return assign_groups(section, source(folder, cache, **settings))


def table(folder: Path, text: str | bytes) -> str:
    path = folder.parent / "groups.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_classes_and_examples_are_groups(folder: Path, cache: Path) -> None:
    classes = grouped(folder, cache, "class")
    assert classes.names == ("a", "b")
    assert classes.group_of_image.tolist() == [0, 0, 0, 1, 1, 1]
    examples = grouped(folder, cache, "example")
    assert examples.names[4] == "b/1.png"
    assert examples.group_of_image.tolist() == list(range(6))


def test_a_table_groups_images_and_leaves_the_others_alone(folder: Path, cache: Path) -> None:
    text = "\ufeffnote,Group,path\r\n,red,a/0.png\n,blue,b/0.png\n,red,./b/1.png\n,,b/2.png\n\n,red,a/0.png\n"
    groups = grouped(folder, cache, table(folder, text))
    assert groups.names == ("blue", "red")
    assert groups.group_of_image.tolist() == [1, -1, -1, 0, 1, -1]
    assert groups.group_of_image.dtype == "int32"
    assert groups.n_ungrouped == 3


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
        ("path,group,group\na/0.png,x,y\n", "line 1 names the column group more than once"),
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


def test_after_a_thousand_problems_the_rest_of_a_table_is_not_read(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_influence.datasets.groups._MAX_ROWS_PER_IMAGE", 10_000)
    path = table(folder, "path,group\n" + "a,b\n" * 5000)
    message = r"line 2: the source has no image a \(1,000 problems up to where reading stopped\)$"
    with pytest.raises(DatasetProblemsError, match=message) as caught:
        grouped(folder, cache, path)
    assert len(caught.value.details) == 1000
    assert caught.value.details[-1].endswith("line 1001: the source has no image a")


def test_a_table_has_at_most_two_rows_for_each_image(folder: Path, cache: Path) -> None:
    (folder / "a" / "bad.png").write_text("no")
    rows = "".join(f"{name}/{index}.png,g\n" for name in "ab" for index in range(3))
    path = table(folder, "path,group\n" + 2 * (rows + "a/bad.png,g\n"))
    assert grouped(folder, cache, path, on_bad_image="skip").names == ("g",)
    path = table(folder, "path,group\n" + 2 * (rows + "a/bad.png,g\n") + 100 * "a/0.png,g\n")
    with pytest.raises(DatasetError, match=r"line 16 is one too many: a table has at most two rows for each image$"):
        grouped(folder, cache, path, on_bad_image="skip")


def test_a_table_that_may_list_other_images_has_a_limit_all_the_same(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_influence.datasets.groups._MAX_ROWS", 30)
    path = table(folder, "path,group\na/0.png,x\nb/0.png,x\n" + "a,b\n" * 28)
    assert grouped(folder, cache, path, per_class=3).names == ("x",)
    path = table(folder, "path,group\na/0.png,x\nb/0.png,x\n" + "a,b\n" * 29)
    with pytest.raises(DatasetError, match=r"line 32 is one too many: a table has at most 30 rows$"):
        grouped(folder, cache, path, per_class=3)


def test_what_a_table_takes_in_memory_does_not_depend_on_how_many_images_it_lists(folder: Path, cache: Path) -> None:
    path = table(folder, "path,group\na/0.png,x\n" + "".join(f"{number:099},{number}\n" for number in range(20_000)))
    section = FolderSource(kind="folder", path=str(folder), groups=path, per_class=3)
    images = source(folder, cache, per_class=3)
    tracemalloc.start()
    try:
        assert assign_groups(section, images).names == ("x",)
        assert tracemalloc.get_traced_memory()[1] < Path(path).stat().st_size / 4
    finally:
        tracemalloc.stop()


def test_a_table_of_too_many_bytes_is_not_read(folder: Path, cache: Path) -> None:
    path = table(folder, "path,group\na/0.png,x\n")
    with open(path, "r+b") as file:
        file.truncate((512 << 20) + 1)
    with pytest.raises(DatasetError, match=r"groups\.csv: larger than 512 MiB; this is no table of groups$"):
        grouped(folder, cache, path)


def test_a_missing_table_is_named(folder: Path, cache: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.csv does not exist"):
        grouped(folder, cache, "nowhere.csv")


def test_images_that_were_skipped_or_not_chosen_may_be_listed(folder: Path, cache: Path) -> None:
    (folder / "a" / "bad.png").write_text("no")
    rows = "".join(f"{name}/{index}.png,g{index}\n" for name in "ab" for index in range(3))
    path = table(folder, "path,group\na/bad.png,g9\n" + rows)
    assert grouped(folder, cache, path, on_bad_image="skip").names == ("g0", "g1", "g2")
    few = grouped(folder, cache, path, on_bad_image="skip", per_class=1)
    assert (few.group_of_image >= 0).all()
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
