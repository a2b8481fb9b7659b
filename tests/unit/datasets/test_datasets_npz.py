"""NumPy files."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import noise, npz, source

from tui_influence.config.schema import NpzSource
from tui_influence.datasets import ImageShape, native_shape
from tui_influence.errors import DatasetError

GREY = np.stack([noise(i, 8, 8, 1) for i in range(6)])
COLOUR = np.stack([noise(i) for i in range(6)])


@pytest.mark.parametrize("x", [GREY, GREY[..., None], COLOUR, np.asfortranarray(COLOUR)])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_they_are(tmp_path: Path, cache: Path, x: np.ndarray, save: object) -> None:
    save(tmp_path / "d.npz", x=x, y=np.array([1, 0] * 3, np.uint8), classes=np.array(["cat", "dog"]))  # type: ignore[operator]
    channels = 3 if x.shape[-1] == 3 else 1
    images = source(tmp_path / "d.npz", cache, channels=channels)
    assert np.array_equal(images.images, x.reshape(6, 8, 8, channels))
    assert images.labels.tolist() == [1, 0] * 3
    assert images.classes == ("cat", "dog")
    assert images.names[:3] == ("dog/0", "cat/1", "dog/2")
    assert native_shape(NpzSource(kind="npz", path=str(tmp_path / "d.npz"))) == ImageShape(8, channels)


def test_without_names_the_classes_are_the_numbers_that_occur(tmp_path: Path, cache: Path) -> None:
    images = source(npz(tmp_path / "d.npz", y=np.array([7, -1, 7, 30, 7, 7])), cache)
    assert images.classes == ("-1", "7", "30")
    assert images.labels.tolist() == [1, 0, 1, 2, 1, 1]


def test_a_second_load_reads_no_pixels(tmp_path: Path, cache: Path, decodes: list[str]) -> None:
    path = npz(tmp_path / "d.npz")
    first = source(path, cache)
    assert source(path, cache).fingerprint == first.fingerprint
    assert len(decodes) == 6
    npz(path, x=GREY[::-1])
    assert source(path, cache).fingerprint != first.fingerprint


Y = np.array([0, 1] * 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": GREY.astype(np.float32)}, r"x is \(6, 8, 8\) float32; it must be uint8"),
        ({"x": GREY[0]}, r"x is \(8, 8\) uint8; it must be \(N, H, W\)"),
        ({"x": np.moveaxis(COLOUR, 3, 1)}, "channels come last"),
        ({"x": np.zeros((6, 8, 8, 2), np.uint8)}, r"\(6, 8, 8, 2\) uint8"),
        ({"x": GREY[:0], "y": Y[:0]}, "no images"),
        ({"x": GREY[:, :0]}, "no images"),
        ({"x": np.array([{}] * 6)}, "x is an array of Python objects"),
        ({"y": Y.astype(float)}, r"y is \(6,\) float64; it must be \(N,\) whole numbers"),
        ({"y": Y[:, None]}, r"y is \(6, 1\) int64"),
        ({"y": np.array([True, False] * 3)}, r"y is \(6,\) bool"),
        ({"y": np.array(["a", {}] * 3)}, "y is an array of Python objects"),
        ({"y": Y[:4]}, "y is 4 long, but x has 6 images"),
        ({"y": Y * 0}, "has 1 class: at least 2"),
        ({"classes": np.array(["a"])}, r"3 labels outside the 1 class of `classes`: y\[1\] is 1"),
        ({"classes": np.array(["a", "b"]), "y": -Y}, r"3 labels outside the 2 classes .*: y\[1\] is -1"),
        ({"classes": np.array(["a", "b", "c"])}, "no readable image of c"),
        ({"classes": np.array(["a", "a"])}, "names a more than once"),
        ({"classes": np.array([1, 2])}, r"classes is \(2,\) int64; it must be \(K,\) text"),
        ({"classes": np.array(["a", None])}, "classes is an array of Python objects"),
    ],
)
def test_what_is_wrong_with_an_array_is_said_in_one_line(
    tmp_path: Path, cache: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        source(npz(tmp_path / "d.npz", **arrays), cache)
    assert str(caught.value).startswith(str(tmp_path / "d.npz"))
    assert "\n" not in str(caught.value)


def test_missing_arrays_are_named(tmp_path: Path, cache: Path) -> None:
    np.savez(tmp_path / "d.npz", images=GREY, y=Y)
    with pytest.raises(DatasetError, match=r"has no array x \(it has: images, y\)"):
        source(tmp_path / "d.npz", cache)


def test_a_file_that_is_no_archive_is_named(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "d.npz"
    with pytest.raises(DatasetError, match=r"d\.npz does not exist"):
        source(path, cache)
    path.write_text("hello")
    with pytest.raises(DatasetError, match=r"d\.npz is not an \.npz file"):
        source(path, cache)


def test_damage_is_noticed(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, x=GREY, y=Y)
    data = bytearray(path.read_bytes())
    data[data.index(GREY[3].tobytes()) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"d\.npz .*damaged: Bad CRC-32"):
        source(path, cache)


def test_an_array_that_claims_more_than_there_is_is_refused(tmp_path: Path, cache: Path) -> None:
    npz(tmp_path / "d.npz")
    with zipfile.ZipFile(tmp_path / "d.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    claim = b"(6, 800000000, 8), }"
    members["x.npy"] = members["x.npy"].replace(b"(6, 8, 8), }".ljust(len(claim)), claim, 1)
    assert claim in members["x.npy"]
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(DatasetError, match="x is truncated"):
        source(tmp_path / "d.npz", cache)


def rewritten(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """Change one member of an archive."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    members[name] = change(members[name])
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    return path


def header(text: bytes) -> Callable[[bytes], bytes]:
    """What replaces a member by a header alone."""
    padded = text.ljust(117) + b"\n"
    return lambda data: b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "x is no array that can be read"),
        (lambda data: b"\x93NUMPY\x03\x00" + data[8:], r"x is no array .* version 3\.0 of the npy format"),
        (header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (-6, -8, 8)}"), "declares a side that no"),
        (header(b"{'descr': '|u1', 'fortran_order': False, 'shape': (6, 8, " + b"9" * 50 + b")}"), "x is truncated"),
        (header(b"{'descr': '|u1', 'fortran_order': False, 'shape': 6}"), "x is no array that can be read"),
        (header(b"("), "x is no array that can be read"),
        (
            lambda data: b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"-" * 8999 + b"\n",
            "x is no array that can be read",
        ),
    ],
    ids=["empty", "version", "negative", "huge", "no tuple", "open", "deep"],
)
def test_a_header_that_lies_is_one_line(
    tmp_path: Path, cache: Path, change: Callable[[bytes], bytes], message: str
) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        source(rewritten(npz(tmp_path / "d.npz"), "x.npy", change), cache)
    assert "\n" not in str(caught.value)


def bomb(path: Path, shape: str, fortran: bool = False, size: int = 4_000_000_000) -> Path:
    """An archive of a few megabytes whose x unpacks to zeros of so many bytes."""
    npz(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        text = f"{{'descr': '|u1', 'fortran_order': {fortran}, 'shape': {shape}}}".encode()
        with archive.open("x.npy", "w", force_zip64=True) as member:
            member.write(header(text)(b""))
            for _ in range(size // 100_000_000):
                member.write(bytes(100_000_000))
    return path


@pytest.mark.parametrize(
    ("shape", "fortran", "message"),
    [
        ("(6, 10000, 10000)", False, r"x is \(6, 10000, 10000\) uint8: images of more than 89,478,485 pixels"),
        ("(20000000, 10, 3)", True, r"in Fortran order, too large for that: save np\.ascontiguousarray"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_that_unpacks_to_more_than_memory_is_refused_unread(
    tmp_path: Path, cache: Path, shape: str, fortran: bool, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_influence.datasets.npz._MAX_FORTRAN_BYTES", 1 << 20)
    with pytest.raises(DatasetError, match=message):
        source(bomb(tmp_path / "d.npz", shape, fortran, 600_000_000), cache)


def test_an_archive_that_is_no_regular_file_is_not_opened(tmp_path: Path, cache: Path) -> None:
    os.mkfifo(tmp_path / "d.npz")
    with pytest.raises(DatasetError, match=r"cannot read .*d\.npz: not a regular file"):
        source(tmp_path / "d.npz", cache)


def test_an_encrypted_archive_is_one_line(tmp_path: Path, cache: Path) -> None:
    path = npz(tmp_path / "d.npz")
    data = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(mark, at + 1)
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"cannot read .*d\.npz: .*encrypted"):
        source(path, cache)
