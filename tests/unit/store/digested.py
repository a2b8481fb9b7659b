"""Files of JSON that somebody else wrote, with the digest to match: what is in them is then looked at."""

import json
from pathlib import Path
from typing import Any

from tui_influence.store.json_values import with_digest


def write_with_digest(path: Path, values: dict[str, Any]) -> None:
    """Write `run.json`, `arms.json` or `growth.json` with other values, and the digest of those."""
    path.write_text(json.dumps(with_digest({key: value for key, value in values.items() if key != "digest"})))
