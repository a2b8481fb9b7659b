"""The config that `tinfl init` writes: every key the schema knows, with its meaning and its default.

It is made from the schema, so the two cannot disagree. Keys that are needed are given; the others stand there as
comments with their defaults.

A config as the text of a TOML file; `loader.parse_config` gives back an equal one.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tui_influence.config.loader import config_to_json
from tui_influence.config.messages import (
    KINDS,
    all_tables,
    any_of,
    as_toml,
    as_toml_key,
    choices,
    example,
    header,
    inner_tables,
    keys,
    models,
)
from tui_influence.config.schema import Config
from tui_influence.errors import ConfigError
from tui_influence.text import printable

_OPENING = """\
# A sweep of tinfl: many networks, each trained on some groups of the source and judged on the targets.
# Keys that begin a line are needed; those behind a # show their default, or an example where there is none.
# Paths are relative to the directory the command is run in."""

_COMMENT_COLUMN = 34


def template(kind: str = "builtin") -> str:
    """Return a valid, commented config.

    Args:
        kind: of its datasets.

    Raises:
        ConfigError: there is no such kind.
    """
    if kind not in KINDS["source"]:
        options = any_of(KINDS["source"])
        raise ConfigError(f'no dataset kind is called "{printable(kind, 60)}"; it must be {options}')
    return "\n\n".join([_OPENING, *(_section(name, kind) for name in all_tables())]) + "\n"


def _section(section: str, kind: str) -> str:
    (model,) = models(section, kind)
    inner = inner_tables(section)
    known = {key: field for key, field in keys(section, kind if section in KINDS else None).items() if key not in inner}
    needed_first = sorted(known.items(), key=lambda item: not item[1].is_required())
    return "\n".join([_about(section, model), header(section), *(_line(key, field) for key, field in needed_first)])


def _about(section: str, model: type[BaseModel]) -> str:
    """Return what a section is, from its docstring, as a comment."""
    _, _, about = (model.__doc__ or "").partition(": ")
    role = {"source": "What is trained on: ", "target": "What is predicted; one such section or more: "}.get(section)
    text = about.strip().rstrip(".")
    return f"# {role}{text}" if role else f"# {text[:1].upper()}{text[1:]}"


def _line(key: str, field: FieldInfo) -> str:
    pair = f"{key} = {as_toml(example(field))}"
    if not field.is_required():
        default = field.get_default(call_default_factory=True, validated_data={})
        pair = f"# {pair}" if default is None else f"# {key} = {as_toml(default)}"
    return f"{pair:<{_COMMENT_COLUMN}}  # {_meaning(key, field)}"


def _meaning(key: str, field: FieldInfo) -> str:
    if key == "kind" and not field.description:
        return " | ".join(KINDS["source"])
    options = [choice for choice in choices(field) if len(choices(field)) > 1]
    said = field.description or ""
    listed = "" if all(choice in said for choice in options) else f"{' | '.join(options)}; "
    return f"{listed}{said}"


def config_to_toml(config: Config) -> str:
    """Return a config with every default written out; keys that are not set are left out."""
    parts: list[str] = []
    for section, content in config_to_json(config).items():
        inner = inner_tables(section)
        tables = content if isinstance(content, list) else [content]
        parts += [_table(section, {key: value for key, value in table.items() if key not in inner}) for table in tables]
        parts += [_table(f"{section}.{key}", content[key]) for key in inner]
    return "\n\n".join(parts) + "\n"


def _table(name: str, table: dict[str, Any]) -> str:
    pairs = (f"{as_toml_key(key)} = {as_toml(value)}" for key, value in table.items() if value is not None)
    return "\n".join([header(name), *pairs])
