"""An array is what its file holds, or it is refused before anything is allocated."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from tests.unit.store.npy_contents import claiming, content_of, with_header
from tui_influence.errors import ResultsError
from tui_influence.store.npy_file import as_mask, decode_array, map_array


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("array", [np.arange(12), np.ones((3, 4), np.float16), np.zeros((0, 5), np.uint8)])
def test_an_array_comes_back_as_it_was_saved(tmp_path, array, order):
    array = np.asarray(array, order=order)
    path = tmp_path / "array.npy"
    np.save(path, array)
    for read in (map_array(path), decode_array(path.read_bytes())):
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype
    assert decode_array(path.read_bytes()).flags.writeable


REFUSED = {
    "empty": b"",
    "text": b"no array at all",
    "half a header": content_of(np.arange(3))[:40],
    "half an array": content_of(np.arange(100))[:-1],
    "10^12 elements": claiming((10**12,)),
    "10^30 elements": claiming((10**15, 10**15)),
    "nothing, 10^12 times": claiming((10**12,), "|V0"),
    "a negative length": claiming((-1,)),
    "a length that is a truth value": claiming((True,), "|u1", b"x"),
    "a hundred axes": claiming((1,) * 100, "|u1", b"x"),
    "objects": content_of(np.array([{}], dtype=object), allow_pickle=True),
    "text elements": content_of(np.array(["a"])),
    "records": content_of(np.zeros(2, [("a", "i4")])),
    "complex numbers": content_of(np.zeros(2, complex)),
    "an unknown version": b"\x93NUMPY\x09\x00" + content_of(np.arange(3))[8:],
    "a header that is no dictionary": with_header("[1, 2]\n"),
    "a header without end": with_header("{'descr': '<f4'"),
    "a header nested too deep": with_header("(" * 9000),
    "a header that is a program": with_header("{'descr': __import__('os').system('true')}\n"),
    "a type that is none": with_header("{'descr': 'i4,,', 'fortran_order': False, 'shape': (1,), }\n"),
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_what_is_no_array_of_plain_numbers_is_refused(tmp_path, content):
    path = tmp_path / "array.npy"
    path.write_bytes(content)
    for read in (lambda: map_array(path), lambda: decode_array(content)):
        with pytest.raises(ValueError, match=r".") as caught:
            read()
        assert str(caught.value).isprintable()


def test_an_archive_is_refused(tmp_path):
    np.savez(tmp_path / "array.npz", x=np.arange(3))
    with pytest.raises(ValueError, match=r"no \.npy header"):
        map_array(tmp_path / "array.npz")


def test_a_claim_of_many_elements_takes_no_memory():
    """In a process that may have little: what is claimed must not even be tried."""
    code = (
        "import numpy, sys\n"
        "from tui_influence.store.npy_file import decode_array\n"
        "try:\n    decode_array(sys.stdin.buffer.read())\nexcept ValueError as error:\n    print(error)"
    )

    def with_little_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    done = subprocess.run(
        [sys.executable, "-c", code], input=claiming((10**12,)), capture_output=True, preexec_fn=with_little_memory
    )
    assert b"too short" in done.stdout, done.stderr


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "array.npy")
    with pytest.raises(ResultsError, match="not a regular file"):
        map_array(tmp_path / "array.npy")


def test_bytes_that_are_neither_true_nor_false_make_no_mask():
    content = bytearray(content_of(np.array([True, False, True])))
    np.testing.assert_array_equal(as_mask(decode_array(bytes(content))), [True, False, True])
    content[-1] = 2
    with pytest.raises(ValueError, match="true and false"):
        as_mask(decode_array(bytes(content)))
    with pytest.raises(ValueError, match="true and false"):
        as_mask(np.zeros(3, np.uint8))


@pytest.mark.parametrize("axes", [0, 1, 4])
def test_arrays_of_up_to_four_axes_are_read(axes):
    array = np.arange(1, dtype=np.int32).reshape((1,) * axes)
    assert decode_array(content_of(array)).shape == array.shape
    with pytest.raises(ValueError, match="a shape that no array of its kind has"):
        decode_array(content_of(np.zeros((1,) * 5, np.int32)))


def test_a_file_may_be_longer_than_its_array_and_not_shorter(tmp_path):
    content = content_of(np.arange(6, dtype=np.int16))
    for more in (b"", b"x", b"xyz"):
        assert decode_array(content + more).tolist() == [0, 1, 2, 3, 4, 5]
    path = tmp_path / "array.npy"
    for size in (len(content) - 1, len(content) - 12):
        path.write_bytes(content[:size])
        for read in (lambda: map_array(path), lambda size=size: decode_array(content[:size])):
            with pytest.raises(ValueError, match=r"\(6,\) int16 needs 12 bytes, and the file is too short"):
                read()


def test_an_array_that_is_mapped_cannot_be_written_to(tmp_path):
    np.save(tmp_path / "array.npy", np.arange(3))
    with pytest.raises(ValueError, match="read-only"):
        map_array(tmp_path / "array.npy")[0] = 7
