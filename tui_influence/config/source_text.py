"""A file that a user wrote, as text; what is wrong with it as a file leaves here as a one-line `ConfigError`."""

import re
from pathlib import Path

from tui_influence.errors import ConfigError
from tui_influence.text import printable

MAX_BYTES = 256 << 10
"""A config of many targets has a few kilobytes; what is larger is some other file."""


def read_source(path: Path, *, missing: str = "") -> str:
    r"""Return the text of a file, its line ends as `\n`.

    Args:
        path: of the file.
        missing: what to say, besides, when there is none.

    Raises:
        ConfigError: it cannot be read as text.
    """
    shown = printable(str(path))
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(f"{shown}: not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{shown}: no such file{missing}") from None
    except IsADirectoryError:
        raise ConfigError(f"{shown}: is a directory, not a config file") from None
    except PermissionError:
        raise ConfigError(f"{shown}: no permission to read it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{shown}: cannot be read: {printable(reason)}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{shown}: larger than {MAX_BYTES >> 10} KiB; this is no config")
    try:
        return unified(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown}: not UTF-8 text (line {line}); save it as UTF-8") from None


def unified(text: str) -> str:
    r"""Return text without a byte order mark, its line ends as `\n`; given twice it returns the same.

    Carriage returns before a line feed belong to the line end, however many: some editors double them.
    """
    return re.sub(r"\r+\n", "\n", text.removeprefix("\ufeff"))
