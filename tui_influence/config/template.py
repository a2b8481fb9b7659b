"""Configs as TOML text: the template of `tinfl init`, and any config with all of its values.

The template is made from the schema, so the two cannot disagree. It has every key with its meaning: required keys with
an example, the others as comments with their defaults.
"""

from textwrap import wrap
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tui_influence.config.loader import config_to_json
from tui_influence.config.messages import (
    KINDS,
    all_tables,
    as_toml,
    as_toml_key,
    choices,
    example_value,
    inner_tables,
    join_with_or,
    section_header,
    section_keys,
    section_models,
)
from tui_influence.config.schema import Config
from tui_influence.config.types import Recommended
from tui_influence.errors import ConfigError
from tui_influence.text import printable

_OPENING = """\
# A sweep of tinfl: many models, each trained on some groups of the source and transferred to the
# targets. Keys at the start of a line are required or recommended; those after a # show their
# default, or an example.
# Paths are relative to the directory in which the command is run."""

_WIDTH = 100
"""Columns of a line at most."""
_COMMENT_COLUMN = 36
_MIN_COMMENT = 20
"""Columns of a comment at least, beside a long value."""


def make_template(kind: str = "builtin") -> str:
    """Return a valid, commented config.

    Args:
        kind: dataset kind of its source and target.

    Raises:
        ConfigError: there is no such kind.
    """
    if kind not in KINDS["source"]:
        options = join_with_or(KINDS["source"])
        raise ConfigError(f'no dataset kind is called "{printable(kind, 60)}"; it must be {options}')
    return "\n\n".join([_OPENING, *(section_template(name, kind) for name in all_tables())]) + "\n"


def section_template(section: str, kind: str = "builtin") -> str:
    """Return the lines of a section: its description, its header and all of its keys.

    Args:
        section: its dotted name, such as `compute.slurm`.
        kind: dataset kind of a source or target.
    """
    (model,) = section_models(section, kind)
    inner = inner_tables(section)
    fields = {
        key: field
        for key, field in section_keys(section, kind if section in KINDS else None).items()
        if key not in inner
    }
    required_first = sorted(fields.items(), key=lambda item: not item[1].is_required())
    return "\n".join(
        [
            _section_comment(section, model),
            section_header(section),
            *(_key_line(key, field) for key, field in required_first),
        ]
    )


def _section_comment(section: str, model: type[BaseModel]) -> str:
    """Return the description of a section, from its docstring, as a comment."""
    _, _, description = (model.__doc__ or "").partition(": ")
    role = {"source": "Dataset to train on: ", "target": "Dataset to transfer to; one such section or more: "}.get(
        section
    )
    text = description.strip().rstrip(".")
    return "\n".join(_comment_lines(f"{role}{text}" if role else f"{text[:1].upper()}{text[1:]}", _WIDTH))


def _key_line(key: str, field: FieldInfo) -> str:
    pair = f"{key} = {as_toml(example_value(field))}"
    recommended = next((mark for mark in field.metadata if isinstance(mark, Recommended)), None)
    if recommended is not None:
        pair = f"{key} = {as_toml(recommended.value)}"
    elif not field.is_required():
        default = field.get_default(call_default_factory=True, validated_data={})
        pair = f"# {pair}" if default is None else f"# {key} = {as_toml(default)}"
    start = max(_COMMENT_COLUMN, len(pair) + 2)
    first, *rest = _comment_lines(_key_comment(key, field), max(_WIDTH - start, _MIN_COMMENT))
    return "\n".join([f"{pair:<{start}}{first}", *(" " * start + line for line in rest)])


def _comment_lines(text: str, width: int) -> list[str]:
    prefix = "# "
    return wrap(text, width, initial_indent=prefix, subsequent_indent=prefix, break_long_words=False)


def _key_comment(key: str, field: FieldInfo) -> str:
    if key == "kind" and not field.description:
        return " | ".join(KINDS["source"])
    options = [choice for choice in choices(field) if len(choices(field)) > 1]
    description = field.description or ""
    prefix = "" if all(choice in description for choice in options) else f"{' | '.join(options)}; "
    return f"{prefix}{description}"


def config_to_toml(config: Config) -> str:
    """Return a config with every default written out, without the keys that are not set.

    `loader.parse_config` returns an equal config for it.
    """
    parts: list[str] = []
    for section, content in config_to_json(config).items():
        inner = inner_tables(section)
        tables = content if isinstance(content, list) else [content]
        parts += [_table(section, {key: value for key, value in table.items() if key not in inner}) for table in tables]
        parts += [_table(f"{section}.{key}", content[key]) for key in inner]
    return "\n\n".join(parts) + "\n"


def _table(name: str, table: dict[str, Any]) -> str:
    pairs = (f"{as_toml_key(key)} = {as_toml(value)}" for key, value in table.items() if value is not None)
    return "\n".join([section_header(name), *pairs])
