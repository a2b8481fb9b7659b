"""`tinfl import`: a results directory from masks and outputs of another program."""

from collections.abc import Iterator

from tui_influence.cli import diagnostics
from tui_influence.cli.options.starting import ImportOptions
from tui_influence.errors import ConfigError
from tui_influence.importing.arrays import CheckedImport, ImportRequest, abbreviate_names, open_import
from tui_influence.importing.directory import require_unused, write_import
from tui_influence.importing.prior_arrays import has_probabilities
from tui_influence.store.records import MARGIN_LIMIT, MAX_ROUNDING
from tui_influence.store.run_info import MARGIN_TYPES
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
            options.clusters,
            options.prior,
        )
    )
    write_import(checked, options.results, options.target)
    for warning in _warnings(checked):
        diagnostics.warn(warning)
    if checked.margin_type != MARGIN_TYPES[0]:
        diagnostics.info(
            f"the outputs are stored as {checked.margin_type}: as {MARGIN_TYPES[0]} some would be out of range, or "
            f"rounded by more than {MAX_ROUNDING:.0%} of an example's spread over models"
        )
    if checked.predicted is None:
        diagnostics.info("no predictions were given: an example counts as correct if its margin is above 0")
    heldout = f", {checked.heldout:,} more held out" if checked.heldout else ""
    prior = "" if checked.prior is None else f", {pluralize(len(checked.prior), 'prior network')}"
    diagnostics.info(
        f"imported {pluralize(checked.models, 'model')}{heldout}{prior}, {pluralize(len(checked.groups), 'group')}, "
        f"{pluralize(len(checked.labels), 'example')}"
    )
    path = quote_path(options.results)
    diagnostics.info(f"next: tinfl rank {path}    tinfl explore {path}")


def _warnings(checked: CheckedImport) -> Iterator[str]:
    """Yield what is suspicious in an import, one line each."""
    if checked.constant_groups:
        groups = pluralize(len(checked.constant_groups), "group")
        yield (
            f"{groups} in all models or in none, so the influence is unknown: "
            f"{abbreviate_names(checked.constant_groups)}"
        )
    if checked.beyond_limit:
        yield f"{pluralize(checked.beyond_limit, 'output')} beyond +-{MARGIN_LIMIT:,.0f}: are these nats?"
    if checked.imprecise:
        yield (
            f"{checked.margin_type} rounds the outputs of {pluralize(checked.imprecise, 'example')} by more than "
            f"{MAX_ROUNDING:.0%} of their spread over models: subtract each example's mean, which changes no influence "
            "on the margin"
        )
    if checked.are_probabilities:
        yield "every output is between 0 and 1: are these probabilities? margins are expected"
    if checked.clusters is not None and not checked.has_shared_seeds:
        yield "no two models have the same cluster: --clusters changes nothing"
    if checked.constant_within_seeds:
        yield (
            f"{pluralize(len(checked.constant_within_seeds), 'group')} the same in all models of each cluster, so that "
            f"only `difference` estimates the influence: {abbreviate_names(checked.constant_within_seeds)}"
        )
    if checked.prior is not None and not has_probabilities(checked.prior.mapping):
        yield (
            "the mapping is negative, or adds up to more than 1 over the groups: mean softmax probabilities, "
            "(networks, K, C), are expected"
        )
