"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Results = Annotated[Path, typer.Argument(metavar="RESULTS", help="Results directory of a run.", show_default=False)]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="Config file (TOML).", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
Foreground = Annotated[bool, typer.Option("--foreground", help="Stay in the foreground until the run ends.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Try models again that were given up.")]
Devices = Annotated[
    str | None,
    typer.Option(metavar="LIST", help='Devices instead of the config\'s, such as "cuda:0,cuda:1" or "cpu".'),
]
