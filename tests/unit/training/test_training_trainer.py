"""One row in, one outcome a target out; the same to the bit, whatever came before."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.unit.training.small_data import PER_CLASS, K, Oom, mask, same, source, target, trainer
from tui_influence.training.step import SGD
from tui_influence.training.types import OutOfMemory, TrainingFailed

CPU_OOM = RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: ...")


GPU_OOM = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if ...\nCUDA out of memory"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
    RuntimeError(
        "MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 1.00 GB, max allowed: 9.07 GB)"
    ),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_row_trained_twice_gives_the_same_bits(precision):
    first = trainer(precision=precision, crop=1, flip=True).run(mask(1, 4), 7)
    again = trainer(precision=precision, crop=1, flip=True).run(mask(1, 4), 7)
    assert same(first, again)


def test_seed_and_mask_both_matter():
    one = trainer()
    base = one.run(mask(1), 7)
    assert not same(base, one.run(mask(1), 8))
    assert not same(base, one.run(mask(2), 7))


def test_a_row_does_not_depend_on_rows_before_it():
    fresh = trainer(targets=[target(), target("full-network", seed=2)]).run(mask(3), 5)
    used = trainer(targets=[target(), target("full-network", seed=2)])
    torch.manual_seed(123)
    used.run(mask(0, 1), 1)
    with pytest.raises(TrainingFailed):
        used.run(np.zeros(K, dtype=bool), 2)
    torch.rand(3)
    assert same(used.run(mask(3), 5), fresh)


def test_a_row_does_not_depend_on_a_row_that_diverged():
    used = trainer()
    hook = used._body.register_forward_hook(lambda _m, _i, features: features * torch.nan)
    with pytest.raises(TrainingFailed):
        used.run(mask(), 1)
    hook.remove()
    assert same(used.run(mask(3), 5), trainer().run(mask(3), 5))


def test_training_leaves_torchs_global_generator_alone():
    one = trainer()
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    one.run(mask(), 1)
    assert torch.equal(torch.rand(4), expected)


def shuffled_pixels(data, which):
    """Other pixels in some images, with the same sum: the whole source's mean and deviation normalise every model."""
    images = data.images.copy()
    pool = images[which].reshape(-1)
    images[which] = np.random.default_rng(0).permutation(pool).reshape(images[which].shape)
    assert not np.array_equal(images, data.images)
    return dataclasses.replace(data, images=images)


def test_images_that_a_mask_leaves_out_are_never_touched():
    data = source()
    other = shuffled_pixels(data, np.isin(data.groups, (2, 5)))
    assert same(trainer(data).run(mask(2, 5), 3), trainer(other).run(mask(2, 5), 3))
    assert not same(trainer(data).run(mask(2), 3), trainer(other).run(mask(2), 3))


def test_labels_of_images_left_out_are_never_touched():
    data = source()
    labels = np.where(data.groups == 2, 0, data.labels)
    assert same(trainer(data).run(mask(2), 3), trainer(dataclasses.replace(data, labels=labels)).run(mask(2), 3))


def test_images_of_group_minus_one_are_always_used():
    data = source()
    groups = np.where(np.arange(len(data.groups)) % 5 == 0, -1, data.groups).astype(np.int32)
    data = dataclasses.replace(data, groups=groups)
    keep = mask(0, K - 1)  # the last group too: an index of -1 must not be mistaken for it
    (outcome,) = trainer(data).run(keep, 1)
    assert outcome.metrics["source_images"] == np.sum((groups < 0) | np.isin(groups, np.flatnonzero(keep)))
    assert not same([outcome], trainer(shuffled_pixels(data, groups == -1)).run(keep, 1))


def test_groups_need_not_be_classes():
    groups = np.arange(K * PER_CLASS, dtype=np.int32) % 9
    keep = np.ones(9, dtype=bool)
    keep[4] = False
    (outcome,) = trainer(source(groups=groups)).run(keep, 1)
    assert outcome.metrics["source_images"] == 160
    assert outcome.metrics["source_classes"] == K


@pytest.mark.parametrize("left_out", [(), (1,), (0, 2, 3, 4)])
@pytest.mark.parametrize(("steps", "batch_size"), [(1, 32), (7, 32), (23, 500)])
def test_a_number_of_steps_is_taken_exactly_however_many_images_are_kept(left_out, steps, batch_size, monkeypatch):
    taken = []
    step = SGD.step
    monkeypatch.setattr(SGD, "step", lambda self, lr: taken.append(lr) or step(self, lr))
    (outcome,) = trainer(epochs=None, steps=steps, batch_size=batch_size).run(mask(*left_out), 1)
    assert outcome.metrics["source_steps"] == len(taken) == steps
    assert outcome.metrics["source_images"] == (K - len(left_out)) * PER_CLASS
    (again,) = trainer(epochs=None, steps=steps, batch_size=batch_size).run(mask(*left_out), 1)
    assert same([outcome], [again])


@pytest.mark.parametrize(("epochs", "batch_size"), [(1, 32), (3, 32), (2, 7), (2, 500)])
def test_the_steps_that_epochs_are_give_the_same_model_to_the_bit(epochs, batch_size):
    task, keep = target("full-network", seed=2), mask(1, 2)
    by_epochs = trainer(targets=[target(), task], epochs=epochs, batch_size=batch_size, crop=1, flip=True).run(keep, 3)
    steps = int(by_epochs[0].metrics["source_steps"])
    assert steps == epochs * 4 * PER_CLASS // min(batch_size, 4 * PER_CLASS)
    by_steps = trainer(
        targets=[target(), task], epochs=None, steps=steps, batch_size=batch_size, crop=1, flip=True
    ).run(keep, 3)
    assert same(by_epochs, by_steps)


def test_the_source_is_learnt_and_its_features_transfer():
    (outcome,) = trainer(epochs=8).run(mask(), 0)
    assert outcome.metrics["source_loss"] < 0.3 * np.log(K)
    assert outcome.metrics["source_accuracy"] > 0.8
    assert outcome.metrics["target_accuracy"] > 0.6
    assert outcome.metrics["target_accuracy"] == np.mean(outcome.predicted == target().test_labels)
    assert np.isfinite(outcome.margins).all()


def test_full_network_transfer_learns():
    task = target("full-network", per_class=40)
    (outcome,) = trainer(targets=[task], epochs=4, finetune_epochs=8, finetune_lr=0.1).run(mask(), 0)
    assert outcome.metrics["target_accuracy"] > 0.7
    assert outcome.metrics["target_train_loss"] < 0.5 * np.log(4)
    (little,) = trainer(targets=[task], epochs=4, finetune_epochs=1, finetune_lr=1e-6).run(mask(), 0)
    assert little.metrics["target_train_loss"] > outcome.metrics["target_train_loss"] + 0.3


def test_targets_share_one_source_model_and_their_order_changes_nothing():
    a, b, c = target(), target("full-network", classes=3, seed=2), target("full-network", classes=5, seed=3)
    d = target(seed=4)
    together = trainer(targets=[a, b, c, d]).run(mask(1), 9)
    reversed_ = trainer(targets=[d, c, b, a]).run(mask(1), 9)
    assert same(together, reversed_[::-1])
    for task, outcome in zip((a, b, c, d), together, strict=True):
        assert same([outcome], trainer(targets=[task]).run(mask(1), 9))


@pytest.mark.parametrize("transfer", ["fixed-feature", "full-network"])
def test_saying_what_source_class_an_image_is_taken_for_changes_nothing_else(transfer):
    images = source()
    own = dataclasses.replace(target(transfer), test_images=images.images, test_labels=images.labels % 2)
    one = trainer(targets=[own, target("full-network", seed=2)])
    plain, asked = one.run(mask(), 5), one.run(mask(), 5, map_classes=True)
    assert same(plain, asked)
    assert plain[0].mapped is None
    assert (asked[0].mapped == images.labels).mean() == pytest.approx(asked[0].metrics["source_accuracy"], abs=0.2)
    assert (asked[0].mapped == images.labels).mean() > 2 / K


def test_dropout_is_repeatable_too():
    one = trainer(arch="tests.unit.training.own_networks:with_dropout")
    first = one.run(mask(), 4)
    assert same(first, one.run(mask(), 4))
    assert not same(first, one.run(mask(), 5))


@pytest.mark.parametrize("kept", [2, 3, 31, 33])
def test_kept_sets_of_any_size_train(kept):
    groups = np.arange(K * PER_CLASS, dtype=np.int32)
    keep = np.zeros(len(groups), dtype=bool)
    keep[np.linspace(0, len(groups) - 1, kept).astype(int)] = True
    (outcome,) = trainer(source(groups=groups), epochs=3).run(keep, 0)
    assert outcome.metrics["source_images"] == kept
    assert outcome.metrics["source_steps"] == max(3, 3 * kept // 32)
    assert np.isfinite(outcome.margins).all()


def test_too_few_images_are_refused_by_name():
    groups = np.arange(K * PER_CLASS, dtype=np.int32)
    with pytest.raises(TrainingFailed, match=r"^source training: 1 images to train on; at least 2 are needed$"):
        trainer(source(groups=groups)).run(groups == 5, 0)


def test_a_loss_that_is_not_finite_says_where():
    with pytest.raises(
        TrainingFailed, match=r"^source training: the loss is not finite in epoch 1 of 2, step \d of 6$"
    ):
        trainer(lr=1e30).run(mask(), 0)
    task = target("full-network", per_class=40)
    with pytest.raises(TrainingFailed, match=r"^fine-tuning: the loss is not finite in epoch \d of 3, step \d of 3$"):
        trainer(targets=[task], finetune_lr=1e30, finetune_epochs=3).run(mask(), 0)


def test_features_that_are_not_finite_are_a_failure():
    one = trainer()
    one._body.register_forward_hook(lambda module, _i, features: features if module.training else features * torch.inf)
    with pytest.raises(TrainingFailed, match="features are not finite"):
        one.run(mask(), 0)


@pytest.mark.parametrize("error", [*GPU_OOM, CPU_OOM, MemoryError()], ids=lambda error: str(error)[:60])
def test_out_of_memory_in_evaluation_halves_the_batch_and_changes_no_output(error):
    (expected,) = trainer().run(mask(), 0)
    one = trainer()
    hook = Oom(20, error)
    handle = one._body.register_forward_pre_hook(hook)
    (outcome,) = one.run(mask(), 0, evaluation_batch=48)
    assert max(hook.seen) == 48
    assert hook.seen.count(12) >= 4
    np.testing.assert_allclose(outcome.margins, expected.margins, rtol=1e-3, atol=1e-3)
    assert outcome.metrics["source_loss"] == expected.metrics["source_loss"]
    handle.remove()
    assert same(one.run(mask(), 0), [expected])


def test_out_of_memory_with_a_single_image_gives_up():
    one = trainer()
    one._body.register_forward_pre_hook(Oom(0, torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(OutOfMemory):
        one.run(mask(), 0)


@pytest.mark.parametrize("error", [*GPU_OOM, CPU_OOM], ids=lambda error: str(error)[:60])
def test_out_of_memory_in_training_is_reported_and_never_worked_around(error):
    one = trainer()
    hook = Oom(0, error, training=True)
    one._body.register_forward_pre_hook(hook)
    with pytest.raises(OutOfMemory, match=r"^training: out of memory$"):
        one.run(mask(), 0)
    assert hook.seen == [32]


@pytest.mark.parametrize(
    "message",
    [
        "shapes do not match",
        "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if",
        "CUDA error: misaligned",
    ],
)
def test_other_errors_are_not_mistaken_for_memory(message):
    one = trainer()
    one._body.register_forward_pre_hook(Oom(0, RuntimeError(message)))
    with pytest.raises(RuntimeError, match=message):
        one.run(mask(), 0)


def test_images_of_several_sizes_are_refused():
    with pytest.raises(ValueError, match="images of 8 x 8 pixels, not packed at 16 x 16"):
        trainer(source(size=16))  # its target has 8 px
