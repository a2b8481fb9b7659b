"""A list of names in a text file, one a line; empty lines and those that begin with # are skipped."""

from collections.abc import Sequence
from pathlib import Path

from tui_influence.datasets.problems import DatasetProblemsError, directory_problem, shown
from tui_influence.errors import DatasetError
from tui_influence.regular_files import open_regular
from tui_influence.text import did_you_mean, printable

_MOST_BYTES = 16 << 20


def read_class_list(path: Path, known: Sequence[str]) -> list[str]:
    """Return the classes that a file lists, once each, in its order.

    Args:
        path: of the file.
        known: the classes there are.

    Raises:
        DatasetError: it cannot be read, or lists what is not there; with `details` where that is several names.
    """
    return parse_class_list(_text_of(path), known, shown(path))


def read_image_list(path: Path, known: Sequence[str], *, partial: bool) -> list[str]:
    """Return the images that a file lists, once each, in its order.

    Args:
        path: of the file.
        known: names of the images there are.
        partial: it may list images that are not among them.

    Raises:
        DatasetError: it cannot be read, or lists what is not there.
    """
    text, where = _text_of(path), shown(path)
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


def text_of_image_list(path: Path) -> str:
    """Return such a file as it is, to be gone on with.

    Raises:
        DatasetError: it cannot be read, or is no text.
    """
    return _text_of(path)


def _text_of(path: Path) -> str:
    where = shown(path)
    try:
        with open_regular(path) as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise directory_problem(path, error) from error
    if len(content) > _MOST_BYTES:
        raise DatasetError(f"{where}: larger than {_MOST_BYTES >> 20} MiB; this is no list of names")
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
