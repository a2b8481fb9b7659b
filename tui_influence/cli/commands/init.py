"""`tinfl init`: write a commented config to start from."""

from tui_influence.cli import diagnostics, output
from tui_influence.cli.options.starting import InitOptions
from tui_influence.config.template import make_template
from tui_influence.errors import ConfigError
from tui_influence.export.files import write_text_atomically
from tui_influence.text import quote_path


def init(options: InitOptions) -> None:
    """Write the template of a config for a kind of dataset."""
    text = make_template(options.kind)
    if str(options.path) == "-":
        output.write(text)
        return
    if options.path.exists() and not options.force:
        raise ConfigError(f"{options.path} already exists; --force replaces it")
    write_text_atomically(options.path, text)
    diagnostics.info(f"wrote {options.path}")
    diagnostics.info(f"next: edit it, then   tinfl check {quote_path(options.path)}")
