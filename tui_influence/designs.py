"""Designs: the groups that each model is trained on, and its seed.

A design is a pure function: row (role, i) of a run depends on the run's seed, the role and i alone. A sweep can
therefore be extended, split over machines or resumed without changing an existing row. Held-out rows i share the mask
i // `heldout_repeats`: trainings of one mask differ by chance alone, and say how much of an output that is.

There are three kinds:

- `fixed` (Jain et al. 2022, section 2): exactly round(alpha K) of the K groups, uniformly at random. All
  models are trained on equally many groups, so the influences of a `fixed` design sum to zero: each compares a group
  with the average group, not with no group.
- `bernoulli`: each group independently, with probability alpha.
- `balanced`: columns of a Hadamard matrix with foldover (Plackett & Burman 1946; Box & Wilson 1951). Main effects
  are orthogonal, each mask is followed by its complement, and the two share their training seed, so that its
  effect cancels from the difference.
"""

from dataclasses import dataclass
from math import comb
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tui_influence.config.schema import DesignKind, DesignSection
from tui_influence.errors import ConfigError
from tui_influence.roles import Role

Mask = NDArray[np.bool_]

MIN_GROUPS = 2
"""A classifier needs two classes, and an influence needs another group to compare with."""
_MORE_GROUPS = (
    'use a source with more classes, or divide them by a CSV file or into images ([source] groups = "example")'
)


MAX_PLAN_BYTES = 1 << 30
"""Limit of the memory of a plan's rows, which take more than its file; the limit of a file of a run is the same."""

_ROW_BYTES = 400
"""Memory of a row besides its mask, which takes a byte a group."""

_STREAM = {Role.ESTIMATE: 1, Role.HELDOUT: 2, Role.PRIOR: 8}
_SPLIT_STREAM = 3
_SUBSET_STREAM = 4
_ARM_STREAM, _DROP_STREAM, _TIE_STREAM = 5, 6, 7


@dataclass(frozen=True)
class Row:
    """One model to train.

    Attributes:
        role: role of the model.
        index: i, counted from 0 within the role.
        mask: (K,) bool, the groups it is trained on.
        seed: seed of everything random in its training.
        cluster: rows of one role that share a cluster share their seed.
    """

    role: Role
    index: int
    mask: Mask
    seed: int
    cluster: int


@dataclass(frozen=True)
class Design:
    """The rule that draws masks and seeds for K groups from one seed.

    Attributes:
        kind: how masks are drawn.
        alpha: fraction of the groups that a mask keeps.
        groups: K.
        seed: of the run.
        heldout_repeats: held-out rows that share a mask, each with a seed of its own.

    Raises:
        ConfigError: fewer than three groups, or an alpha that keeps fewer than two groups or leaves none out.
    """

    kind: DesignKind
    alpha: float
    groups: int
    seed: int
    heldout_repeats: int = 1

    def __post_init__(self) -> None:
        if self.groups <= MIN_GROUPS:
            raise ConfigError(
                f"a design needs at least {MIN_GROUPS + 1} groups, as a model is trained on {MIN_GROUPS} or more and "
                f"leaves one out; the source has {self.groups}: {_MORE_GROUPS}"
            )
        if self.kind == "fixed" and not MIN_GROUPS <= self.mask_size < self.groups:
            raise ConfigError(
                f"alpha = {self.alpha:g} keeps {self.mask_size} of {self.groups} groups: "
                f"it must keep at least {MIN_GROUPS} and leave at least one out"
            )

    @property
    def mask_size(self) -> int:
        """Groups that a `fixed` mask keeps."""
        return round(self.alpha * self.groups)

    @property
    def possible_masks(self) -> int:
        """Number of different masks that the design can draw."""
        if self.kind == "fixed":
            return comb(self.groups, self.mask_size)
        return (1 << self.groups) - 2 - self.groups  # not: none, all, a single one

    def row(self, role: Role, index: int, start: int = 0) -> Row:
        """Return row `index` of `role`; a row of `prior` has every group.

        Args:
            role: of the row.
            index: of the row.
            start: row that gets the first mask of the design; even, so that pairs stay whole. Seeds depend on `index`.
        """
        if role is Role.PRIOR:
            return Row(role, index, np.ones(self.groups, dtype=bool), self._seed(role, index), index)
        if self.kind == "balanced" and role is Role.ESTIMATE:
            pair, second = divmod(index, 2)
            mask = self._balanced_mask(pair - start // 2)
            return Row(role, index, ~mask if second else mask, self._seed(role, pair), pair)
        number = index // self.heldout_repeats if role is Role.HELDOUT else index
        rng = self._rng(role, number - start)
        mask = _fixed_mask(rng, self.groups, self.mask_size) if self.kind == "fixed" else self._bernoulli_mask(rng)
        return Row(role, index, mask, self._seed(role, index), index)

    def rows(self, role: Role, count: int) -> list[Row]:
        """Return the first `count` rows of `role`."""
        return [self.row(role, index) for index in range(count)]

    def _rng(self, role: Role, index: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, _STREAM[role], index))

    def _seed(self, role: Role, index: int) -> int:
        return int(np.random.SeedSequence((self.seed, _STREAM[role], index, 1)).generate_state(1, np.uint32)[0])

    def _bernoulli_mask(self, rng: np.random.Generator) -> Mask:
        while True:
            mask = rng.random(self.groups) < self.alpha
            if MIN_GROUPS <= mask.sum() < self.groups:
                return mask

    def _balanced_mask(self, pair: int) -> Mask:
        """Return the first mask of a pair: a row of a Hadamard block whose columns and rows are shuffled per block.

        A block of order N >= K has N pairs. Each group gets another column, each column and row a random sign.
        """
        order = _hadamard_order(self.groups)
        block, position = divmod(pair, order)
        rng = np.random.default_rng((self.seed, _STREAM[Role.ESTIMATE], 0, block, 2))
        columns = rng.permutation(order)[: self.groups]
        signs = rng.integers(0, 2, self.groups).astype(bool)
        row = rng.permutation(order)[position]
        # Sylvester's matrix, one row: H[r, c] = (-1) ** popcount(r & c).
        odd = np.array([int(row & column).bit_count() % 2 == 1 for column in columns])
        mask: Mask = odd ^ signs
        mask_size = int(mask.sum())
        if MIN_GROUPS <= mask_size <= self.groups - MIN_GROUPS:
            return mask
        # A degenerate pair (its complement keeps almost nothing) is replaced by a random half; only tiny K has any.
        return _fixed_mask(
            np.random.default_rng((self.seed, _STREAM[Role.ESTIMATE], pair, 3)), self.groups, self.groups // 2
        )


def make_design(section: DesignSection, groups: int, seed: int) -> Design:
    """Return the design of a config, checked against the number of groups.

    Raises:
        ConfigError: the design is impossible for this number of groups, or has more models than masks, or more than
            can be planned.
    """
    design = Design(section.kind, section.alpha, groups, seed, section.heldout_repeats)
    if section.kind == "balanced" and groups < 2 * MIN_GROUPS:
        raise ConfigError(
            f"a balanced design needs at least {2 * MIN_GROUPS} groups; the source has {groups}: choose another "
            f"[design] kind, or {_MORE_GROUPS}"
        )
    models = max(section.models, section.max_models or 0)
    planned = models + section.heldout + section.prior
    max_models = MAX_PLAN_BYTES // (groups + _ROW_BYTES)
    if planned > max_models:
        raise ConfigError(
            f"{planned:,} models of {groups:,} groups are more than can be planned: at most {max_models:,}"
        )
    masks = models + section.heldout_masks
    if masks > design.possible_masks:
        raise ConfigError(
            f"{masks} masks are requested, but only {design.possible_masks} different masks "
            f"of {groups} groups exist at alpha = {section.alpha:g}"
        )
    return design


def planned_models(section: DesignSection, planned: int) -> int:
    """Return the models to estimate from that a run plans: its config's, or all those by which it has grown.

    Args:
        section: `[design]` of its config.
        planned: models that it has planned before; 0 for a new run.
    """
    return section.models if section.until is None else max(section.models, planned)


class RowSource(Protocol):
    """Whatever draws the rows of a sweep."""

    def row(self, role: Role, index: int) -> Row:
        """Return row `index` of `role`."""


def schedule(
    design: RowSource, models: int, heldout: int, prior: int = 0, planned: int | None = None, further: int = 0
) -> list[Row]:
    """Return all rows of a sweep in training order: the prior first, and held-out rows spread evenly among the others.

    So there is a ranking from the first minutes on, and the influences of a run that is stopped early can be checked.

    Args:
        design: that draws the rows.
        models: rows of the `estimate` role.
        heldout: rows of the `heldout` role.
        prior: rows of the `prior` role.
        planned: stop after so many rows of the `estimate` role: the beginning of the whole plan.
        further: rows of the `estimate` role by which the sweep has grown; they come after all others.
    """
    rows = [design.row(Role.PRIOR, index) for index in range(prior)]
    n_heldout = 0
    for index in range(models if planned is None else min(planned, models)):
        rows.append(design.row(Role.ESTIMATE, index))
        while n_heldout < (index + 1) * heldout // models:
            rows.append(design.row(Role.HELDOUT, n_heldout))
            n_heldout += 1
    return rows + [design.row(Role.ESTIMATE, models + index) for index in range(further)]


def split_examples(labels: NDArray[np.int64], seed: int) -> Mask:
    """Split a target's test examples into halves: influences come from the first, gains are reported on the second.

    Args:
        labels: (n,) class of each example.
        seed: of the run.

    Returns:
        (n,) bool, True for the `estimate` half; half of each class, the odd one out at random.
    """
    rng = np.random.default_rng((seed, _SPLIT_STREAM))
    estimate = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        half = (len(members) + int(rng.integers(0, 2))) // 2
        estimate[members[:half]] = True
    return estimate


def arm_seed(seed: int, arm: str, repeat: int) -> int:
    """Return the training seed of one repeat of an arm: it depends on the run's seed, the arm and the repeat alone."""
    return int(np.random.SeedSequence((seed, _ARM_STREAM, *arm.encode(), repeat)).generate_state(1, np.uint32)[0])


def draw_dropped_groups(seed: int, groups: int, k: int, repeat: int) -> NDArray[np.int64]:
    """Return the k groups that a repeat drops at random, ascending; another draw for every k and repeat."""
    rng = np.random.default_rng((seed, _DROP_STREAM, k, repeat))
    return np.sort(rng.choice(groups, k, replace=False))


def shuffle_groups(seed: int, groups: int, repeat: int) -> NDArray[np.int64]:
    """Return all groups in the random order in which a repeat breaks ties."""
    return np.random.default_rng((seed, _TIE_STREAM, repeat)).permutation(groups)


def choose_per_class(labels: NDArray[np.int64], count: int, seed: int, stream: int = 0) -> NDArray[np.int64]:
    """Return at most `count` examples of each class, drawn with `seed`, in their original order.

    Args:
        labels: (N,) class of each example.
        count: examples of each class; a class with fewer keeps all.
        seed: seed of the run.
        stream: number of the draw within a run.

    Returns:
        sorted indices.
    """
    rng = np.random.default_rng((seed, _SUBSET_STREAM, stream))
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.int64)


def _fixed_mask(rng: np.random.Generator, groups: int, mask_size: int) -> Mask:
    mask = np.zeros(groups, dtype=bool)
    mask[rng.choice(groups, mask_size, replace=False)] = True
    return mask


def _hadamard_order(groups: int) -> int:
    order = 1
    while order < groups:
        order *= 2
    return order
