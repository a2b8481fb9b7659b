"""A config as the text of a TOML file; `loader.parse_config` gives back an equal one."""

from tui_influence.config.loader import config_to_json
from tui_influence.config.schema import Config
from tui_influence.config.vocabulary import as_toml, as_toml_key, header


def config_to_toml(config: Config) -> str:
    """Return a config with every default written out; keys that are not set are left out."""
    parts: list[str] = []
    for section, content in config_to_json(config).items():
        for table in content if isinstance(content, list) else [content]:
            pairs = (f"{as_toml_key(key)} = {as_toml(value)}" for key, value in table.items() if value is not None)
            parts.append("\n".join([header(section), *pairs]))
    return "\n\n".join(parts) + "\n"
