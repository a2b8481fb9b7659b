"""What training takes and what it gives back: arrays, and the two ways it can fail."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui_influence.config.schema import Transfer
from tui_influence.errors import TinflError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


class TrainingFailed(TinflError):  # noqa: N818  (it names what happened, as in the event log)
    """One model could not be trained; the message says where and why, in one line."""


class OutOfMemory(TrainingFailed):
    """The device has too little memory for this training; nothing was changed to make it fit."""


@dataclass(frozen=True)
class SourceData:
    """The source dataset.

    Attributes:
        images: (N, H, W, C) uint8.
        labels: (N,) class of each image, 0 to `classes` - 1.
        classes: K outputs of the source head, whether a mask keeps them or not.
        groups: (N,) group of each image; -1 is never left out.
        counts: (C, 256) pixels of each channel that have each value; None where nobody has counted them.
    """

    images: Images
    labels: Labels
    classes: int
    groups: NDArray[np.int32]
    counts: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class TargetData:
    """A target dataset: labelled images to transfer with, and the test images whose outputs are recorded.

    Attributes:
        transfer: fixed-feature or full-network.
        train_images: (t, H, W, C) uint8.
        train_labels: (t,) class of each.
        test_images: (n, H, W, C) uint8.
        test_labels: (n,) class of each.
        classes: of the target.
    """

    transfer: Transfer
    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    classes: int


@dataclass(frozen=True)
class Outcome:
    """What one model says about one target's test images.

    Attributes:
        margins: (n,) log p_y - log(1 - p_y) in nats, always finite.
        predicted: (n,) label with the largest logit.
        metrics: of the training; the same numbers whenever the same row is trained again.
        mapped: (n,) source class that the source network, before any transfer, takes each image for; None if nobody
            asked.
        nearest: (n,) source class whose mean feature is nearest to each image's in that network; None likewise.
    """

    margins: NDArray[np.float32]
    predicted: Labels
    metrics: dict[str, float]
    mapped: Labels | None = None
    nearest: Labels | None = None
