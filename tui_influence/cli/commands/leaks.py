"""`tinfl leaks`: single source images that move single test images, and copies of test images among the source.

The files that `tinfl leaks` writes besides its pairs: the config of a second stage, and what to leave out.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.launch import shown
from tui_influence.cli.options import Ascii, Color, Json, OutputKind, Results, Split, Target, TargetClass, Theme
from tui_influence.errors import ConfigError
from tui_influence.text import pluralize, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_influence.analysis.question import Question
    from tui_influence.analysis.snapshot import RunSnapshot
    from tui_influence.analysis.types import Duplicates, Leaks
    from tui_influence.cli.images import Canvas
    from tui_influence.config.schema import Config
    from tui_influence.runs.datasets import Datasets


_TOP = 8
_CLASSES = 3
_IMAGE_ROWS = 2
"""Rows of images of a source class that help, and that hurt."""


def leaks(
    results: Results,
    target: Target = None,
    target_class: TargetClass = None,
    example: Annotated[int | None, typer.Option(help="One test example of the target, by number.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(metavar="CLASS", help="Single images of this source class only, also ranked.")
    ] = None,
    output_kind: OutputKind = "margin",
    split: Split = "estimate",
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Only look for copies of test images; works on any run.")
    ] = False,
    init: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a config that sweeps over the images of the classes that matter."),
    ] = None,
    models: Annotated[int | None, typer.Option(min=1, help="With --init: models to train.")] = None,
    force: Annotated[bool, typer.Option("--force", help="With --init: replace existing files.")] = False,
    top: Annotated[int | None, typer.Option(min=1, help="Pairs to show; with --init, classes to take.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help='Write a CSV file; "-" for stdout.')] = None,
    json: Json = False,
    export_remove: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the names of the source images to remove.")
    ] = None,
    export_config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the run's config without them; needs --export-remove.")
    ] = None,
    columns: Annotated[int | None, typer.Option(min=2, max=500, help="Width of a picture.")] = None,
    protocol: Annotated[
        Literal["auto", "blocks", "kitty", "iterm2"],
        typer.Option(help="How to draw: characters, or the terminal's own graphics."),
    ] = "auto",
    color: Color = "auto",
    ascii_only: Ascii = False,
    theme: Theme = "dark",
) -> None:
    """Find likely leakage: source images that move, or are copies of, single test images."""
    from tui_influence.analysis.question import Question
    from tui_influence.analysis.ranking import data_warnings, rank
    from tui_influence.analysis.snapshot import read_snapshot
    from tui_influence.cli.launch import shown
    from tui_influence.errors import ConfigError, DatasetError
    from tui_influence.export.files import refuse_same_file
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info, refuse_if_imported
    from tui_influence.text import pluralize

    if export_config is not None and export_remove is None:
        raise ConfigError("--export-config needs --export-remove FILE: the config names that file")
    if models is not None and init is None:
        raise ConfigError("--models is for --init: how many the new config trains")
    if force and init is None:
        raise ConfigError("--force is for --init: it replaces the config and the grouping that are there")
    output.one_on_stdout(csv, json)
    refuse_same_file({"--csv": csv, "--export-remove": export_remove, "--export-config": export_config, "--init": init})
    if init is not None and (json or duplicates or example is not None or csv or export_remove):
        raise ConfigError("--init writes a config and nothing else: no pairs and no lists")
    usual = Question()
    narrowed = target_class is not None or example is not None or split != usual.split
    if duplicates and (narrowed or output_kind != usual.output_kind):
        raise ConfigError(
            "--duplicates compares the pixels of all images with all test images: not with --class, --example, --split "
            "or --output-kind"
        )
    if source and init is None and (len(source) > 1 or duplicates):
        raise ConfigError("--source: one class, or several with --init; --duplicates compares all images")
    info = read_run_info(results)
    if init is not None or duplicates or export_remove is not None:
        refuse_if_imported(results, info)
    reading = read_snapshot(Paths(results), info, target)
    question = Question(target, target_class, example, split, output_kind=output_kind)
    for note in data_warnings(reading):
        diagnostics.warn(note)
    if init is not None:
        write_second_stage(reading, question, init, source or [], top or _CLASSES, models, force=force)
        return
    from tui_influence.analysis.leakage import (
        MAX_PAIRS,
        groups_of_class,
        rows_of_groups,
    )
    from tui_influence.analysis.leakage import find_leaks as find_leaks
    from tui_influence.analysis.names import (
        groups_are_images,
    )
    from tui_influence.cli.images import canvas
    from tui_influence.export.leakage import duplicates_csv, leaks_csv, leaks_document

    removal = Removal(reading, export_remove, export_config) if export_remove is not None else None
    found, groups = None, groups_of_class(reading.info, source[0]) if source else None
    if not duplicates:
        found = find_leaks(reading, question, groups)
    copies, problem = None, ""
    single = groups_are_images(reading.info)
    if duplicates or single or export_remove is not None:
        try:
            copies = _copies(reading, grouped=single and not duplicates)
        except (ConfigError, DatasetError) as error:
            if duplicates or removal is not None:
                raise
            problem = str(error)
            diagnostics.warn(f"copies were not looked for: {problem}")
    if copies is not None and source:
        copies = copies.of_class(source[0])
    if removal is not None and copies is not None:
        removal.write(copies)
    if csv is not None and found is not None:
        _write(csv, leaks_csv(reading, question, found, copies))
    elif csv is not None and copies is not None:
        _write(csv, duplicates_csv(reading, copies))
    if json:
        images = rows_of_groups(rank(reading, question).report.ranking, groups) if groups is not None else None
        output.write_json(
            leaks_document(reading, question, found, copies, duplicates_error=problem, images=images, top=top)
        )
    if found is not None and found.n_excluded and (json or csv is not None):
        diagnostics.warn(
            f"{pluralize(found.n_excluded, 'pair')} beyond chance left out: the surest {MAX_PAIRS:,} of each sign"
        )
    if json or csv is not None or (removal is not None and duplicates):
        return
    screen = canvas(color, protocol, theme, ascii_only=ascii_only)
    if source and groups is not None:
        _print_images(screen, reading, question, groups, source[0], columns)
    if found is not None:
        _print_leaks(screen, reading, question, found, copies, top or _TOP, columns)
        if not single and not info.is_imported:
            run = shown(results)
            diagnostics.say(f"next: tinfl leaks {run} --init images.toml     single images of the classes that matter")
            diagnostics.say(f"      tinfl leaks {run} --duplicates           copies of test images")
    if copies is not None:
        _print_duplicates(screen, reading, copies, top or _TOP, columns, pictures=found is None)
        if copies.pairs and export_remove is None:
            diagnostics.say(f"next: tinfl leaks {shown(results)} --duplicates --export-remove remove.txt")


def _print_leaks(
    canvas: "Canvas",
    snapshot: "RunSnapshot",
    question: "Question",
    leaks: "Leaks",
    duplicates: "Duplicates | None",
    top: int,
    columns: int | None,
) -> None:
    """Print the pairs that help most surely, and those that hurt, beside their images."""
    from rich.text import Text

    from tui_influence.analysis.names import groups_are_images
    from tui_influence.cli.images import StoredImages, print_beside, room_beside
    from tui_influence.export.leakage import duplicate_kinds
    from tui_influence.render.leakage import leak_lines, leaks_explained, leaks_heading, leaks_title
    from tui_influence.render.ranking_table import paragraph

    style, console, single = canvas.style, canvas.console, groups_are_images(snapshot.info)
    images, kinds = StoredImages(snapshot), duplicate_kinds(duplicates) if single else {}
    console.print(*leaks_heading(snapshot, question, leaks, style, console.width), sep="\n")
    for helped, pairs, count in ((True, leaks.helped, leaks.n_helped), (False, leaks.hurt, leaks.n_hurt)):
        console.print(Text(), leaks_title(snapshot, leaks, helped=helped, style=style), sep="\n")
        for leak in pairs[: min(top, max(count, 1))]:
            kind = kinds.get((snapshot.info.source.groups[leak.group], leak.example))
            pair = (images.of_group(leak.group) if single else None, images.of_example(leak.example))
            beside = [pixels for pixels in pair if pixels is not None]
            _, width = room_beside(canvas, len(beside), columns)
            lines = leak_lines(snapshot, leak, style, width, "" if kind is None else kind[0])
            print_beside(canvas, beside, lines, columns)
    console.print(Text(), *(paragraph(text, style) for text in leaks_explained(snapshot, leaks)), sep="\n")


def _print_duplicates(
    canvas: "Canvas",
    snapshot: "RunSnapshot",
    duplicates: "Duplicates",
    top: int,
    columns: int | None,
    *,
    pictures: bool,
) -> None:
    """Print the copies of test images among the source images, beside their images or as lines only."""
    from tui_influence.analysis.names import groups_are_images
    from tui_influence.cli.images import StoredImages, print_beside, room_beside
    from tui_influence.render.leakage import duplicate_line, duplicate_lines, duplicates_title

    style, console, groups = canvas.style, canvas.console, snapshot.info.source.groups
    if not pictures:
        console.print()
    console.print(duplicates_title(duplicates, style))
    images = StoredImages(snapshot) if pictures and duplicates.pairs else None
    for pair in duplicates.pairs[:top]:
        if images is None:
            console.print(duplicate_line(snapshot, duplicates, pair, style, console.width))
            continue
        name = duplicates.names[pair.source]
        group = groups.index(name) if groups_are_images(snapshot.info) and name in groups else None
        source = None if group is None else images.of_group(group)
        beside = [pixels for pixels in (source, images.of_example(pair.target)) if pixels is not None]
        _, width = room_beside(canvas, len(beside), columns)
        print_beside(canvas, beside, duplicate_lines(snapshot, duplicates, pair, style, width), columns)
    more = len(duplicates.pairs) - top
    if more > 0:
        console.print(style.line(f"{style.ellipsis} {more:,} more (--top, --csv)", style.quiet))


def _print_images(
    canvas: "Canvas",
    snapshot: "RunSnapshot",
    question: "Question",
    groups: "NDArray[np.intp]",
    name: str,
    wanted: int | None,
) -> None:
    """Print the images of a source class that help a target most, and those that hurt it most."""
    from rich.text import Text

    from tui_influence.analysis.leakage import rows_of_groups
    from tui_influence.analysis.ranking import rank
    from tui_influence.cli.images import COLUMNS, StoredImages, per_row, print_captioned
    from tui_influence.render.leakage import image_caption
    from tui_influence.render.numbers import value_format
    from tui_influence.render.ranking import circumstances, meaning, scope, trust
    from tui_influence.render.ranking_table import noise_warning, packed, paragraph

    console, report = canvas.console, rank(snapshot, question).report
    style = canvas.style.muted(report.is_noise())
    rows = rows_of_groups(report.ranking, groups)
    columns, count = min(wanted or COLUMNS, console.width), _IMAGE_ROWS * per_row(canvas, wanted)
    images, digits = StoredImages(snapshot), value_format([row.influence for row in rows], [row.se for row in rows])
    title = f'Images of source class "{name}" by their influence on {scope(report)}'
    console.print(style.line(title, "bold"), *packed(circumstances(report), style, console.width), sep="\n")
    if report.is_noise():
        console.print(*noise_warning(report, style, "this order"), sep="\n")
    helpful = [row for row in rows if row.influence > 0][:count]
    harmful = [row for row in rows[::-1] if row.influence < 0][:count]
    for words, chosen in (("most helpful", helpful), ("most harmful", harmful)):
        console.print(Text(), style.line(f"{words} ({len(rows):,} images in all)", "bold"), sep="\n")
        captions = [image_caption(row, digits, style, columns) for row in chosen]
        print_captioned(canvas, [images.of_group(row.index) for row in chosen], captions, wanted)
    console.print(paragraph(f"Influence: {meaning(report)}. {trust(report)}", style), Text(), sep="\n")


def _copies(reading: "RunSnapshot", *, grouped: bool) -> "Duplicates":
    from tui_influence.analysis.duplicates import find_run_duplicates
    from tui_influence.cli.launch import StageLine

    config, data = config_and_data(reading)
    with StageLine() as line:
        what = "comparing source images with test images"
        return find_run_duplicates(
            config,
            reading.info,
            data,
            reading.target,
            lambda done, total: line.stage(what, done, total),
            grouped=grouped,
        )


def _write(path: Path, text: str) -> None:
    from tui_influence.export.files import write_text_atomically

    if str(path) == "-":
        output.write(text)
        return
    write_text_atomically(path, text)
    diagnostics.say(f"wrote {path}")


def config_and_data(reading: "RunSnapshot") -> "tuple[Config, Datasets]":
    """Return the run's config and its datasets, from the cache where that still has them.

    Raises:
        ConfigError: the datasets are not those of the run.
        DatasetError: they cannot be read.
    """
    from tui_influence.cli.launch import StageLine
    from tui_influence.config.loader import config_from_json
    from tui_influence.pruning.planning import open_sweep_data

    config = config_from_json(reading.info.config)
    with StageLine() as line:
        return config, open_sweep_data(config, reading.info, line.stage)


def write_second_stage(
    reading: "RunSnapshot",
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

    from tui_influence.analysis.image_sweep import plan_image_sweep
    from tui_influence.analysis.names import (
        group_index,
        groups_are_images,
    )
    from tui_influence.analysis.ranking import rank, select_examples
    from tui_influence.config.template import config_to_toml
    from tui_influence.export.files import write_text_atomically

    if path.suffix.lower() != ".toml":
        raise ConfigError(f"--init {printable(str(path))}: the name of a config ends in .toml")
    grouping = path.with_suffix(".csv")
    for file in (path, grouping):
        if file.exists() and not force:
            raise ConfigError(f"{printable(str(file))}: exists already (--force replaces it)")
    if groups_are_images(reading.info):
        raise ConfigError("the groups of this run are single images already: `tinfl leaks` without --init shows pairs")
    columns = select_examples(reading.target_info, reading.examples, question)
    if classes:
        chosen = [group_index(reading.info, name) for name in classes]
    else:
        chosen = [row.index for row in rank(reading, question).report.ranking.rows[:top]]
    config, data = config_and_data(reading)
    some = np.linspace(0, len(columns) - 1, min(len(columns), 256)).astype(int)
    margins = np.asarray(reading.outputs.margins[:, np.unique(columns[some])], dtype=np.float32)
    spread = float(np.median(margins.std(axis=0))) if len(margins) > 1 else float("nan")
    made = plan_image_sweep(config, data, chosen, grouping, examples=len(columns), spread=spread, models=models)
    if made.config.design.models < made.min_models:
        diagnostics.warn(f"{made.config.design.models} models cannot tell so many pairs: {made.min_models} are needed")
    write_text_atomically(grouping, made.grouping)
    write_text_atomically(path, config_to_toml(made.config))
    names = ", ".join(reading.info.source.groups[group] for group in chosen[:6])
    diagnostics.say(f"wrote {path} and {grouping}: {made.n_images:,} single images of {printable(names, 100)}")
    diagnostics.say(
        f"{made.config.design.models:,} models find an influence of {made.detectable_influence:.2g} nats on one of "
        f"{len(columns):,} test images four times in five, or better where a class varies as one"
    )
    diagnostics.say(f"next: tinfl check {shown(path)}    tinfl sweep {shown(path)}    then tinfl leaks on its results")


class Removal:
    """What a run is to leave out besides what it leaves out already, and where that is written.

    Made before copies are looked for, so that what cannot be written is refused at once.
    """

    def __init__(self, reading: "RunSnapshot", path: Path, config_path: Path | None) -> None:
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
        from tui_influence.datasets.groups import read_image_list_text
        from tui_influence.export.files import refuse_same_file
        from tui_influence.regular_files import expand_home

        self._config = config_from_json(reading.info.config)
        self._path, self._config_path, self._before = path, config_path, ""
        exclude = self._config.source.exclude
        if exclude is not None:
            own = expand_home(exclude)
            files = {"--export-remove": path, "--export-config": config_path}
            refuse_same_file({"[source] exclude of this run": own} | files)
            before = read_image_list_text(own)
            self._before = before if before.endswith("\n") or not before else f"{before}\n"

    def write(self, copies: "Duplicates") -> None:
        """Write the names of the copies after those that are left out already, and the config that names the list.

        Raises:
            ResultsError: a file cannot be written.
        """
        from tui_influence.config.messages import as_toml
        from tui_influence.config.template import config_to_toml
        from tui_influence.export.files import write_text_atomically

        path, names = self._path, copies.names_to_remove()
        listed = [name for name in names if name == name.strip() and len(name.splitlines()) == 1]
        if len(listed) < len(names):
            diagnostics.warn(
                f"{pluralize(len(names) - len(listed), 'name')} cannot stand on a line of a list; left out"
            )
        write_text_atomically(path, self._before + "".join(f"{name}\n" for name in listed))
        more = ", after those that this run leaves out already" if self._before else ""
        diagnostics.say(f"wrote {path}: {pluralize(len(listed), 'source image')}{more}")
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
