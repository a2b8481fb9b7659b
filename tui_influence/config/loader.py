"""A config from a file, from text, and from a results directory; and a config as JSON.

Everything that can be wrong with a user's config leaves here as a `ConfigError`: `InvalidConfig`, which names every
mistake, if it could be read, and one line that says why not, if it could not. A saved config is not the user's: what
is wrong with that is a `ResultsError`.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tui_influence.config.explain import problems_of
from tui_influence.config.positions import Node
from tui_influence.config.problems import InvalidConfig
from tui_influence.config.schema import Config
from tui_influence.config.syntax import NotToml, read_toml
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.text import printable

MAX_BYTES = 256 << 10
"""A config of many targets has a few kilobytes; what is larger is some other file."""


def load_config(path: Path) -> Config:
    """Return the config in a file.

    Raises:
        InvalidConfig: it is wrong; all of its problems at once.
        ConfigError: it cannot be read as text.
    """
    return parse_config(_read(path), str(path))


def parse_config(text: str, name: str) -> Config:
    """Return the config that a text holds.

    Args:
        text: TOML.
        name: what the messages call it.

    Raises:
        InvalidConfig: it is wrong; all of its problems at once.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    try:
        data, positions = read_toml(text)
    except NotToml as error:
        raise InvalidConfig(name, [error.problem]) from None
    try:
        return Config.model_validate(data)
    except ValidationError:
        raise InvalidConfig(name, problems_of(data, positions, text)) from None


def config_to_json(config: Config) -> dict[str, Any]:
    """Return a config as JSON values, every default filled in; `config_from_json` gives back an equal one."""
    return config.model_dump(mode="json")


def config_from_json(data: dict[str, Any]) -> Config:
    """Return the config that a results directory or another process of ours holds.

    Raises:
        ResultsError: it is not one; these are nobody's typing errors, so the first reason is enough.
    """
    if not isinstance(data, dict):
        raise ResultsError("the saved config is damaged: it is no table")
    try:
        return Config.model_validate(data)
    except ValidationError:
        problems = problems_of(data, Node(), "")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise ResultsError(f"the saved config is damaged, or of another version: {problems[0].message}{more}")


def _read(path: Path) -> str:
    shown = printable(str(path))
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(f"{shown}: not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{shown}: no such file (tinfl init writes one to start from)") from None
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
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown}: not UTF-8 text (line {line}); save it as UTF-8") from None
