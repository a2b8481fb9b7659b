"""`run.json`: the description of a run, by which results can be read without config, dataset or machine."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.roles import Role
from tui_influence.store.files import check_digest, read_json, write_json
from tui_influence.store.json_values import array, count, describe_damage, table, text, texts, with_digest
from tui_influence.store.paths import Paths
from tui_influence.text import did_you_mean, pluralize, printable

SCHEMA = 3
"""Version of the layout; a new one if an older program could misread a directory."""

MARGIN_TYPES = ("float16", "float32")
"""Types of stored margins: the one of all trained models, and one for imports that it is too narrow for."""

IMPORTED = "imported"
"""Key of the config of an imported run: another program trained its models."""


@dataclass(frozen=True)
class SourceInfo:
    """The source dataset as it was packed.

    Attributes:
        classes: names of its classes.
        groups: (K,) names.
        sizes: (K,) images of each group.
        images: images in all.
        fingerprint: of the packed content.
        skipped: unreadable images left out.
        digests: of the files with its sample images, by name; older versions wrote none.
    """

    classes: list[str]
    groups: list[str]
    sizes: list[int]
    images: int
    fingerprint: str
    skipped: int
    digests: dict[str, str] = field(default_factory=dict)


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
    """Description of a run.

    Attributes:
        name: of the run.
        identity: hash of everything that decides a record: config and data.
        config: as resolved, every default written out.
        seed: of the run.
        models: rows of the `estimate` role.
        heldout: rows of the `heldout` role.
        resolution: side of the images as they are packed, in pixels.
        channels: 1 or 3.
        source: the source dataset.
        targets: the target datasets, in the order of the config.
        versions: of the packages that made it.
        created: UTC, ISO 8601.
        arms: rows of the `arm` role; a run with any is a pruning, and has no other rows.
        prior: rows of the `prior` role.
        margin_type: type of all stored margins, one of `MARGIN_TYPES`.
        weights: SHA-256 of the file of weights that source training starts from; empty if they are random.
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
    prior: int = 0
    margin_type: str = MARGIN_TYPES[0]
    weights: str = ""
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
    def training(self) -> str:
        """How long a model is trained on the source, such as "8 epochs" or "200 steps"; empty where it is unknown."""
        return describe_training(self.config)

    @property
    def n_clusters(self) -> int:
        """Number of class clusters of a sweep's first stage; 0 for none, and in older versions."""
        clusters = self.design.get("clusters")
        return clusters if isinstance(clusters, int) and clusters > 0 and not self.arms else 0

    @property
    def location(self) -> str:
        """Place of training in words: "on this machine", "on Slurm" or "on Ray"."""
        compute = self.config.get("compute")
        executor = compute.get("executor") if isinstance(compute, dict) else None
        return {"slurm": "on Slurm", "ray": "on Ray"}.get(str(executor), "on this machine")

    @property
    def is_imported(self) -> bool:
        """Whether another program trained the models, so that no more can be trained."""
        return IMPORTED in self.config

    @property
    def planned_rows(self) -> dict[Role, int]:
        """Number of planned rows of each role; the roles `arm` and `prior` only where there are any."""
        rows = {Role.ESTIMATE: self.models, Role.HELDOUT: self.heldout}
        return rows | {role: count for role, count in ((Role.ARM, self.arms), (Role.PRIOR, self.prior)) if count}

    @property
    def target_sizes(self) -> list[tuple[str, int]]:
        """Name and number of classes of each target."""
        return [(target.name, len(target.classes)) for target in self.targets]

    def target_index(self, name: str | None) -> int:
        """Return the index of a target by name; the first for None.

        Raises:
            ConfigError: there is no target of that name.
        """
        if name is None:
            return 0
        names = [target.name for target in self.targets]
        if name not in names:
            available = ", ".join(printable(available) for available in names)
            raise ConfigError(
                f'the run has no target "{printable(name)}"; it has {available}{did_you_mean(name, names)}'
            )
        return names.index(name)


def training_length(config: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return how long a saved config trains a model on the source: a unit, `epoch` or `step`, and their number.

    Args:
        config: as JSON values.

    Returns:
        unit and number; None where the config has neither.
    """
    train = config.get("train")
    lengths = {unit: train.get(f"{unit}s") for unit in ("epoch", "step")} if isinstance(train, dict) else {}
    return next(((unit, number) for unit, number in lengths.items() if type(number) is int), None)


def describe_training(config: Mapping[str, Any]) -> str:
    """Return how long a saved config trains a model, such as "8 epochs"; empty where it is unknown."""
    length = training_length(config)
    return pluralize(length[1], length[0]) if length else ""


def refuse_if_imported(root: Path, info: RunInfo) -> None:
    """Raise an error for an imported run, whose models cannot be trained.

    Raises:
        ConfigError: the run was imported.
    """
    if info.is_imported:
        raise ConfigError(
            f"{printable(str(root))} was imported: it has no config and no dataset to train with; it can be ranked, "
            "shown, explored and exported"
        )


def write_run_info(paths: Paths, info: RunInfo) -> None:
    """Write `run.json` with a digest."""
    write_json(paths.run, with_digest(asdict(info)))


def read_run_info(root: Path) -> RunInfo:
    """Read `run.json` of a results directory.

    Raises:
        AlteredFileError: it does not match its digest.
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
    values = read_json(paths.run)
    if not isinstance(values, dict) or not isinstance(values.get("schema"), int):
        raise ResultsError(f"{where}: run.json is damaged (it names no schema version)")
    if values["schema"] > SCHEMA:
        raise ResultsError(
            f"{where}: made by a newer version of tinfl (layout {values['schema']}, "
            f"this version reads up to {SCHEMA}): upgrade this one"
        )
    check_digest(paths.run, values)
    try:
        return _parse(values)
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"{where}: run.json is damaged ({describe_damage(error)})") from error


def _parse(values: dict[str, Any]) -> RunInfo:
    source = table(values["source"])
    info = RunInfo(
        name=text(values["name"]),
        identity=text(values["identity"]),
        config=table(values["config"]),
        seed=count(values["seed"], 2**63),
        models=count(values["models"]),
        heldout=count(values["heldout"]),
        resolution=count(values["resolution"]),
        channels=count(values["channels"]),
        source=SourceInfo(
            classes=texts(source["classes"]),
            groups=texts(source["groups"]),
            sizes=[count(size) for size in array(source["sizes"])],
            images=count(source["images"]),
            fingerprint=text(source["fingerprint"]),
            skipped=count(source["skipped"]),
            digests=_digests(source.get("digests", {})),
        ),
        targets=[
            TargetInfo(
                name=text(target["name"]),
                transfer=text(target["transfer"]),
                classes=texts(target["classes"]),
                train=count(target["train"]),
                test=count(target["test"]),
                fingerprints=texts(target["fingerprints"]),
                skipped=count(target["skipped"]),
                digests=_digests(target["digests"]),
            )
            for target in map(table, array(values["targets"]))
        ],
        versions={text(name): text(version) for name, version in table(values["versions"]).items()},
        created=text(values["created"]),
        arms=count(values.get("arms", 0)),  # older versions had no prunings
        prior=count(values.get("prior", 0)),  # nor prior networks
        margin_type=text(values.get("margin_type", MARGIN_TYPES[0])),  # nor any other
        weights=text(values.get("weights", "")),  # nor weights to start from
    )
    if info.margin_type not in MARGIN_TYPES:
        raise ValueError(f"margins of an unknown type: {printable(info.margin_type, 40)}")
    if not info.targets:
        raise ValueError("it has no target")
    if not info.source.groups:
        raise ValueError("its source has no group")
    if len(info.source.groups) != len(info.source.sizes):
        raise ValueError("group names and sizes differ in number")
    return info


def _digests(values: Any) -> dict[str, str]:
    return {name: text(digest) for name, digest in table(values).items()}
