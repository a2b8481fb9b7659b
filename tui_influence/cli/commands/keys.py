"""`tinfl keys`: what every key of the app does, as the lines of a user's config that would say so."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options import Json
from tui_influence.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from tui_influence.tui.keymap import Keys


def keys(json: Json = False) -> None:
    """List the app's keys, ready to be changed in your own config; `tinfl doctor` says where that is."""
    from tui_influence.tui.keymap import Keys, user_keys

    found, code = Keys(), ExitCode.OK
    try:
        found = user_keys()
    except ConfigError as error:
        code = diagnostics.report(error)  # and the usual keys follow: they are what is needed to mend it
    if json:
        output.write_json(_rows(found))
    else:
        for line in _lines(found):
            output.line(line)
    if code:
        raise typer.Exit(code)


def _rows(found: "Keys") -> list[dict[str, object]]:
    from tui_influence.tui.actions import ACTIONS

    return [
        {
            "action": action.id,
            "keys": found.all(action.id),
            "changed": action.id in found.changed,
            "does": action.tooltip,
        }
        for action in ACTIONS
    ]


def _lines(found: "Keys") -> Iterator[str]:
    from tui_influence.config.messages import as_toml
    from tui_influence.tui.actions import ACTIONS

    yield "# Take the # away from a line and change its key; several keys have commas between."
    yield "[keys]"
    for action in ACTIONS:
        off = "" if action.id in found.changed else "# "
        said = f"{off}{as_toml(action.id)} = {as_toml(found.changed.get(action.id, action.keys))}"
        yield f"{said:<44} # {action.tooltip}"
