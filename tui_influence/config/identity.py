"""The identity of a run, the differences between two configs that change it, and absolute paths of the data.

The identity is a hash of all settings that decide a record. A run may be resumed with another name, other devices or
more models; with other settings changed, its records would no longer belong to one experiment. Paths of the data do
not count, but their content does: the fingerprints of the datasets and of the starting weights are part of the
identity.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tui_influence.config.messages import as_toml
from tui_influence.config.schema import Config, DesignSection, TargetSection, TrainSection
from tui_influence.config.types import DataPath, Section
from tui_influence.regular_files import expand_home
from tui_influence.text import printable

_VERSION = 1
"""Version of the hashed content. A new number gives every older run another identity."""

_UNSET = "not set"
_REPEATS = "heldout_repeats"
_CLUSTERS = "clusters"

_ADDED: dict[str, object] = {
    "train.steps": None,
    "train.warm_up": 0.2,
    "train.schedule": "linear",
    "train.resized_crop": None,
    "train.cutout": 0,
    "train.resolutions": None,
    "model.stored_side": None,
    "model.weights": None,
}
"""Settings that older versions lack, with the value that they trained by: it does not count, so that older runs stay
the same."""
_ADDED_TO_TARGETS = TargetSection.model_fields.keys() & TrainSection.model_fields.keys()
"""Likewise of a target: not set."""


def compute_identity(config: Config, fingerprints: Mapping[str, str]) -> str:
    """Return the SHA-256, in hex, of all settings and data that decide a record.

    Args:
        config: config of the run.
        fingerprints: fingerprints of its datasets and of its starting weights, by any stable name.
    """
    content = {
        "version": _VERSION,
        "settings": {
            key: value for key, value in _settings(config).items() if key not in _ADDED or value != _ADDED[key]
        },
        "targets": [
            {key: value for key, value in target.items() if value is not None or key not in _ADDED_TO_TARGETS}
            for target in _targets(config)
        ],
        "data": dict(fingerprints),
    }
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def differences(old: Config, new: Config) -> list[str]:
    """Return a line such as `train.epochs: 8 -> 4` for each setting that counts and differs, safe to print.

    If the kind of a dataset differs, keys that only one of the two kinds has are omitted. The repeats of held-out masks
    are not in the identity: they decide nothing until there are held-out models, but then their masks.
    """
    lines = _changed_lines("", _settings(old), _settings(new))
    lines += _changed_repeats(old.design, new.design)
    before = {target["name"]: target for target in _targets(old)}
    after = {target["name"]: target for target in _targets(new)}
    if list(before) != list(after):
        lines.append(printable(f"targets: {', '.join(before)} -> {', '.join(after)}"))
    for name in before:
        if name in after:
            lines += _changed_lines(f"target {name}: ", before[name], after[name])
    return lines


def changed_clusters(old: Config, new: Config, classes: int) -> list[str]:
    """Return a line such as `design.clusters: 9 -> 12` if the number of class clusters differs; else nothing.

    It is not in the identity, as its default depends on the data.

    Args:
        old: config of the run.
        new: that it is continued with.
        classes: of the source.
    """
    before, after = old.n_clusters(classes), new.n_clusters(classes)
    is_default = new.design.clusters is None
    return [] if before == after else [_changed_design(_CLUSTERS, before, after, is_default=is_default)]


def _changed_repeats(old: DesignSection, new: DesignSection) -> list[str]:
    before, after = old.heldout_repeats, new.heldout_repeats
    if not old.heldout or before == after:
        return []
    return [_changed_design(_REPEATS, before, after, is_default=_REPEATS not in new.model_fields_set)]


def _changed_design(key: str, before: int, after: int, *, is_default: bool) -> str:
    remedy = f" (the default; this run needs {key} = {before})" if is_default else ""
    return f"design.{key}: {before} -> {after}{remedy}"


def _settings(config: Config) -> dict[str, Any]:
    """Return the settings that count, apart from the targets, by their dotted names."""
    sections = {"source": config.source, "model": config.model, "train": config.train}
    settings = {
        "run.seed": config.run.seed,
        "design.kind": config.design.kind,
        "design.alpha": config.design.alpha,
    }
    for section, model in sections.items():
        settings |= {f"{section}.{key}": value for key, value in _without_data_paths(model).items()}
    return settings


def _targets(config: Config) -> list[dict[str, Any]]:
    return [_without_data_paths(target) for target in config.target]


def _without_data_paths(model: BaseModel) -> dict[str, Any]:
    settings = model.model_dump(mode="json")
    for key, field in type(model).model_fields.items():
        for location in (mark for mark in field.metadata if isinstance(mark, DataPath)):
            if location.placeholder is None:
                del settings[key]
            elif location.is_path(settings[key]):
                settings[key] = location.placeholder
    return settings


def _changed_lines(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        printable(f"{prefix}{key}: {_format_setting(old[key])} -> {_format_setting(new[key])}")
        for key in old
        if key in new and _canonical(old[key]) != _canonical(new[key])
    ]


def _format_setting(value: object) -> str:
    return _UNSET if value is None else as_toml(value)


def _canonical(value: object) -> str:
    """Return the JSON text of a value; unlike `==`, it distinguishes 1 from 1.0 and from true."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def with_absolute_paths(config: Config, directory: Path) -> Config:
    """Return the config with its data paths made absolute, so that a run can be resumed from anywhere.

    Args:
        config: config as its user wrote it.
        directory: directory at which its relative paths start.
    """
    return config.model_copy(
        update={
            "source": _absolute(config.source, directory),
            "model": _absolute(config.model, directory),
            "target": [_absolute(target, directory) for target in config.target],
        }
    )


def _absolute(section: Any, directory: Path) -> Section:
    assert isinstance(section, Section)
    paths = [
        key
        for key, field in type(section).model_fields.items()
        if any(isinstance(mark, DataPath) and mark.is_path(getattr(section, key)) for mark in field.metadata)
    ]
    base = directory.absolute()
    return section.model_copy(update={key: str(base / expand_home(getattr(section, key))) for key in paths})
