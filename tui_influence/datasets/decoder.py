"""A process that decodes image files for another one: `python -m tui_influence.datasets.decoder`.

Each line of its input is a request, a list of (name, label, path) in JSON. The answer is a line of JSON, and then the
pixels of the batch:

    {"labels": ..., "names": ..., "unreadable": ..., "counts": ...}
    {"over_share": true}    an image has too many pixels for this process
    {"error": "..."}        the machine is at fault; the reason

It ends with its input.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from tui_influence.datasets.base import Sample
from tui_influence.datasets.batch import ImageBatch, batch_from_json, decode_batch
from tui_influence.datasets.images import OverShareError, PixelShare, quiet_decoding, set_budget
from tui_influence.errors import DatasetError


def request_line(samples: list[Sample]) -> bytes:
    """Return a request for samples, all of which are files."""
    return json.dumps([(sample.name, sample.label, str(sample.content)) for sample in samples]).encode() + b"\n"


def read_answer(file: IO[bytes], sides: tuple[int, int, int]) -> ImageBatch | None:
    """Read the answer to a request; None if an image has too many pixels for the process.

    Args:
        file: output of the process.
        sides: (H, W, C) of the images.

    Raises:
        DatasetError: the machine is at fault.
        ValueError: the answer is not whole: the process has ended.
    """
    answer: dict[str, Any] = json.loads(file.readline())
    if "error" in answer:
        raise DatasetError(answer["error"])
    if "over_share" in answer:
        return None
    pixels = np.empty((len(answer["names"]), *sides), dtype=np.uint8)
    data = pixels.data.cast("B") if pixels.size else memoryview(b"")
    while data:
        count = file.readinto(data)  # type: ignore[attr-defined]
        if not count:
            raise ValueError("the pixels are not whole")
        data = data[count:]
    return batch_from_json(answer, pixels)


def main() -> None:
    """Answer requests until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("resolution", type=int)
    parser.add_argument("channels", type=int)
    parser.add_argument("pixels", type=int, help="most pixels that this process decodes at a time")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process gets it, too, and closes the input
    set_budget(PixelShare(arguments.pixels))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a decoder prints is no answer
    try:
        with quiet_decoding():
            for line in sys.stdin.buffer:
                _answer(json.loads(line), answers, arguments.resolution, arguments.channels)
    except BrokenPipeError:
        os._exit(1)


def _answer(request: list[tuple[str, int, str]], answers: BinaryIO, resolution: int, channels: int) -> None:
    head: dict[str, Any]
    pixels: bytes | memoryview = b""
    try:
        batch = decode_batch([Sample(name, label, Path(path)) for name, label, path in request], resolution, channels)
    except OverShareError:
        head = {"over_share": True}
    except DatasetError as error:
        head = {"error": str(error)}
    else:
        head = batch.to_json()
        pixels = batch.pixels.data.cast("B") if batch.pixels.size else b""
    answers.write(json.dumps(head).encode() + b"\n")
    answers.write(pixels)
    answers.flush()


if __name__ == "__main__":
    main()
