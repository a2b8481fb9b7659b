"""`tinfl import`: a results directory from masks and outputs of another program."""

from tui_influence.cli import diagnostics
from tui_influence.cli.options.starting import ImportOptions
from tui_influence.errors import ConfigError
from tui_influence.importing.arrays import ImportRequest, abbreviate_names, open_import
from tui_influence.importing.directory import require_unused, write_import
from tui_influence.store.records import MARGIN_LIMIT
from tui_influence.text import pluralize, quote_path


def import_results(options: ImportOptions) -> None:
    """Check the files against each other, write the results directory, and warn of suspicious values."""
    require_unused(options.results)
    if not options.target.strip():
        raise ConfigError("--target: the name is empty")
    checked = open_import(
        ImportRequest(
            options.masks,
            options.outputs,
            options.labels,
            options.predicted,
            options.groups,
            options.classes,
            options.images,
            options.heldout,
        )
    )
    write_import(checked, options.results, options.target)
    if checked.constant_groups:
        groups = pluralize(len(checked.constant_groups), "group")
        diagnostics.warn(
            f"{groups} in all models or in none, so the influence is unknown: "
            f"{abbreviate_names(checked.constant_groups)}"
        )
    if checked.clipped:
        clipped = pluralize(checked.clipped, "output")
        diagnostics.warn(
            f"{clipped} clipped to +-{MARGIN_LIMIT:,.0f}, the largest margin that is stored: are these nats?"
        )
    if checked.are_probabilities:
        diagnostics.warn("every output is between 0 and 1: are these probabilities? margins are expected")
    if checked.predicted is None:
        diagnostics.info("no predictions were given: an example counts as correct if its margin is above 0")
    heldout = f", {checked.heldout:,} more held out" if checked.heldout else ""
    diagnostics.info(
        f"imported {pluralize(checked.models, 'model')}{heldout}, {pluralize(len(checked.groups), 'group')}, "
        f"{pluralize(len(checked.labels), 'example')}"
    )
    path = quote_path(options.results)
    diagnostics.info(f"next: tinfl rank {path}    tinfl explore {path}")
