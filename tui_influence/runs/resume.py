"""Resumption of a run: the check of a config against an existing results directory, and the supervisor's request."""

from pathlib import Path

from tui_influence.config.identity import changed_clusters, differences
from tui_influence.config.loader import config_from_json
from tui_influence.config.schema import Config
from tui_influence.designs import planned_models
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.runs.devices import with_devices
from tui_influence.runs.heartbeat import ACTIVE, observe
from tui_influence.runs.ownership import already_running
from tui_influence.runs.supervisor import Request
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import RunInfo, read_run_info, refuse_if_imported
from tui_influence.text import pluralize, printable


def changed_settings(config: Config, info: RunInfo) -> list[str]:
    """Return a line for each setting of a config by which it is not that of a run; see `config.identity`.

    Raises:
        ResultsError: the saved config is damaged, or of another version.
    """
    before = config_from_json(info.config)
    return [*differences(before, config), *changed_clusters(before, config, len(info.source.groups))]


def check_against_results(config: Config, root: Path) -> str:
    """Check that a config may continue the run in its results directory, if there is one.

    Returns:
        a line that describes how it extends that run, or "".

    Raises:
        ConfigError: the directory holds a run of another config; the message lists the differences.
        AlreadyRunningError: the run is active.
        ResultsError: the directory cannot be read, or is not a results directory.
    """
    paths = Paths(root)
    if root.exists() and not root.is_dir():
        raise ResultsError(f"{root}: not a directory; choose another [run] output")
    if observe(paths)[0] in ACTIVE:
        raise already_running(paths)
    if not paths.run.exists():
        if root.exists() and any(not paths.is_run_file(entry.name) for entry in root.iterdir()):
            raise ResultsError(f"{root}: not empty, and not a results directory; choose another [run] output")
        return ""
    info = read_run_info(root)
    if info.arms:
        raise ConfigError(f"{root} holds a pruning, not a sweep; run `tinfl resume` to continue it")
    refuse_if_imported(root, info)
    changes = changed_settings(config, info)
    if changes:
        error = ConfigError(
            f"{root} holds a run of another config ({len(changes)} difference{'' if len(changes) == 1 else 's'}); "
            "choose another [run] output, or change it back"
        )
        error.details = tuple(changes)
        raise error
    planned = (info.models, info.heldout, info.prior)
    models = planned_models(config.design, info.models)
    most = config.design.max_models
    if most is not None and most < info.models:
        raise ConfigError(
            f"{root} was planned with {info.models} models: a run can be extended, not shortened to max_models = {most}"
        )
    rows = (models, config.design.heldout, config.n_prior)
    if any(count < before for count, before in zip(rows, planned, strict=True)):
        raise ConfigError(
            f"{root} was planned with {_count_rows(*planned)}: "
            f"a run can be extended, not shortened to {_count_rows(*rows)} (stop it instead)"
        )
    if rows != planned:
        return f"extending the run from {_count_rows(*planned)} to {_count_rows(*rows)}"
    return ""


def _count_rows(models: int, heldout: int, prior: int) -> str:
    networks = f" + {pluralize(prior, 'prior network')}" if prior else ""
    return f"{models} + {heldout} held-out models{networks}"


def request_to_resume(root: Path, devices: list[str] | str | None = None, *, retry_failed: bool = False) -> Request:
    """Return the supervisor's request to continue a run from its own `run.json`.

    Args:
        root: its results directory.
        devices: instead of the config's.
        retry_failed: try rows again that failed for good.

    Raises:
        ConfigError: the run was imported.
        ResultsError: it cannot be read, or its network is used only if the user's own config names it.
        AlreadyRunningError: it is active.
    """
    paths = Paths(root)
    if paths.heartbeat.exists() and not paths.run.exists():
        if observe(paths)[0] in ACTIVE:
            raise already_running(paths)
        command = "the command that started it" if paths.arms.exists() else "`tinfl sweep CONFIG`"
        raise ResultsError(f"{printable(str(root))}: the run ended before it was prepared; run {command} again")
    info = read_run_info(root)
    refuse_if_imported(root, info)
    config = with_devices(config_from_json(info.config), devices)
    if config.model.needs_own_config:
        part = (
            f"the network of this run is code ({printable(config.model.arch)}), which is not executed"
            if config.model.is_user_code
            else f"the weights of this run are a pickle ({printable(str(config.model.weights))}), which is not read"
        )
        raise ResultsError(
            f"{part} because a results directory names it: start it again from your own config with `tinfl sweep`"
        )
    if observe(paths)[0] in ACTIVE:
        raise already_running(paths)
    return Request(config, root, retry_failed=retry_failed)
