"""Errors of datasets and the wording of their messages: one line, and a list of details where there are several."""

import errno
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tui_influence.errors import DatasetError, ExitCode
from tui_influence.text import pluralize, printable

_MAX_LISTED = 3
_MAX_REASON = 100
_MAX_PATH = 1000
_MACHINE_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}


class BadImageError(Exception):
    """One image cannot be read; the message is the reason, in a few words."""


class UntrustedDatasetError(DatasetError):
    """A dataset that only its user's own config may name, as opening it may run code."""

    exit_code = ExitCode.RESULTS


class DatasetProblemsError(DatasetError):
    """Several things are wrong with a dataset. The message is one line; `details` has a line for each of several."""

    def __init__(self, message: str, details: Sequence[str]) -> None:
        super().__init__(message)
        self.details = tuple(details) if len(details) > 1 else ()


def printable_path(path: str | Path) -> str:
    """Return a path for messages."""
    return printable(str(path), _MAX_PATH)


def abbreviate_list(items: Sequence[str], limit: int = _MAX_LISTED) -> str:
    """Return "a, b, c and 5 more"."""
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")


def unreadable_images(display_name: str, unreadable: Sequence[tuple[str, str]]) -> DatasetProblemsError:
    """Return the error that names every unreadable image.

    Args:
        display_name: name of the dataset.
        unreadable: (name, reason) of each image.
    """
    lines = [f"{printable(name)} ({reason})" for name, reason in unreadable]
    head = f"{pluralize(len(unreadable), 'unreadable image')} in {display_name}: {abbreviate_list(lines)}"
    return DatasetProblemsError(f'{head} (set on_bad_image = "skip" to leave them out)', lines)


def directory_problem(path: str | Path, error: OSError) -> DatasetError:
    """Return the error for a path that cannot be listed or opened."""
    if isinstance(error, FileNotFoundError):
        return DatasetError(f"{printable_path(path)} does not exist")
    if isinstance(error, NotADirectoryError):
        return DatasetError(f"{printable_path(path)} is not a directory")
    return DatasetError(f"cannot read {printable_path(path)}: {reason_of(error)}")


def damaged_file(path: str | Path, reason: str) -> DatasetError:
    """Return the error for a file whose content is not whole."""
    return DatasetError(
        f"{printable_path(path)} is damaged, or its download was interrupted ({reason}): download or write it again"
    )


def interrupted_download(where: str, file: Path) -> DatasetError:
    """Return the error for a directory, as it is printed, in which the part of a download was left."""
    return DatasetError(
        f"{where} has an interrupted download, {printable(file.name)}: complete it, or delete that file if the data "
        "are complete"
    )


def image_reason(error: BaseException) -> str:
    """Return why an image could not be decoded.

    Raises:
        DatasetError: the machine is at fault, not the image: skipping it would change the data by accident.
    """
    if isinstance(error, BadImageError):
        return str(error)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _MACHINE_ERRORS):
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
    """Return the message of an exception as one printable line, shortened."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    line = next(iter(text.strip().splitlines()), "")
    return printable(line, _MAX_REASON) or type(error).__name__
