"""tinfl: which parts of a pretraining dataset help or hurt a downstream task.

In a notebook, `tui_influence.open("results/my-run")` returns a run to question (`tui_influence.api.run`). Importing the
package costs nothing: what it offers is imported when it is first used, and every command imports what it needs.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_OFFERED = {"open": "open_run", "Run": "Run"}
"""Names that the package offers, and what they are called in the module `api.run`; `__init__.pyi` has their types."""


def __getattr__(name: str) -> Any:
    if name not in _OFFERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("tui_influence.api.run"), _OFFERED[name])


def __dir__() -> list[str]:
    return sorted([*globals(), *_OFFERED])
