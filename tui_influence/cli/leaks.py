"""`tinfl leaks`: single source images that move single test images, and copies of test images among the source."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.parameters import Ascii, Color, Json, OutputKind, Results, Split, Target, TargetClass, Theme

if TYPE_CHECKING:
    from tui_influence.probes.copies import Copies
    from tui_influence.reading import Reading

_TOP = 8
_CLASSES = 3


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
    from tui_influence.cli.leaks_writing import Removal, write_second_stage
    from tui_influence.cli.starting import shown
    from tui_influence.errors import ConfigError, DatasetError
    from tui_influence.export.files import refuse_same_file
    from tui_influence.ranking import notes_of, rank
    from tui_influence.ranking_question import Question
    from tui_influence.reading import read
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info, refuse_if_imported
    from tui_influence.text import counted

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
    reading = read(Paths(results), info, target)
    question = Question(target, target_class, example, split, output_kind=output_kind)
    for note in notes_of(reading):
        diagnostics.warn(note)
    if init is not None:
        write_second_stage(reading, question, init, source or [], top or _CLASSES, models, force=force)
        return
    from tui_influence.cli.canvas import canvas
    from tui_influence.cli.show_images import print_images
    from tui_influence.cli.show_leaks import print_copies, print_leaks
    from tui_influence.probes.leakage import KEPT, groups_of_class, images_of, is_of_images
    from tui_influence.probes.leakage import leaks as find_leaks
    from tui_influence.probes.leakage_documents import copies_csv, document, leaks_csv

    removal = Removal(reading, export_remove, export_config) if export_remove is not None else None
    found, groups = None, groups_of_class(reading.info, source[0]) if source else None
    if not duplicates:
        found = find_leaks(reading, question, groups)
    copies, problem = None, ""
    single = is_of_images(reading.info)
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
        _write(csv, copies_csv(reading, copies))
    if json:
        images = images_of(rank(reading, question).report.ranking, groups) if groups is not None else None
        output.write_json(document(reading, question, found, copies, problem=problem, images=images, top=top))
    if found is not None and found.left_out and (json or csv is not None):
        diagnostics.warn(f"{counted(found.left_out, 'pair')} beyond chance left out: the surest {KEPT:,} of each sign")
    if json or csv is not None or (removal is not None and duplicates):
        return
    screen = canvas(color, protocol, theme, ascii_only=ascii_only)
    if source and groups is not None:
        print_images(screen, reading, question, groups, source[0], columns)
    if found is not None:
        print_leaks(screen, reading, question, found, copies, top or _TOP, columns)
        if not single and not info.is_imported:
            run = shown(results)
            diagnostics.say(f"next: tinfl leaks {run} --init images.toml     single images of the classes that matter")
            diagnostics.say(f"      tinfl leaks {run} --duplicates           copies of test images")
    if copies is not None:
        print_copies(screen, reading, copies, top or _TOP, columns, pictures=found is None)
        if copies.found and export_remove is None:
            diagnostics.say(f"next: tinfl leaks {shown(results)} --duplicates --export-remove remove.txt")


def _copies(reading: "Reading", *, grouped: bool) -> "Copies":
    from tui_influence.cli.leaks_writing import config_and_data
    from tui_influence.cli.live import StageLine
    from tui_influence.probes.copies import find_copies

    config, data = config_and_data(reading)
    with StageLine() as line:
        what = "comparing source images with test images"
        return find_copies(
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
