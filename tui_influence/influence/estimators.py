"""The estimators: a table that loads no array code, so that help texts and the app can list them.

An estimator `name` is the function `name` in the module `tui_influence.influence.name`, with the signature
`(masks (m, K), outputs (m, n), clusters (m,) or None) -> Estimate`. Everything else in the program that depends on the
estimator reads its entry in `ESTIMATORS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tui_influence.errors import ConfigError
from tui_influence.text import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_influence.influence.outputs import Floats, Mask, OutputMatrix
    from tui_influence.influence.prior import OutputPrior
    from tui_influence.influence.types import Estimate


@dataclass(frozen=True)
class Estimator:
    """One way of computing influences from masks and outputs.

    Attributes:
        name: as in `--estimator`; also of its module and of the function in it.
        description: one line for help texts.
        meaning: what an influence is, as a noun phrase with the fields `quantity`, `examples`, `noun` and `nouns`.
        supports_only: its function takes `only`, the groups to estimate, and is faster for fewer; and `pooled`, for
            cheaper standard errors.
        is_linear: the influence on a sum of outputs is the sum of the influences on each.
        needs_prior: its function takes `prior`; it is for runs with prior networks.
        needs_penalty: its function takes `penalty`; its halves share the one that all models lead to.
        reliability_meaning: what the reliability of its rankings is, as a noun phrase.
        extremes_coverage: in words, how many 95% intervals of the three highest and lowest of a ranking hold the truth
            in simulations (`benchmarks/bench_coverage.py`).
        halves: function of its module that estimates both halves of all splits at once, `(masks (m, K), outputs (m,),
            clusters, in_first (splits, m), penalty) -> two (K, splits)`. Empty: its function is called for each half.
    """

    name: str
    description: str
    meaning: str
    reliability_meaning: str = "the rank correlation to expect with a second sweep of this size"
    extremes_coverage: str = "fewer"
    supports_only: bool = False
    is_linear: bool = False
    needs_prior: bool = False
    needs_penalty: bool = False
    halves: str = ""

    def estimate(
        self,
        masks: Mask,
        outputs: Floats | OutputMatrix,
        clusters: NDArray[Any] | None = None,
        *,
        only: NDArray[np.intp] | None = None,
        pooled: bool = False,
        prior: OutputPrior | None = None,
    ) -> Estimate:
        """Estimate the influence of all groups, or of some.

        Args:
            masks: (m, K) bool.
            outputs: (m, n) float, (m,) for one example, or an `OutputMatrix`.
            clusters: (m,) int, equal for models that share a training seed; None if no two do.
            only: (K',) indices of groups; the result has these rows alone. None for all.
            pooled: cheaper standard errors, where the estimator has them (see `Differences`).
            prior: of the outputs; None where there are no prior networks.

        Raises:
            ConfigError: the estimator needs a prior, and there is none.
        """
        function: Callable[..., Estimate] = self.load(self.name)
        if self.supports_only:
            return function(masks, outputs, clusters, only=only, pooled=pooled)
        options = {"prior": self._require(prior)} if self.needs_prior else {}
        estimate = function(masks, outputs, clusters, **options)
        return estimate if only is None else estimate.of_groups(only)

    def _require(self, prior: OutputPrior | None) -> OutputPrior:
        if prior is None:
            raise ConfigError(
                f"`{self.name}` needs prior networks, and this run has none: [design] prior adds them, or "
                "`tinfl import --prior`"
            )
        return prior

    def load(self, name: str) -> Callable[..., Any]:
        """Return a function of the estimator's module."""
        function: Callable[..., Any] = getattr(import_module(f"tui_influence.influence.{self.name}"), name)
        return function


PRIOR_ESTIMATOR = "informed"
"""For runs with prior networks."""
DEFAULT_ESTIMATOR = "ridge"
"""For runs without prior networks."""
PLAIN_ESTIMATOR = "difference"
"""For single examples, for runs of more than `MAX_RIDGE_GROUPS` groups, and where nothing is known of the run."""
MAX_RIDGE_GROUPS = 2000
"""A regression on more groups takes long, as the cube of their number: it is done only on request."""

ESTIMATORS = {
    estimator.name: estimator
    for estimator in (
        Estimator(
            "difference",
            description="mean output with the group minus without it",
            meaning="{quantity} of {examples} over models trained with the {noun} minus over models trained without it",
            extremes_coverage="40 to 90%",
            supports_only=True,
            is_linear=True,
            halves="difference_halves",
        ),
        Estimator(
            "ridge",
            description="regression on all groups at once",
            meaning=(
                "change of the {quantity} of {examples} when the {noun} joins the training set, "
                "by ridge regression on all {nouns} at once"
            ),
            extremes_coverage="about 90%, or 30 to 90% where few matter,",
            needs_penalty=True,
            halves="ridge_halves",
        ),
        Estimator(
            "informed",
            description="regression that starts from what prior networks say",
            meaning=(
                "change of the {quantity} of {examples} when the {noun} joins the training set, "
                "by regression on all {nouns} at once, shrunk towards what networks trained on all {nouns} say"
            ),
            reliability_meaning="the squared correlation to expect with the true influences",
            extremes_coverage="about 95%, or 75 to 95% where few matter,",
            needs_prior=True,
        ),
    )
}
"""By name, in the order of help texts and of the app's key."""


def find_estimator(name: str) -> Estimator:
    """Return the estimator of a name.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    if name not in ESTIMATORS:
        raise ConfigError(
            f"unknown estimator {name!r}: one of {', '.join(ESTIMATORS)}{did_you_mean(name, [*ESTIMATORS])}"
        )
    return ESTIMATORS[name]


def available_estimators(*, has_prior: bool) -> tuple[str, ...]:
    """Return the names of the estimators that fit a run with or without prior networks, in order."""
    return tuple(name for name, estimator in ESTIMATORS.items() if has_prior or not estimator.needs_prior)


def default_estimator(*, has_prior: bool, groups: int) -> str:
    """Return the name of the estimator to use for a run of so many groups unless another is requested."""
    if has_prior:
        return PRIOR_ESTIMATOR
    return DEFAULT_ESTIMATOR if groups <= MAX_RIDGE_GROUPS else PLAIN_ESTIMATOR


def reliability_meanings() -> str:
    """Return what the reliability of a ranking is by each estimator, to go on after "reliability is"."""
    names: dict[str, list[str]] = {}
    for name, estimator in ESTIMATORS.items():
        names.setdefault(estimator.reliability_meaning, []).append(name)
    return ", ".join(f"by {' and '.join(by)} {meaning}" for meaning, by in names.items())


def estimators_of_single_groups() -> str:
    """Return the names of the estimators that are faster for fewer groups, for a message."""
    return " or ".join(f"`{name}`" for name, estimator in ESTIMATORS.items() if estimator.supports_only)


def estimate(
    estimator: str,
    masks: Mask,
    outputs: Floats | OutputMatrix,
    clusters: NDArray[Any] | None = None,
    prior: OutputPrior | None = None,
) -> Estimate:
    """Estimate by the name of an estimator; see `Estimator.estimate`."""
    return find_estimator(estimator).estimate(masks, outputs, clusters, prior=prior)
