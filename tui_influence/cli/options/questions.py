"""Options of the commands that ask a run about influences."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tui_influence.analysis.question import Question
from tui_influence.cli.completion import (
    complete_compared_class,
    complete_source_class,
    complete_source_group,
    complete_target,
)
from tui_influence.cli.options.shared import (
    Ascii,
    Color,
    Columns,
    Comments,
    CsvFile,
    Devices,
    Estimator,
    Example,
    ExampleEstimator,
    Foreground,
    Json,
    OutputKind,
    Protocol,
    QuestionOptions,
    Results,
    RetryFailed,
    Split,
    Target,
    TargetClass,
    Theme,
)
from tui_influence.influence.estimators import PLAIN_ESTIMATOR
from tui_influence.store.run_info import RunInfo


@dataclass(frozen=True, kw_only=True)
class RankOptions(QuestionOptions):
    """Rank source classes by their influence on a target, or on two targets or target classes side by side."""

    compare_target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Compare with the ranking for this target; default: none.",
            autocompletion=complete_target,
        ),
    ] = None
    compare_class: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Compare with the ranking for this class, of --compare-target if given, else of the same target.",
            autocompletion=complete_compared_class,
        ),
    ] = None
    top: Annotated[
        int | None,
        typer.Option(min=1, metavar="COUNT", help="Show only the COUNT most helpful groups; default: all that fit."),
    ] = None
    csv: CsvFile = None
    comments: Comments = False
    parquet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a Parquet file with the columns of the CSV; takes pyarrow."),
    ] = None
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help='Write a table in Markdown ("-": to stdout).')
    ] = None
    latex: Annotated[
        Path | None, typer.Option(metavar="FILE", help='Write a table in LaTeX for booktabs ("-": to stdout).')
    ] = None
    json: Json = False
    ascii_only: Ascii = False

    @property
    def files(self) -> dict[str, Path | None]:
        """The files that are written, by the name of the option; None where it was not given."""
        return {
            "--csv": self.csv,
            "--parquet": self.parquet,
            "--markdown": self.markdown,
            "--latex": self.latex,
        }

    def comparison_about(self, info: RunInfo) -> Question | None:
        """Return the question about a run to compare with; None for a single ranking."""
        if self.compare_target is None and self.compare_class is None:
            return None
        return self.question_about(info).compared_with(self.compare_target, self.compare_class)


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Score a ranking from a file by held-out models, by the run's own ranking, and by the gains of its prunings.

    RANKING is a CSV file of `tinfl rank`, or any with a column `class` and optionally `influence`, or a text file with
    one class per line, the best first.
    """

    ranking: Annotated[
        Path,
        typer.Argument(metavar="RANKING", help="Ranking of all source classes.", show_default=False, readable=False),
    ]
    results: Results
    target: Target = None
    target_class: TargetClass = None
    estimator: Estimator = None
    output_kind: OutputKind = "margin"
    split: Split = "estimate"
    json: Json = False
    ascii_only: Ascii = False

    def question_about(self, info: RunInfo) -> Question:
        """Return the question about a run that the options state."""
        question = Question(self.target, self.target_class, None, self.split, output_kind=self.output_kind)
        return question.about(info, self.estimator)


@dataclass(frozen=True, kw_only=True)
class ShowOptions(QuestionOptions):
    """Show a test example with what drives it, or a source class with what it influences; with images."""

    source: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Source class, by name.", autocompletion=complete_source_group)
    ] = None
    columns: Columns = None
    protocol: Protocol = "auto"
    color: Color = "auto"
    ascii_only: Ascii = False
    theme: Theme = "dark"
    json: Json = False
    wait: Annotated[bool, typer.Option("--wait", hidden=True, help="Wait for a key at the end.")] = False


@dataclass(frozen=True, kw_only=True)
class SubpopsOptions:
    """Find the subpopulations of target classes: examples that the same source class helps more than their class."""

    results: Results
    source: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Only examples that this source class drives; default: all.",
            autocompletion=complete_source_group,
        ),
    ] = None
    target_class: TargetClass = None
    target: Target = None
    estimator: ExampleEstimator = PLAIN_ESTIMATOR
    output_kind: OutputKind = "margin"
    split: Split = "estimate"
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="COUNT",
            help="Show COUNT subpopulations per class, or with --source COUNT examples; default: 8, or 12.",
        ),
    ] = None
    csv: CsvFile = None
    comments: Comments = False
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write image names, one per line: with --source to one file, with --class to a folder with a file per "
            "subpopulation.",
        ),
    ] = None
    json: Json = False
    columns: Columns = None
    protocol: Protocol = "auto"
    color: Color = "auto"
    ascii_only: Ascii = False
    theme: Theme = "dark"

    def question_about(self, info: RunInfo) -> Question:
        """Return the question about a run that the options state."""
        question = Question(self.target, self.target_class, None, self.split, output_kind=self.output_kind)
        return question.about(info, self.estimator)


@dataclass(frozen=True, kw_only=True)
class FailuresOptions(QuestionOptions):
    """Find the examples that most models predict wrongly, and the source classes that cause it."""

    estimator: ExampleEstimator = PLAIN_ESTIMATOR
    below: Annotated[
        float | None,
        typer.Option(metavar="NATS", help="Also list examples with a mean margin below NATS; default: failures only."),
    ] = None
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="COUNT",
            help="Show the COUNT examples with the lowest margin; default: 8, and all for --csv and --json.",
        ),
    ] = None
    groups: Annotated[
        int | None, typer.Option(min=1, max=100, metavar="COUNT", help="Harmful groups per example; default: 3.")
    ] = None
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Retrain without the harmful groups of --example, or show the results so far."),
    ] = False
    drop: Annotated[
        int | None,
        typer.Option(min=1, metavar="COUNT", help="With --verify: number of harmful groups to drop; default: 3."),
    ] = None
    seeds: Annotated[
        int | None,
        typer.Option(
            min=2, max=1000, metavar="COUNT", help="With --verify: number of retrainings of each arm; default: 10."
        ),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --verify: show what would be trained, and exit.")] = (
        False
    )
    foreground: Foreground = False
    devices: Devices = None
    retry_failed: RetryFailed = False
    csv: CsvFile = None
    comments: Comments = False
    json: Json = False
    columns: Columns = None
    color: Color = "auto"
    ascii_only: Ascii = False
    theme: Theme = "dark"

    @property
    def trains(self) -> bool:
        """Whether an option asks for a retraining, so that existing results are not enough."""
        return any((self.drop, self.seeds, self.dry_run, self.foreground, self.retry_failed))


@dataclass(frozen=True, kw_only=True)
class LeaksOptions:
    """Find train-test leakage: source images that influence, or are copies of, single test examples."""

    results: Results
    target: Target = None
    target_class: TargetClass = None
    example: Example = None
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="Only images of this source class; with --init, repeat to name several; default: all.",
            autocompletion=complete_source_class,
        ),
    ] = None
    output_kind: OutputKind = "margin"
    split: Split = "estimate"
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Only search for duplicates, by pixels; needs no influences.")
    ] = False
    init: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the config of a sweep over single images of the best classes."),
    ] = None
    models: Annotated[
        int | None,
        typer.Option(min=1, metavar="COUNT", help="With --init: number of models to train; default: as needed."),
    ] = None
    force: Annotated[bool, typer.Option("--force", help="With --init: replace existing files.")] = False
    top: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="COUNT", help="Show COUNT pairs; with --init: use COUNT source classes; default: 8, or 3."
        ),
    ] = None
    csv: CsvFile = None
    comments: Comments = False
    json: Json = False
    export_remove: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the names of the duplicated source images, one per line.")
    ] = None
    export_config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the config of the run without these images; needs --export-remove."),
    ] = None
    columns: Columns = None
    protocol: Protocol = "auto"
    color: Color = "auto"
    ascii_only: Ascii = False
    theme: Theme = "dark"

    def question_about(self, info: RunInfo) -> Question:
        """Return the question about a run that the options state."""
        question = Question(self.target, self.target_class, self.example, self.split, output_kind=self.output_kind)
        return question.about(info)
