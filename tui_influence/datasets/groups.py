"""Groups of the source from a CSV file, and lists of classes or images from text files.

A CSV of groups has a header with the columns `path` and `group` (others are ignored). `path` is the name of an image:
its path below the dataset's directory, or "class/index" in files without names. The rules are:

- an image that is not listed, or whose group is blank, is in no group: every model is trained on it;
- a path that no image has is an error, most often a typing error; but not if the image was skipped as unreadable, nor
  if `per_class`, `keep` or `exclude` leaves images out (then a listed image may not have been chosen);
- groups are in the order of their names, and a group without images is no group.

A table is read row by row, with a limit on its rows, so that its memory depends on the number of images and not on the
length of the table.

A list has one name a line; empty lines and those that begin with # are skipped.
"""

import csv
import os
import posixpath
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

import numpy as np

from tui_influence.config.schema import Source
from tui_influence.datasets.base import Groups, ImageSet
from tui_influence.datasets.errors import DatasetProblemsError, directory_problem, printable_path, reason_of
from tui_influence.errors import DatasetError
from tui_influence.regular_files import expand_home, open_regular
from tui_influence.text import did_you_mean, pluralize, printable

_COLUMNS = ("path", "group")
_MAX_LINE_CHARACTERS = 1 << 17
"""Limit of a line, and of a field as `csv` reads it."""
_MAX_TABLE_BYTES = 512 << 20
_MAX_ROWS = 1 << 24
"""Limit of a table that may list images which the source does not have."""
_MAX_ROWS_PER_IMAGE = 2
"""Limit of other tables: a row for each image, and a repetition of each."""
_MAX_PROBLEMS = 1000
"""Problems after which the rest is not read."""


def assign_groups(section: Source, images: ImageSet) -> Groups:
    """Return the groups that `section.groups` sets.

    Args:
        section: `[source]` of the config: "class", "example", or a CSV file.
        images: images that `load_source` returned for it.

    Raises:
        DatasetError: the CSV cannot be read, or has wrong lines: all of them are in `details`.
    """
    if section.groups == "class":
        return Groups(images.classes, images.labels.astype(np.int32))
    if section.groups == "example":
        return Groups(images.names, np.arange(len(images), dtype=np.int32))
    partial = any(setting is not None for setting in (section.per_class, section.keep, section.exclude))
    group_of = _read_groups(expand_home(section.groups), images, partial=partial)
    names = tuple(sorted({group_of[name] for name in images.names if group_of.get(name)}))
    if not names:
        raise DatasetError(f"{printable_path(section.groups)} puts no image of the source in a group")
    index_of_group = {name: index for index, name in enumerate(names)} | {"": -1}
    return Groups(names, np.array([index_of_group[group_of.get(name, "")] for name in images.names], dtype=np.int32))


def _read_groups(path: Path, images: ImageSet, *, partial: bool) -> dict[str, str]:
    """Return the group of each listed image; "" is no group.

    Args:
        path: path of the CSV.
        images: images of the source.
        partial: whether it may list other images, too.
    """
    path_text = printable_path(path)
    image_names = set(images.names)
    skipped_names = set(images.skipped)
    group_of: dict[str, str] = {}
    line_of: dict[str, int] = {}
    problems: list[str] = []
    rows_left = _MAX_ROWS if partial else _MAX_ROWS_PER_IMAGE * (len(image_names) + len(skipped_names))
    is_read_whole = True
    with closing(_rows(path)) as rows:
        for line, name, group in rows:
            if not rows_left:
                problems.append(f"line {line} is one too many: {_row_limit(partial=partial)}")
            if not rows_left or len(problems) >= _MAX_PROBLEMS:
                is_read_whole = False
                break
            rows_left -= 1
            if name is None or group is None:
                problems.append(f"line {line} has no {'path' if name is None else 'group'}")
            elif name not in image_names:
                if name not in skipped_names and not partial:
                    problems.append(f"line {line}: the source has no image {printable(name)}")
            elif group_of.setdefault(name, group) != group:
                problems.append(f"line {line}: {printable(name)} was in another group on line {line_of[name]}")
            else:
                line_of.setdefault(name, line)
    if problems:
        count = pluralize(len(problems), "problem") + (" in all" if is_read_whole else " up to where reading stopped")
        more = f" ({count})" if len(problems) > 1 else ""
        raise DatasetProblemsError(
            f"{path_text}: {problems[0]}{more}", [f"{path_text}: {problem}" for problem in problems]
        )
    return group_of


def _row_limit(*, partial: bool) -> str:
    return f"a table has at most {_MAX_ROWS:,} rows" if partial else "a table has at most two rows for each image"


def _rows(path: Path) -> Generator[tuple[int, str | None, str | None], None, None]:
    """Yield line number, image name and group of each row; None for a field that a row lacks."""
    path_text = printable_path(path)
    line = 1
    try:
        with open_regular(path) as content, TextIOWrapper(content, "utf-8-sig", newline="") as file:
            if os.fstat(content.fileno()).st_size > _MAX_TABLE_BYTES:
                raise DatasetError(f"{path_text}: larger than {_MAX_TABLE_BYTES >> 20} MiB; this is no table of groups")
            reader = csv.reader(_limited_lines(file, path_text), strict=True)
            header = [column.strip().lower() for column in next(reader, [])]
            missing = [column for column in _COLUMNS if column not in header]
            if missing:
                raise DatasetError(f"{path_text}: line 1 must name the columns path and group; it has no {missing[0]}")
            repeated = [column for column in _COLUMNS if header.count(column) > 1]
            if repeated:
                raise DatasetError(f"{path_text}: line 1 names the column {repeated[0]} more than once")
            path_column, group_column = header.index("path"), header.index("group")
            for row in reader:
                line = reader.line_num
                if row:
                    name = row[path_column].strip() if path_column < len(row) else ""
                    group = row[group_column].strip() if group_column < len(row) else None
                    yield line, posixpath.normpath(name) if name else None, group
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path_text} is not UTF-8 text (after line {line})") from error
    except csv.Error as error:
        raise DatasetError(f"{path_text}: line {line + 1} cannot be read: {reason_of(error)}") from error
    except OSError as error:
        raise directory_problem(path, error) from error


def _limited_lines(file: TextIO, path_text: str) -> Iterator[str]:
    """Yield the lines of a CSV; one that is too long is an error."""
    number = 0
    while line := file.readline(_MAX_LINE_CHARACTERS + 1):
        number += 1
        if len(line) > _MAX_LINE_CHARACTERS:
            raise DatasetError(f"{path_text}: line {number} is longer than {_MAX_LINE_CHARACTERS:,} characters")
        yield line


_MAX_LIST_BYTES = 16 << 20


def read_class_list(path: Path, classes: Sequence[str]) -> list[str]:
    """Return the classes that a file lists, once each, in its order.

    Args:
        path: path of the file.
        classes: names of the classes of the source.

    Raises:
        DatasetError: it cannot be read, or lists unknown classes; with `details` if they are several.
    """
    return parse_class_list(_read_text(path), classes, printable_path(path))


def read_image_list(path: Path, images: Sequence[str], *, partial: bool) -> list[str]:
    """Return the images that a file lists, once each, in its order.

    Args:
        path: path of the file.
        images: names of the images of the source.
        partial: whether it may list other images, too.

    Raises:
        DatasetError: it cannot be read, or lists unknown images.
    """
    text, path_text = _read_text(path), printable_path(path)
    image_names = set(images)
    names = _parse_names(text, image_names)
    unknown = [] if partial else [name for name in names if name not in image_names]
    if unknown:
        more = f" ({len(unknown)} such lines)" if len(unknown) > 1 else ""
        raise DatasetProblemsError(
            f"{path_text}: the source has no image {printable(unknown[0], 60)}{more}",
            [f"{path_text}: the source has no image {printable(name, 60)}" for name in unknown],
        )
    return [name for name in names if name in image_names]


def read_image_list_text(path: Path) -> str:
    """Return the text of a list of images, so that more names can be appended.

    Raises:
        DatasetError: it cannot be read, or is not text.
    """
    return _read_text(path)


def _read_text(path: Path) -> str:
    path_text = printable_path(path)
    try:
        with open_regular(path) as file:
            content = file.read(_MAX_LIST_BYTES + 1)
    except OSError as error:
        raise directory_problem(path, error) from error
    if len(content) > _MAX_LIST_BYTES:
        raise DatasetError(f"{path_text}: larger than {_MAX_LIST_BYTES >> 20} MiB; this is no list of names")
    try:
        return content.decode("utf-8-sig")
    except ValueError as error:
        raise DatasetError(f"{path_text} is not UTF-8 text") from error


def parse_class_list(text: str, classes: Sequence[str], display_name: str) -> list[str]:
    """Return the classes that a text lists; `display_name` is its name in messages. See `read_class_list`."""
    class_names = set(classes)
    names = _parse_names(text, class_names)
    unknown = [name for name in names if name not in class_names]
    if not unknown:
        return names
    details = [f'"{printable(name, 60)}"{did_you_mean(name, classes)}' for name in unknown]
    if len(unknown) == 1:
        raise DatasetError(f"{display_name}: the source has no class {details[0]}")
    raise DatasetProblemsError(
        f"{display_name}: it names {len(unknown)} classes that the source does not have", details
    )


def _parse_names(text: str, valid_names: set[str]) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return list(dict.fromkeys(line for line in lines if line and (line in valid_names or not line.startswith("#"))))
