"""A config from a file, from text, and from a results directory; and a config as JSON.

Everything that can be wrong with a user's config leaves here as a `ConfigError`: `InvalidConfig`, which names every
mistake, if it could be read, and one line that says why not, if it could not. A saved config is not the user's: what
is wrong with that is a `ResultsError`.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tui_influence.config.document import Document
from tui_influence.config.explain import problems_of
from tui_influence.config.positions import Node
from tui_influence.config.presence import note_absences
from tui_influence.config.problems import InvalidConfig
from tui_influence.config.schema import Config
from tui_influence.config.source_text import read_source, unified
from tui_influence.config.syntax import NotToml, read_toml
from tui_influence.errors import ResultsError


def load_config(path: Path) -> Config:
    """Return the config in a file.

    Raises:
        InvalidConfig: it is wrong; all of its problems at once.
        ConfigError: it cannot be read as text.
    """
    return parse_config(read_source(path, missing=" (tinfl init writes one to start from)"), str(path))


def check_presence(path: Path) -> None:
    """Check that the files and directories that the config in a file names are on this machine.

    Raises:
        InvalidConfig: some are not, all of them at once; or the config itself is wrong.
        ConfigError: it cannot be read as text.
    """
    name = str(path)
    config, document = _parsed(read_source(path), name)
    note_absences(config, document)
    if document.problems:
        raise InvalidConfig(name, document.problems)


def parse_config(text: str, name: str) -> Config:
    """Return the config that a text holds.

    Args:
        text: TOML.
        name: what the messages call it.

    Raises:
        InvalidConfig: it is wrong; all of its problems at once.
    """
    return _parsed(text, name)[0]


def _parsed(text: str, name: str) -> tuple[Config, Document]:
    text = unified(text)
    try:
        data, positions = read_toml(text)
    except NotToml as error:
        raise InvalidConfig(name, [error.problem]) from None
    try:
        return Config.model_validate(data), Document(data, positions, text)
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
