"""Images that are read while the network trains: the same models to the last bit, and no thread is left behind."""

import gc
import subprocess
import sys
import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.unit.training.small_data import images_of, mask, same, source, target, trainer
from tui_influence import host_memory
from tui_influence.image_selection import ImageSelection
from tui_influence.training import device_images
from tui_influence.training.device_images import source_images
from tui_influence.training.device_memory import available_memory, choose_streamed
from tui_influence.training.types import OutOfMemory

CPU = torch.device("cpu")


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("tinfl-reader")]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"crop": 2, "flip": True},
        {"steps": 7, "epochs": None},
        {"resized_crop": [0.3, 1.0], "flip": True, "cutout": 3},
    ],
)
def test_streamed_images_train_the_same_models(channels, options):
    targets = [target(), target("full-network", classes=3, seed=2, channels=3)]
    data = source(channels=channels)
    resident = trainer(data, targets, image_memory="resident", **options)
    streamed = trainer(data, targets, image_memory="streamed", **options)
    assert resident.streamed_bytes == 0
    parts = [data.images, *(part for t in targets for part in (t.train_images, t.test_images))]
    assert streamed.streamed_bytes == sum(part.nbytes for part in parts)
    for keep, seed in ((mask(), 0), (mask(1, 3), 1)):
        assert same(resident.run(keep, seed), streamed.run(keep, seed))
    first, second = (
        t.run(mask(), 2, evaluation_batch=7, is_prior=True, map_classes=True)[0] for t in (resident, streamed)
    )
    assert same([first], [second])
    for name in ("mapping", "ablation", "class_features", "mapped", "nearest"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert not readers()


def selected(images):
    """The images as a selection of an array that has them in another order, and others between them."""
    positions = np.arange(len(images))[::-1] * 2
    whole = np.zeros((2 * len(images), *images.shape[1:]), np.uint8)
    whole[positions] = images
    return ImageSelection(whole, positions)


@pytest.mark.parametrize("image_memory", ["resident", "streamed"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_selection_of_an_array_trains_the_same_models(image_memory, channels):
    data, transfer = source(channels=channels), target("full-network", classes=3, seed=2, channels=3)
    parts = {name: selected(getattr(transfer, name)) for name in ("train_images", "test_images")}
    copies = trainer(data, [transfer], image_memory=image_memory)
    selections = trainer(
        replace(data, images=selected(data.images)), [replace(transfer, **parts)], image_memory=image_memory
    )
    assert selections.streamed_bytes == copies.streamed_bytes
    for keep, seed in ((mask(), 0), (mask(1, 3), 1)):
        assert same(copies.run(keep, seed), selections.run(keep, seed))


def test_on_the_cpu_a_selection_is_not_copied():
    images, labels = images_of(3, 40)
    selection = selected(images)
    held = source_images(selection, labels, CPU, None)
    assert np.shares_memory(held.images.numpy(), selection.whole)


def test_a_selection_is_copied_to_a_device_a_few_images_at_a_time(monkeypatch):
    images, _ = images_of(3, 40)
    selection = selected(images)
    monkeypatch.setattr(device_images, "_SLICE_IMAGES", 7)
    assert np.array_equal(device_images._copied(selection, CPU).numpy(), images)


def test_an_iterator_that_is_closed_early_ends_its_thread():
    images, labels = images_of(3, 400)
    batches = source_images(images, labels, CPU, None, streamed=True).batches(torch.arange(1200), 2)
    next(batches)
    assert len(readers()) == 1
    batches.close()
    assert not readers()


def test_what_the_reader_raises_is_raised_where_the_batch_is_used(monkeypatch):
    images, labels = images_of(3, 40)
    pixels = source_images(images, labels, CPU, None, streamed=True)

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("tui_influence.training.device_images.np.take", fail)
    with pytest.raises(MemoryError):
        list(pixels.batches(torch.arange(120), 8))
    assert not readers()


def test_an_error_of_the_reader_holds_no_batch(monkeypatch):
    """Less memory is tried next, so that of the failed attempt must be free at once."""
    images, labels = images_of(3, 40)
    take, batches = np.take, []

    def fail_later(*arguments, out, **options):
        if len(batches) == 2:
            raise MemoryError
        batches.append(weakref.ref(out))
        return take(*arguments, out=out, **options)

    monkeypatch.setattr("tui_influence.training.device_images.np.take", fail_later)
    gc.disable()
    try:
        try:
            for _ in source_images(images, labels, CPU, None, streamed=True).batches(torch.arange(120), 8):
                pass
        except MemoryError:
            pass
        assert [batch() for batch in batches] == [None, None]
    finally:
        gc.enable()


def test_the_largest_sets_are_streamed_until_half_the_memory_holds_the_others():
    assert choose_streamed([50, 10, 20], memory=1000) == [False, False, False]
    assert choose_streamed([50, 10, 20], memory=100) == [True, False, False]
    assert choose_streamed([50, 10, 20], memory=40) == [True, False, True]
    assert choose_streamed([50, 10, 20], memory=0) == [True, True, True]
    assert choose_streamed([50, 10], memory=0, setting="resident") == [False, False]
    assert choose_streamed([50, 10], memory=1000, setting="streamed") == [True, True]


def test_a_trainer_decides_by_the_memory_that_is_free(monkeypatch):
    data, targets = source(), [target()]
    sizes = [data.images.nbytes, targets[0].train_images.nbytes, targets[0].test_images.nbytes]
    monkeypatch.setattr("tui_influence.training.trainer.available_memory", lambda _: 2 * (sum(sizes) - 1))
    assert trainer(data, targets).streamed_bytes == max(sizes)
    monkeypatch.setattr("tui_influence.training.trainer.available_memory", lambda _: 2 * sum(sizes))
    assert trainer(data, targets).streamed_bytes == 0


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """The directories of control groups, and the file that says which ones the process is in."""
    monkeypatch.setattr(host_memory, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(host_memory, "_PROCESS_GROUPS", tmp_path / "own")
    (tmp_path / "groups" / "memory" / "job" / "step").mkdir(parents=True)
    (tmp_path / "groups" / "job" / "step").mkdir(parents=True)
    return tmp_path / "groups", tmp_path / "own"


def test_a_device_that_is_full_streams_instead_of_failing(monkeypatch):
    """As where other workers take the memory between the decision and the loading."""

    def refuse(images):
        raise MemoryError

    monkeypatch.setattr("tui_influence.training.device_images._as_tensor", refuse)
    one = trainer()
    assert all(one.streamed)
    assert one.run(mask(), 0)
    with pytest.raises(OutOfMemory, match=r'loading the images: out of memory; \[compute\] images = "streamed" reads'):
        trainer(image_memory="resident")


def test_the_limits_of_all_control_groups_count(groups):
    folder, own = groups
    assert available_memory(CPU) > 10_000
    own.write_text("1:cpu:/\n0::/job/step\n")
    job, step = folder / "job", folder / "job" / "step"
    (step / "memory.max").write_text("max\n")
    (step / "memory.current").write_text("700\n")
    assert available_memory(CPU) > 10_000
    (job / "memory.max").write_text("1000\n")
    (job / "memory.current").write_text("900\n")
    assert available_memory(CPU) == 100
    (job / "memory.stat").write_text("anon 500\ninactive_file 150\nactive_file 50\ntotal_active_file 7\n")
    assert available_memory(CPU) == 300  # the kernel drops files
    (step / "memory.max").write_text("800\n")
    assert available_memory(CPU) == 100
    (step / "memory.current").write_text("5000\n")
    assert available_memory(CPU) == 0


def test_control_groups_of_the_first_version_count_too(groups):
    folder, own = groups
    own.write_text("4:hugetlb,memory:/job/step\n0::/job\n")
    job = folder / "memory" / "job"
    (job / "memory.limit_in_bytes").write_text("2000\n")
    (job / "memory.usage_in_bytes").write_text("900\n")
    (job / "memory.stat").write_text("active_file 1\ntotal_active_file 40\ntotal_inactive_file 60\n")
    assert available_memory(CPU) == 1200
    (folder / "memory" / "memory.limit_in_bytes").write_text("1000\n")  # in a container, the group itself
    (folder / "memory" / "memory.usage_in_bytes").write_text("990\n")
    assert available_memory(CPU) == 10


LIMIT = """
import resource, sys
import numpy as np
images = np.memmap(sys.argv[1], np.uint8, "r").reshape(-1, 224, 224, 3)
resource.setrlimit(resource.RLIMIT_DATA, (3 << 29, 3 << 29))  # 1.5 GB of memory of its own
"""

PROCESS = """
import torch
from tests.unit.training.small_data import images_of, mask, trainer
from tui_influence.training.types import SourceData, TargetData

torch.set_num_threads(1)
labels = np.arange(len(images)) % 6
data = SourceData(images, labels, 6, labels.astype(np.int32), np.ones((3, 256), np.int64))
test = images_of(2, 4, size=224, channels=3)
options = {"epochs": None, "steps": 4, "batch_size": 16, "width": 0.25}
model = trainer(data, [TargetData("fixed-feature", *test, *test, 2)], image_memory=sys.argv[2], **options)
print(model.run(mask(), 0)[0].margins.tobytes().hex())
"""


def test_a_process_of_half_its_memory_trains_on_a_file(tmp_path):
    """Neither kind copies a file of 3 GB, which consists of holes but for every hundredth image."""
    path, images, size = tmp_path / "images", 20_000, 224 * 224 * 3
    noise = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8).tobytes()
    with path.open("wb") as file:
        file.truncate(images * size)
        for image in range(0, images, 100):
            file.seek(image * size)
            file.write(noise)

    def output(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program, path, *arguments], capture_output=True, text=True)

    streamed, resident = output(LIMIT + PROCESS, "streamed"), output(LIMIT + PROCESS, "resident")
    assert len(streamed.stdout.strip()) == 8 * 4 * 2, streamed.stderr
    assert streamed.stdout == resident.stdout
    assert "Unable to allocate" in output(LIMIT + "np.array(images)").stderr  # the limit is one
