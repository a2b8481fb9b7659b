"""`tinfl check`: validate a config, read its data, and estimate the cost of its sweep."""

import shlex
from typing import Any

from rich.text import Text

from tui_influence.cli import diagnostics, output
from tui_influence.cli.launch import device_list
from tui_influence.cli.options.starting import CheckOptions
from tui_influence.cli.progress import ProgressLine
from tui_influence.cluster_stage import describe_sizes, equal_sizes, models_over_classes
from tui_influence.config.loader import check_data_paths, config_to_json, load_config
from tui_influence.config.schema import Config, DesignSection, TrainSection
from tui_influence.designs import planned_models
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.estimators import default_estimator
from tui_influence.influence.model_count import USABLE, models_for
from tui_influence.influence.types import MIN_HELDOUT_MASKS, MIN_REPEATED_MASKS
from tui_influence.render.format import small_table
from tui_influence.render.reliability_forecast import describe_forecast, describe_model_count, far_goal, forecast_of
from tui_influence.render.run_words import format_bytes
from tui_influence.runs.cheaper_recipes import cheaper_recipes, time_recipes
from tui_influence.runs.cost import NOT_TIMED, Cost, estimate_cost, trains_here
from tui_influence.runs.datasets import Datasets, open_datasets
from tui_influence.runs.devices import with_devices, worker_devices
from tui_influence.runs.network_check import check_before_packing, check_network
from tui_influence.runs.resume import changed_settings
from tui_influence.staged_design import check_design
from tui_influence.store.growth import read_growth
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import describe_training, read_run_info
from tui_influence.text import format_duration, pluralize, printable, quote_path


def check(options: CheckOptions) -> None:
    """Validate a config, time a few training steps, and show the plan of its sweep."""
    if options.suggest and not options.time:
        raise ConfigError("--suggest times cheaper recipes: it cannot be combined with --no-time")
    settings = options.settings or ()
    config = _as_planned(with_devices(load_config(options.config_file, settings), device_list(options.devices)))
    check_data_paths(options.config_file, settings)
    trains_locally = options.devices is not None or trains_here(config)
    workers = worker_devices(config.compute, warn=diagnostics.warn) if trains_locally else []
    if config.model.weights is not None:
        check_before_packing(config)
    with ProgressLine() as line:
        data = open_datasets(config, line.stage, trusted=True)
    plan = describe(config, data, workers)
    _warn_of_few_masks(config.design)
    _warn_of_far_goal(config, plan["models_needed"])
    if options.time and trains_locally:  # which tries the network
        with ProgressLine() as line:
            line.stage(f"timing a few training steps on {pluralize(len(workers), 'worker')}", 0, 0)
            cost = estimate_cost(config, data, workers[: plan["models"]], trusted=True)
        plan |= {
            "numerics": cost.numerics,
            "seconds_per_model": cost.seconds_per_model,
            "steps_per_model": cost.steps_per_model,
            "models_per_hour": cost.models_per_hour,
            "seconds": cost.seconds,
            "max_seconds": cost.seconds_at_most,
            "disk_bytes": cost.disk,
            "streamed_bytes": cost.streamed_bytes,
        }
        if options.suggest:
            plan["suggestions"] = _suggest(config, cost, plan["resolution"], workers[: plan["models"]])
    else:
        _check_network(config, data)
    if options.json:
        output.write_json(plan)
        return
    for text in [*_lines(plan), *_suggestion_lines(config, plan)]:
        output.write_line(text)
    if not trains_locally:
        diagnostics.info(NOT_TIMED)
    repeated = "".join(f" --set {shlex.quote(setting)}" for setting in settings)
    diagnostics.info(f"next: tinfl sweep {quote_path(options.config_file)}{repeated}")


def show_plan(config: Config) -> None:
    """Show the plan of a sweep, without timing it (`tinfl sweep --dry-run`)."""
    config = _as_planned(config)
    if config.model.weights is not None:
        check_before_packing(config)
    with ProgressLine() as line:
        data = open_datasets(config, line.stage, trusted=True)
    workers = worker_devices(config.compute, warn=diagnostics.warn) if trains_here(config) else []
    _check_network(config, data)
    _warn_of_few_masks(config.design)
    plan = describe(config, data, workers)
    _warn_of_far_goal(config, plan["models_needed"])
    for text in _lines(plan):
        output.write_line(text)


def _as_planned(config: Config) -> Config:
    """Return a config with the models that its run plans by now: those by which it has grown belong to the plan."""
    try:
        info = read_run_info(config.output)
        changes = changed_settings(config, info)
    except ResultsError:  # no run yet; or none that can be read, which `tinfl sweep` refuses
        return config
    if info.arms or info.is_imported or changes:
        return config
    models = planned_models(config.design, info.models)
    return config.model_copy(update={"design": config.design.model_copy(update={"models": models})})


def _warn_of_few_masks(design: DesignSection) -> None:
    if 0 < design.heldout_masks < MIN_HELDOUT_MASKS:
        diagnostics.warn(
            f"there will be no LDS: {pluralize(design.heldout, 'held-out model')} of "
            f"{pluralize(design.heldout_masks, 'mask')}, and it takes {MIN_HELDOUT_MASKS} masks"
        )
    elif 0 < design.repeated_masks < MIN_REPEATED_MASKS:
        diagnostics.warn(
            f"the LDS will have no ceiling: it takes {MIN_REPEATED_MASKS} held-out masks with several models each, and "
            f"{pluralize(design.heldout, 'held-out model')} are {design.repeated_masks}"
        )


def _warn_of_far_goal(config: Config, needed: dict[str, Any] | None) -> None:
    least = needed.get("goal_low") if needed else None
    if warning := far_goal(config.design.until, least, config.design.max_models):
        diagnostics.warn(warning)


def _suggest(config: Config, cost: Cost, resolution: int, workers: list[str]) -> list[dict[str, Any]]:
    """Return the costs of cheaper recipes, each with the settings that differ from the config's."""
    with ProgressLine() as line:
        recipes = cheaper_recipes(resolution, cost.steps_per_model, config.train.resolutions)
        timed = time_recipes(config, recipes, workers, line.stage)
    return [
        {
            "recipe": recipe.name,
            "settings": recipe.settings,
            "seconds_per_model": cheaper.seconds_per_model,
            "steps_per_model": cheaper.steps_per_model,
            "seconds": cheaper.seconds,
        }
        for recipe, cheaper in timed
        if cheaper.seconds < cost.seconds
    ]


def _suggestion_lines(config: Config, plan: dict[str, Any]) -> list[str]:
    """Return a table of recipes, with what to write in the config, and what a ranking by a cheaper one is good for."""
    if "suggestions" not in plan:
        return []
    if not plan["suggestions"]:
        return ["", "no recipe that was tried is cheaper here: the images are small, or the machine is busy"]
    train = config.train
    rows = [
        [
            Text(recipe["recipe"]),
            Text(f"{recipe['seconds_per_model']:.2f}"),
            Text(format_duration(recipe["seconds"])),
            Text(", ".join(_toml_setting(key, value, train) for key, value in recipe["settings"].items())),
        ]
        for recipe in [{**plan, "recipe": "this config", "settings": {}}, *plan["suggestions"]]
    ]
    header = [Text(title) for title in ("recipe", "s a model", "in all", "in the config")]
    width = max(row[-1].cell_len for row in [header, *rows])
    for row in [header, *rows]:
        row[-1].pad_right(width - row[-1].cell_len)
    length = f"--epochs {train.epochs}" if train.steps is None else f"--steps {train.steps}"
    has_other_resolution = any("model.resolution" in recipe["settings"] for recipe in plan["suggestions"])
    resolution = f"--resolution {plan['resolution']} " if has_other_resolution else ""
    return [
        "",
        *(line.plain.rstrip() for line in small_table(header, rows, left=1)),
        "A ranking by a cheaper recipe carries over only in part: retrain a recommended set by your own recipe, with",
        f"tinfl prune {quote_path(config.output)} {resolution}{length}",
    ]


def _toml_setting(key: str, value: int | list[int], train: TrainSection) -> str:
    section, _, name = key.partition(".")
    replaced = " instead of epochs" if key == "train.steps" and train.steps is None else ""
    return f"[{section}] {name} = {value}{replaced}"


def _check_network(config: Config, data: Datasets) -> None:
    side = config.model.network_side(data.resolution)
    check_network(config.model, (len(data.source.classes), data.channels, side))


def describe(config: Config, data: Datasets, workers: list[str]) -> dict[str, Any]:
    """Return the plan of a sweep: the sizes of its data, design and models.

    Raises:
        ConfigError: the design is impossible for this source.
    """
    groups = len(data.groups.names)
    clusters = config.n_clusters(groups)
    check_design(config.design, groups, config.run.seed, clusters)
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
        "resolution": config.model.network_side(data.resolution),
        "stored_side": data.resolution,
        "channels": data.channels,
        "design": f"{config.design.kind} alpha={config.design.alpha:g}",
        "training": describe_training(config_to_json(config)),
        "models": config.n_models,
        "max_models": config.n_models_at_most,
        "until": config.design.until,
        "heldout": config.design.heldout,
        "heldout_repeats": config.design.heldout_repeats,
        "heldout_masks": config.design.heldout_masks,
        "prior": config.n_prior,
        "clusters": clusters,
        "models_over_classes": models_over_classes(config.design.models, groups, clusters) if clusters else None,
        "executor": config.compute.executor,
        "workers": workers,
        "models_needed": _models_needed(config, groups),
    }


def _models_needed(config: Config, groups: int) -> dict[str, Any] | None:
    """Return the models that a usable order will take; None where single images are the groups.

    Of a run that has begun it is what its own models say, else a rule.
    """
    if config.source.groups == "example":
        return None
    has_clusters = config.n_clusters(groups) > 0  # the rule is of masks over single classes
    measured = read_growth(Paths(config.output)).latest
    if measured is not None:
        text = describe_forecast(forecast_of(measured), measured.models)
        needed = {"goal": measured.goal, "expected": measured.expected, "low": measured.low, "high": measured.high}
        return needed | {
            "goal_low": measured.low,
            "from_models": measured.models,
            "text": [f"{text}, by the {measured.models:,} recorded"],
        }
    if has_clusters:
        return None
    estimator = default_estimator(has_prior=config.n_prior > 0, groups=groups)
    noun = "classes" if config.source.groups == "class" else "groups"
    rule = models_for(USABLE, groups, config.design.kind, estimator)
    sentences = describe_model_count(groups, config.design.model_dump(), estimator, config.design.models, noun)
    until = config.design.until
    goal_low = None if until is None else models_for(until, groups, config.design.kind, estimator).low
    return {"goal": USABLE, **vars(rule), "goal_low": goal_low, "from_models": 0, "text": sentences}


def _lines(plan: dict[str, Any]) -> list[str]:
    source = plan["source"]
    size = f"{plan['resolution']} x {plan['resolution']} px, {'grey' if plan['channels'] == 1 else 'colour'}"
    if plan["stored_side"] != plan["resolution"]:
        size += f", stored with {plan['stored_side']} px"
    lines = [
        f"run      {plan['run']} -> {printable(plan['output'])}",
        f"source   {source['images']:,} images in {source['classes']:,} classes, {source['groups']:,} groups; {size}"
        + (f"; {source['ungrouped']:,} images in no group, so in every model" if source["ungrouped"] else "")
        + (f"; {source['skipped']} unreadable images skipped" if source["skipped"] else ""),
    ]
    lines += [
        f"target   {target['name']}: {target['train']:,} training and {target['test']:,} test images "
        f"in {target['classes']:,} classes, {target['transfer']}"
        + (f"; {target['skipped']} unreadable images skipped" if target["skipped"] else "")
        for target in plan["targets"]
    ]
    workers = plan["workers"]
    prior = f" and {pluralize(plan['prior'], 'prior network')}" if plan["prior"] else ""
    masks = f" ({pluralize(plan['heldout_masks'], 'mask')})" if plan["heldout_masks"] < plan["heldout"] else ""
    lines.append(
        f"plan     {pluralize(plan['models'], 'model')}, {plan['heldout']:,} of them held out{masks}{prior}; "
        f"design {plan['design']}, {plan['training']}; "
        + (
            ", ".join(f"{pluralize(workers.count(device), 'worker')} on {device}" for device in dict.fromkeys(workers))
            or plan["executor"]
        )
    )
    if plan["clusters"]:
        sizes = describe_sizes(equal_sizes(source["groups"], plan["clusters"]))
        lines.append(
            f"clusters {sizes} first, as masks over single classes would take about "
            f"{plan['models_over_classes']:,} models to say as much of these"
        )
    if plan["until"] is not None:
        most = plan["max_models"] - plan["models"]
        lines.append(f"until    reliability {plan['until']:g}: up to {pluralize(most, 'further model')}")
    lines += [f"needed   {text}" for text in (plan["models_needed"] or {"text": []})["text"]]
    if "seconds" in plan:
        most = "" if plan["until"] is None else f" to {format_duration(plan['max_seconds'])}"
        lines += [
            f"cost     {plan['seconds_per_model']:.2f} s per model and worker ({', '.join(plan['numerics'])}), "
            f"{plan['models_per_hour']:,.0f} models per hour: {format_duration(plan['seconds'])}{most} in all",
            f"disk     {plan['disk_bytes'] / 2**20:,.1f} MiB of results",
        ]
        if plan["streamed_bytes"]:
            lines.append(f"memory   {format_bytes(plan['streamed_bytes'])} of images are read while the network trains")
    return lines
