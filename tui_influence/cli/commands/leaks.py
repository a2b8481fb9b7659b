"""`tinfl leaks`: source images that influence single test examples, and duplicates of test examples in the source."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from tui_influence.analysis.duplicates import find_run_duplicates
from tui_influence.analysis.image_sweep import plan_image_sweep
from tui_influence.analysis.leakage import MAX_PAIRS, find_leaks, groups_of_class, rows_of_groups
from tui_influence.analysis.names import group_index, groups_are_images
from tui_influence.analysis.probe_types import Duplicates, Leaks
from tui_influence.analysis.question import Question
from tui_influence.analysis.ranking import data_warnings, rank, select_examples
from tui_influence.analysis.snapshot import RunSnapshot, read_snapshot
from tui_influence.cli import diagnostics, output
from tui_influence.cli.images import ImageOutput, StoredImages, make_image_output, print_beside, print_captioned
from tui_influence.cli.options.questions import LeaksOptions
from tui_influence.cli.progress import ProgressLine
from tui_influence.config.loader import config_from_json
from tui_influence.config.messages import as_toml
from tui_influence.config.schema import Config
from tui_influence.config.template import config_to_toml
from tui_influence.datasets.groups import read_image_list_text
from tui_influence.errors import ConfigError, DatasetError
from tui_influence.export.files import refuse_same_file, write_text_atomically
from tui_influence.export.leakage import duplicate_kinds, duplicates_table, leaks_document, leaks_table
from tui_influence.pruning.planning import open_sweep_data
from tui_influence.regular_files import expand_home
from tui_influence.render.interval_table import digits_of, point_estimate
from tui_influence.render.leakage import (
    duplicate_line,
    duplicate_lines,
    duplicates_title,
    image_caption,
    leak_lines,
    leaks_explained,
    leaks_heading,
    leaks_title,
)
from tui_influence.render.ranking import circumstances, meaning, scope, trust
from tui_influence.render.ranking_table import noise_warning, packed, paragraph
from tui_influence.runs.datasets import Datasets
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, read_run_info, refuse_if_imported
from tui_influence.text import pluralize, printable, quote_path

_PAIRS = 8
"""Pairs that are shown by default."""
_IMAGE_ROWS = 2
"""Rows of images of a source class: the most helpful, and the most harmful."""
_CLASSES = 3
"""Source classes whose images are swept by default."""
_MAX_SPREAD_EXAMPLES = 256
"""Examples that the spread of margins is estimated from."""


def leaks(options: LeaksOptions) -> None:
    """Find leaks and duplicates, and show them or write them to files; with `--init`, write a config instead."""
    _check_options(options)
    info = read_run_info(options.results)
    if options.init is not None or options.duplicates or options.export_remove is not None:
        refuse_if_imported(options.results, info)
    snapshot = read_snapshot(Paths(options.results), info, options.target)
    for warning in data_warnings(snapshot):
        diagnostics.warn(warning)
    if options.init is not None:
        _write_image_sweep(snapshot, options, options.init)
    else:
        _find(snapshot, info, options)


def _check_options(options: LeaksOptions) -> None:
    """Refuse options that cannot be combined.

    Raises:
        ConfigError: two of them do.
    """
    if options.export_config is not None and options.export_remove is None:
        raise ConfigError("--export-config needs --export-remove FILE: the config names that file")
    if options.models is not None and options.init is None:
        raise ConfigError("--models needs --init: it is the number of models of the new config")
    if options.force and options.init is None:
        raise ConfigError("--force needs --init: it replaces the existing config and grouping")
    output.require_one_stdout({"--csv": options.csv}, json=options.json)
    files = {"--csv": options.csv, "--export-remove": options.export_remove, "--export-config": options.export_config}
    refuse_same_file(files | {"--init": options.init})
    shows_pairs = options.json or options.duplicates or options.example is not None
    if options.init is not None and (shows_pairs or options.csv or options.export_remove):
        raise ConfigError("--init writes a config and nothing else: no pairs and no lists")
    default = Question()
    is_narrowed = options.target_class is not None or options.example is not None or options.split != default.split
    if options.duplicates and (is_narrowed or options.output_kind != default.output_kind):
        raise ConfigError(
            "--duplicates compares the pixels of all images with all test images: not with --class, --example, --split "
            "or --output-kind"
        )
    if options.source and options.init is None and (len(options.source) > 1 or options.duplicates):
        raise ConfigError("--source: one class, or several with --init; --duplicates compares all images")


def _find(snapshot: RunSnapshot, info: RunInfo, options: LeaksOptions) -> None:
    """Find leaks and duplicates, and show them or write them to files."""
    question, source = options.question_about(snapshot.info), options.source[0] if options.source else None
    removal = None
    if options.export_remove is not None:
        removal = RemovalList(snapshot, options.export_remove, options.export_config)
    groups = groups_of_class(snapshot.info, source) if source is not None else None
    pairs = None if options.duplicates else find_leaks(snapshot, question, groups)
    duplicates, problem = None, ""
    is_image_sweep = groups_are_images(snapshot.info)
    if options.duplicates or is_image_sweep or removal is not None:
        try:
            duplicates = _find_duplicates(snapshot, grouped=is_image_sweep and not options.duplicates)
        except (ConfigError, DatasetError) as error:
            if options.duplicates or removal is not None:
                raise
            problem = str(error)
            diagnostics.warn(f"did not search for duplicates: {problem}")
    if duplicates is not None and source is not None:
        duplicates = duplicates.of_class(source)
    if removal is not None and duplicates is not None:
        removal.write(duplicates)
    if options.csv is not None and pairs is not None:
        table = leaks_table(snapshot, question.about_examples(), pairs, duplicates)
        output.write_csv(options.csv, table, comments=options.comments)
    elif options.csv is not None and duplicates is not None:
        output.write_csv(options.csv, duplicates_table(snapshot, duplicates), comments=options.comments)
    if options.json:
        images = rows_of_groups(rank(snapshot, question).report.ranking, groups) if groups is not None else None
        output.write_json(
            leaks_document(
                snapshot,
                question.about_examples(),
                pairs,
                duplicates,
                duplicates_error=problem,
                images=images,
                top=options.top,
            )
        )
    if options.json or options.csv is not None:
        if pairs is not None and pairs.n_excluded:
            diagnostics.warn(
                f"left out {pluralize(pairs.n_excluded, 'significant pair')}: only the {MAX_PAIRS:,} of each sign with "
                "the smallest q are written"
            )
        return
    if removal is not None and options.duplicates:
        return
    screen = make_image_output(
        options.color, options.protocol, options.theme, ascii_only=options.ascii_only, columns=options.columns
    )
    if source is not None and groups is not None:
        _print_images(screen, snapshot, question, groups, source)
    run, top = quote_path(options.results), options.top or _PAIRS
    if pairs is not None:
        _print_leaks(screen, snapshot, question.about_examples(), pairs, duplicates, top)
        if not is_image_sweep and not info.is_imported:
            diagnostics.info(f"next: tinfl leaks {run} --init images.toml     single images of the best classes")
            diagnostics.info(f"      tinfl leaks {run} --duplicates           duplicates of test images")
    if duplicates is not None:
        _print_duplicates(screen, snapshot, duplicates, top, with_images=pairs is None)
        if duplicates.pairs and removal is None:
            diagnostics.info(f"next: tinfl leaks {run} --duplicates --export-remove remove.txt")


def _print_leaks(
    screen: ImageOutput,
    snapshot: RunSnapshot,
    question: Question,
    leaks: Leaks,
    duplicates: Duplicates | None,
    top: int,
) -> None:
    """Print the pairs that help most surely, and those that hurt, beside their images."""
    style, console, single = screen.style, screen.console, groups_are_images(snapshot.info)
    images, kinds = StoredImages(snapshot), duplicate_kinds(duplicates) if single else {}
    console.print(*leaks_heading(snapshot, question, leaks, style, console.width), sep="\n")
    for helped, pairs, count in ((True, leaks.helped, leaks.n_helped), (False, leaks.hurt, leaks.n_hurt)):
        console.print(Text(), leaks_title(snapshot, leaks, helped=helped, style=style), sep="\n")
        for leak in pairs[: min(top, max(count, 1))]:
            duplicate = kinds.get((snapshot.info.source.groups[leak.group], leak.example))
            pair = (images.of_group(leak.group) if single else None, images.of_example(leak.example))
            beside = [pixels for pixels in pair if pixels is not None]
            kind = "" if duplicate is None else duplicate[0]
            print_beside(screen, beside, partial(leak_lines, snapshot, leak, style, kind=kind))
    console.print(Text(), *(paragraph(text, style) for text in leaks_explained(snapshot, leaks)), sep="\n")


def _print_duplicates(
    screen: ImageOutput,
    snapshot: RunSnapshot,
    duplicates: Duplicates,
    top: int,
    *,
    with_images: bool,
) -> None:
    """Print the source images that are duplicates of test images, beside their images or as lines only."""
    style, console, groups = screen.style, screen.console, snapshot.info.source.groups
    if not with_images:
        console.print()
    console.print(duplicates_title(duplicates, style))
    images = StoredImages(snapshot) if with_images and duplicates.pairs else None
    for pair in duplicates.pairs[:top]:
        if images is None:
            console.print(duplicate_line(snapshot, duplicates, pair, style, console.width))
            continue
        name = duplicates.names[pair.source]
        group = groups.index(name) if groups_are_images(snapshot.info) and name in groups else None
        source = None if group is None else images.of_group(group)
        beside = [pixels for pixels in (source, images.of_example(pair.target)) if pixels is not None]
        print_beside(screen, beside, partial(duplicate_lines, snapshot, duplicates, pair, style))
    more = len(duplicates.pairs) - top
    if more > 0:
        console.print(style.line(f"{style.ellipsis} {more:,} more (--top, --csv)", style.quiet))


def _print_images(
    screen: ImageOutput,
    snapshot: RunSnapshot,
    question: Question,
    groups: NDArray[np.intp],
    name: str,
) -> None:
    """Print the images of a source class that help a target most, and those that hurt it most."""
    console, report = screen.console, rank(snapshot, question).report
    style = screen.style.muted(report.is_noise())
    rows = rows_of_groups(report.ranking, groups)
    count = _IMAGE_ROWS * screen.images_per_row
    images, digits = StoredImages(snapshot), digits_of([point_estimate(row) for row in rows])
    title = f'Images of source class "{name}" by their influence on {scope(report)}'
    console.print(style.line(title, "bold"), *packed(circumstances(report), style, console.width), sep="\n")
    if report.is_noise():
        console.print(*noise_warning(report, style, "this order"), sep="\n")
    helpful = [row for row in rows if row.influence > 0][:count]
    harmful = [row for row in rows[::-1] if row.influence < 0][:count]
    for words, chosen in (("most helpful", helpful), ("most harmful", harmful)):
        console.print(Text(), style.line(f"{words} ({len(rows):,} images in all)", "bold"), sep="\n")
        captions = [image_caption(row, digits, style, screen.columns) for row in chosen]
        print_captioned(screen, [images.of_group(row.index) for row in chosen], captions)
    console.print(paragraph(f"Influence: {meaning(report)}. {trust(report)}", style), Text(), sep="\n")


def _find_duplicates(snapshot: RunSnapshot, *, grouped: bool) -> Duplicates:
    config, data = _config_and_data(snapshot)
    with ProgressLine() as line:
        stage = "comparing source images with test images"
        return find_run_duplicates(
            config,
            snapshot.info,
            data,
            snapshot.target,
            lambda done, total: line.stage(stage, done, total),
            grouped=grouped,
        )


def _config_and_data(snapshot: RunSnapshot) -> tuple[Config, Datasets]:
    """Return the config and the datasets of the run; packed datasets come from the cache.

    Raises:
        ConfigError: the datasets have changed since the run.
        DatasetError: they cannot be read.
    """
    config = config_from_json(snapshot.info.config)
    with ProgressLine() as line:
        return config, open_sweep_data(config, snapshot.info, line.stage)


def _write_image_sweep(snapshot: RunSnapshot, options: LeaksOptions, path: Path) -> None:
    """Write the config of a sweep over single images, and beside it the grouping that it names.

    Args:
        snapshot: of the first sweep.
        options: choose the source classes, and the examples that pairs are searched for.
        path: of the config, `.toml`; the grouping is the `.csv` of the same name.

    Raises:
        ConfigError: a file exists or is no `.toml`, or the groups of the run are single images.
        DatasetError: the datasets cannot be read.
        ResultsError: the run has no models yet, or a file cannot be written.
    """
    if path.suffix.lower() != ".toml":
        raise ConfigError(f"--init {printable(str(path))}: the name of a config ends in .toml")
    grouping = path.with_suffix(".csv")
    for file in (path, grouping):
        if file.exists() and not options.force:
            raise ConfigError(f"{printable(str(file))} already exists; --force replaces it")
    if groups_are_images(snapshot.info):
        raise ConfigError("the groups of this run are single images already: `tinfl leaks` without --init shows pairs")
    question = options.question_about(snapshot.info)
    examples = select_examples(snapshot.target_info, snapshot.examples, question)
    if options.source:
        groups = [group_index(snapshot.info, name) for name in options.source]
    else:
        rows = rank(snapshot, question).report.ranking.rows
        groups = [row.index for row in rows[: options.top or _CLASSES]]
    config, data = _config_and_data(snapshot)
    some = np.linspace(0, len(examples) - 1, min(len(examples), _MAX_SPREAD_EXAMPLES)).astype(int)
    margins = np.asarray(snapshot.outputs.margins[:, np.unique(examples[some])], dtype=np.float32)
    spread = float(np.median(margins.std(axis=0))) if len(margins) > 1 else float("nan")
    plan = plan_image_sweep(
        config, data, groups, grouping, examples=len(examples), spread=spread, models=options.models
    )
    models = plan.config.design.models
    if models < plan.min_models:
        diagnostics.warn(f"{models} models are too few for so many pairs: {plan.min_models} are needed")
    write_text_atomically(grouping, plan.grouping)
    write_text_atomically(path, config_to_toml(plan.config))
    names = ", ".join(snapshot.info.source.groups[group] for group in groups[:6])
    diagnostics.info(f"wrote {path} and {grouping}: {plan.n_images:,} single images of {printable(names, 100)}")
    diagnostics.info(
        f"with {models:,} models, an influence of {plan.detectable_influence:.2g} nats on one of {len(examples):,} "
        "test images is detected with 80% power"
    )
    config_path = quote_path(path)
    diagnostics.info(f"next: tinfl check {config_path}    tinfl sweep {config_path}    then tinfl leaks on its results")


class RemovalList:
    """The list of source images to exclude: those that the run excludes already, and duplicates.

    Made before the search for duplicates, so that a file that cannot be written is refused at once.
    """

    def __init__(self, snapshot: RunSnapshot, path: Path, config_path: Path | None) -> None:
        """Read the images that the run excludes already.

        Args:
            snapshot: of the run.
            path: of the list.
            config_path: of the run's config with that list; None for no config.

        Raises:
            ConfigError: the list would replace the one that the run reads.
            DatasetError: the run's list cannot be read.
        """
        self._config = config_from_json(snapshot.info.config)
        self._path, self._config_path, self._before = path, config_path, ""
        if self._config.source.exclude is not None:
            exclude = expand_home(self._config.source.exclude)
            files = {"--export-remove": path, "--export-config": config_path}
            refuse_same_file({"[source] exclude of this run": exclude} | files)
            before = read_image_list_text(exclude)
            self._before = before if before.endswith("\n") or not before else f"{before}\n"

    def write(self, duplicates: Duplicates) -> None:
        """Write the list with the names of duplicates added, and the config that names it.

        Raises:
            ResultsError: a file cannot be written.
        """
        path, names = self._path, duplicates.names_to_remove()
        listed = [name for name in names if name == name.strip() and len(name.splitlines()) == 1]
        if len(listed) < len(names):
            unlisted = pluralize(len(names) - len(listed), "name")
            diagnostics.warn(f"skipped {unlisted} with line breaks or surrounding blanks")
        write_text_atomically(path, self._before + "".join(f"{name}\n" for name in listed))
        more = ", after those that this run excludes already" if self._before else ""
        diagnostics.info(f"wrote {path}: {pluralize(len(listed), 'source image')}{more}")
        absolute = str(path.absolute())
        if self._config_path is None:
            diagnostics.info(f"next: add exclude = {as_toml(absolute)} to [source] of a config")
            return
        run = self._config.run
        run = run.model_copy(update={"name": f"{run.name[:91]}-no-leaks", "output": None})
        source = self._config.source.model_copy(update={"exclude": absolute})
        config = self._config.model_copy(update={"run": run, "source": source})
        write_text_atomically(self._config_path, config_to_toml(config))
        diagnostics.info(f"wrote {self._config_path}; next: tinfl check {quote_path(self._config_path)}")
