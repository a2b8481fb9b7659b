"""What a network that was trained on every group says about each group and target class: mapping and ablation.

The *mapping* is the mean softmax probability that the source network gives to a group's classes on the test examples
of a target class. The *ablation* is the mean margin of a linear probe on the source network's outputs, less that of
the probe refitted without the outputs of the group. Neither needs another training.
"""

import torch
from torch import Tensor

from tui_influence.training import linear_probe
from tui_influence.training.linear_probe import LinearProbe

ABLATION_L2 = 1.0
"""L2 penalty of the probe, on standardised outputs."""


def map_to_source(source_logits: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the mean softmax probability of each source class on the examples of each target class.

    Args:
        source_logits: (n, S) outputs of the source network on target examples.
        labels: (n,) target class of each.
        classes: C, the number of target classes.

    Returns:
        (S, C) float64; NaN for a target class without examples.
    """
    return _class_means(source_logits.double().softmax(1), labels, classes)


def ablate_source(
    train_logits: Tensor, train_labels: Tensor, test_logits: Tensor, test_labels: Tensor, classes: int
) -> Tensor:
    """Return how much the margins of a linear probe on the source network's outputs fall without each output.

    The probe is fitted once. Without output k its weights are the minimum, among those with none for k, of the
    quadratic expansion of its loss, with the Hessian E[diag p - p pᵀ] ⊗ E[x xᵀ] + l2 (the expectation of a product
    taken as a product of expectations, as Martens & Grosse 2015 do); in the eigenbasis of the first factor this is
    δ = -W[a, k] H_a⁻¹[:, k] / H_a⁻¹[k, k], H_a = α_a E[x xᵀ] + l2, all k at once. The margins follow to first order.

    Args:
        train_logits: (t, S) outputs of the source network on the target's training images.
        train_labels: (t,) target class of each.
        test_logits: (n, S) outputs on test examples.
        test_labels: (n,) target class of each.
        classes: C, the number of target classes.

    Returns:
        (S, C) float64, mean margin less mean margin without the output, in nats; NaN for a class without examples.
    """
    probe = linear_probe.solve(train_logits, train_labels, classes, ABLATION_L2)
    x = (train_logits.double() - probe.mean) / probe.scale
    p = probe.logits(train_logits).softmax(1)
    curvature, rotation = torch.linalg.eigh(torch.diag(p.mean(0)) - p.T @ p / len(p))
    changes = _changes(probe, x.T @ x / len(x), curvature.clamp_min(0), rotation)
    gradient = _margin_gradient(probe.logits(test_logits), test_labels) @ rotation  # (n, C)
    test = (test_logits.double() - probe.mean) / probe.scale
    fall = test.new_empty(test.shape[1], classes)
    for label in range(classes):
        chosen = test_labels == label
        weights_gradient = gradient[chosen].T @ test[chosen] / chosen.sum()
        fall[:, label] = -torch.einsum("ad,adk->k", weights_gradient, changes)
    return fall


def group_shares(labels: Tensor, groups: Tensor, classes: int) -> Tensor:
    """Return the share of the images of each source class that are in each group, (K, S) float64.

    Args:
        labels: (N,) source class of each image.
        groups: (N,) group of each image, -1 for none.
        classes: S, the number of source classes.
    """
    count = int(groups.max()) + 1
    inside = groups >= 0
    pairs = groups[inside].long() * classes + labels[inside]
    counts = torch.bincount(pairs, minlength=count * classes).view(count, classes).double()
    return counts / torch.bincount(labels, minlength=classes).clamp_min(1)


def _changes(probe: LinearProbe, moments: Tensor, curvature: Tensor, rotation: Tensor) -> Tensor:
    """Return the change of the weights of every feature d in every direction a without each feature k, (C, S, S)."""
    size = len(moments)
    hessian = curvature[:, None, None] * moments + ABLATION_L2 * torch.eye(
        size, dtype=moments.dtype, device=moments.device
    )
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    weights = rotation.T @ probe.weight  # (C, S)
    return -inverse * (weights / inverse.diagonal(dim1=1, dim2=2))[:, None, :]


def _margin_gradient(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the derivative of each example's margin by its logits, (n, C)."""
    others = logits.scatter(1, labels[:, None], -torch.inf).softmax(1)
    return (-others).scatter(1, labels[:, None], 1.0)


def _class_means(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return means of values (n, S) over the examples of each class, (S, C); NaN for a class without examples."""
    sums = values.new_zeros(classes, values.shape[1]).index_add_(0, labels, values)
    return (sums / torch.bincount(labels, minlength=classes)[:, None]).T
