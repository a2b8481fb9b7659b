"""Where the data of a config lie: as paths that mean the same from every directory."""

from pathlib import Path
from typing import Any

from tui_influence.config.fields import Location
from tui_influence.config.paths import expanded
from tui_influence.config.schema import Config, Section


def absolute(config: Config, directory: Path) -> Config:
    """Return the config with its data paths made absolute, so that a run can be resumed from anywhere.

    Args:
        config: as its user wrote it.
        directory: what relative paths in it are relative to.
    """
    return config.model_copy(
        update={
            "source": _absolute(config.source, directory),
            "target": [_absolute(target, directory) for target in config.target],
        }
    )


def _absolute(section: Any, directory: Path) -> Section:
    assert isinstance(section, Section)
    paths = [
        key
        for key, field in type(section).model_fields.items()
        if any(isinstance(mark, Location) for mark in field.metadata)
        and getattr(section, key) is not None
        and (key != "groups" or getattr(section, key).lower().endswith(".csv"))
    ]
    where = directory.absolute()
    return section.model_copy(update={key: str(where / expanded(getattr(section, key))) for key in paths})
