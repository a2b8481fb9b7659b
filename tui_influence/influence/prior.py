"""The prior of a sweep: what networks that were trained on every group say about the influence of each group.

A *prior network* is trained on all groups. Two numbers are read off it for every group k and target class c:

- the *mapping*: the mean softmax probability that the source network gives to group k on the test examples of class c;
- the *ablation*: the mean margin on class c of a linear probe on the outputs of the source network, less that of the
  probe without the output k.

Both say how much class c uses what was learnt from group k, in units of their own. `informed` finds out from the sweep
itself how much of them is true. Each is split into its part for one class and its part for all classes, so that a prior
gives four covariates of every influence.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_influence.influence.cluster_factors import common_share
from tui_influence.influence.outputs import Floats, Integers, Mask


@dataclass(frozen=True)
class OutputPrior:
    """Prior of n outputs, each a mean over examples of some target classes.

    Attributes:
        covariates: (K, C, p) for each group and target class.
        class_outputs: (m, C) mean output of each model of the sweep on each target class, of the same kind as the
            outputs; the slopes of the covariates are fitted to them. NaN for a class without examples.
        shares: (n, C) share of each class in each output; a row of zeros is an output that the prior says nothing of.
        labels: (K,) class cluster of each group; None if there are none.
        common: correlation of the effects of two groups of one class cluster.
    """

    covariates: NDArray[np.float64]
    class_outputs: NDArray[np.float64]
    shares: NDArray[np.float64]
    labels: NDArray[np.int64] | None = None
    common: float = 0.0

    def of_groups(self, groups: Mask) -> NDArray[np.float64]:
        """Return the covariates of some groups, (K,) bool, centred over them: (K', C, p)."""
        chosen: NDArray[np.float64] = self.covariates[groups]
        return chosen - chosen.mean(axis=0) if len(chosen) else chosen

    def of_models(self, models: NDArray[Any]) -> "OutputPrior":
        """Return the prior with the outputs of some models alone, (m,) bool or indices."""
        return replace(self, class_outputs=self.class_outputs[models])

    def of_outputs(self, shares: NDArray[np.float64]) -> "OutputPrior":
        """Return the prior of other outputs, with their `shares`."""
        return replace(self, shares=shares)

    def of_mean(self, labels: Integers) -> "OutputPrior":
        """Return the prior of the mean output over examples of these classes, (n,) labels."""
        counts = np.bincount(labels, minlength=self.covariates.shape[1])
        return self.of_outputs((counts / counts.sum())[None])

    def of_examples(self, labels: Integers) -> "OutputPrior":
        """Return the prior of the outputs on single examples of these classes, (n,) labels."""
        return self.of_outputs(np.eye(self.covariates.shape[1])[labels])


def class_prior(
    mapping: Floats,
    ablation: Floats,
    class_outputs: NDArray[np.float64],
    labels: NDArray[np.int64] | None = None,
) -> OutputPrior:
    """Return the prior of the mean outputs on the target classes themselves.

    Args:
        mapping: (networks, K, C); NaN for a class without examples.
        ablation: (networks, K, C), likewise.
        class_outputs: (m, C); see `OutputPrior`.
        labels: (K,) class cluster of each group, where the masks keep or leave out whole clusters.
    """
    common = 0.0 if labels is None else common_share(mapping.mean(axis=0), labels)
    return OutputPrior(covariates(mapping, ablation), class_outputs, np.eye(class_outputs.shape[1]), labels, common)


def covariates(mapping: Floats, ablation: Floats) -> NDArray[np.float64]:
    """Return four covariates: the part of the mapping for one class and for all, and the same of the ablation.

    Args:
        mapping: (networks, K, C); NaN for a class without examples.
        ablation: (networks, K, C), likewise.

    Returns:
        (K, C, 4) float64, centred over groups, in units of the standard deviation of the mapping and of the ablation;
        0 for a class without examples, and for a quantity that does not vary.
    """
    parts: list[NDArray[np.float64]] = []
    for quantity in (mapping, ablation):
        mean = quantity.astype(np.float64).mean(axis=0)
        present = np.isfinite(mean).all(axis=0)
        centred = np.where(present, mean - mean.mean(axis=0), 0.0)
        spread = float(centred[:, present].std()) if present.any() else 0.0
        centred = centred / spread if spread > 0 else np.zeros_like(centred)
        general = centred.sum(axis=1, keepdims=True) / max(int(present.sum()), 1)
        parts += [np.where(present, centred - general, 0.0), np.where(present, general, 0.0)]
    return np.stack(parts, axis=2)
