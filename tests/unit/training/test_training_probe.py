"""The probe is the solution of its problem, not a stop on the way to it."""

from collections import Counter, deque
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import tui_influence.datasets
from tests.unit.training.simulated_cuda import simulated_cuda
from tui_influence.training import linear_probe as module
from tui_influence.training.linear_probe import margins, solve

DIGITS = Path(tui_influence.datasets.__file__).parent / "builtin" / "digits.npz"


def digits(count: int, seed: int = 0):
    """(count, 49) block means of handwritten digits, in [0, 255], and their labels."""
    with np.load(DIGITS, allow_pickle=False) as file:
        images, labels = file["x"], file["y"].astype(np.int64)
    chosen = np.random.default_rng(seed).permutation(len(labels))[:count]
    return images[chosen].reshape(-1, 7, 4, 7, 4).mean((2, 4)).reshape(count, 49), labels[chosen]


def blobs(count: int):
    rng = np.random.default_rng(1)
    labels = np.arange(count) % 3
    return rng.normal(size=(3, 20))[labels] * 8 + rng.normal(size=(count, 20)), labels


def reference(probe, features, labels, l2):
    """Mean loss and objective of scikit-learn's solution on the same standardised features."""
    x = ((torch.from_numpy(features).double() - probe.mean) / probe.scale).numpy()
    model = LogisticRegression(C=1 / (l2 * len(x)), tol=1e-7, max_iter=20_000).fit(x, labels)
    loss = -model.predict_log_proba(x)[np.arange(len(x)), np.searchsorted(model.classes_, labels)].mean()
    return loss, loss + 0.5 * l2 * np.sum(model.coef_**2), model.predict_log_proba(x)


@pytest.mark.parametrize(
    ("data", "l2"),
    [
        (digits(100), 1e-3),
        (digits(100), 1e-1),
        (digits(2000), 1e-3),
        (digits(2000), 1e-4),
        (blobs(60), 1e-3),
        (blobs(60), 1e-5),
    ],
    ids=["100", "100-strong", "2000", "2000-weak", "separable", "separable-weak"],
)
def test_it_agrees_with_a_converged_solution_of_scikit_learn(data, l2):
    features, labels = data
    probe = solve(torch.from_numpy(features).float(), torch.from_numpy(labels), int(labels.max()) + 1, l2)
    loss, objective, log_p = reference(probe, features, labels, l2)
    assert probe.loss == pytest.approx(loss, abs=1e-3)
    assert probe.objective == pytest.approx(objective, abs=1e-5)
    ours = probe.logits(torch.from_numpy(features).float()).log_softmax(1).numpy()
    np.testing.assert_allclose(ours, log_p, atol=0.05, rtol=0.02)


def test_loss_and_objective_are_those_of_the_logits():
    features, labels = (torch.from_numpy(a) for a in digits(200))
    probe = solve(features, labels, 10, 1e-2)
    loss = torch.nn.functional.cross_entropy(probe.logits(features), labels)
    assert probe.loss == pytest.approx(float(loss), abs=1e-9)
    assert probe.objective == pytest.approx(float(loss + 0.5e-2 * probe.weight.square().sum()), abs=1e-9)


def test_the_unit_of_a_feature_does_not_matter():
    features, labels = (torch.from_numpy(a) for a in digits(200))
    scaled = features * 37 + 5
    first, second = (solve(x, labels, 10, 1e-2).logits(x) for x in (features, scaled))
    torch.testing.assert_close(first, second, atol=1e-3, rtol=1e-3)


def test_features_that_do_not_vary_and_classes_without_examples_are_harmless():
    features, labels = (torch.from_numpy(a) for a in digits(50))
    features[:, :5] = 3.0
    labels = labels % 4
    test = features.clone()
    test[:, :5] = 4.0  # what never varied does here
    probe = solve(features, labels, 6, 1e-3)
    logits = probe.logits(test)
    assert torch.isfinite(logits).all()
    assert torch.equal(logits[:, :4].argmax(1), logits.argmax(1))
    assert (probe.logits(features).argmax(1) == labels).double().mean() > 0.9
    constant = solve(torch.ones(6, 3), torch.tensor([0, 1, 2, 0, 1, 2]), 3, 1e-3)
    torch.testing.assert_close(constant.logits(torch.ones(2, 3)), torch.zeros(2, 3, dtype=torch.float64))


def test_features_are_standardised_but_for_those_that_hardly_vary():
    """A feature counts as if it varied by a hundredth of what the features do on average, at least."""
    features = torch.randn(40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    features *= torch.tensor([1.0, 100.0, 1e-3, 0.0])
    probe = solve(features, torch.arange(40) % 2, 2, 0.1)
    deviation = features.std(0, correction=0)
    torch.testing.assert_close(probe.mean, features.mean(0))
    floor = 0.01 * deviation.mean()
    torch.testing.assert_close(probe.scale, torch.stack([deviation[0], deviation[1], floor, floor]))
    assert deviation[2] < floor < deviation[0]
    nothing = solve(torch.ones(6, 3), torch.arange(6) % 2, 2, 0.1)
    assert nothing.scale.tolist() == [1, 1, 1]


def bowl(curvatures):
    """A convex function with its minimum at one: value and gradient, and how often it was asked."""
    asked = []

    def value_and_gradient(point):
        asked.append(point)
        away = point - 1
        return (curvatures * away**2).sum() / 2 + (away**4).sum(), curvatures * away + 4 * away**3

    return value_and_gradient, asked


def test_the_minimum_is_where_the_gradient_is_within_the_tolerance():
    curvatures = torch.logspace(-1, 1, 30, dtype=torch.float64)
    function, asked = bowl(curvatures)
    point, value, iterations = module.minimise(function, torch.zeros(30, dtype=torch.float64))
    assert function(point)[1].norm() <= module.GRADIENT_TOLERANCE
    assert float(value) == float(function(point)[0])
    assert 5 < iterations < 60
    assert len(asked) - 2 < 1.5 * iterations + 10  # hardly any step is tried twice
    again, value_again, none = module.minimise(function, point)
    assert (torch.equal(again, point), float(value_again), none) == (True, float(value), 0)


def test_every_step_goes_down_and_the_last_allowed_is_the_last(monkeypatch):
    curvatures = torch.logspace(-2, 3, 30, dtype=torch.float64)
    values = []
    for most in (0, 1, 5, 20):
        monkeypatch.setattr(module, "MAX_ITERATIONS", most)
        _, value, iterations = module.minimise(bowl(curvatures)[0], torch.zeros(30, dtype=torch.float64))
        assert iterations == most
        values.append(float(value))
    assert values == sorted(values, reverse=True)


def test_a_step_that_goes_up_is_halved_until_it_goes_down():
    """The first step is as long as the gradient, or one if that is less: far too long here."""

    def steep(point):
        return (point**4).sum() * 1e4, 4e4 * point**3

    point, value, iterations = module.minimise(steep, torch.tensor([0.011], dtype=torch.float64))
    assert abs(float(steep(point)[1])) <= module.GRADIENT_TOLERANCE
    assert float(value) < 1e-8
    assert iterations >= 1


def test_where_no_step_goes_down_any_more_the_search_ends():
    def rough(point):
        return torch.tensor(1.0, dtype=torch.float64), torch.ones_like(point)

    point, value, iterations = module.minimise(rough, torch.zeros(2, dtype=torch.float64))
    assert (point.tolist(), float(value), iterations) == ([0, 0], 1.0, 0)


def test_the_direction_is_that_of_the_inverse_hessian_made_of_all_pairs():
    """BFGS written out: H = (1 - s yᵀ/yᵀs) H (1 - y sᵀ/yᵀs) + s sᵀ/yᵀs, from a multiple of the identity."""
    rng = torch.Generator().manual_seed(0)
    hessian = torch.diag(torch.tensor([1.0, 3.0, 0.5, 2.0], dtype=torch.float64))
    gradient = torch.randn(4, dtype=torch.float64, generator=rng)
    pairs = deque()
    for _ in range(3):
        moved = torch.randn(4, dtype=torch.float64, generator=rng)
        bent = hessian @ moved
        pairs.append((moved, bent, float(moved @ bent)))
    _, bent, curvature = pairs[-1]
    inverse = torch.eye(4, dtype=torch.float64) * curvature / (bent @ bent)
    one = torch.eye(4, dtype=torch.float64)
    for moved, bent, curvature in pairs:
        left = one - torch.outer(moved, bent) / curvature
        inverse = left @ inverse @ left.T + torch.outer(moved, moved) / curvature
    torch.testing.assert_close(module._two_loops(gradient, pairs), -inverse @ gradient)
    torch.testing.assert_close(module._two_loops(gradient, deque()), -gradient)


def minimise_number_by_number(value_and_gradient, start):
    """The solver as it was when it read every number at once: the same arithmetic in another order of waits."""
    point = start
    value, gradient = value_and_gradient(point)
    pairs = deque(maxlen=10)
    for iteration in range(module.MAX_ITERATIONS):
        norm = float(gradient.norm())
        if not norm > module.GRADIENT_TOLERANCE:
            return point, value, iteration
        q, weights = -gradient, []
        for displacement, change, curvature in reversed(pairs):
            weights.append(float(displacement @ q) / curvature)
            q = torch.add(q, change, alpha=-weights[-1])
        if pairs:
            q = q * (pairs[-1][2] / float(pairs[-1][1] @ pairs[-1][1]))
        for (displacement, change, curvature), weight in zip(pairs, reversed(weights), strict=True):
            q = torch.add(q, displacement, alpha=weight - float(change @ q) / curvature)
        slope = float(q @ gradient)
        step = 1.0 if pairs else min(1.0, 1.0 / norm)
        while True:
            candidate = point + step * q
            new_value, new_gradient = value_and_gradient(candidate)
            if float(new_value) <= float(value) + 1e-4 * step * slope:
                break
            step /= 2
            if step < 1e-12:
                return point, value, iteration
        displacement, change = candidate - point, new_gradient - gradient
        curvature = float(displacement @ change)
        if curvature > 1e-14 * float(change @ change):
            pairs.append((displacement, change, curvature))
        point, value, gradient = candidate, new_value, new_gradient
    return point, value, module.MAX_ITERATIONS


def solutions():
    """Probes of several sizes and penalties."""
    for (features, labels), l2 in ((digits(100), 1e-3), (digits(600, seed=1), 1e-2), (blobs(60), 1e-5)):
        yield torch.from_numpy(features).float(), torch.from_numpy(labels), l2


def test_on_the_cpu_the_solution_is_the_same_to_the_bit_as_when_every_number_was_read(monkeypatch):
    """Records of a run are made by several versions."""
    for features, labels, l2 in solutions():
        new = solve(features, labels, 10, l2)
        with monkeypatch.context() as patch:
            patch.setattr(module, "minimise", minimise_number_by_number)
            old = solve(features, labels, 10, l2)
        assert torch.equal(new.weight, old.weight)
        assert torch.equal(new.bias, old.bias)
        assert (new.objective, new.loss, new.iterations) == (old.objective, old.loss, old.iterations)
        assert new.iterations > 5


def test_on_a_gpu_the_host_waits_once_an_iteration(monkeypatch):
    """And the solution is that of the CPU, but for the rounding of sums."""
    for features, labels, l2 in solutions():
        expected = solve(features, labels, 10, l2)
        with simulated_cuda(monkeypatch) as device:
            probe = solve(features.to("cuda"), labels.to("cuda"), 10, l2)
            weight = probe.weight.cpu()
        waits = Counter(device.waits)
        assert probe.iterations <= waits.pop("tolist") <= 1.1 * probe.iterations + 3  # hardly any step is tried twice
        assert waits.total() < 8
        torch.testing.assert_close(weight, expected.weight, rtol=1e-3, atol=1e-3)
        assert probe.objective == pytest.approx(expected.objective, abs=1e-9)


def test_margins_are_log_odds():
    logits = torch.randn(50, 4, dtype=torch.float64)
    labels = torch.arange(50) % 4
    p = logits.softmax(1)[torch.arange(50), labels]
    torch.testing.assert_close(margins(logits, labels), p.log() - (1 - p).log())


def test_margins_are_finite_where_probabilities_are_one_or_zero():
    logits = torch.tensor([[2000.0, 0.0, -5.0], [0.0, 3000.0, 10.0]], dtype=torch.float64)
    found = margins(logits, torch.tensor([0, 0]))
    torch.testing.assert_close(found, torch.tensor([2000 - np.log1p(np.exp(-5)), -3000.0], dtype=torch.float64))
