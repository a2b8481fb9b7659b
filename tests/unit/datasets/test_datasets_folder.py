"""Folders of images."""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from image_files import bomb, image_folder, noise, save, source, truncated_jpeg
from PIL import Image

from tui_influence.config.schema import FolderSource
from tui_influence.datasets import DatasetProblemsError, ImageShape, native_shape, reopen
from tui_influence.errors import DatasetError


def test_images_labels_and_names_are_in_order(folder: Path, cache: Path) -> None:
    images = source(folder, cache)
    assert images.images.shape == (6, 8, 8, 3)
    assert images.classes == ("a", "b")
    assert images.names == ("a/0.png", "a/1.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png")
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(images.images[4], noise(101))
    assert not images.images.flags.writeable
    assert isinstance(images.images, np.memmap)


def test_images_are_found_below_a_class_and_other_files_are_ignored(folder: Path, cache: Path) -> None:
    save(folder / "a" / "deep" / "er" / "x.PNG", noise(5))
    for name in ("a/notes.txt", "a/.DS_Store", "a/Thumbs.db", "a/._0.png", "README.md", "loose.png"):
        (folder / name).write_text("not an image")
    save(folder / ".hidden" / "0.png", noise(5))
    save(folder / "a" / ".cache" / "0.png", noise(5))
    images = source(folder, cache)
    assert images.classes == ("a", "b")
    assert images.names[3] == "a/deep/er/x.PNG"
    assert len(images) == 7


def test_links_that_lead_back_are_harmless(folder: Path, cache: Path) -> None:
    (folder / "a" / "loop").symlink_to(folder / "a")
    (folder / "a" / "up").symlink_to(folder)
    save(folder.parent / "elsewhere" / "9.png", noise(9))
    (folder / "c").symlink_to(folder.parent / "elsewhere")
    images = source(folder, cache)
    assert len(images) == 7
    assert images.names[-1] == "c/9.png"


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def _missing(folder: Path) -> None:
    _remove(folder)
    folder.rmdir()


def _a_file(folder: Path) -> None:
    _missing(folder)
    folder.write_text("")


def _loose(folder: Path) -> None:
    _remove(folder)
    save(folder / "x.png", noise(0))


def _one_class(folder: Path) -> None:
    _remove(folder / "b")
    (folder / "b").rmdir()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_missing, "data does not exist"),
        (_a_file, "data is not a directory"),
        (_remove, r"data has no class folders \(one sub-directory per class\)$"),
        (_loose, "no class folders .*; it has 1 image itself"),
        (_one_class, "data has 1 class: at least 2 are needed"),
        (lambda folder: _remove(folder / "b"), r"data has an empty class folder \(no images in it\): b"),
        (lambda folder: (_remove(folder / "a"), _remove(folder / "b")), "2 empty class folders .*: a, b"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(
    folder: Path, cache: Path, harm: Callable[[Path], object], message: str
) -> None:
    harm(folder)
    with pytest.raises(DatasetError, match=message) as caught:
        source(folder, cache)
    assert "\n" not in str(caught.value)


def test_an_unreadable_directory_is_named(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refusing(path: object) -> object:
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DatasetError, match=r"cannot read .*data/b: Permission denied"):
        source(folder, cache)


def bad_images(folder: Path) -> None:
    truncated_jpeg(folder / "a" / "cut.jpg")
    (folder / "a" / "text.png").write_text("not an image")
    (folder / "b" / "empty.gif").write_bytes(b"")
    bomb(folder / "b" / "bomb.png")
    (folder / "b" / "gone.png").symlink_to("nowhere.png")


def test_every_unreadable_image_is_reported_by_name(folder: Path, cache: Path) -> None:
    bad_images(folder)
    with pytest.raises(DatasetProblemsError) as caught:
        source(folder, cache)
    assert caught.value.details == (
        "a/cut.jpg (truncated)",
        "a/text.png (not an image of a supported format)",
        "b/bomb.png (decompression bomb)",
        "b/empty.gif (empty file)",
        "b/gone.png (no such file)",
    )
    message = str(caught.value)
    assert message.startswith("5 unreadable images in ")
    assert message.endswith(
        "a/cut.jpg (truncated), a/text.png (not an image of a supported format), b/bomb.png (decompression bomb) "
        'and 2 more (set on_bad_image = "skip" to leave them out)'
    )


def test_images_of_a_kind_that_is_not_read_are_listed_and_reported(folder: Path, cache: Path) -> None:
    save(folder / "a" / "scan.tif", noise(0))
    save(folder / "b" / "scan.TIFF", noise(1))
    with pytest.raises(DatasetProblemsError) as caught:
        source(folder, cache)
    assert caught.value.details == (
        "a/scan.tif (not an image of a supported format)",
        "b/scan.TIFF (not an image of a supported format)",
    )


def test_unreadable_images_can_be_skipped_and_are_recorded(folder: Path, cache: Path, decodes: list[str]) -> None:
    bad_images(folder)
    with pytest.raises(DatasetProblemsError):
        source(folder, cache)
    before = len(decodes)
    images = source(folder, cache, on_bad_image="skip")
    assert len(decodes) == before  # the first attempt has packed them
    assert len(images) == 6
    assert images.skipped == ("a/cut.jpg", "a/text.png", "b/bomb.png", "b/empty.gif", "b/gone.png")
    assert source(folder, cache, on_bad_image="skip").skipped == images.skipped
    with pytest.raises(DatasetProblemsError):
        source(folder, cache)


def test_skipping_does_not_change_the_fingerprint_of_what_is_left(folder: Path, cache: Path) -> None:
    clean = source(folder, cache).fingerprint
    bad_images(folder)
    assert source(folder, cache, on_bad_image="skip").fingerprint == clean


def test_a_class_left_with_no_image_is_an_error(folder: Path, cache: Path) -> None:
    for path in (folder / "b").iterdir():
        path.write_text("no")
    with pytest.raises(DatasetError, match="data has no readable image of b"):
        source(folder, cache, on_bad_image="skip")
    with pytest.raises(DatasetProblemsError, match="3 unreadable images"):
        source(folder, cache)


def test_only_bad_images_is_an_error_either_way(folder: Path, cache: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_text("no")
    with pytest.raises(DatasetError, match=r"data has no images: all 6 are unreadable, such as a/0.png"):
        source(folder, cache, on_bad_image="skip")
    with pytest.raises(DatasetProblemsError, match="6 unreadable images"):
        source(folder, cache)


def test_names_cannot_speak_to_the_terminal(folder: Path, cache: Path) -> None:
    (folder / "a" / "\x1b[2J.png").write_text("no")
    (folder / "b" / "\udcff.png").write_text("no")
    with pytest.raises(DatasetProblemsError) as caught:
        source(folder, cache)
    for text in (str(caught.value), *caught.value.details):
        assert text.isprintable()
    assert source(folder, cache, on_bad_image="skip").skipped == ("a/\x1b[2J.png", "b/\udcff.png")


def test_native_shape_is_that_of_the_first_readable_image(tmp_path: Path) -> None:
    root = tmp_path / "data"
    save(root / "a" / "1.png", noise(0, 20, 40, 1))
    save(root / "b" / "0.png", noise(0, 200, 300))
    (root / "a" / "0.png").write_text("no")
    section = FolderSource(kind="folder", path=str(root))
    assert native_shape(section) == ImageShape(20, 1)
    (root / "a" / "1.png").unlink()
    assert native_shape(section) == ImageShape(64, 3)
    (root / "b" / "0.png").unlink()
    with pytest.raises(DatasetError, match="no readable image"):
        native_shape(section)


def test_per_class_is_a_seeded_choice_from_one_packing(folder: Path, cache: Path, decodes: list[str]) -> None:
    whole = source(folder, cache)
    chosen = [source(folder, cache, per_class=1, seed=seed) for seed in range(8)]
    assert len(decodes) == 6
    assert {len(images) for images in chosen} == {2}
    assert all(images.labels.tolist() == [0, 1] for images in chosen)
    assert len({images.names for images in chosen}) > 1
    for images in chosen:
        for name, image in zip(images.names, images.images, strict=True):
            assert np.array_equal(image, whole.images[whole.names.index(name)])
    again = source(folder, cache, per_class=1, seed=3)
    assert again.fingerprint == chosen[3].fingerprint != whole.fingerprint
    assert source(folder, cache, per_class=50).fingerprint == whole.fingerprint


def test_a_list_keeps_the_images_of_its_classes_as_they_were_chosen_with_all(tmp_path: Path, cache: Path) -> None:
    root = image_folder(tmp_path / "more", "abcd", each=5)
    whole = source(root, cache, per_class=2, seed=3)
    listed = tmp_path / "kept.txt"
    listed.write_text("# mine\nd\n\nb\n")
    kept = source(root, cache, per_class=2, seed=3, keep=str(listed))
    assert kept.classes == ("b", "d")
    assert kept.names == tuple(name for name in whole.names if name[0] in "bd")
    assert kept.labels.tolist() == [0, 0, 1, 1]
    for name, image in zip(kept.names, kept.images, strict=True):
        assert np.array_equal(image, whole.images[whole.names.index(name)])
    assert kept.fingerprint != whole.fingerprint
    listed.write_text("a\nb\nc\nd\n")
    assert source(root, cache, per_class=2, seed=3, keep=str(listed)).fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a\ne\n", 'no class "e"'), ("x\ny\n", "names 2 classes"), ("a\n", "keeps 1 classes"), ("", "keeps 0")],
)
def test_a_list_of_classes_that_cannot_be_used_is_refused(tmp_path: Path, cache: Path, text: str, reason: str) -> None:
    root = image_folder(tmp_path / "more", "ab", each=2)
    listed = tmp_path / "kept.txt"
    with pytest.raises(DatasetError, match="does not exist"):
        source(root, cache, keep=str(listed))
    listed.write_text(text)
    with pytest.raises(DatasetError, match=reason):
        source(root, cache, keep=str(listed))


def test_progress_counts_to_the_end(tmp_path: Path, cache: Path) -> None:
    calls: list[tuple[int, int]] = []
    root = image_folder(tmp_path / "more", each=40)
    source(root, cache, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (80, 80)
    assert len(calls) == 3


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A large folder of one's own: TINFL_TEST_FOLDER=/path pytest tests/unit/datasets."""
    if "large_folder" in metafunc.fixturenames:
        metafunc.parametrize("large_folder", [Path(os.environ["TINFL_TEST_FOLDER"])])


if "TINFL_TEST_FOLDER" in os.environ:

    def test_a_large_folder_is_packed_once(large_folder: Path, cache: Path, decodes: list[str]) -> None:
        first = source(large_folder, cache, resolution=32)
        assert len(decodes) == len(first)
        assert source(large_folder, cache, resolution=32).fingerprint == first.fingerprint
        assert len(decodes) == len(first)


def test_a_list_leaves_images_out_of_those_that_were_chosen_without_it(tmp_path: Path, cache: Path) -> None:
    root = image_folder(tmp_path / "data", "abc", each=5)
    whole = source(root, cache, per_class=3, seed=3)
    listed = tmp_path / "remove.txt"
    listed.write_text(f"# leaks\n{whole.names[1]}\n{whole.names[4]}\n")

    left = source(root, cache, per_class=3, seed=3, exclude=str(listed))

    stays = [place for place in range(len(whole)) if place not in (1, 4)]
    assert left.names == tuple(whole.names[place] for place in stays)
    assert np.array_equal(left.images, whole.images[stays])
    assert np.array_equal(left.labels, whole.labels[stays])
    assert left.fingerprint != whole.fingerprint


def test_a_list_that_leaves_no_image_out_changes_nothing(tmp_path: Path, cache: Path) -> None:
    root = image_folder(tmp_path / "data")
    listed = tmp_path / "remove.txt"
    listed.write_text("# nothing\n")
    assert source(root, cache, exclude=str(listed)).fingerprint == source(root, cache).fingerprint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a/0.png\na/9.png\n", "the source has no image a/9.png"),
        ("a/0.png\na/1.png\na/2.png\n", "leaves no image of a"),
        ("\x1b[2Jx\n", r"no image \\x1b\[2Jx"),
    ],
)
def test_a_list_of_images_that_cannot_be_left_out_is_refused(
    tmp_path: Path, cache: Path, text: str, reason: str
) -> None:
    root = image_folder(tmp_path / "data")
    listed = tmp_path / "remove.txt"
    listed.write_text(text)
    with pytest.raises(DatasetError, match=reason):
        source(root, cache, exclude=str(listed))


@contextmanager
def nested(root: Path, name: str, depth: int) -> Iterator[None]:
    """Directories in one another, also where their path is too long; gone afterwards, as pytest cannot remove them."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        here, parent = os.open(name, os.O_RDONLY, dir_fd=here), here
        os.close(parent)
    yield
    for _ in range(depth):
        here, child = os.open("..", os.O_RDONLY, dir_fd=here), here
        os.close(child)
        os.rmdir(name, dir_fd=here)
    os.close(here)


def test_images_are_found_a_thousand_directories_deep(folder: Path, cache: Path) -> None:
    """A path may have 4,096 bytes; each of these directories takes two of them."""
    image = folder / "a" / "/".join(["d"] * 1500) / "0.png"
    with nested(folder / "a", "d", 1500):
        save(image, noise(9))
        images = source(folder, cache)
        image.unlink()
    assert len(images) == 7
    assert images.names[3] == "a/" + "d/" * 1500 + "0.png"


def test_directories_too_deep_to_be_named_are_one_line(folder: Path, cache: Path) -> None:
    name = "d" * 200
    with (
        nested(folder / "a", name, 30),
        pytest.raises(DatasetError, match=r"^cannot read .*: File name too long$") as caught,
    ):
        source(folder, cache)
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize("name", ["loop", "~nobody-has-this-name"])
def test_a_root_that_leads_nowhere_is_one_line(folder: Path, cache: Path, name: str) -> None:
    (folder.parent / "loop").symlink_to(folder.parent / "loop")
    root = Path(name) if name.startswith("~") else folder.parent / name
    with pytest.raises(DatasetError, match=f"{name}(: Too many levels| does not exist)"):
        source(root, cache)


def test_names_that_are_no_text_are_kept_and_shown_as_escapes(folder: Path, cache: Path) -> None:
    odd = [b"\xff\xfe.png", b"line\nbreak.png", b"\x1b[2J.png", "\u202ereversed.png".encode()]
    for number, name in enumerate(odd):
        save(folder / "a" / "x.png", noise(number)).rename(folder / "a" / os.fsdecode(name))
    images = source(folder, cache)
    assert {os.fsencode(name)[2:] for name in images.names} >= set(odd)
    again = reopen(images.fingerprint, cache)
    assert again is not None
    assert again.names == images.names
    (folder / "b" / os.fsdecode(odd[0])).write_bytes(b"no image")
    (folder / "b" / os.fsdecode(odd[1])).write_bytes(b"no image")
    with pytest.raises(DatasetError) as caught:
        source(folder, cache)
    assert all(char.isprintable() for char in str(caught.value))


@pytest.mark.parametrize("key", ["keep", "exclude"])
def test_a_list_that_is_no_regular_file_is_not_opened(folder: Path, cache: Path, key: str) -> None:
    os.mkfifo(folder.parent / "pipe")
    with pytest.raises(DatasetError, match=r"cannot read .*pipe: not a regular file"):
        source(folder, cache, **{key: str(folder.parent / "pipe")})


def test_a_name_is_escaped_where_all_images_are_unreadable(folder: Path, cache: Path) -> None:
    for path in list(folder.rglob("*.png")):
        path.write_bytes(b"no image")
        path.rename(path.with_name(f"\x1b[2J{path.name}"))
    with pytest.raises(DatasetError, match=r"all 6 are unreadable, such as a/\\x1b\[2J0\.png \(not an image") as caught:
        source(folder, cache, on_bad_image="skip")
    assert str(caught.value).isprintable()


def test_odd_metadata_of_the_first_image_are_no_talk(folder: Path, recwarn: pytest.WarningsRecorder) -> None:
    for path in folder.rglob("*.png"):
        jpeg = path.with_suffix(".jpg")
        Image.fromarray(noise(0)).save(jpeg)
        path.unlink()
        malformed = b"\xff\xe2" + struct.pack(">H", 14) + b"MPF\0" + bytes(8)  # of an image of several pictures
        jpeg.write_bytes(jpeg.read_bytes()[:2] + malformed + jpeg.read_bytes()[2:])
    with pytest.warns(UserWarning, match="malformed MPO"):
        Image.open(next(folder.rglob("*.jpg"))).close()
    recwarn.clear()
    native_shape(FolderSource(kind="folder", path=str(folder)))
    assert not recwarn.list
