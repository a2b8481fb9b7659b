"""How the data can be wrong, and how that is said: one line that names the thing, with the full list behind it."""

import errno
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tui_influence.errors import DatasetError
from tui_influence.text import pluralize, printable

_SHOWN = 3
_REASON_LIMIT = 100
_PATH_LIMIT = 1000
_MACHINE_TROUBLE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}


class BadImageError(Exception):
    """One image cannot be read; the message is the reason, in a few words."""


class DatasetProblemsError(DatasetError):
    """Several things are wrong with a dataset. The message is one line; `details` has a line for each of them."""

    def __init__(self, message: str, details: Sequence[str]) -> None:
        super().__init__(message)
        self.details = tuple(details)


def printable_path(path: str | Path) -> str:
    """Return a path as messages print it."""
    return printable(str(path), _PATH_LIMIT)


def abbreviate_list(items: Sequence[str], limit: int = _SHOWN) -> str:
    """Return "a, b, c and 5 more"."""
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")


def unreadable_images(where: str, bad: Sequence[tuple[str, str]]) -> DatasetProblemsError:
    """Return the error that names every unreadable image.

    Args:
        where: the dataset.
        bad: (name, reason) of each.
    """
    lines = [f"{printable(name)} ({reason})" for name, reason in bad]
    head = f"{pluralize(len(bad), 'unreadable image')} in {where}: {abbreviate_list(lines)}"
    return DatasetProblemsError(f'{head} (set on_bad_image = "skip" to leave them out)', lines)


def directory_problem(path: str | Path, error: OSError) -> DatasetError:
    """Return the error for a path that cannot be listed or opened."""
    if isinstance(error, FileNotFoundError):
        return DatasetError(f"{printable_path(path)} does not exist")
    if isinstance(error, NotADirectoryError):
        return DatasetError(f"{printable_path(path)} is not a directory")
    return DatasetError(f"cannot read {printable_path(path)}: {reason_of(error)}")


def image_reason(error: BaseException) -> str:
    """Return why an image could not be decoded.

    Raises:
        DatasetError: the machine is at fault, not the image: skipping it would change the data by accident.
    """
    if isinstance(error, BadImageError):
        return str(error)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _MACHINE_TROUBLE):
        raise DatasetError(f"cannot read the images: {reason_of(error)}") from error
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "decompression bomb"
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a supported format"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.errno is None and "truncated" in str(error).lower():
        return "truncated"
    return reason_of(error)


def reason_of(error: BaseException) -> str:
    """Return an exception's own words: one printable line, not too long."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = next(iter(text.strip().splitlines()), "")
    return printable(line, _REASON_LIMIT) or type(error).__name__
