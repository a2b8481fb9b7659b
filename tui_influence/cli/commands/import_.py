"""`tinfl import`: a results directory from masks and outputs that another program made."""

from pathlib import Path
from typing import Annotated

import typer

from tui_influence.cli import diagnostics


def import_results(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Results directory to make.", show_default=False)],
    masks: Annotated[
        Path, typer.Option(metavar="FILE", help="(m, K) .npy: which groups each model was trained on, bool or 0/1.")
    ],
    outputs: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="(m, n) .npy: margins log p - log(1 - p) of the correct class, in nats; kept as float16, within "
            "+-60,000.",
        ),
    ],
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="(n,) .npy: the class of each example, from 0.")
    ] = None,
    predicted: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="(m, n) .npy: predicted classes. Without it an example counts as right where its margin is above 0.",
        ),
    ] = None,
    groups: Annotated[Path | None, typer.Option(metavar="FILE", help="Names of the groups, one a line.")] = None,
    classes: Annotated[Path | None, typer.Option(metavar="FILE", help="Names of the classes, one a line.")] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Pictures of the examples: .npz with x, (n, H, W[, C]) uint8.")
    ] = None,
    heldout: Annotated[
        int, typer.Option(min=0, help="So many of the models, the last ones, check the influences (LDS).")
    ] = 0,
    target: Annotated[str, typer.Option(help="What the target is to be called.")] = "target",
) -> None:
    """Make a results directory from anybody's masks and outputs, such as published datamodels."""
    from tui_influence.cli.launch import shown
    from tui_influence.errors import ConfigError
    from tui_influence.importing.arrays import ImportRequest, abbreviate_names, open_import
    from tui_influence.importing.directory import require_unused, write_import
    from tui_influence.store.records import MARGIN_LIMIT
    from tui_influence.text import pluralize

    require_unused(out)
    if not target.strip():
        raise ConfigError("--target: a name is wanted")
    opened = open_import(ImportRequest(masks, outputs, labels, predicted, groups, classes, images, heldout))
    write_import(opened, out, target)
    if opened.constant_groups:
        names = pluralize(len(opened.constant_groups), "group")
        diagnostics.warn(
            f"{names} every model has, or none, so their influence is unknown: "
            f"{abbreviate_names(opened.constant_groups)}"
        )
    if opened.clipped:
        outside = pluralize(opened.clipped, "output")
        diagnostics.warn(f"{outside} beyond +-{MARGIN_LIMIT:,.0f}, the most that is kept: are these nats?")
    if opened.are_probabilities:
        diagnostics.warn("every output is between 0 and 1: are these probabilities? margins are wanted")
    if opened.predicted is None:
        diagnostics.say("predictions are unknown: an example counts as right where its margin is above 0")
    kept = f", {opened.heldout:,} more held out" if opened.heldout else ""
    diagnostics.say(
        f"imported {pluralize(opened.models, 'model')}{kept}, {pluralize(len(opened.groups), 'group')}, "
        f"{pluralize(len(opened.labels), 'example')}"
    )
    diagnostics.say(f"next: tinfl rank {shown(out)}    tinfl explore {shown(out)}")
