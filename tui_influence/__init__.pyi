from tui_influence.api.run import Run as Run
from tui_influence.api.run import open_run as open

__all__ = ["Run", "__version__", "open"]

__version__: str
