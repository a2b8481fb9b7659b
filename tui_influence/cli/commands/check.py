"""`tinfl check`: validate a config, look at its data, and say what the sweep will cost."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options import ConfigFile, Devices, Json
from tui_influence.text import (
    format_duration,
    printable,
)

if TYPE_CHECKING:
    from tui_influence.config.schema import Config
    from tui_influence.runs.datasets import Datasets


def check(
    config_file: ConfigFile,
    time: Annotated[bool, typer.Option("--time/--no-time", help="Time a few training steps.")] = True,
    devices: Devices = None,
    json: Json = False,
) -> None:
    """Validate a config, look at its data, and say what the sweep will cost."""
    from tui_influence.cli.launch import StageLine, device_list
    from tui_influence.config.loader import check_data_paths, load_config
    from tui_influence.runs.cost import NOT_TIMED, estimate_cost, trains_here
    from tui_influence.runs.datasets import open_datasets
    from tui_influence.runs.devices import with_devices, worker_devices

    config = with_devices(load_config(config_file), device_list(devices))
    check_data_paths(config_file)
    is_here = devices is not None or trains_here(config)
    workers = worker_devices(config.compute, warn=diagnostics.warn) if is_here else []
    with StageLine() as line:
        data = open_datasets(config, line.stage, trusted=True)
    found = describe(config, data, workers)
    if time and is_here:
        with StageLine() as line:
            line.stage(f"timing a few training steps on {len(workers)} workers", 0, 0)
            cost = estimate_cost(config, data, workers[: found["models"]], trusted=True)
        found |= {
            "numerics": cost.numerics,
            "seconds_per_model": cost.seconds_per_model,
            "models_per_hour": cost.models_per_hour,
            "seconds": cost.seconds,
            "disk_bytes": cost.disk,
        }
    if json:
        output.write_json(found)
        return
    for text in _lines(found):
        output.line(text)
    if not is_here:
        diagnostics.say(NOT_TIMED)
    diagnostics.say(f"next: tinfl sweep {config_file}")


def show_plan(config: "Config") -> None:
    """Show what a sweep would do, without timing it (`tinfl sweep --dry-run`)."""
    from tui_influence.cli.launch import StageLine
    from tui_influence.runs.cost import trains_here
    from tui_influence.runs.datasets import open_datasets
    from tui_influence.runs.devices import worker_devices

    with StageLine() as line:
        data = open_datasets(config, line.stage, trusted=True)
    workers = worker_devices(config.compute, warn=diagnostics.warn) if trains_here(config) else []
    for text in _lines(describe(config, data, workers)):
        output.line(text)


def describe(config: "Config", data: "Datasets", workers: list[str]) -> dict[str, Any]:
    """Return what a config means for the data it finds.

    Raises:
        ConfigError: the design is impossible for this source.
    """
    from tui_influence.designs import make_design

    groups = len(data.groups.names)
    make_design(config.design, groups, config.run.seed)
    return {
        "run": config.run.name,
        "output": str(config.output),
        "source": {
            "images": len(data.source),
            "classes": len(data.source.classes),
            "groups": groups,
            "ungrouped": data.groups.n_ungrouped,
            "skipped": len(data.source.skipped),
        },
        "targets": [
            {
                "name": section.name,
                "transfer": section.transfer,
                "train": len(images.train),
                "test": len(images.test),
                "classes": len(images.test.classes),
                "skipped": len(images.train.skipped) + len(images.test.skipped),
            }
            for section, images in zip(config.target, data.targets, strict=True)
        ],
        "resolution": data.resolution,
        "channels": data.channels,
        "design": f"{config.design.kind} alpha={config.design.alpha:g}",
        "models": config.design.models + config.design.heldout,
        "heldout": config.design.heldout,
        "executor": config.compute.executor,
        "workers": workers,
    }


def _lines(found: dict[str, Any]) -> list[str]:
    source = found["source"]
    size = f"{found['resolution']} x {found['resolution']} px, {'grey' if found['channels'] == 1 else 'colour'}"
    lines = [
        f"run      {found['run']} -> {printable(found['output'])}",
        f"source   {source['images']:,} images in {source['classes']:,} classes, {source['groups']:,} groups; {size}"
        + (f"; {source['ungrouped']:,} images in no group, so in every model" if source["ungrouped"] else "")
        + (f"; {source['skipped']} unreadable images skipped" if source["skipped"] else ""),
    ]
    lines += [
        f"target   {target['name']}: {target['train']:,} training and {target['test']:,} test images "
        f"in {target['classes']:,} classes, {target['transfer']}"
        + (f"; {target['skipped']} unreadable images skipped" if target["skipped"] else "")
        for target in found["targets"]
    ]
    workers = found["workers"]
    lines.append(
        f"plan     {found['models']:,} models, {found['heldout']:,} of them held out; design {found['design']}; "
        + (", ".join(f"{workers.count(device)} on {device}" for device in dict.fromkeys(workers)) or found["executor"])
    )
    if "seconds" in found:
        lines += [
            f"cost     {found['seconds_per_model']:.2f} s a model on a worker ({', '.join(found['numerics'])}), "
            f"{found['models_per_hour']:,.0f} models an hour: {format_duration(found['seconds'])} in all",
            f"disk     {found['disk_bytes'] / 2**20:,.1f} MiB of results",
        ]
    return lines
