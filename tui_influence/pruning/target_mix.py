"""Outputs of a run's models on one target, or on a weighted mix of several, as one number a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from tui_influence.errors import ConfigError, ResultsError
from tui_influence.influence.outputs import Mask, OutputMatrix, mean_output, mean_outputs_by_label
from tui_influence.influence.prior import OutputPrior, class_prior
from tui_influence.influence.types import OutputKind
from tui_influence.store.examples import Examples
from tui_influence.store.generation import Outputs
from tui_influence.store.prior_records import PriorMeasures
from tui_influence.store.run_info import RunInfo
from tui_influence.text import printable


@dataclass(frozen=True)
class TargetOutputs:
    """One target: its examples, the outputs of the models on them, and what prior networks say, if any do."""

    name: str
    examples: Examples
    outputs: Outputs
    prior: PriorMeasures | None = None


@dataclass(frozen=True)
class TargetMix:
    """Targets with weights.

    Attributes:
        targets: outputs on each target.
        weights: of each; they sum to one.
        indices: (m,) models that are recorded for every target, ascending.
    """

    targets: tuple[TargetOutputs, ...]
    weights: tuple[float, ...]
    indices: NDArray[np.int64]

    @classmethod
    def from_outputs(cls, targets: Sequence[TargetOutputs], weights: Mapping[str, float]) -> "TargetMix":
        """Combine targets by the weights of their names."""
        total = sum(weights[target.name] for target in targets)
        shared = reduce(np.intersect1d, (target.outputs.indices for target in targets))
        return cls(tuple(targets), tuple(weights[target.name] / total for target in targets), shared)

    @property
    def masks(self) -> Mask:
        """(m, K) groups of each model."""
        return self.targets[0].outputs.masks[self.rows(self.targets[0])]

    @property
    def clusters(self) -> NDArray[np.int64] | None:
        """(m,) equal for models that share a training seed; None if all are independent."""
        clusters = self.targets[0].outputs.clusters[self.rows(self.targets[0])]
        return clusters if len(np.unique(clusters)) < len(clusters) else None

    def mean(self, kind: OutputKind, *, estimate: bool) -> NDArray[np.float64]:
        """(m,) mean output over one half of the test examples: `estimate`, or else `evaluate`."""
        mean = np.zeros(len(self.indices))
        for target, weight in zip(self.targets, self.weights, strict=True):
            mean += weight * self.target_mean(target, kind, estimate=estimate)
        return mean

    def target_mean(self, target: TargetOutputs, kind: OutputKind, *, estimate: bool) -> NDArray[np.float64]:
        """(m,) mean output over one half of one target's test examples."""
        return mean_output(self.matrix(target, kind), target.examples.estimate == estimate)[self.rows(target)]

    def prior(self, kind: OutputKind) -> OutputPrior | None:
        """Return the prior of `mean(kind, estimate=True)`; None where some target has no prior networks."""
        priors: list[OutputPrior] = []
        for target, weight in zip(self.targets, self.weights, strict=True):
            if target.prior is None or not len(target.prior):
                return None
            measures, estimate, labels = target.prior, target.examples.estimate, target.examples.labels
            classes = measures.mapping.shape[2]
            outputs = mean_outputs_by_label(self.matrix(target, kind), estimate, labels, classes)[self.rows(target)]
            prior = class_prior(measures.mapping, measures.ablation, outputs, measures.class_clusters)
            prior = prior.of_mean(labels[estimate])
            priors.append(prior.of_outputs(weight * prior.shares))
        return OutputPrior(
            covariates=np.concatenate([prior.covariates for prior in priors], axis=1),
            class_outputs=np.concatenate([prior.class_outputs for prior in priors], axis=1),
            shares=np.concatenate([prior.shares for prior in priors], axis=1),
            labels=priors[0].labels,
            common=sum(prior.common for prior in priors) / len(priors),
        )

    def anchors(self, kind: OutputKind) -> NDArray[np.float64] | None:
        """(P,) mean outputs of the prior networks on the estimate half; None where some target has none."""
        priors = [target.prior.outputs for target in self.targets if target.prior and target.prior.outputs]
        if len(priors) < len(self.targets):
            return None
        shared = reduce(np.intersect1d, (prior.indices for prior in priors))
        mean = np.zeros(len(shared))
        for target, prior, weight in zip(self.targets, priors, self.weights, strict=True):
            outputs = OutputMatrix(prior.margins, prior.predicted, target.examples.labels, kind)
            of_networks = mean_output(outputs, target.examples.estimate)
            mean += weight * of_networks[np.isin(prior.indices, shared)]
        return mean

    def matrix(self, target: TargetOutputs, kind: OutputKind) -> OutputMatrix:
        """Outputs of all models of one target, in the order of its records."""
        return OutputMatrix(target.outputs.margins, target.outputs.predicted, target.examples.labels, kind)

    def rows(self, target: TargetOutputs) -> NDArray[np.intp]:
        """(m,) where the models are in the records of one target."""
        return np.searchsorted(target.outputs.indices, self.indices)


def parse_weights(options: Sequence[str], info: RunInfo) -> dict[str, float]:
    """Return the weight of each target that is named as NAME or NAME=WEIGHT; of the first if none is.

    Raises:
        ConfigError: a weight is no positive number, or a target does not exist or is named twice.
    """
    if not options:
        return {info.targets[0].name: 1.0}
    weights: dict[str, float] = {}
    for text in options:
        name, _, number = text.partition("=")
        try:
            weight = float(number or 1)
        except ValueError:
            weight = -1.0
        if not (isfinite(weight) and weight > 0):
            raise ConfigError(f'--target {printable(text, 80)}: "{printable(number, 30)}" is not a weight')
        info.target_index(name)
        if name in weights:
            raise ConfigError(f"--target {printable(name, 80)} is given twice")
        weights[name] = weight
    return weights


def refuse_half_without_examples(target: TargetOutputs) -> None:
    """Refuse a target whose test examples cannot both rank and evaluate.

    Raises:
        ResultsError: one half is empty.
    """
    for half, chosen in (("estimate", target.examples.estimate), ("evaluate", ~target.examples.estimate)):
        if not chosen.any():
            raise ResultsError(
                f"target {printable(target.name)} has no test examples in its {half} half: "
                "a ranking comes from one half and a gain is measured on the other"
            )
