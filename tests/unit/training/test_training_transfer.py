"""From features to outputs: what each test image is taken for, by loops over the images."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.training.small_data import images_of
from tui_influence.config.schema import TrainSection
from tui_influence.training import transfer
from tui_influence.training.device_images import source_images
from tui_influence.training.precision import choose_numerics, seeded_generator
from tui_influence.training.step import make_step
from tui_influence.training.training_loop import Recipe
from tui_influence.training.types import TrainingFailed

CPU = torch.device("cpu")
HOW = choose_numerics("cpu", "fp32", 1)


def whole(pixels):
    """All images as one batch."""
    images, _ = next(pixels.batches(pixels.all_indices(), len(pixels)))
    return images


def pixels_of(images, labels):
    return source_images(images, labels, CPU, None)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_an_image_is_nearest_to_the_class_whose_first_hundred_images_it_looks_like(batch):
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 3], 400, p=[0.6, 0.35, 0.05]).astype(np.int64)  # class 2 has no image
    images = rng.integers(0, 256, (400, 8, 8, 1), dtype=np.uint8)
    images[labels == 0] //= 2
    images[np.flatnonzero(labels == 0)[100:]] = 255  # beyond the hundredth
    source = pixels_of(images, labels)
    assert (labels == 0).sum() > 100 < (labels == 1).sum()
    tests = [source.matching(*images_of(3, 5, seed)) for seed in (1, 2)]
    body = nn.Flatten()
    class_means = transfer.class_features(body, source, 5, HOW, batch)
    found = transfer.nearest_source_classes(body, class_means, tests, HOW, batch)
    flat = whole(source).flatten(1).numpy().astype(np.float64)
    means = {label: flat[np.flatnonzero(labels == label)[:100]].mean(axis=0) for label in (0, 1, 3)}
    assert class_means.isnan().all(1).tolist() == [False, False, True, False, True]
    for label, mean in means.items():
        np.testing.assert_allclose(class_means[label].numpy(), mean, rtol=1e-4)
    for test, labels_found in zip(tests, found, strict=True):
        for image, label in zip(whole(test).flatten(1).numpy(), labels_found, strict=True):
            distances = {known: np.linalg.norm(image - mean) for known, mean in means.items()}
            assert label == min(distances, key=distances.__getitem__)
    assert len(set(np.concatenate(found).tolist())) > 1


def test_an_image_is_taken_for_the_class_of_the_largest_output():
    test = pixels_of(*images_of(3, 5))
    head = nn.Linear(64, 4)
    found = transfer.features(nn.Sequential(nn.Flatten(), head), test, HOW, 4).argmax(1).numpy()
    with torch.no_grad():
        logits = head(whole(test).flatten(1)).numpy()
    assert found.tolist() == logits.argmax(axis=1).tolist()


def test_an_outcome_holds_log_odds_the_largest_output_and_the_share_that_is_right():
    logits = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 5.0], [3.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    labels = torch.tensor([0, 1, 0, 1])
    found = transfer.to_outcome(logits, labels, {"target_train_loss": 0.5})
    p = logits.double().softmax(1)[torch.arange(4), labels]
    assert found.margins == pytest.approx((p / (1 - p)).log().numpy(), rel=1e-6)
    assert found.predicted.tolist() == [0, 2, 0, 2]
    assert found.metrics == {"target_train_loss": 0.5, "target_accuracy": 0.5, "target_class_accuracy": 0.5}
    found = transfer.to_outcome(logits, torch.tensor([0, 1, 1, 2]), {})
    assert found.metrics == {"target_accuracy": 0.5, "target_class_accuracy": pytest.approx(2 / 3)}
    with pytest.raises(TrainingFailed, match="outputs are not finite"):
        transfer.to_outcome(logits * torch.inf, labels, {})


def test_a_probe_says_how_well_it_fits_and_is_applied_to_the_test_images():
    train, test = pixels_of(*images_of(3, 20)), pixels_of(*images_of(3, 5, seed=3))
    logits, metrics = transfer.fit_linear_probe(nn.Flatten(), train, test, 3, 0.1, HOW, 16)
    assert logits.shape == (15, 3)
    known = whole(train).flatten(1)
    solution = transfer.linear.solve(known, train.labels, 3, 0.1)
    torch.testing.assert_close(logits, solution.logits(whole(test).flatten(1)))
    right = (solution.logits(known).argmax(1) == train.labels).double().mean()
    assert metrics["target_train_accuracy"] == float(right) > 0.9
    assert metrics["target_train_loss"] == solution.loss < metrics["probe_objective"] == solution.objective
    assert metrics["probe_iterations"] == solution.iterations > 0


def test_fine_tuning_trains_body_and_head_and_evaluates_without_its_batches():
    """In eval mode: BatchNorm and dropout do not depend on which images are seen together."""
    train, test = pixels_of(*images_of(3, 20)), pixels_of(*images_of(3, 5, seed=3))
    torch.manual_seed(0)
    body, head = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Dropout(0.5)), nn.Linear(64, 3)
    before = head.weight.detach().clone()
    recipe = Recipe("fine-tuning", 11, 16, 0.1, TrainSection())
    step = make_step(body, head, recipe.settings, HOW)
    logits, metrics = transfer.finetune(step, train, test, recipe, 4, seeded_generator(0))
    assert not torch.equal(before, head.weight)
    with torch.no_grad():
        expected = head(body.eval()(whole(test)))
    torch.testing.assert_close(logits, expected)
    assert set(metrics) == {"target_train_loss", "target_train_accuracy"}
