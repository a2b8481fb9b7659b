"""`tinfl keys`: the keys of the app, as the lines of a user config that would set them."""

from collections.abc import Iterator

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.watching import KeysOptions
from tui_influence.config.messages import as_toml
from tui_influence.errors import ConfigError, ExitCode
from tui_influence.tui.actions import ACTIONS
from tui_influence.tui.keymap import Keys, user_keys


def keys(options: KeysOptions) -> None:
    """List the keys; if the user config is wrong, report that and list the default keys."""
    keymap, code = Keys(), ExitCode.OK
    try:
        keymap = user_keys()
    except ConfigError as error:
        code = diagnostics.report(error)  # the default keys follow: they are needed to correct the config
    if options.json:
        output.write_json(_rows(keymap))
    else:
        for line in _lines(keymap):
            output.write_line(line)
    if code:
        raise typer.Exit(code)


def _rows(keymap: Keys) -> list[dict[str, object]]:
    return [
        {
            "action": action.id,
            "keys": keymap.all(action.id),
            "changed": action.id in keymap.changed,
            "does": action.tooltip,
        }
        for action in ACTIONS
    ]


def _lines(keymap: Keys) -> Iterator[str]:
    yield "# To change a key, remove the # from its line; separate several keys by commas."
    yield "[keys]"
    for action in ACTIONS:
        comment = "" if action.id in keymap.changed else "# "
        setting = f"{comment}{as_toml(action.id)} = {as_toml(keymap.changed.get(action.id, action.keys))}"
        yield f"{setting:<44} # {action.tooltip}"
