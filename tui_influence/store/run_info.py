"""`run.json`: what a run is, so that its results can be read without the config, the dataset or this machine."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import read_json, write_json
from tui_influence.store.paths import Paths
from tui_influence.text import printable

SCHEMA = 1
"""Raised when an older program could misread a newer directory."""

IMPORTED = "imported"
"""Key of a config that is none: the models were trained by another program."""
_MANY = 100_000_000


@dataclass(frozen=True)
class SourceInfo:
    """The source dataset as it was packed.

    Attributes:
        classes: names of its classes.
        groups: (K,) names of the units that are kept or left out.
        sizes: (K,) images of each group.
        images: images in all.
        fingerprint: of the packed content.
        skipped: unreadable images left out.
    """

    classes: list[str]
    groups: list[str]
    sizes: list[int]
    images: int
    fingerprint: str
    skipped: int


@dataclass(frozen=True)
class TargetInfo:
    """One target dataset as it was packed.

    Attributes:
        name: as in the config.
        transfer: `fixed-feature` or `full-network`.
        classes: names of its classes.
        train: labelled training images.
        test: n, test examples.
        fingerprints: of the packed training and test images.
        skipped: unreadable images left out.
        digests: of the files in its directory, by name.
    """

    name: str
    transfer: str
    classes: list[str]
    train: int
    test: int
    fingerprints: list[str]
    skipped: int
    digests: dict[str, str]


@dataclass(frozen=True)
class RunInfo:
    """What a run is.

    Attributes:
        name: of the run.
        identity: hash of what decides a record: config and data.
        config: as resolved, every default written out.
        seed: of the run.
        models: rows of the `estimate` role.
        heldout: rows of the `heldout` role.
        resolution: side of the images, in pixels.
        channels: 1 or 3.
        source: the source dataset.
        targets: the target datasets, in the order of the config.
        versions: of the packages that made it.
        created: UTC, ISO 8601.
        arms: rows of the `arm` role; a run that has any is a pruning, and has no others.
        schema: version of this layout.
    """

    name: str
    identity: str
    config: dict[str, Any]
    seed: int
    models: int
    heldout: int
    resolution: int
    channels: int
    source: SourceInfo
    targets: list[TargetInfo]
    versions: dict[str, str]
    created: str
    arms: int = 0
    schema: int = field(default=SCHEMA)

    @property
    def design(self) -> dict[str, Any]:
        """The `[design]` section."""
        design = self.config.get("design")
        return design if isinstance(design, dict) else {}

    @property
    def design_label(self) -> str:
        """The design in words, such as "fixed alpha=0.5"."""
        kind, alpha = self.design.get("kind"), self.design.get("alpha")
        return f"{printable(str(kind), 20)} alpha={alpha:g}" if isinstance(alpha, int | float) else "unknown"

    @property
    def place(self) -> str:
        """Where its models are trained, in words: "on this machine", "on Slurm" or "on Ray"."""
        compute = self.config.get("compute")
        executor = compute.get("executor") if isinstance(compute, dict) else None
        return {"slurm": "on Slurm", "ray": "on Ray"}.get(str(executor), "on this machine")

    @property
    def is_imported(self) -> bool:
        """Whether another program trained the models, so that there is no config to train more by."""
        return IMPORTED in self.config

    @property
    def planned(self) -> dict[Role, int]:
        """Rows planned, a role each; of the `arm` role only in a pruning."""
        rows = {Role.ESTIMATE: self.models, Role.HELDOUT: self.heldout}
        return rows | {Role.ARM: self.arms} if self.arms else rows

    def target_index(self, name: str | None) -> int:
        """Return the position of a target by name; the first for None.

        Raises:
            ResultsError: there is none of that name.
        """
        if name is None:
            return 0
        names = [target.name for target in self.targets]
        if name not in names:
            known = ", ".join(printable(known) for known in names)
            raise ResultsError(f'no target "{printable(name)}" in this run; it has: {known}')
        return names.index(name)


def refuse_if_imported(root: Path, info: RunInfo) -> None:
    """Refuse to train more models of a run that was imported.

    Raises:
        ConfigError: it was.
    """
    if info.is_imported:
        raise ConfigError(
            f"{printable(str(root))} was imported: it holds no config and no dataset to train by; it can be ranked, "
            "shown, explored and exported"
        )


def write_run_info(paths: Paths, info: RunInfo) -> None:
    """Write `run.json`."""
    write_json(paths.run, asdict(info))


def read_run_info(root: Path) -> RunInfo:
    """Read `run.json` of a results directory.

    Raises:
        ResultsError: no such directory, no run in it, damaged, or from a newer version.
    """
    where = printable(str(root))
    if not root.exists():
        raise ResultsError(f"{where}: no such results directory")
    if not root.is_dir():
        raise ResultsError(f"{where}: not a results directory, but a file")
    paths = Paths(root)
    if not paths.run.exists():
        if paths.records_root.exists():
            raise ResultsError(f"{where}: half copied: it has records but no run.json")
        if paths.heartbeat.exists():
            raise ResultsError(f"{where}: nothing is prepared yet (no run.json); `tinfl status` says how that stands")
        raise ResultsError(f"{where}: not a results directory (no run.json in it)")
    found = read_json(paths.run)
    if not isinstance(found, dict) or not isinstance(found.get("schema"), int):
        raise ResultsError(f"{where}: run.json is damaged (it names no schema version)")
    if found["schema"] > SCHEMA:
        raise ResultsError(
            f"{where}: made by a newer version of tinfl (layout {found['schema']}, "
            f"this version reads up to {SCHEMA}): upgrade this one"
        )
    try:
        return _parse(found)
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{where}: run.json is damaged ({printable(str(error), 80)})") from error


def _parse(found: dict[str, Any]) -> RunInfo:
    source = found["source"]
    info = RunInfo(
        name=_text(found["name"]),
        identity=_text(found["identity"]),
        config=_table(found["config"]),
        seed=_count(found["seed"], 2**63),
        models=_count(found["models"]),
        heldout=_count(found["heldout"]),
        resolution=_count(found["resolution"]),
        channels=_count(found["channels"]),
        source=SourceInfo(
            classes=_texts(source["classes"]),
            groups=_texts(source["groups"]),
            sizes=[_count(size) for size in source["sizes"]],
            images=_count(source["images"]),
            fingerprint=_text(source["fingerprint"]),
            skipped=_count(source["skipped"]),
        ),
        targets=[
            TargetInfo(
                name=_text(target["name"]),
                transfer=_text(target["transfer"]),
                classes=_texts(target["classes"]),
                train=_count(target["train"]),
                test=_count(target["test"]),
                fingerprints=_texts(target["fingerprints"]),
                skipped=_count(target["skipped"]),
                digests={_text(name): _text(digest) for name, digest in _table(target["digests"]).items()},
            )
            for target in found["targets"]
        ],
        versions={_text(name): _text(version) for name, version in _table(found["versions"]).items()},
        created=_text(found["created"]),
        arms=_count(found.get("arms", 0)),  # not in the files of versions that knew no prunings
    )
    if not info.targets:
        raise ValueError("it has no target")
    if len(info.source.groups) != len(info.source.sizes):
        raise ValueError("group names and sizes differ in number")
    return info


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, found {type(value).__name__}")
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TypeError(f"a list expected, found {type(value).__name__}")
    return [_text(item) for item in value]


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"a table expected, found {type(value).__name__}")
    return value


def _count(value: Any, limit: int = _MANY) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise ValueError(f"a count expected, found {value!r}")
    return value
