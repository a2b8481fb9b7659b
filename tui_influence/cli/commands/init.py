"""`tinfl init`: write a commented config to start from."""

from pathlib import Path
from typing import Annotated

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.config.messages import KINDS, join_with_or
from tui_influence.config.template import make_template
from tui_influence.errors import ConfigError
from tui_influence.export.files import write_text_atomically


def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help='Where to write it; "-" for stdout.')] = Path(
        "sweep.toml"
    ),
    kind: Annotated[str, typer.Option(help=f"Dataset kind: {join_with_or(KINDS['source'])}.")] = "builtin",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented config to start from."""
    text = make_template(kind)
    if str(path) == "-":
        output.write(text)
        return
    if path.exists() and not force:
        raise ConfigError(f"{path}: exists already (--force replaces it)")
    write_text_atomically(path, text)
    diagnostics.say(f"wrote {path}")
    diagnostics.say(f"next: edit it, then   tinfl check {path}")
