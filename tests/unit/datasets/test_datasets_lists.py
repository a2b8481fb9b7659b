"""Lists of names in files that are none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tui_influence.datasets.groups import read_class_list, read_image_list, read_image_list_text
from tui_influence.errors import DatasetError


@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_class_list(path, ["a"]),
        lambda path: read_image_list(path, ["a/0.png"], partial=True),
        read_image_list_text,
    ],
    ids=["classes or groups", "images", "text"],
)
def test_a_list_of_too_many_bytes_is_refused_whatever_it_lists(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "list.txt"
    with path.open("wb") as file:
        file.truncate((16 << 20) + 1)
    with pytest.raises(DatasetError, match=r"list\.txt: larger than 16 MiB; this is no list of names$"):
        read(path)
