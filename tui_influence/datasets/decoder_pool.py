"""Processes that decode image files, one for each core, up to 16.

Pillow's decoders release Python's lock for a half to four fifths of their time, so threads of one process keep two to
five cores busy at most. On two or three cores they are as fast as processes, between which all pixels are copied once
more. A process that a broken image crashes ends packing with its reason.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import LifoQueue

from tui_influence.datasets.base import Sample
from tui_influence.datasets.batch import ImageBatch, decode_batch
from tui_influence.datasets.decoder import read_answer, request_line
from tui_influence.datasets.images import MAX_PIXELS_IN_FLIGHT
from tui_influence.errors import DatasetError
from tui_influence.text import printable

MIN_IMAGES = 2048
"""Number of images from which on processes are started: they take as long to start as some hundreds to decode."""
MIN_CORES = 4
"""Number of cores from which on processes are started."""
_CLOSING_SECONDS = 10
_PIPE_BYTES = 1 << 20
"""A batch of pixels is megabytes: it goes through a larger pipe with fewer switches between processes."""

Decode = Callable[[list[Sample]], ImageBatch]
"""Returns samples as a batch; may be called by several threads at a time."""


@contextmanager
def make_decoder(count: int, cores: int, resolution: int, channels: int) -> Iterator[Decode]:
    """Provide the decoder of a dataset: processes for many image files, else the threads that call it.

    Args:
        count: number of samples to decode.
        cores: number of processes; as many threads call the decoder.
        resolution: side of the decoded images, in pixels.
        channels: of the decoded images.
    """

    def decode_here(samples: list[Sample]) -> ImageBatch:
        return decode_batch(samples, resolution, channels)

    if count < MIN_IMAGES or cores < MIN_CORES:
        yield decode_here
        return
    with _DecoderPool(cores, resolution, channels) as pool:

        def decode(samples: list[Sample]) -> ImageBatch:
            are_files = all(isinstance(sample.content, Path) for sample in samples)
            batch = pool.decode(samples) if are_files else None
            return batch if batch is not None else decode_here(samples)

        yield decode


class _DecoderPool:
    """Processes that decode image files; they are started when they are needed."""

    def __init__(self, size: int, resolution: int, channels: int) -> None:
        self._command = [
            *(sys.executable, "-P", "-m", "tui_influence.datasets.decoder"),
            *map(str, (resolution, channels, MAX_PIXELS_IN_FLIGHT // size)),
        ]
        self._sides = resolution, resolution, channels
        self._processes: list[subprocess.Popen[bytes]] = []
        self._idle: LifoQueue[subprocess.Popen[bytes] | None] = LifoQueue()  # None is one to start, the last resort
        for _ in range(size):
            self._idle.put(None)

    def __enter__(self) -> "_DecoderPool":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()
        for process in self._processes:
            try:
                process.wait(_CLOSING_SECONDS)
            except subprocess.TimeoutExpired:  # it is in the middle of a batch of large images
                process.kill()
                process.wait()

    def decode(self, samples: list[Sample]) -> ImageBatch | None:
        """Return image files as a batch; None if one of them has too many pixels for a process.

        Raises:
            DatasetError: a process ended, or the machine is at fault otherwise.
        """
        process = self._idle.get() or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(request_line(samples))
            process.stdin.flush()
            return read_answer(process.stdout, self._sides)
        except (BrokenPipeError, ValueError) as error:
            state = "was killed" if process.wait() < 0 else "ended"
            first, last = (printable(samples[index].name, 100) for index in (0, -1))
            raise DatasetError(f"a process that decodes images {state} between {first} and {last}") from error
        finally:
            self._idle.put(process)

    def _start(self) -> "subprocess.Popen[bytes]":
        # One thread each: there is a process for each core.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            raise DatasetError(f"cannot start a process that decodes images: {error.strerror}") from error
        self._processes.append(process)
        assert process.stdout is not None
        with suppress(OSError, AttributeError):  # a user's limit, or a system without such pipes: it is slower then
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        return process
