"""Arrays in `.npy` and `.npz` files of a user: checked before memory is taken, never unpickled.

Every error is a `ConfigError` of one line that names the file.
"""

import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.npy_header import Header
from tui_influence.store.files import open_file, to_results_error
from tui_influence.store.npy_file import map_array, read_plain_header
from tui_influence.text import printable

_UNREADABLE = (
    ValueError, EOFError, OverflowError, MemoryError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Exceptions for an invalid archive."""


def map_npy(path: Path) -> NDArray[Any]:
    """Map the array in a `.npy` file.

    Raises:
        ConfigError: it cannot be read, or holds no plain numbers.
    """
    try:
        return map_array(path)
    except OSError as error:
        raise ConfigError(str(to_results_error(error, "read", path))) from error
    except ResultsError as error:  # the file of a user, not a damaged run
        raise ConfigError(str(error)) from error
    except ValueError as error:
        raise ConfigError(f"{path_text(path)}: not a .npy file of plain numbers ({error})") from error


def read_npz(
    path: Path, checks: Mapping[str, Callable[[Header], None]], *, optional: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read arrays of a `.npz` file.

    Args:
        path: of the file.
        checks: for the name of each array, a function that raises `ConfigError` for a type or shape that does not fit.
            It is called before the array is read.
        optional: names of arrays that may be missing.

    Returns:
        the arrays by name, without those that are missing.

    Raises:
        ConfigError: it cannot be read, holds no plain numbers, lacks an array, or one does not fit.
    """
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            names = {info.filename.removesuffix(".npy") for info in archive.infolist()}
            if missing := [name for name in checks if name not in names and name not in optional]:
                raise ConfigError(f"{path_text(path)}: expected an .npz file with an array {missing[0]}")
            if optional and (others := sorted(names - checks.keys())):  # it may be one of these, misspelt
                raise ConfigError(
                    f"{path_text(path)}: an array {printable(others[0], 60)}; expected {' and '.join(checks)} alone"
                )
            return {name: _read_member(archive, name, check) for name, check in checks.items() if name in names}
    except OSError as error:
        raise ConfigError(str(to_results_error(error, "read", path))) from error
    except ResultsError as error:  # the file of a user, not a damaged run
        raise ConfigError(str(error)) from error
    except (KeyError, *_UNREADABLE) as error:
        raise ConfigError(f"{path_text(path)}: not an .npz file of plain numbers ({_reason(error)})") from error


def path_text(path: Path) -> str:
    """Return a path, safe to print."""
    return printable(str(path))


def shape_text(array: NDArray[Any]) -> str:
    """Return the shape and type of an array, such as "(3, 4) float32", safe to print."""
    comma = "," if array.ndim == 1 else ""
    return f"({', '.join(map(str, array.shape))}{comma}) {printable(str(array.dtype), 40)}"


def position_text(position: NDArray[np.intp]) -> str:
    """Return the position of an element, such as "[3, 4]"."""
    return f"[{', '.join(str(int(index)) for index in position)}]"


def _read_member(archive: zipfile.ZipFile, name: str, check: Callable[[Header], None]) -> NDArray[Any]:
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        header = read_plain_header(file, member.file_size)
        check(header)
        content = file.read(header.nbytes)
    return np.frombuffer(content, header.dtype, header.nbytes // header.dtype.itemsize).reshape(
        header.shape, order=header.order
    )


def _reason(error: BaseException) -> str:
    return printable(" ".join(str(error).split()), 100) or type(error).__name__
