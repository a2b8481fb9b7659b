"""What a network that was trained on every group says: mapping and ablation, by their definitions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.unit.training.small_data import K, images_of, mask, same, source, target, trainer
from tui_influence.training import linear_probe
from tui_influence.training.prior import ABLATION_L2, ablate_source, group_shares, map_to_source

S, C = 12, 4


def logits_of(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs of a source network, (n, S), on examples of which each class has a direction of its own."""
    directions = torch.randn(C, S, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % C
    return 2 * directions[labels] + torch.randn(n, S, generator=generator), labels


def test_the_mapping_is_the_mean_softmax_of_each_class():
    logits, labels = logits_of(50, 1)
    mapping = map_to_source(logits, labels, C + 1)
    for label in range(C):
        np.testing.assert_allclose(mapping[:, label], logits[labels == label].double().softmax(1).mean(0))
    assert torch.isnan(mapping[:, C]).all()


def test_the_ablation_orders_outputs_as_probes_that_are_fitted_again_without_each():
    train, train_labels = logits_of(200, 1)
    test, test_labels = logits_of(120, 2)
    ablation = ablate_source(train, train_labels, test, test_labels, C).numpy()
    probe = linear_probe.solve(train, train_labels, C, ABLATION_L2)
    with_all = linear_probe.margins(probe.logits(test), test_labels)
    again = np.empty((S, C))
    for k in range(S):
        keep = [j for j in range(S) if j != k]
        without = linear_probe.solve(train[:, keep], train_labels, C, ABLATION_L2)
        fall = with_all - linear_probe.margins(without.logits(test[:, keep]), test_labels)
        again[k] = [float(fall[test_labels == label].mean()) for label in range(C)]
    assert np.corrcoef(ablation.ravel(), again.ravel())[0, 1] > 0.98  # the unit of a covariate does not matter
    assert 0.8 < ablation.std() / again.std() < 1.5


def test_an_output_that_carries_nothing_falls_by_nothing():
    train, train_labels = logits_of(200, 1)
    test, test_labels = logits_of(120, 2)
    train[:, 3], test[:, 3] = 1.0, 1.0
    ablation = ablate_source(train, train_labels, test, test_labels, C)
    assert ablation[3].abs().max() < 1e-9
    assert ablation.abs().max() > 0.01


def test_a_group_has_the_share_of_each_class_that_its_images_are():
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    groups = torch.tensor([0, 0, 0, 1, 1, -1, 1], dtype=torch.int32)
    assert group_shares(labels, groups, 3).tolist() == [[0.75, 0, 0], [0.25, 0.5, 1]]


def test_a_prior_network_trains_half_the_epochs_and_says_something_of_each_group():
    plain, prior = trainer(epochs=3), trainer(epochs=3)
    (outcome,) = prior.run(mask(), 5, is_prior=True)
    (again,) = prior.run(mask(), 5, is_prior=True)
    assert outcome.mapping is not None
    assert outcome.ablation is not None
    assert outcome.mapped is not None
    assert outcome.mapping.shape == outcome.ablation.shape == (K, 4)
    np.testing.assert_allclose(outcome.mapping.sum(axis=0), 1, rtol=1e-5)
    assert outcome.mapping.tobytes() == again.mapping.tobytes()
    assert outcome.ablation.tobytes() == again.ablation.tobytes()
    (whole,) = plain.run(mask(), 5)
    assert outcome.metrics["source_steps"] == pytest.approx(whole.metrics["source_steps"] * 2 / 3, abs=1)
    assert whole.mapping is None
    assert same(trainer(epochs=2).run(mask(), 5), [outcome])


@pytest.mark.parametrize(("steps", "half"), [(10, 5), (7, 4), (1, 1)])
def test_a_prior_network_trains_half_the_steps(steps, half):
    (outcome,) = trainer(epochs=None, steps=steps).run(mask(), 5, is_prior=True)
    assert outcome.metrics["source_steps"] == half
    assert same(trainer(epochs=None, steps=half).run(mask(), 5), [outcome])


@pytest.mark.parametrize("transfer", ["fixed-feature", "full-network"])
def test_a_prior_is_of_the_examples_that_influences_are_estimated_on(transfer):
    whole = target(transfer)
    half = np.arange(len(whole.test_labels)) % 2 == 0
    (outcome,) = trainer(targets=[replace(whole, is_estimated=half)]).run(mask(), 5, is_prior=True)
    alone = replace(whole, test_images=whole.test_images[half], test_labels=whole.test_labels[half])
    (expected,) = trainer(targets=[alone]).run(mask(), 5, is_prior=True)
    np.testing.assert_allclose(outcome.mapping, expected.mapping, rtol=1e-4)
    np.testing.assert_allclose(outcome.ablation, expected.ablation, rtol=1e-3, atol=1e-5)
    assert len(outcome.margins) == len(half)


def test_a_group_of_two_classes_gets_what_both_get():
    labels = images_of(K, 30)[1]
    pairs = source(groups=(labels // 2).astype(np.int32))
    keep_all = np.ones(K // 2, dtype=bool)
    (outcome,) = trainer(pairs).run(keep_all, 5, is_prior=True)
    (by_class,) = trainer().run(mask(), 5, is_prior=True)
    np.testing.assert_allclose(outcome.mapping, by_class.mapping.reshape(K // 2, 2, 4).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(outcome.ablation, by_class.ablation.reshape(K // 2, 2, 4).sum(axis=1), rtol=1e-4)
