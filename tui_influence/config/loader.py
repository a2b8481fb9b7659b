"""Configs from files, from text and from results directories, and configs as JSON.

A mistake in a user's config is a `ConfigError`: an `InvalidConfigError`, which names every mistake, if the text could
be read, and one line with the reason if it could not. A saved config is not the user's: a mistake in it is a
`ResultsError`. Reading a config does not touch the data that it names, which may be on another machine:
`check_data_paths` does.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tui_influence.config.errors import Document, InvalidConfigError
from tui_influence.config.positions import Node
from tui_influence.config.schema import Config
from tui_influence.config.settings import apply_settings
from tui_influence.config.toml_file import TomlSyntaxError, normalize_newlines, read_config_text, read_toml
from tui_influence.config.types import DataPath, Section
from tui_influence.config.validation import find_problems
from tui_influence.errors import ResultsError
from tui_influence.regular_files import expand_home
from tui_influence.text import printable


def load_config(path: Path, settings: Sequence[str] = ()) -> Config:
    """Return the config in a file.

    Args:
        path: of the file.
        settings: of the command line, which take the place of those in the file; see `apply_settings`.

    Raises:
        InvalidConfigError: it has mistakes; all of its problems at once.
        ConfigError: it cannot be read as text, or a setting is malformed.
    """
    text = read_config_text(path, missing=" (tinfl init writes one to start from)")
    return _parse(text, str(path), settings)[0]


def check_data_paths(path: Path, settings: Sequence[str] = ()) -> None:
    """Check that the files and directories named by the config in a file are on this machine.

    Args:
        path: of the file.
        settings: as for `load_config`.

    Raises:
        InvalidConfigError: some are not, all of them at once; or the config itself has mistakes.
        ConfigError: it cannot be read as text, or a setting is malformed.
    """
    name = str(path)
    config, document = _parse(read_config_text(path), name, settings)
    add_absent_paths(config, document)
    if document.problems:
        raise InvalidConfigError(name, document.problems)


def parse_config(text: str, name: str) -> Config:
    """Return the config in a text.

    Args:
        text: TOML.
        name: its name in messages.

    Raises:
        InvalidConfigError: it has mistakes; all of its problems at once.
    """
    return _parse(text, name)[0]


def _parse(text: str, name: str, settings: Sequence[str] = ()) -> tuple[Config, Document]:
    text = normalize_newlines(text)
    try:
        data, positions = read_toml(text)
    except TomlSyntaxError as error:
        raise InvalidConfigError(name, [error.problem]) from None
    apply_settings(data, positions, settings)
    try:
        return Config.model_validate(data), Document(data, positions, text)
    except ValidationError:
        raise InvalidConfigError(name, find_problems(data, positions, text)) from None


def config_to_json(config: Config) -> dict[str, Any]:
    """Return a config as JSON values with every default; `config_from_json` returns an equal config for it."""
    return config.model_dump(mode="json")


def config_from_json(data: dict[str, Any]) -> Config:
    """Return the config that was saved in a results directory or sent by another process of tinfl.

    Raises:
        ResultsError: it is damaged. No user wrote it, so the first reason is enough.
    """
    if not isinstance(data, dict):
        raise ResultsError("the saved config is damaged: it is no table")
    if isinstance(data.get("design"), dict):  # versions without prior networks, repeats or class clusters had none
        data = data | {"design": {"prior": 0, "heldout_repeats": 1, "clusters": 0} | data["design"]}
    try:
        return Config.model_validate(data)
    except ValidationError:
        problems = find_problems(data, Node(), "")
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise ResultsError(f"the saved config is damaged, or of another version: {problems[0].message}{others}")


def add_absent_paths(config: Config, document: Document) -> None:
    """Add a problem for every path of a config that does not lead to a file or directory as required.

    Args:
        config: config whose relative paths start at the current directory.
        document: document of that config, to which problems are added.
    """
    _add_absent_paths_of(config.source, ["source"], document)
    for index, target in enumerate(config.target):
        _add_absent_paths_of(target, ["target", index], document)
    _add_absent_paths_of(config.model, ["model"], document)


def _add_absent_paths_of(section: Section, table: Sequence[str | int], document: Document) -> None:
    for key, field in type(section).model_fields.items():
        for location in (mark for mark in field.metadata if isinstance(mark, DataPath)):
            value = getattr(section, key)
            if not location.is_path(value):
                continue
            reason = _absence_reason(expand_home(value), location)
            if reason is not None:
                message = f"{table[0]}.{key} {reason}: {printable(value, 200)}"
                document.add(message, [*table, key], _relative_path_hint(expand_home(value)), at_value=True)


def _relative_path_hint(path: Path) -> str | None:
    if path.is_absolute():
        return None
    return f"relative paths start at the working directory: {printable(str(Path.cwd() / path), 300)}"


def _absence_reason(path: Path, location: DataPath) -> str | None:
    """Return why a path cannot be used, as a predicate; None if it can be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be read ({(error.strerror or str(error)).lower()})"
    try:
        mode = os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)
    if location.is_directory is None:
        return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "is neither a file nor a directory"
    if location.is_directory:
        return None if stat.S_ISDIR(mode) else "is not a directory"
    return (
        None if stat.S_ISREG(mode) else "is a directory, not a file" if stat.S_ISDIR(mode) else "is not a regular file"
    )
