"""The files that `tinfl leaks` writes besides its pairs: the config of a second stage, and what to leave out."""

from pathlib import Path
from typing import TYPE_CHECKING

from tui_influence.cli import diagnostics
from tui_influence.cli.starting import shown
from tui_influence.errors import ConfigError
from tui_influence.text import counted, printable

if TYPE_CHECKING:
    from tui_influence.config.schema import Config
    from tui_influence.probes.copies import Copies
    from tui_influence.ranking_question import Question
    from tui_influence.reading import Reading
    from tui_influence.runs.datasets import Datasets


def config_and_data(reading: "Reading") -> "tuple[Config, Datasets]":
    """Return the run's config and its datasets, from the cache where that still has them.

    Raises:
        ConfigError: the datasets are not those of the run.
        DatasetError: they cannot be read.
    """
    from tui_influence.cli.live import StageLine
    from tui_influence.config.loader import config_from_json
    from tui_influence.pruning.planning import open_sweep_data

    config = config_from_json(reading.info.config)
    with StageLine() as line:
        return config, open_sweep_data(config, reading.info, line.stage)


def write_second_stage(
    reading: "Reading",
    question: "Question",
    path: Path,
    classes: list[str],
    top: int,
    models: int | None,
    *,
    force: bool,
) -> None:
    """Write the config of a sweep over single images, and beside it the grouping that it names.

    Args:
        reading: of the first sweep.
        question: for whom the classes that matter are chosen, and on whose examples pairs will be looked at.
        path: of the config, `.toml`; the grouping is the `.csv` of the same name.
        classes: whose images; those that help most if there are none.
        top: so many of these.
        models: to train; None for as many as it takes.
        force: whether files that are there are replaced.

    Raises:
        ConfigError: a file is there already or is no `.toml`, or the run is over single images already.
        DatasetError: the datasets cannot be read.
        ResultsError: nothing has been recorded, or a file cannot be written.
    """
    import numpy as np

    from tui_influence.cli.show_source import group_of
    from tui_influence.config.writing import config_to_toml
    from tui_influence.export.files import write_text_atomically
    from tui_influence.probes.leakage import is_of_images
    from tui_influence.probes.second_stage import second_stage
    from tui_influence.ranking import chosen_columns, rank

    if path.suffix.lower() != ".toml":
        raise ConfigError(f"--init {printable(str(path))}: the name of a config ends in .toml")
    grouping = path.with_suffix(".csv")
    for file in (path, grouping):
        if file.exists() and not force:
            raise ConfigError(f"{printable(str(file))}: exists already (--force replaces it)")
    if is_of_images(reading.info):
        raise ConfigError("the groups of this run are single images already: `tinfl leaks` without --init shows pairs")
    columns = chosen_columns(reading.described, reading.examples, question)
    if classes:
        chosen = [group_of(reading, name) for name in classes]
    else:
        chosen = [row.index for row in rank(reading, question).report.ranking.rows[:top]]
    config, data = config_and_data(reading)
    some = np.linspace(0, len(columns) - 1, min(len(columns), 256)).astype(int)
    margins = np.asarray(reading.outputs.margins[:, np.unique(columns[some])], dtype=np.float32)
    spread = float(np.median(margins.std(axis=0))) if len(margins) > 1 else float("nan")
    made = second_stage(config, data, chosen, grouping, examples=len(columns), spread=spread, models=models)
    if made.config.design.models < made.needed:
        diagnostics.warn(f"{made.config.design.models} models cannot tell so many pairs: {made.needed} are needed")
    write_text_atomically(grouping, made.grouping)
    write_text_atomically(path, config_to_toml(made.config))
    names = ", ".join(reading.info.source.groups[group] for group in chosen[:6])
    diagnostics.say(f"wrote {path} and {grouping}: {made.images:,} single images of {printable(names, 100)}")
    diagnostics.say(
        f"{made.config.design.models:,} models find an influence of {made.smallest:.2g} nats on one of "
        f"{len(columns):,} test images four times in five, or better where a class varies as one"
    )
    diagnostics.say(f"next: tinfl check {shown(path)}    tinfl sweep {shown(path)}    then tinfl leaks on its results")


class Removal:
    """What a run is to leave out besides what it leaves out already, and where that is written.

    Made before copies are looked for, so that what cannot be written is refused at once.
    """

    def __init__(self, reading: "Reading", path: Path, config_path: Path | None) -> None:
        """Read what the run leaves out already.

        Args:
            reading: of the run.
            path: of the list.
            config_path: of the run's config with that list; None for no config.

        Raises:
            ConfigError: the list of the run itself would be replaced.
            DatasetError: that list cannot be read.
        """
        from tui_influence.config.loader import config_from_json
        from tui_influence.config.paths import expanded
        from tui_influence.datasets.class_list import text_of_image_list
        from tui_influence.export.files import refuse_same_file

        self._config = config_from_json(reading.info.config)
        self._path, self._config_path, self._before = path, config_path, ""
        exclude = self._config.source.exclude
        if exclude is not None:
            own = expanded(exclude)
            files = {"--export-remove": path, "--export-config": config_path}
            refuse_same_file({"[source] exclude of this run": own} | files)
            before = text_of_image_list(own)
            self._before = before if before.endswith("\n") or not before else f"{before}\n"

    def write(self, copies: "Copies") -> None:
        """Write the names of the copies after those that are left out already, and the config that names the list.

        Raises:
            ResultsError: a file cannot be written.
        """
        from tui_influence.config.vocabulary import as_toml
        from tui_influence.config.writing import config_to_toml
        from tui_influence.export.files import write_text_atomically

        path, names = self._path, copies.proposed_for_removal()
        listed = [name for name in names if name == name.strip() and len(name.splitlines()) == 1]
        if len(listed) < len(names):
            diagnostics.warn(f"{counted(len(names) - len(listed), 'name')} cannot stand on a line of a list; left out")
        write_text_atomically(path, self._before + "".join(f"{name}\n" for name in listed))
        more = ", after those that this run leaves out already" if self._before else ""
        diagnostics.say(f"wrote {path}: {counted(len(listed), 'source image')}{more}")
        absolute = str(path.absolute())
        if self._config_path is None:
            diagnostics.say(f"next: exclude = {as_toml(absolute)} in [source] of a config leaves them out")
            return
        run = self._config.run
        run = run.model_copy(update={"name": f"{run.name[:91]}-no-leaks", "output": None})
        source = self._config.source.model_copy(update={"exclude": absolute})
        config = self._config.model_copy(update={"run": run, "source": source})
        write_text_atomically(self._config_path, config_to_toml(config))
        diagnostics.say(f"wrote {self._config_path}; next: tinfl check {shown(self._config_path)}")
