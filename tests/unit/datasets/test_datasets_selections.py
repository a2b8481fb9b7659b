"""What a section chooses is positions of one pack: the same dataset as a copy, and as safe."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import image_folder, leftovers, npz, source, target

from tui_influence.datasets import default_cache, reopen, use_stage
from tui_influence.datasets import entry as entries
from tui_influence.datasets.batch import make_batch
from tui_influence.datasets.cache import Cache
from tui_influence.errors import DatasetError
from tui_influence.image_selection import ImageSelection
from tui_influence.pixel_counts import pixel_counts

# As they were when every selection was a copy: a run's identity depends on them.
FINGERPRINTS = {
    "per_class": "af2befa224a92ec717a2aa631ab2749af2eb4fe1f5bc8736a7d8d95e5e94d067",
    "keep": "5e0c7909a53cfc0c62be0a71914740b1e6be7aa5008099cfc3ad96e1478b2773",
    "exclude": "ad923b72150cbf834db774730805e1ae59172baf8b0caacf400cb20a46398eb9",
    "all three": "7a0515d6c1ebf2d3d7bd5aa96a0ce305a8912a9836dd53b58e3fd1d1c473facf",
    "few": "8d0ae548b53d83319d057fc783e30e471b38044276b45dcbfa12085074248e35",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "keep").write_text("a\nc\nd\n")
    (tmp_path / "exclude").write_text("a/1.png\nc/2.png\nd/0.png\n")
    return image_folder(tmp_path / "data", "abcd", each=6)


def settings_of(data: Path, name: str) -> dict[str, object]:
    keep, exclude = str(data.parent / "keep"), str(data.parent / "exclude")
    return {
        "per_class": {"per_class": 3},
        "keep": {"keep": keep},
        "exclude": {"exclude": exclude},
        "all three": {"per_class": 4, "keep": keep, "exclude": exclude},
        "few": {"per_class": 1},
    }[name]


def pixel_files(cache: Path) -> list[Path]:
    return sorted((cache / "packed").glob("*/images.npy"))


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_a_selection_is_the_dataset_that_a_copy_was(data: Path, cache: Path, name: str) -> None:
    whole = source(data, cache)
    images = source(data, cache, **settings_of(data, name))
    assert images.fingerprint == FINGERPRINTS[name]
    assert isinstance(images.images, ImageSelection)
    position_of = {image: position for position, image in enumerate(whole.names)}
    assert np.array_equal(images.images, whole.images[[position_of[image] for image in images.names]])
    assert [images.classes[label] for label in images.labels] == [image[0] for image in images.names]
    assert np.array_equal(images.counts, pixel_counts(images.images))
    assert len(pixel_files(cache)) == 1
    again = reopen(images.fingerprint, cache)
    assert again is not None
    assert (again.names, again.classes, again.labels.tolist()) == (images.names, images.classes, images.labels.tolist())
    assert np.array_equal(again.images, images.images)
    assert np.array_equal(again.counts, images.counts)
    assert leftovers(cache) == []


def test_the_whole_is_packed_once_whatever_is_chosen(data: Path, cache: Path, decodes: list[str]) -> None:
    for name in FINGERPRINTS:
        source(data, cache, **settings_of(data, name))
    source(data, cache, per_class=2, seed=7)
    source(data, cache)
    assert len(decodes) == 24
    assert len(pixel_files(cache)) == 1


def test_a_dataset_that_was_a_selection_of_a_larger_one_can_be_selected_from(data: Path, cache: Path) -> None:
    keep = data.parent / "kept"
    keep.write_text("a\nb\nc\n")
    selected = source(data, cache, keep=str(keep))
    assert isinstance(selected.images, ImageSelection)
    shutil.rmtree(data / "d")
    whole = source(data, cache)
    assert whole.fingerprint == selected.fingerprint
    assert not isinstance(whole.images, ImageSelection)
    few = source(data, cache, per_class=2)
    assert (len(few), set(few.names) <= set(whole.names)) == (6, True)
    assert np.array_equal(source(data, cache, keep=str(keep)).images[:], whole.images)
    assert not leftovers(cache)


def test_of_many_files_a_small_part_alone_is_packed(data: Path, cache: Path, decodes: list[str]) -> None:
    images = source(data, cache, per_class=1)
    assert images.fingerprint == FINGERPRINTS["few"]
    assert sorted(decodes) == sorted(images.names)
    assert source(data, cache, per_class=1).fingerprint == images.fingerprint
    assert len(decodes) == 4
    source(data, cache)
    assert source(data, cache, per_class=1).fingerprint == images.fingerprint
    assert len(decodes) == 4 + 24


def test_a_part_of_a_quarter_packs_the_whole(tmp_path: Path, cache: Path, decodes: list[str]) -> None:
    source(image_folder(tmp_path / "data", "ab", each=4), cache, per_class=1)
    assert len(decodes) == 8


def test_where_unreadable_images_are_skipped_all_are_tried(data: Path, cache: Path, decodes: list[str]) -> None:
    """Which are readable decides about the choice."""
    (data / "b" / "3.png").write_bytes(b"x")
    images = source(data, cache, per_class=1, on_bad_image="skip")
    assert len(decodes) == 24
    assert images.skipped == ("b/3.png",)


def test_an_unreadable_image_is_an_error_where_it_is_chosen(data: Path, cache: Path) -> None:
    chosen = set(source(data, cache.with_name("other"), per_class=1).names)
    others = sorted({f"b/{index}.png" for index in range(6)} - chosen)
    (data / others[0]).write_bytes(b"x")
    assert set(source(data, cache, per_class=1).names) == chosen
    bad = next(iter(sorted(chosen)))
    (data / bad).write_bytes(b"x")
    for _ in range(2):
        with pytest.raises(DatasetError, match=rf"^1 unreadable image in .*: {bad} "):
            source(data, cache, per_class=1)
    assert leftovers(cache) == []


def test_a_target_chooses_from_one_pack_of_each_part(tmp_path: Path, cache: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    train = npz(tmp_path / "train.npz", x=pixels, y=np.arange(12) % 3)
    test = npz(tmp_path / "test.npz", x=pixels[:8] ^ 1, y=np.arange(8) % 2 * 2)  # no image of class 1
    few = target(train, test, cache, train_per_class=1, test_per_class=1)
    every = target(train, test, cache)
    assert every.test.classes == ("0", "1", "2")
    assert every.test.labels.tolist() == [0, 2] * 4
    assert [few.test.classes[label] for label in few.test.labels] == [name[0] for name in few.test.names]
    assert (len(few.train), len(few.test)) == (3, 2)
    assert len(pixel_files(cache)) == 2


def _edit(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))


def _flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def _become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda part, whole: shutil.rmtree(part), id="gone"),
        pytest.param(lambda part, whole: (part / "positions.npy").unlink(), id="positions gone"),
        pytest.param(lambda part, whole: _flip(part / "positions.npy", -8), id="position"),
        pytest.param(lambda part, whole: _become_pipe(part / "positions.npy"), id="positions are a pipe"),
        pytest.param(lambda part, whole: _flip(part / "labels.npy", -8), id="label"),
        pytest.param(
            lambda part, whole: _edit(part / "manifest.json", lambda m: m["selection"].update(whole=part.name)),
            id="of itself",
        ),
        pytest.param(lambda part, whole: _edit(part / "manifest.json", lambda m: m.update(selection=[])), id="a list"),
        pytest.param(
            lambda part, whole: _edit(part / "manifest.json", lambda m: m["selection"]["counts"][0].append(1)),
            id="counts",
        ),
        pytest.param(lambda part, whole: _flip(whole / "images.npy", -5), id="pixel"),
        pytest.param(lambda part, whole: shutil.rmtree(whole), id="whole gone"),
        pytest.param(lambda part, whole: os.truncate(whole / "images.npy", 2000), id="whole cut"),
    ],
)
def test_a_damaged_selection_is_made_again(data: Path, cache: Path, damage: Callable[[Path, Path], object]) -> None:
    settings = {"exclude": str(data.parent / "exclude")}
    before = source(data, cache, **settings)
    expected, packed = np.array(before.images), cache / "packed"
    assert isinstance(before.images, ImageSelection)
    whole = Path(before.images.whole.filename).parent
    assert whole.parent == packed
    damage(packed / before.fingerprint, whole)
    assert reopen(before.fingerprint, cache) is None
    damaged = Cache(cache).check(before.fingerprint)
    assert damaged is not None
    assert damaged[0] in {packed / before.fingerprint, whole}
    for read in (lambda: source(data, cache, **settings), lambda: reopen(before.fingerprint, cache)):
        mended = read()
        assert mended is not None
        assert mended.fingerprint == before.fingerprint
        assert np.array_equal(mended.images, expected)
    assert Cache(cache).check(before.fingerprint) is None
    assert leftovers(cache) == []


def test_of_a_damaged_whole_no_other_selection_is_made(
    data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the sample of a large whole misses the damage."""
    images = source(data, cache, per_class=3)
    (pixels,) = pixel_files(cache)
    assert isinstance(images.images, ImageSelection)
    _flip(pixels, 128 + int(images.images.positions[0]) * 192)
    assert Cache(cache).check(images.fingerprint) == (
        pixels.parent, "the pixels in images.npy are not those that were packed"
    )  # fmt: skip
    monkeypatch.setattr(entries, "VERIFIED_BYTES", 12 * 192)
    monkeypatch.setattr(entries, "_verify_blocks", lambda *_: None)
    monkeypatch.setattr(entries, "SAMPLED_BLOCKS", 1)
    with pytest.raises(DatasetError, match=rf"^{pixels.parent} is damaged; remove it to pack the data again$"):
        source(data, cache, per_class=3)
    shutil.rmtree(pixels.parent)
    assert source(data, cache, per_class=3).fingerprint == images.fingerprint


def test_selections_of_each_other_are_no_entries(data: Path, cache: Path) -> None:
    """However well their hashes fit: reading them has an end."""
    first, second = (source(data, cache, per_class=count).fingerprint for count in (2, 3))
    for name, other in ((first, second), (second, first)):
        path = cache / "packed" / name / "manifest.json"
        manifest = json.loads(path.read_bytes())
        manifest["selection"]["whole"] = other
        manifest["selection_hash"] = entries._hash_of_json([name, manifest["selection"]])
        path.write_text(json.dumps(manifest))
    assert reopen(first, cache) is None
    assert len(source(data, cache, per_class=2)) == 8


def test_a_large_selection_is_sampled_like_its_whole(data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"VERIFIED_BYTES": 192, "BLOCK_BYTES": 96, "SAMPLED_BLOCKS": 8}.items():
        monkeypatch.setattr(entries, name, value)
    images = source(data, cache, per_class=3)
    (pixels,) = pixel_files(cache)
    answers = {reopen(images.fingerprint, cache) is None for _ in range(5)}
    assert answers == {False}
    content = pixels.read_bytes()
    pixels.write_bytes(content[:128] + bytes(len(content) - 128))
    assert reopen(images.fingerprint, cache) is None


def test_a_copy_of_an_older_version_serves_as_it_is(data: Path, cache: Path) -> None:
    images = source(data, cache, per_class=3)
    shutil.rmtree(cache / "packed" / images.fingerprint)
    with Cache(cache).write_entry(images.images.shape, "a copy") as writer:
        writer.append(make_batch(images.images[:], images.labels.tolist(), list(images.names)))
        assert writer.finish(None, images.labels, images.classes).fingerprint == images.fingerprint
    shutil.rmtree(cache / "keys")
    again = source(data, cache, per_class=3)
    assert again.fingerprint == images.fingerprint
    assert not isinstance(again.images, ImageSelection)


def test_a_node_gets_a_copy_of_the_selected_images_alone(
    data: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINFL_CACHE", str(cache))
    images = source(data, cache, per_class=3)
    warnings: list[str] = []
    for _ in range(2):
        with use_stage(str(tmp_path / "disk"), [images.fingerprint], warnings.append):
            copied = reopen(images.fingerprint)
            assert copied is not None
            assert np.array_equal(copied.images, images.images)
            assert not isinstance(copied.images, ImageSelection)
            assert [path.name for path in (default_cache() / "packed").iterdir()] == [images.fingerprint]
            assert leftovers(default_cache()) == []
    assert warnings == []


def test_a_node_without_room_for_the_selected_images_reads_what_all_share(
    data: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINFL_CACHE", str(cache))
    images = source(data, cache, per_class=3)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    warnings: list[str] = []
    with use_stage(str(tmp_path / "disk"), [images.fingerprint], warnings.append):
        assert reopen(images.fingerprint) is not None
        assert default_cache() == cache
    (warning,) = warnings
    assert "No space left on device; they are read from" in warning
