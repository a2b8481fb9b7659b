"""Groups: what is kept or left out as one.

A CSV of groups has a header with the columns `path` and `group` (others are ignored). `path` is the name of an image:
its path below the dataset's directory, or "class/index" in files without names. What is decided here:

- an image that is not listed, or whose group is left blank, is in no group: every model is trained on it;
- a path that no image has is an error, because it is most often a slip; but not if it was skipped as unreadable, nor
  if `per_class`, `keep` or `exclude` leaves images out (then a listed image may well not have been chosen);
- groups are in the order of their names, and a group without images is no group.

A table is read row by row, and no further than a table of these images can go on: what it takes in memory depends on
how many images there are, not on how many it lists.

A list of names in a text file, one a line; empty lines and those that begin with # are skipped.
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
_MOST_CHARACTERS = 1 << 17
"""Of a line, as of a field where `csv` reads it."""
_MOST_BYTES = 512 << 20
_MOST_ROWS = 1 << 24
"""Where rows may be of images that there are not."""
_ROWS_PER_IMAGE = 2
"""Where they may not: one for each image, and as many that say the same again."""
_MOST_PROBLEMS = 1000
"""After which the rest is not read."""


def assign_groups(section: Source, images: ImageSet) -> Groups:
    """Return the groups that `section.groups` asks for.

    Args:
        section: `[source]` of the config: "class", "example", or a CSV file.
        images: what `load_source` returned for it.

    Raises:
        DatasetError: the CSV cannot be read, or has wrong lines: all of them are in `details`.
    """
    if section.groups == "class":
        return Groups(images.classes, images.labels.astype(np.int32))
    if section.groups == "example":
        return Groups(images.names, np.arange(len(images), dtype=np.int32))
    partial = any(setting is not None for setting in (section.per_class, section.keep, section.exclude))
    group_of = _read(expand_home(section.groups), images, partial=partial)
    names = tuple(sorted({group_of[name] for name in images.names if group_of.get(name)}))
    if not names:
        raise DatasetError(f"{printable_path(section.groups)} puts no image of the source in a group")
    number = {name: index for index, name in enumerate(names)} | {"": -1}
    return Groups(names, np.array([number[group_of.get(name, "")] for name in images.names], dtype=np.int32))


def _read(path: Path, images: ImageSet, *, partial: bool) -> dict[str, str]:
    """Return the group of each image listed; "" is none.

    Args:
        path: of the CSV.
        images: that it speaks of.
        partial: it may list images that are not among them.
    """
    where = printable_path(path)
    known = set(images.names)
    elsewhere = set(images.skipped)
    group_of: dict[str, str] = {}
    line_of: dict[str, int] = {}
    problems: list[str] = []
    rows_left = _MOST_ROWS if partial else _ROWS_PER_IMAGE * (len(known) + len(elsewhere))
    is_read_whole = True
    with closing(_rows(path)) as rows:
        for line, name, group in rows:
            if not rows_left:
                problems.append(f"line {line} is one too many: {_row_limit(partial=partial)}")
            if not rows_left or len(problems) >= _MOST_PROBLEMS:
                is_read_whole = False
                break
            rows_left -= 1
            if name is None or group is None:
                problems.append(f"line {line} has no {'path' if name is None else 'group'}")
            elif name not in known:
                if name not in elsewhere and not partial:
                    problems.append(f"line {line}: the source has no image {printable(name)}")
            elif group_of.setdefault(name, group) != group:
                problems.append(f"line {line}: {printable(name)} was in another group on line {line_of[name]}")
            else:
                line_of.setdefault(name, line)
    if problems:
        count = pluralize(len(problems), "problem") + (" in all" if is_read_whole else " up to where reading stopped")
        more = f" ({count})" if len(problems) > 1 else ""
        raise DatasetProblemsError(f"{where}: {problems[0]}{more}", [f"{where}: {problem}" for problem in problems])
    return group_of


def _row_limit(*, partial: bool) -> str:
    return f"a table has at most {_MOST_ROWS:,} rows" if partial else "a table has at most two rows for each image"


def _rows(path: Path) -> Generator[tuple[int, str | None, str | None], None, None]:
    """Read line number, image name and group of each row; None for what a row lacks."""
    where = printable_path(path)
    line = 1
    try:
        with open_regular(path) as content, TextIOWrapper(content, "utf-8-sig", newline="") as file:
            if os.fstat(content.fileno()).st_size > _MOST_BYTES:
                raise DatasetError(f"{where}: larger than {_MOST_BYTES >> 20} MiB; this is no table of groups")
            reader = csv.reader(_lines(file, where), strict=True)
            header = [column.strip().lower() for column in next(reader, [])]
            missing = [column for column in _COLUMNS if column not in header]
            if missing:
                raise DatasetError(f"{where}: line 1 must name the columns path and group; it has no {missing[0]}")
            twice = [column for column in _COLUMNS if header.count(column) > 1]
            if twice:
                raise DatasetError(f"{where}: line 1 names the column {twice[0]} more than once; which one is meant?")
            at_path, at_group = header.index("path"), header.index("group")
            for row in reader:
                line = reader.line_num
                if row:
                    name = row[at_path].strip() if at_path < len(row) else ""
                    group = row[at_group].strip() if at_group < len(row) else None
                    yield line, posixpath.normpath(name) if name else None, group
    except UnicodeDecodeError as error:
        raise DatasetError(f"{where} is not UTF-8 text (after line {line})") from error
    except csv.Error as error:
        raise DatasetError(f"{where}: line {line + 1} cannot be read: {reason_of(error)}") from error
    except OSError as error:
        raise directory_problem(path, error) from error


def _lines(file: TextIO, where: str) -> Iterator[str]:
    """The lines of a CSV, none of which is so long that it can be no line of one."""
    number = 0
    while line := file.readline(_MOST_CHARACTERS + 1):
        number += 1
        if len(line) > _MOST_CHARACTERS:
            raise DatasetError(f"{where}: line {number} is longer than {_MOST_CHARACTERS:,} characters")
        yield line


_MAX_CLASS_LIST_BYTES = 16 << 20


def read_class_list(path: Path, known: Sequence[str]) -> list[str]:
    """Return the classes that a file lists, once each, in its order.

    Args:
        path: of the file.
        known: the classes there are.

    Raises:
        DatasetError: it cannot be read, or lists what is not there; with `details` where that is several names.
    """
    return parse_class_list(_text_of(path), known, printable_path(path))


def read_image_list(path: Path, known: Sequence[str], *, partial: bool) -> list[str]:
    """Return the images that a file lists, once each, in its order.

    Args:
        path: of the file.
        known: names of the images there are.
        partial: it may list images that are not among them.

    Raises:
        DatasetError: it cannot be read, or lists what is not there.
    """
    text, where = _text_of(path), printable_path(path)
    there = set(known)
    names = _names_in(text, there)
    unknown = [] if partial else [name for name in names if name not in there]
    if unknown:
        more = f" ({len(unknown)} such lines)" if len(unknown) > 1 else ""
        raise DatasetProblemsError(
            f"{where}: the source has no image {printable(unknown[0], 60)}{more}",
            [f"{where}: the source has no image {printable(name, 60)}" for name in unknown],
        )
    return [name for name in names if name in there]


def read_image_list_text(path: Path) -> str:
    """Return such a file as it is, to be gone on with.

    Raises:
        DatasetError: it cannot be read, or is no text.
    """
    return _text_of(path)


def _text_of(path: Path) -> str:
    where = printable_path(path)
    try:
        with open_regular(path) as file:
            content = file.read(_MAX_CLASS_LIST_BYTES + 1)
    except OSError as error:
        raise directory_problem(path, error) from error
    if len(content) > _MAX_CLASS_LIST_BYTES:
        raise DatasetError(f"{where}: larger than {_MAX_CLASS_LIST_BYTES >> 20} MiB; this is no list of names")
    try:
        return content.decode("utf-8-sig")
    except ValueError as error:
        raise DatasetError(f"{where} is not UTF-8 text") from error


def parse_class_list(text: str, known: Sequence[str], where: str) -> list[str]:
    """Return the classes that a text lists; `where` is what messages call it. See `read_class_list`."""
    there = set(known)
    names = _names_in(text, there)
    unknown = [name for name in names if name not in there]
    if not unknown:
        return names
    details = [f'"{printable(name, 60)}"{did_you_mean(name, known)}' for name in unknown]
    if len(unknown) == 1:
        raise DatasetError(f"{where}: the source has no class {details[0]}")
    raise DatasetProblemsError(f"{where}: it names {len(unknown)} classes that the source does not have", details)


def _names_in(text: str, there: set[str]) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    return list(dict.fromkeys(line for line in lines if line and (line in there or not line.startswith("#"))))
