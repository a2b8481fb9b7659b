"""Which target examples a ranking is about: all of them, those of one class, or one."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ConfigError
from tui_influence.text import printable


@dataclass(frozen=True)
class Selection:
    """Target examples that count.

    Attributes:
        columns: sorted indices into the target's examples.
        target_class: the class they are all of, if that is what was asked for.
        example: the one example, if that is what was asked for.
    """

    columns: NDArray[np.intp]
    target_class: str | None = None
    example: int | None = None


def select(
    labels: NDArray[Any],
    class_names: Sequence[str],
    *,
    target_class: str | None = None,
    example: int | None = None,
    eligible: NDArray[np.bool_] | None = None,
) -> Selection:
    """Choose target examples.

    Args:
        labels: (n,) int, indices into `class_names`.
        class_names: the target's classes.
        target_class: only this class.
        example: only this example; then `eligible` does not matter: it was asked for by number.
        eligible: (n,) bool, the split that counts; None for all.

    Raises:
        ConfigError: both a class and an example, an unknown class (the nearest is named), an example that does not
            exist, or nothing left.
    """
    n = labels.shape[0]
    if target_class is not None and example is not None:
        raise ConfigError("choose a target class or a target example, not both")
    if example is not None:
        if not 0 <= example < n:
            raise ConfigError(f"target example {example} is not one of 0 to {n - 1}")
        return Selection(np.array([example], dtype=np.intp), None, example)
    chosen = np.ones(n, dtype=bool) if eligible is None else eligible.copy()
    if target_class is not None:
        chosen &= labels == _class_index(target_class, class_names)
    if not chosen.any():
        wanted = "in this split" if target_class is None else f"of class {printable(target_class)!r} in this split"
        raise ConfigError(f"the target has no example {wanted}")
    return Selection(np.flatnonzero(chosen), target_class)


def _class_index(name: str, class_names: Sequence[str]) -> int:
    if name in class_names:
        return list(class_names).index(name)
    near = difflib.get_close_matches(name, class_names, n=1)
    hint = f"; did you mean {printable(near[0])!r}?" if near else ""
    raise ConfigError(f"the target has no class {printable(name, 80)!r}{hint}")
