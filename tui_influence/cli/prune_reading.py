"""What `tinfl prune` reads of a pruning: shown, or written to files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tui_influence.cli import diagnostics, output
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.text import printable

if TYPE_CHECKING:
    from tui_influence.config.schema import Config
    from tui_influence.pruning.measured import Measured
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import RunInfo


@dataclass(frozen=True)
class Reading:
    """In which forms a pruning is read; the report on stdout if in no other.

    Attributes:
        k: the number to drop for `kept`; the recommended one if None.
        csv: file of the arms; "-" for stdout.
        classes_csv: file of what each target class gained.
        figure: file of the removal curve.
        kept: file of the classes that stay.
        config: file of a config that trains on them.
        json: all of it on stdout.
        ascii_only: the report in ASCII.
    """

    k: str | None = None
    csv: Path | None = None
    classes_csv: Path | None = None
    figure: Path | None = None
    kept: Path | None = None
    config: Path | None = None
    json: bool = False
    ascii_only: bool = False

    @property
    def writes(self) -> bool:
        """Whether a file is asked for."""
        return any(file is not None for file in (self.csv, self.classes_csv, self.figure, self.kept, self.config))


def reading_command(root: Path) -> str | None:
    """Return the command that reads the results of a run if it is a pruning; None for another."""
    from tui_influence.store.paths import Paths

    return command_of_pruning(root) if Paths(root).arms.exists() else None


def command_of_pruning(root: Path) -> str:
    """Return the command that reads the results of a pruning, begun or not."""
    from tui_influence.cli.starting import shown

    sweep, name = root.absolute().parent.parent, root.absolute().name
    if sweep.is_relative_to(Path.cwd()):
        sweep = sweep.relative_to(Path.cwd())
    return f"tinfl prune {shown(sweep)}" + ("" if name == "main" else f" --name {name}")


def read(paths: "Paths", info: "RunInfo", own: "Paths", asked: Reading) -> None:
    """Show or write what is measured of a pruning so far.

    Args:
        paths: of the sweep.
        info: of the sweep.
        own: of the pruning.
        asked: in which forms.

    Raises:
        ResultsError: there is none, it is damaged, or a file cannot be written.
        ConfigError: what is asked makes no sense.
    """
    from tui_influence.cli.starting import shown
    from tui_influence.config.writing import config_to_toml
    from tui_influence.export.files import write_bytes_atomically, write_text_atomically
    from tui_influence.pruning.documents import classes_csv, pruning_csv, pruning_document
    from tui_influence.pruning.figure import figure_format, removal_figure
    from tui_influence.pruning.measured import measure_arms
    from tui_influence.pruning.planning import names_of
    from tui_influence.pruning.report import report_lines
    from tui_influence.runs.heartbeat import ACTIVE, observe
    from tui_influence.store.arms_file import read_arms
    from tui_influence.store.run_info import read_run_info

    form = None if asked.figure is None else figure_format(asked.figure)
    _check(info, asked)
    if not own.run.exists():
        there = ", ".join(names_of(paths))
        raise ResultsError(
            f'{printable(str(paths.root))}: no pruning "{own.root.name}" to read; '
            + (f"there are: {printable(there)}" if there else f"tinfl prune {printable(str(paths.root))} starts one")
        )
    own_info = read_run_info(own.root)
    measured = measure_arms(own, own_info, read_arms(own))
    if measured.damaged:
        diagnostics.warn(f"{len(measured.damaged)} damaged records were left out: {printable(measured.damaged[0])}")
    texts: list[tuple[Path, str]] = []
    if asked.kept is not None:
        texts.append((asked.kept, _kept(measured, asked.k)))
        if asked.config is not None:
            texts.append((asked.config, config_to_toml(_config_of(own_info, asked.kept))))
    if asked.csv is not None and str(asked.csv) != "-":
        texts.append((asked.csv, pruning_csv(measured)))
    if asked.classes_csv is not None:
        texts.append((asked.classes_csv, classes_csv(measured)))
    for file, text in texts:
        write_text_atomically(file, text)
        diagnostics.say(f"wrote {printable(str(file))}")
    if asked.figure is not None and form is not None:
        write_bytes_atomically(asked.figure, removal_figure(measured, form))
        diagnostics.say(f"wrote {printable(str(asked.figure))}")
    if asked.csv is not None and str(asked.csv) == "-":
        output.write(pruning_csv(measured))
    if asked.json:
        output.write_json(pruning_document(measured))
    elif not asked.writes:
        for line in report_lines(measured, output.console().width, ascii_only=asked.ascii_only):
            output.line(line)
    if asked.config is not None:
        diagnostics.say(f"next: tinfl check {printable(str(asked.config))}")
    state = observe(own)[0]
    if not measured.is_complete:
        verb = "status" if state in ACTIVE else "resume"
        diagnostics.say(f"{state.value}; next: tinfl {verb} {printable(shown(own.root))}")


def _check(info: "RunInfo", asked: Reading) -> None:
    if asked.config is not None:
        if asked.kept is None:
            raise ConfigError("--export-config needs --export-kept FILE: the config names that file")
        if asked.config.absolute() == asked.kept.absolute():
            raise ConfigError("--export-config and --export-kept name one file: the config would replace the list")
        if info.source.groups != info.source.classes:
            raise ConfigError("--export-config is for source classes, and this run leaves out groups of another kind")
    if asked.kept is not None and str(asked.kept) == "-":
        raise ConfigError("--export-kept writes a file: name one")


def _config_of(info: "RunInfo", kept: Path) -> "Config":
    """Return the config that a pruning was trained by, for the classes in a list."""
    from tui_influence.config.loader import config_from_json

    config = config_from_json(info.config)
    run = config.run.model_copy(update={"name": f"{info.name[:95]}-kept", "output": None})
    source = config.source.model_copy(update={"keep": str(kept.absolute())})
    return config.model_copy(update={"run": run, "source": source})


def _kept(measured: "Measured", k: str | None) -> str:
    """Return the classes that stay, a line each: without the recommended number of the lowest, or without k."""
    from tui_influence.pruning.arms import check_grid, order_of
    from tui_influence.pruning.options import listed_text, numbers
    from tui_influence.pruning.recommendation import measured_best

    groups = measured.pruning.groups
    ks = check_grid(numbers(k), len(groups)) if k is not None else ()
    if len(ks) > 1:
        raise ConfigError("--export-kept writes one list: give one --k")
    best = measured_best(measured)
    count = ks[0] if ks else best.k
    if count is None:
        raise ConfigError(f"nothing is recommended ({best.why}): say how many to drop with --k")
    dropped = set(order_of(measured.pruning.ranking.influence)[:count].tolist())
    return listed_text([name for place, name in enumerate(groups) if place not in dropped])
