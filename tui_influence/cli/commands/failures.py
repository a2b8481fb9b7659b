"""`tinfl failures`: the test examples that models get wrong, and the source classes that are to blame.

`tinfl failures --verify`: retrains without the classes that are to blame, and says which predictions flip.
"""

from dataclasses import dataclass
from math import inf, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui_influence.analysis.question import Question
from tui_influence.analysis.snapshot import RunSnapshot
from tui_influence.cli import diagnostics, output
from tui_influence.cli.commands.prune import say_how_many, show_with_cost
from tui_influence.cli.launch import StageLine, device_list, shown, start
from tui_influence.cli.options import (
    Ascii,
    Color,
    Columns,
    Devices,
    Estimator,
    Foreground,
    Json,
    OutputKind,
    Results,
    RetryFailed,
    Split,
    Target,
    TargetClass,
    Theme,
)
from tui_influence.errors import ConfigError
from tui_influence.export.counterfactual import counterfactual_document, plan_document
from tui_influence.influence.estimators import DEFAULT_ESTIMATOR
from tui_influence.pruning.counterfactual import (
    DEFAULT_DROPPED,
    MIN_SEEDS,
    load_counterfactual,
    plan_counterfactual,
)
from tui_influence.pruning.options import (
    counterfactual_command,
    counterfactual_paths,
)
from tui_influence.pruning.planning import OtherSettingsError, plan_pruning
from tui_influence.pruning.types import CounterfactualPreview
from tui_influence.render.counterfactual import (
    counterfactual_lines,
    counterfactual_plan,
    counterfactual_title,
    plan_size,
)
from tui_influence.render.style import Style
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.supervisor import Request
from tui_influence.store.paths import Paths
from tui_influence.store.pruning_plan import read_arms
from tui_influence.store.run_info import read_run_info, refuse_if_imported
from tui_influence.text import pluralize, printable

if TYPE_CHECKING:
    from tui_influence.analysis.types import Failures
    from tui_influence.cli.images import Canvas

_SHOWN = 8
"""Failures that are shown, if not told otherwise."""
_NAME = 40
"""Characters of a name in a title."""


def failures(
    results: Results,
    example: Annotated[int | None, typer.Option(help="One test example of the target, by number.")] = None,
    target_class: TargetClass = None,
    target: Target = None,
    estimator: Estimator = DEFAULT_ESTIMATOR,
    output_kind: OutputKind = "margin",
    split: Split = "estimate",
    below: Annotated[
        float | None, typer.Option(metavar="NATS", help="Also examples whose mean margin is below this.")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="So many failures, the lowest margin first.")] = None,
    groups: Annotated[
        int | None, typer.Option(min=1, max=100, help="Name so many source classes for each; 3 by default.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Retrain without the classes to blame for --example, or show what that found."),
    ] = False,
    drop: Annotated[int | None, typer.Option(min=1, help="Classes that --verify leaves out; 3 by default.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Retrainings of each arm of --verify; 10 by default.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what --verify would train, and stop.")] = False,
    foreground: Foreground = False,
    devices: Devices = None,
    retry_failed: RetryFailed = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help='Write all failures to a CSV file; "-" for stdout.')
    ] = None,
    json: Json = False,
    columns: Columns = None,
    color: Color = "auto",
    ascii_only: Ascii = False,
    theme: Theme = "dark",
) -> None:
    """Find the test examples that most models get wrong, and the source classes that are to blame."""
    from tui_influence.analysis.failures import DEFAULT_GROUPS
    from tui_influence.analysis.failures import find_failures as find
    from tui_influence.analysis.question import Question
    from tui_influence.analysis.ranking import data_warnings
    from tui_influence.analysis.snapshot import read_snapshot
    from tui_influence.cli.images import canvas, say_why_no_pictures
    from tui_influence.export.failures import failures_csv, failures_document
    from tui_influence.export.files import write_text_atomically
    from tui_influence.store.paths import Paths
    from tui_influence.store.run_info import read_run_info

    if below is not None and isnan(below):
        raise ConfigError("--below nan: a margin is a number")
    question = Question(target, target_class, example, split, estimator, output_kind)
    reading = read_snapshot(Paths(results), read_run_info(results), target)
    if verify:
        if example is None:
            raise ConfigError("--verify needs --example NUMBER: what is retrained is chosen for one")
        if any(option is not None for option in (csv, below, top, groups, columns)):
            raise ConfigError(
                "--verify is about one example: --csv, --below, --top, --groups and --columns are for the list of "
                "failures"
            )

        options = Options(drop, seeds, dry_run, foreground, devices, retry_failed, json, ascii_only)
        verify_failure(reading, question, options)
        return
    output.one_on_stdout(csv, json)
    if drop or seeds or dry_run or foreground or devices is not None or retry_failed:
        raise ConfigError("--drop, --seeds and how to train are for --verify")
    to_programs = json or csv is not None
    most = top if to_programs else top or _SHOWN
    found = find(reading, question, below=-inf if below is None else below, top=most, n_groups=groups or DEFAULT_GROUPS)
    for note in data_warnings(reading):
        diagnostics.warn(note)
    if csv is not None and str(csv) == "-":
        output.write(failures_csv(reading, question, found))
        return
    if csv is not None:
        write_text_atomically(csv, failures_csv(reading, question, found))
        diagnostics.say(f"wrote {csv}")
    if json:
        output.write_json(failures_document(reading, question, found))
    elif csv is None:
        problem = _print_failures(
            canvas(color, "blocks", theme, ascii_only=ascii_only), reading, question, found, columns
        )
        say_why_no_pictures(reading, problem)


def _print_failures(
    canvas: "Canvas", snapshot: RunSnapshot, question: Question, failures: "Failures", columns: int | None
) -> str:
    """Print failures, each beside its image; return why there are no images, if so."""
    from tui_influence.cli.images import pictures_of, print_beside, room_beside
    from tui_influence.errors import ResultsError
    from tui_influence.render.failures import failure_lines, failures_explained, failures_summary
    from tui_influence.render.ranking import split_label

    style, console = canvas.style, canvas.console
    if question.example is None:
        one_class = f' of class "{printable(question.target_class, _NAME)}"' if question.target_class else ""
        scope = f'{one_class} of target "{printable(snapshot.target_info.name, _NAME)}"'
        console.print(style.line(failures_summary(failures, scope), "bold"))
    problem, images = "", None
    try:
        images = pictures_of(snapshot, [failure.example for failure in failures.examples])
    except ResultsError as error:
        problem = str(error)
    console.print()
    for row, failure in enumerate(failures.examples):
        beside = [] if images is None else [images[row]]
        _, width = room_beside(canvas, len(beside), columns)
        about, harmful = failure_lines(snapshot, question, failure, style, width)
        print_beside(canvas, beside, [*about, *harmful], columns)
    run = f"run {printable(snapshot.info.name, _NAME)}, {snapshot.info.design_label}"
    half = "" if question.example is not None else f", {split_label(question.split)}"
    sentences = f"{failures_explained(snapshot, question, failures)} {run}{half}"
    console.print(style.line(sentences, style.quiet))
    return problem


@dataclass(frozen=True)
class Options:
    """The options of `--verify`; None where they were not given."""

    drop: int | None
    seeds: int | None
    dry_run: bool
    foreground: bool
    devices: str | None
    retry_failed: bool
    json: bool
    ascii_only: bool

    @property
    def asks_to_train(self) -> bool:
        """Whether more is asked than what is there."""
        return any((self.drop, self.seeds, self.dry_run, self.foreground, self.retry_failed))


def verify_failure(reading: RunSnapshot, question: Question, options: Options) -> None:
    """Start a verification of the question's example, or show what one has found so far.

    Raises:
        TinflError: it cannot be planned, trained or read.
    """
    sweep, example = reading.paths, question.example
    if example is None:
        raise ValueError("a verification is of one example")
    refuse_if_imported(sweep.root, reading.info)
    pruning_paths = counterfactual_paths(sweep, reading.target, example)
    if pruning_paths.run.exists() and not options.asks_to_train:
        _show(pruning_paths, example, options)
        return
    count = options.drop or DEFAULT_DROPPED
    wanted = plan_counterfactual(
        reading, question, drop=count, seeds=options.seeds, devices=device_list(options.devices)
    )
    if len(wanted.harmful_groups) < count:
        fewer = pluralize(len(wanted.harmful_groups), "class", "classes")
        diagnostics.warn(f"only {fewer} lower the margin of example {example}")
    if len(wanted.harmful_groups) and (options.seeds or MIN_SEEDS) < MIN_SEEDS:
        diagnostics.warn(f"with fewer than {MIN_SEEDS} retrainings of each arm no flip can be told from chance")
    with StageLine() as line:
        try:
            plan = plan_pruning(sweep, reading.info, pruning_paths, wanted.request, line.stage)
        except OtherSettingsError as error:
            raise _kept_already(pruning_paths, example, error) from error
    groups = reading.info.source.groups
    diagnostics.say(f"leaves out {', '.join(printable(groups[one.group], 60) for one in wanted.harmful_groups)}")
    if not wanted.is_significant:
        diagnostics.warn("none of these classes can be told from chance: leaving them out may well change nothing")
    request = Request(plan.config, pruning_paths.root, retry_failed=options.retry_failed, pruning=plan.pruning)
    if options.dry_run:
        label = reading.target_info.classes[int(reading.examples.labels[example])]
        preview = CounterfactualPreview(question, label, wanted, plan.pruning, None)
        lines = [*counterfactual_plan(preview, Style(options.ascii_only)), plan_size(plan.pruning)]
        show_with_cost(plan, request, plan_document(preview, reading.info), lines, json=options.json)
        return
    say_how_many(sweep, reading.info, plan.pruning)
    start(request, foreground=options.foreground, reading=counterfactual_command(question, sweep.root))
    if options.foreground:
        _show(pruning_paths, example, options)


def _kept_already(pruning_paths: Paths, example: int, error: OtherSettingsError) -> ConfigError:
    kept = ConfigError(
        f"{printable(str(pruning_paths.root))} holds a verification of example {example} with other settings: "
        "ask with those, or move it away"
    )
    kept.details = error.details
    return kept


def _show(pruning_paths: Paths, example: int, options: Options) -> None:
    found = load_counterfactual(pruning_paths, read_run_info(pruning_paths.root), read_arms(pruning_paths), example)
    if found.damaged:
        diagnostics.warn(f"{len(found.damaged)} damaged records were left out: {printable(found.damaged[0])}")
    if options.json:
        output.write_json(counterfactual_document(found))
    else:
        console, style = output.console(), Style(options.ascii_only, dims=True)
        lines = [counterfactual_title(found, style), *counterfactual_lines(found, style, console.width)]
        console.print(*lines, sep="\n")
    state = observe(pruning_paths)[0]
    if not found.is_complete:
        verb = "status" if state in ACTIVE else "resume"
        diagnostics.say(f"{state.value}; next: tinfl {verb} {shown(pruning_paths.root)}")
