"""Arguments and options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tui_influence.influence.estimators import ESTIMATORS

# Not `readable`: what reads a path says in one line why it cannot, with the exit code for it.
Results = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="Results directory of a run.", show_default=False, readable=False)
]
ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="Config file (TOML).", show_default=False, readable=False)
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Foreground = Annotated[bool, typer.Option("--foreground", help="Stay in the foreground until the run ends.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try models again that were given up.")]
Devices = Annotated[
    str | None,
    typer.Option(metavar="LIST", help='Devices instead of the config\'s, such as "cuda:0,cuda:1" or "cpu".'),
]
Target = Annotated[str | None, typer.Option(help="Target, by name; the first by default.")]
TargetClass = Annotated[str | None, typer.Option("--class", help="One class of the target.")]
if TYPE_CHECKING:
    EstimatorName = str
else:  # typer reads the choices from the type, mypy reads no table
    EstimatorName = Literal[tuple(ESTIMATORS)]
ESTIMATOR_HELP = "; ".join(f"{estimator.name}: {estimator.description}" for estimator in ESTIMATORS.values())
Estimator = Annotated[EstimatorName, typer.Option(help=f"How to estimate. {ESTIMATOR_HELP}.")]
OutputKind = Annotated[Literal["margin", "probability", "correct"], typer.Option(help="Which output is influenced.")]
Split = Annotated[Literal["estimate", "evaluate", "all"], typer.Option(help="Which half of the test examples.")]
Ascii = Annotated[bool, typer.Option("--ascii", help="Draw with ASCII characters only.")]
ColorChoice = Literal["auto", "truecolor", "256", "none"]
Color = Annotated[ColorChoice, typer.Option(help="Colours of this terminal.")]
ThemeChoice = Literal["dark", "light"]
Theme = Annotated[ThemeChoice, typer.Option(help="For a dark or a light background.")]
Columns = Annotated[int | None, typer.Option(min=2, max=500, help="Width of a picture; by default what fits.")]
ProtocolChoice = Literal["auto", "blocks", "kitty", "iterm2"]
Protocol = Annotated[ProtocolChoice, typer.Option(help="How to draw: characters, or the terminal's own graphics.")]
