"""Arguments and options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tui_influence.analysis.question import Question
from tui_influence.cli.completion import complete_results, complete_target, complete_target_class
from tui_influence.influence.estimators import (
    DEFAULT_ESTIMATOR,
    ESTIMATORS,
    MAX_RIDGE_GROUPS,
    PLAIN_ESTIMATOR,
    PRIOR_ESTIMATOR,
)
from tui_influence.store.run_info import RunInfo

# Not `readable`: reading a path reports in one line why it failed, with an exit code for it.


def no_path() -> None:
    """Return the default of a path that the newest run takes the place of."""


Results = Annotated[
    Path,
    typer.Argument(
        metavar="RESULTS",
        help="Results directory of a run; default: the run here, or in `results`, that changed last.",
        show_default=False,
        default_factory=no_path,
        readable=False,
        autocompletion=complete_results,
    ),
]
ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="Config file (TOML).", show_default=False, readable=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help='Replace a setting of the config, such as "train.epochs=8" or "target.NAME.probe_l2=0.1"; without a '
        "value, remove it. May be repeated.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
CsvFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help='Write a CSV file ("-": to stdout) instead of showing the results.')
]
Comments = Annotated[
    bool,
    typer.Option(
        help="Begin the CSV with comment lines that describe it, as the file NAME.meta.json beside it does anyway."
    ),
]
Foreground = Annotated[
    bool, typer.Option("--foreground", help="Wait until the run ends, instead of training in the background.")
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Retry models that failed permanently.")]
Devices = Annotated[
    str | None,
    typer.Option(
        metavar="LIST", help='Devices to train on, such as "cuda:0,cuda:1", "cpu" or "auto"; default: as in the config.'
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Target, by name; default: the first target of the run.",
        autocompletion=complete_target,
    ),
]
TargetClass = Annotated[
    str | None,
    typer.Option(
        "--class",
        metavar="CLASS",
        help="Class of the target, by name; default: all its classes.",
        autocompletion=complete_target_class,
    ),
]
Example = Annotated[
    int | None, typer.Option(metavar="NUMBER", help="One test example of the target, by number from 0.")
]
if TYPE_CHECKING:
    EstimatorName = str
else:  # typer reads the choices from the type, and mypy reads no table
    EstimatorName = Literal[tuple(ESTIMATORS)]
ESTIMATOR_HELP = "; ".join(f"{estimator.name}: {estimator.description}" for estimator in ESTIMATORS.values())
ESTIMATOR_DEFAULT_HELP = (
    f"default: {PRIOR_ESTIMATOR} where the run has prior networks, else {DEFAULT_ESTIMATOR}, "
    f"or {PLAIN_ESTIMATOR} of more than {MAX_RIDGE_GROUPS:,} groups"
)
ExampleEstimator = Annotated[EstimatorName, typer.Option(help=f"Estimator of influences. {ESTIMATOR_HELP}.")]
Estimator = Annotated[
    EstimatorName | None,
    typer.Option(help=f"Estimator of influences; {ESTIMATOR_DEFAULT_HELP}. {ESTIMATOR_HELP}."),
]
OutputKind = Annotated[
    Literal["margin", "probability", "correct"],
    typer.Option(help="Output that influence is measured on: margin in nats, probability, or correctness."),
]
Split = Annotated[
    Literal["estimate", "evaluate", "all"], typer.Option(help="Test examples to use: one of two halves, or all.")
]
Ascii = Annotated[bool, typer.Option("--ascii", help="Draw with ASCII characters only.")]
ColorChoice = Literal["auto", "truecolor", "256", "none"]
Color = Annotated[ColorChoice, typer.Option(help="Colours to use; auto: those that the terminal reports.")]
ThemeChoice = Literal["dark", "light"]
Theme = Annotated[ThemeChoice, typer.Option(help="Background of the terminal.")]
Columns = Annotated[
    int | None,
    typer.Option(min=2, max=500, metavar="CELLS", help="Width of an image in terminal cells; default: fit the screen."),
]
ProtocolChoice = Literal["auto", "blocks", "kitty", "iterm2"]
Protocol = Annotated[
    ProtocolChoice,
    typer.Option(help="Draw images with block characters, or with the graphics of kitty or iTerm2; auto: detect."),
]


@dataclass(frozen=True, kw_only=True)
class QuestionOptions:
    """Options of a command that asks a run about influences."""

    results: Results
    target: Target = None
    target_class: TargetClass = None
    example: Example = None
    estimator: Estimator = None
    output_kind: OutputKind = "margin"
    split: Split = "estimate"

    def question_about(self, info: RunInfo) -> Question:
        """Return the question about a run that the options state."""
        question = Question(self.target, self.target_class, self.example, self.split, output_kind=self.output_kind)
        return question.about(info, self.estimator)
