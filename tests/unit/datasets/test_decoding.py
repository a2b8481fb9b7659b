"""However many threads there are, and however large the images, memory is bounded; nothing legitimate is refused."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from image_files import noise, npz, save, source
from PIL import Image

from tui_influence.config.schema import NpzSource
from tui_influence.datasets import decoder_pool, load_source, packing
from tui_influence.datasets import images as decoding_of_images
from tui_influence.datasets.base import Sample
from tui_influence.datasets.errors import BadImageError
from tui_influence.datasets.images import PixelBudget, render_sample


class Watched(PixelBudget):
    """Remembers what was taken, and the most that was in flight."""

    def __init__(self, pixels: int) -> None:
        super().__init__(pixels)
        self.taken: list[int] = []
        self.most = 0

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        with super().take(pixels):
            self.taken.append(pixels)
            self.most = max(self.most, self._in_flight)
            yield


def in_threads(budget: PixelBudget, sizes: list[int]) -> None:
    def work(pixels: int) -> None:
        with budget.take(pixels):
            time.sleep(0.005)

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_threads_stay_within_the_budget_together() -> None:
    budget = Watched(100)
    in_threads(budget, [30] * 20)
    assert len(budget.taken) == 20
    assert 60 <= budget.most <= 100


def test_what_is_larger_than_the_budget_waits_until_it_is_alone() -> None:
    budget = Watched(100)
    in_threads(budget, [30] * 10 + [1000] * 3 + [30] * 10)
    assert len(budget.taken) == 23
    assert budget.most == 1000


def test_an_error_gives_the_pixels_back() -> None:
    budget = PixelBudget(10)
    with pytest.raises(KeyError), budget.take(10):
        raise KeyError
    in_threads(budget, [10, 10])


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched(10_000)
    monkeypatch.setattr(decoding_of_images, "PIXEL_BUDGET", watched)
    return watched


def test_packing_decodes_large_images_one_at_a_time(
    tmp_path: Path, cache: Path, budget: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "thread_count", lambda: 8)
    monkeypatch.setattr(packing, "_BATCH", 1)
    for index in range(16):
        save(tmp_path / "data" / "ab"[index % 2] / f"{index}.png", noise(index, 120, 100))
    assert len(source(tmp_path / "data", cache)) == 16
    assert sorted(budget.taken) == [0] * 16 + [12_000] * 16
    assert budget.most == 12_000


def test_a_jpeg_counts_as_what_its_decoder_makes_of_it(tmp_path: Path, budget: Watched) -> None:
    plain = save(tmp_path / "plain.jpg", noise(0, 512, 512))
    progressive = save(tmp_path / "progressive.jpg", noise(0, 512, 512), progressive=True)
    for path in (plain, progressive):
        render_sample(Sample("x", 0, path), 16, 3)
    assert budget.taken == [0, 64 * 64, 0, 512 * 512 // 2]


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0" + bytes(8)}])
def test_a_webp_counts_from_when_it_is_opened(tmp_path: Path, budget: Watched, options: dict[str, object]) -> None:
    """Its decoder takes memory for the file and the whole canvas then: those that wait their turn must not be open."""
    path = save(tmp_path / "a.webp", noise(0, 120, 100), **options)
    render_sample(Sample("x", 0, path), 16, 3)
    assert budget.taken == [12_000 + path.stat().st_size // 8]


def test_a_webp_that_declares_a_canvas_beyond_all_bounds_is_not_given_to_its_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.webp"
    frames = [Image.fromarray(noise(number)) for number in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    data = bytearray(path.read_bytes())
    assert data[12:16] == b"VP8X"
    data[24:30] = 2 * (50_000 - 1).to_bytes(3, "little")
    path.write_bytes(data)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(BadImageError, match=r"^decompression bomb: 50000 x 50000 pixels$"):
        render_sample(Sample("x", 0, path), 16, 3)


def test_pixels_that_wait_to_be_packed_are_few_bytes_not_few_images(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    decode_batch = decoder_pool.decode_batch

    def watched(samples: list[Sample], *rest: int) -> object:
        sizes.append(len(samples))
        return decode_batch(samples, *rest)

    monkeypatch.setattr(decoder_pool, "decode_batch", watched)
    monkeypatch.setattr(packing, "_BATCH_BYTES", 3 * 64 * 64 * 3)
    path = npz(tmp_path / "d.npz", x=np.zeros((10, 64, 64, 3), np.uint8), y=np.arange(10) % 2)
    load_source(NpzSource(kind="npz", path=str(path)), seed=0, resolution=8, channels=3, cache=cache)
    assert sorted(sizes) == [1, 3, 3, 3]
    assert Sample("x", 0, Image.new("RGB", (5, 4))).nbytes == 60
    assert Sample("x", 0, path).nbytes == 0


def test_a_file_larger_than_any_image_is_not_read(tmp_path: Path, cache: Path) -> None:
    path = save(tmp_path / "data" / "a" / "0.webp", noise(0))
    save(tmp_path / "data" / "a" / "1.webp", noise(2))
    save(tmp_path / "data" / "b" / "0.webp", noise(1))
    with path.open("r+b") as file:
        file.truncate((1 << 30) + 1)
    images = source(tmp_path / "data", cache, on_bad_image="skip")
    assert images.skipped == ("a/0.webp",)
