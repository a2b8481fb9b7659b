"""Random resized crops, erased squares, resolutions that change, and settings of a target.

Against Pillow, torchvision and plain loops.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.unit.training.small_data import images_of, mask, same, source, target, trainer
from tui_influence.config.schema import TrainSection
from tui_influence.errors import ConfigError
from tui_influence.training import device_images
from tui_influence.training.augment import Views, cut, draw_views, erase
from tui_influence.training.device_images import source_images
from tui_influence.training.precision import choose_numerics, seeded_generator
from tui_influence.training.step import make_step
from tui_influence.training.training_loop import Recipe, fit
from tui_influence.training.transfer import features
from tui_influence.training.types import SourceData

CPU = torch.device("cpu")


def random_images(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("side", [7, 20, 31])
def test_a_box_is_cut_and_scaled_as_pillow_does_it(side):
    images = random_images(6, 20)
    boxes = [(0, 0, 20, 20), (3, 5, 10, 12), (0, 8, 20, 3), (19, 0, 1, 20), (2, 2, 7, 7), (1, 0, 19, 16)]
    views = Views(side, boxes=torch.tensor(boxes, dtype=torch.int16))
    pixels = cut(torch.from_numpy(images), torch.arange(6), views)
    assert pixels.dtype == torch.float32
    for image, (top, left, height, width), scaled in zip(images, boxes, pixels.numpy(), strict=True):
        whole = Image.fromarray(image).crop((left, top, left + width, top + height))
        expected = np.asarray(whole.resize((side, side), Image.Resampling.BILINEAR), dtype=float)
        assert np.abs(scaled - expected).max() <= 1.01  # Pillow rounds after each axis


def test_whole_images_are_scaled_alike_and_those_of_the_right_size_are_untouched():
    images = torch.from_numpy(random_images(4, 16))
    index = torch.tensor([2, 0])
    boxes = torch.tensor([[0, 0, 16, 16]] * 2, dtype=torch.int16)
    torch.testing.assert_close(cut(images, index, Views(9)), cut(images, index, Views(9, boxes=boxes)))
    assert torch.equal(cut(images, index, Views(16)), images[index])


def test_boxes_have_the_areas_and_aspect_ratios_of_torchvisions():
    from torchvision.transforms import RandomResizedCrop  # seconds to import

    side, areas = 160, (0.2, 0.7)
    views = draw_views(4000, side, TrainSection(resized_crop=list(areas)), seeded_generator(1))
    top, left, height, width = views.boxes.long().unbind(1)
    assert min(top.min(), left.min()) == 0
    assert max((top + height).max(), (left + width).max()) == side
    torch.manual_seed(0)
    picture = torch.zeros(1, side, side)
    theirs = np.array([RandomResizedCrop.get_params(picture, areas, (3 / 4, 4 / 3)) for _ in range(4000)])
    for ours, other in (
        (height * width, theirs[:, 2] * theirs[:, 3]),
        (width / height, theirs[:, 3] / theirs[:, 2]),
        (top, theirs[:, 0]),
        (left, theirs[:, 1]),
    ):
        quantiles = np.linspace(0.05, 0.95, 10)
        mine, reference = (np.quantile(np.asarray(values, dtype=float), quantiles) for values in (ours, other))
        np.testing.assert_allclose(mine, reference, rtol=0.08, atol=4)


def test_a_square_is_erased_around_its_centre_and_may_stand_out():
    views = Views(8, erased=torch.tensor([[0.5, 0.25], [0.99, 0.0]]), erased_side=3)
    erased = erase(torch.ones(2, 2, 8, 8), views)
    expected = np.ones((2, 2, 8, 8))
    expected[0, :, 3:6, 1:4] = 0
    expected[1, :, 6:8, 0:2] = 0
    np.testing.assert_array_equal(erased.numpy(), expected)
    many = draw_views(500, 8, TrainSection(cutout=3), seeded_generator(0))
    share = (erase(torch.ones(500, 1, 8, 8), many) == 0).float().mean((0, 1))
    assert share.min() > 0.02  # no pixel is spared
    assert share[2:6, 2:6].mean() == pytest.approx(9 / 64, rel=0.2)


def test_erased_pixels_have_the_sources_mean():
    images = torch.from_numpy(random_images(5, 8)).numpy()
    pixels = source_images(images, np.zeros(5, np.int64), CPU, None)
    views = Views(8, erased=torch.full((5, 2), 0.5), erased_side=2)
    batch, _ = next(pixels.batches(torch.arange(5), 5, views))
    assert (batch[:, :, 3:5, 3:5] == 0).all()
    assert (batch[:, :, 0] != 0).any()


def test_resolutions_follow_each_other_in_equal_parts_of_the_steps():
    pixels = source_images(*images_of(2, 30, size=16), CPU, 12)
    sides = []

    class Watch(nn.Module):
        def forward(self, images):
            sides.append(images.shape[-1])
            return images.mean((2, 3))

    recipe = Recipe("it", 7, 10, 0.1, TrainSection(), (8, 12, 16))
    numerics = choose_numerics("cpu", "fp32", 1)
    step = make_step(Watch(), nn.Linear(1, 2), recipe.settings, numerics)
    result = fit(step, pixels, torch.arange(60), recipe, seeded_generator(0))
    assert sides == [8, 8, 12, 12, 16, 16, 16]
    assert result.steps == 7


def large_data():
    images, labels = images_of(6, 30, size=16)
    return SourceData(images, labels, 6, labels.astype(np.int32))


AUGMENTED = {
    "resized_crop": [0.3, 1.0],
    "flip": True,
    "cutout": 3,
    "resolutions": [8, 12],
    "resolution": 10,
    "stored_side": 16,
}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_augmentation_together_repeats_and_streams_to_the_last_bit(precision):
    targets = [target(size=16), target("full-network", classes=3, seed=2, size=16)]
    resident, again, streamed = (
        trainer(large_data(), targets, precision=precision, image_memory=memory, **AUGMENTED)
        for memory in ("resident", "resident", "streamed")
    )
    first = resident.run(mask(1), 5)
    assert same(first, again.run(mask(1), 5))
    assert same(first, streamed.run(mask(1), 5))
    assert not same(first, resident.run(mask(1), 6))
    plain = {"resolution": 10, "stored_side": 16}
    assert not same(first, trainer(large_data(), targets, precision=precision, **plain).run(mask(1), 5))


def test_tests_and_transfers_see_whole_images_at_the_resolution(monkeypatch):
    shapes = []

    def watch(images, index, views):
        shapes.append((views.side, views.boxes))
        return cut(images, index, views)

    monkeypatch.setattr(device_images, "cut", watch)
    training = trainer(large_data(), [target(size=16)], **AUGMENTED)
    training.run(mask(), 0)
    assert {side for side, boxes in shapes if boxes is None} == {10}
    assert {side for side, boxes in shapes if boxes is not None} == {8, 12}


def test_a_portion_of_the_order_at_a_time_changes_nothing(monkeypatch):
    expected = trainer(large_data(), [target(size=16)], **AUGMENTED).run(mask(), 0)
    monkeypatch.setattr(device_images, "_BATCHES_COPIED", 1)
    assert same(trainer(large_data(), [target(size=16)], **AUGMENTED).run(mask(), 0), expected)


def test_a_target_is_transferred_to_by_settings_of_its_own(monkeypatch):
    recipes = []
    monkeypatch.setattr("tui_influence.training.transfer.fit", lambda *rest: recipes.append(rest[3]) or fit(*rest))
    settings = TrainSection(finetune_epochs=2, finetune_lr=0.5, finetune_batch_size=8, crop=1, weight_decay=0.1)
    tasks = [target("full-network", train=settings), target("full-network", seed=2)]
    trainer(targets=tasks, finetune_epochs=1, finetune_lr=0.01, finetune_batch_size=16).run(mask(), 0)
    assert [(recipe.steps, recipe.batch_size, recipe.lr) for recipe in recipes] == [(8, 8, 0.5), (2, 16, 0.01)]
    assert [(recipe.settings.crop, recipe.settings.weight_decay) for recipe in recipes] == [(1, 0.1), (0, 5e-4)]


def test_a_probe_is_fitted_by_the_penalty_of_its_target():
    strong = target(train=TrainSection(probe_l2=10.0))
    (first,), (second,) = (trainer(targets=[task]).run(mask(), 0) for task in (strong, target()))
    assert np.abs(first.margins).mean() < np.abs(second.margins).mean() / 2


def test_the_accuracy_over_classes_weighs_each_class_alike():
    (outcome,) = trainer().run(mask(), 0)
    labels = target().test_labels
    hits = outcome.predicted == labels
    over_classes = np.mean([hits[labels == label].mean() for label in np.unique(labels)])
    assert outcome.metrics["target_class_accuracy"] == pytest.approx(over_classes)
    few = target()
    kept = np.flatnonzero((few.test_labels > 0) | (np.arange(len(few.test_labels)) < 3))
    few = replace(few, test_images=few.test_images[kept], test_labels=few.test_labels[kept])
    (outcome,) = trainer(targets=[few]).run(mask(), 0)
    hits = outcome.predicted == few.test_labels
    over_classes = np.mean([hits[few.test_labels == label].mean() for label in range(4)])
    assert outcome.metrics["target_class_accuracy"] == pytest.approx(over_classes)
    assert outcome.metrics["target_accuracy"] == pytest.approx(hits.mean())


def test_a_network_for_a_single_size_is_refused_before_it_is_trained():
    with pytest.raises(ConfigError, match='"vit_b_32" cannot take 32 px images'):
        trainer(
            source(channels=3, size=64), [target(channels=3, size=64)], "vit_b_32", resolution=64, resolutions=[32, 64]
        )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_images_are_scaled_for_tests_as_exactly_as_for_training(precision):
    """Lower precision is for the network alone."""
    pixels = source_images(random_images(4, 16), np.arange(4), CPU, 11)
    batch, _ = next(pixels.batches(torch.arange(4), 4))
    numerics = choose_numerics("cpu", precision, 1)
    assert torch.equal(features(nn.Flatten(), pixels, numerics, 4), batch.flatten(1))
