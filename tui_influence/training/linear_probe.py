"""The linear probe of fixed-feature transfer: multinomial logistic regression with an L2 penalty, solved exactly.

The problem is strictly convex in the weights, so its solution depends on the features alone: no seed, no schedule.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, one_hot

GRADIENT_TOLERANCE = 1e-5
"""Norm of the gradient at which the solver stops: the loss is then within its square / (2 l2) of the minimum."""
MAX_ITERATIONS = 1000
_MEMORY = 10
_MIN_RELATIVE_SCALE = 0.01

Scalar = float | Tensor
"""A number, or a tensor of no dimensions on a GPU."""


@dataclass(frozen=True)
class LinearProbe:
    """A solved probe.

    Attributes:
        weight: (classes, d) on standardised features, float64.
        bias: (classes,) float64.
        mean: (d,) of the training features.
        scale: (d,) their standard deviation.
        objective: mean cross-entropy + (l2 / 2) |weight|^2 at the solution.
        loss: the mean cross-entropy alone.
        iterations: of the solver.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor
    objective: float
    loss: float
    iterations: int

    def logits(self, features: Tensor) -> Tensor:
        """(n, d) features -> (n, classes) float64."""
        return (features.double() - self.mean) / self.scale @ self.weight.T + self.bias


def solve(features: Tensor, labels: Tensor, classes: int, l2: float) -> LinearProbe:
    """Minimise mean cross-entropy + (l2 / 2) |W|^2 over W and an unpenalised bias, on standardised features.

    Args:
        features: (t, d) of any float type; the solver works in float64 on their device.
        labels: (t,) int64.
        classes: number of outputs; a class without an example gets a large negative bias, not an error.
        l2: > 0.
    """
    x = features.double()
    mean = x.mean(0)
    deviation = x.std(0, correction=0)
    # A feature with next to no spread over few training images may vary over the test images: limit its scale.
    floor = _MIN_RELATIVE_SCALE * deviation.mean()
    scale = deviation.clamp_min(float(floor) if floor > 0 else 1.0)
    x = (x - mean) / scale
    t, d = x.shape
    onehot = one_hot(labels, classes).double()

    def value_and_gradient(flat: Tensor) -> tuple[Tensor, Tensor]:
        w = flat.view(classes, d + 1)
        log_p = log_softmax(torch.addmm(w[:, d], x, w[:, :d].T), 1)
        value = -(onehot * log_p).sum() / t + 0.5 * l2 * w[:, :d].square().sum()
        residual = (log_p.exp() - onehot) / t
        gradient = torch.cat((residual.T @ x + l2 * w[:, :d], residual.sum(0)[:, None]), 1)
        return value, gradient.flatten()

    flat, value, iterations = minimise(value_and_gradient, x.new_zeros(classes * (d + 1)))
    w = flat.view(classes, d + 1)
    penalty = 0.5 * l2 * float(w[:, :d].square().sum())
    return LinearProbe(w[:, :d], w[:, d], mean, scale, float(value), float(value) - penalty, iterations)


def minimise(
    value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]], start: Tensor
) -> tuple[Tensor, Tensor, int]:
    """L-BFGS with backtracking (Nocedal & Wright 2006, algorithms 7.4, 7.5 and 3.1), for convex functions.

    Args:
        value_and_gradient: of a flat float64 vector.
        start: first point.

    Returns:
        the minimiser, the value there, and the number of iterations.
    """
    point = start
    value, gradient = value_and_gradient(point)
    norm = float(gradient.norm())
    pairs: deque[tuple[Tensor, Tensor, Scalar]] = deque(maxlen=_MEMORY)
    for iteration in range(MAX_ITERATIONS):
        if not norm > GRADIENT_TOLERANCE:
            return point, value, iteration
        direction = _two_loops(gradient, pairs)
        slope = _scalar(direction @ gradient)
        step = 1.0 if pairs else min(1.0, 1.0 / norm)
        while True:
            candidate = point + step * direction
            new_value, new_gradient = value_and_gradient(candidate)
            displacement, gradient_change = candidate - point, new_gradient - gradient
            curvature = _scalar(displacement @ gradient_change)
            is_lower, is_curved, norm = _read(  # the only wait for a GPU
                _scalar(new_value) <= _scalar(value) + 1e-4 * step * slope,
                curvature > 1e-14 * _scalar(gradient_change @ gradient_change),
                _scalar(new_gradient.norm()),
            )
            if is_lower:
                break
            step /= 2
            if step < 1e-12:  # the value no longer changes in float64: this is the minimum
                return point, value, iteration
        if is_curved:
            pairs.append((displacement, gradient_change, curvature))
        point, value, gradient = candidate, new_value, new_gradient
    return point, value, MAX_ITERATIONS


def _two_loops(gradient: Tensor, pairs: deque[tuple[Tensor, Tensor, Scalar]]) -> Tensor:
    """Return minus the estimate of the inverse Hessian times the gradient (Nocedal & Wright 2006, algorithm 7.4)."""
    q = -gradient
    weights: list[Scalar] = []
    for displacement, gradient_change, curvature in reversed(pairs):
        weight = _scalar(displacement @ q) / curvature
        weights.append(weight)
        q = _plus(q, -weight, gradient_change)
    if pairs:
        _, gradient_change, curvature = pairs[-1]
        q = q * (curvature / _scalar(gradient_change @ gradient_change))
    for (displacement, gradient_change, curvature), weight in zip(pairs, reversed(weights), strict=True):
        q = _plus(q, weight - _scalar(gradient_change @ q) / curvature, displacement)
    return q


def _scalar(value: Tensor) -> Scalar:
    """Return a number for further arithmetic: on a GPU it stays there, because reading it waits for all before it."""
    return float(value) if value.device.type == "cpu" else value


def _read(*values: Scalar) -> list[float]:
    """Return some numbers, with a single wait for a GPU."""
    on_gpu = [value.double() for value in values if isinstance(value, Tensor)]
    return torch.stack(on_gpu).tolist() if on_gpu else [float(value) for value in values]


def _plus(vector: Tensor, factor: Scalar, other: Tensor) -> Tensor:
    """Return vector + factor * other."""
    if isinstance(factor, float):
        return torch.add(vector, other, alpha=factor)
    return torch.addcmul(vector, factor, other)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return margins log p_y - log(1 - p_y) = z_y - logsumexp of the others: (n, classes), (n,) -> (n,), all finite.

    Computed without ever forming p, which is 1 to the last bit where the margin matters most.
    """
    correct = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return correct.squeeze(1) - others.logsumexp(1)
