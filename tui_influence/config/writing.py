"""A config as the text of a TOML file; `loader.parse_config` gives back an equal one."""

from typing import Any

from tui_influence.config.loader import config_to_json
from tui_influence.config.schema import Config
from tui_influence.config.vocabulary import as_toml, as_toml_key, header, inner_tables


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
