"""`tinfl init`: write a config to start from, a commented template or one for directories of images."""

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.starting import InitOptions
from tui_influence.cli.progress import ProgressLine
from tui_influence.config.errors import InvalidConfigError
from tui_influence.config.loader import parse_config
from tui_influence.config.template import make_template
from tui_influence.errors import ConfigError
from tui_influence.export.files import write_text_atomically
from tui_influence.text import printable, quote_path


def init(options: InitOptions) -> None:
    """Write the template of a config for a kind of dataset, or the config for three directories."""
    is_to_stdout = str(options.path) == "-"
    if not is_to_stdout and options.path.exists() and not options.force:
        raise ConfigError(f"{printable(str(options.path))} already exists; --force replaces it")
    is_for_folders = not (options.source is options.train is options.test is None)
    text = _text_for_folders(options) if is_for_folders else _template(options)
    if is_to_stdout:
        output.write(text)
        return
    write_text_atomically(options.path, text)
    diagnostics.info(f"wrote {options.path}")
    if is_for_folders:
        config = parse_config(text, str(options.path))
        design = config.design
        diagnostics.info(
            f"{config.run.name}: {design.models} models and {design.heldout} held out, design {design.kind}, "
            f"{config.model.resolution} px"
        )
    diagnostics.info(f"next: {'' if is_for_folders else 'edit it, then   '}tinfl check {quote_path(options.path)}")


def _template(options: InitOptions) -> str:
    for option, value in (("--name", options.name), ("--slurm", options.slurm), ("--ray", options.ray)):
        if value:
            raise ConfigError(f"{option} needs --source, --train and --test: the template has every section")
    return make_template(options.kind or "builtin")


def _text_for_folders(options: InitOptions) -> str:
    missing = [
        f"--{name}"
        for name, value in (("source", options.source), ("train", options.train), ("test", options.test))
        if value is None
    ]
    if missing or options.source is None or options.train is None or options.test is None:
        verb = "is" if len(missing) == 1 else "are"
        raise ConfigError(f"{' and '.join(missing)} {verb} needed as well: a sweep has a source and a target")
    if options.kind not in (None, "folder"):
        raise ConfigError('--kind chooses a template; directories of images are always of kind "folder"')
    if options.slurm and options.ray:
        raise ConfigError("--slurm and --ray exclude each other: a run has one executor")
    from tui_influence.runs.folder_config import Folders, config_for_folders  # here: the template needs no datasets

    executor = "slurm" if options.slurm else "ray" if options.ray else None
    folders = Folders(options.source, options.train, options.test)
    try:
        with ProgressLine() as line:
            return config_for_folders(folders, options.name, executor, lambda stage: line.stage(stage, 0, 0))
    except InvalidConfigError as error:
        raise ConfigError(f"--name: {error.problems[0].message}") from None
