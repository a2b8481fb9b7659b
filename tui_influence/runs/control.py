"""Asking a run to stop, from any process or machine that sees its directory."""

from enum import IntEnum

from tui_influence.errors import ResultsError
from tui_influence.store.files import read_json, write_json
from tui_influence.store.paths import Paths


class Stop(IntEnum):
    """How urgently a run is asked to stop."""

    NO = 0
    AFTER_MODELS_IN_HAND = 1
    AT_ONCE = 2


def stop_request(paths: Paths) -> Stop:
    """Return what the run was asked."""
    if not paths.stop.exists():
        return Stop.NO
    try:
        return Stop(read_json(paths.stop, limit=1024)["level"])
    except (ResultsError, KeyError, TypeError, ValueError):
        return Stop.AFTER_MODELS_IN_HAND


def request_stop(paths: Paths, *, at_once: bool = False) -> Stop:
    """Ask a run to stop: the first time after the models in hand, the second time at once.

    Returns:
        how urgently it is asked now.
    """
    asked = stop_request(paths)
    level = Stop.AT_ONCE if at_once or asked is not Stop.NO else Stop.AFTER_MODELS_IN_HAND
    write_json(paths.stop, {"level": int(level)}, durable=False)
    return level


def clear_stop(paths: Paths) -> None:
    """Forget an old request, when a run starts."""
    paths.stop.unlink(missing_ok=True)
