"""The size curve: the mean output of models against the number of groups that they keep, whichever these are.

Two points and a slope determine it: the mean of the sweep's models and how it changes with their number of groups, and
the mean of the *anchors*, networks that keep all groups. Returns diminish, so it is a power law (Hestness et al. 2017,
"Deep learning scaling is predictable, empirically"),

    g(c) = a - b c^-γ,    (g(K) - g(c₀)) / (c₀ g'(c₀)) = (1 - (c₀ / K)^γ) / γ,

whose exponent γ follows from the second equation, between that of a straight line, -1, and `MAX_EXPONENT`. Masks of one
size have no slope: γ is 1 there, give or take 1. Without anchors the curve is the straight line through the mean, which
takes the last group to be worth as much as the first.

Anchors that are trained for fewer steps than a model that keeps everything would be (prior networks train half the
epochs) stand for models at their own number of steps.
"""

from dataclasses import dataclass

import numpy as np

from tui_influence.influence.outputs import Floats, Mask

MIN_EXPONENT, MAX_EXPONENT = -1.0, 8.0
_USUAL_EXPONENT = 1.0
_GRID = np.linspace(MIN_EXPONENT, MAX_EXPONENT, 901)


@dataclass(frozen=True)
class SizeCurve:
    """The size curve of q outputs, with what its parameters owe to each model and anchor.

    Attributes:
        groups: K.
        size: c₀, mean number of groups of the sweep's models.
        mean: (q,) mean output of the sweep's models.
        slope: (q,) change of it with one more group; None where all models have as many.
        anchor: (q,) mean output of the anchors; None without any.
        mean_scores: (m, q) influence function of the mean: the mean's error is the mean of these over models.
        slope_scores: (m, q) likewise of the slope; zeros where there is none.
        anchor_se: (q,) standard error of the anchor; zeros without any.
        anchor_df: degrees of freedom of it; 0 without any.
    """

    groups: int
    size: float
    mean: Floats
    slope: Floats | None
    anchor: Floats | None
    mean_scores: Floats
    slope_scores: Floats
    anchor_se: Floats
    anchor_df: int

    @classmethod
    def of(cls, masks: Mask, outputs: Floats, anchors: Floats | None) -> "SizeCurve | None":
        """Fit the curve; None where the models have one size and there are fewer than two anchors.

        Args:
            masks: (m, K) bool.
            outputs: (m, q) of the sweep's models.
            anchors: (P, q) of networks that keep all groups.
        """
        sizes = masks.sum(axis=1, dtype=np.float64)
        has_anchors = anchors is not None and len(anchors) > 1
        centred, deviations = sizes - sizes.mean(), outputs - outputs.mean(axis=0)
        variance = float((centred**2).mean())
        if variance == 0 and not has_anchors:
            return None
        slope, slope_scores = None, np.zeros_like(deviations)
        if variance > 0:
            slope = (centred[:, None] * deviations).mean(axis=0) / variance
            slope_scores = centred[:, None] * (deviations - centred[:, None] * slope) / variance
        anchor, anchor_se = None, np.zeros(outputs.shape[1])
        if anchors is not None and has_anchors:
            anchor, anchor_se = anchors.mean(axis=0), anchors.std(axis=0, ddof=1) / np.sqrt(len(anchors))
        return cls(
            groups=masks.shape[1],
            size=float(sizes.mean()),
            mean=outputs.mean(axis=0),
            slope=slope,
            anchor=anchor,
            mean_scores=deviations,
            slope_scores=slope_scores,
            anchor_se=anchor_se,
            anchor_df=len(anchors) - 1 if anchors is not None and has_anchors else 0,
        )

    def exponents(self, mean: Floats, slope: Floats | None, anchor: Floats | None) -> Floats:
        """Return γ of curves through these points, (q,)."""
        if anchor is None:
            return np.full(mean.shape, MIN_EXPONENT)
        if slope is None:
            return np.full(mean.shape, _USUAL_EXPONENT)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (anchor - mean) / (slope * self.size)
        at_grid = _rise(_GRID, self.size / self.groups)
        fitted = np.interp(np.nan_to_num(ratio, posinf=np.inf), at_grid[::-1], _GRID[::-1])
        return np.where(ratio > 0, fitted, _USUAL_EXPONENT)

    def over_everything(
        self, sizes: Floats, mean: Floats, slope: Floats | None, anchor: Floats | None, exponents: Floats
    ) -> Floats:
        """Return g(c) - g(K) for L sizes on the curves through these points: (L, q)."""
        if anchor is None:
            assert slope is not None
            return (sizes - self.groups)[:, None] * slope
        share = _rise(exponents, self.size / self.groups)  # (q,) of c₀ b γ c₀^-γ-1
        left = _rise(exponents, (sizes / self.groups)[:, None]) * (sizes / self.size)[:, None] ** -exponents
        return np.asarray(-(anchor - mean) * left / share)


def _rise(exponents: Floats, ratio: Floats | float) -> Floats:
    """Return (1 - ratio^γ) / γ, the rise of the curve from c to K over c g'(c), with ratio = c / K."""
    small = np.abs(exponents) < 1e-9
    safe = np.where(small, 1.0, exponents)
    return np.asarray(np.where(small, -np.log(ratio), (1 - np.asarray(ratio) ** safe) / safe))
