"""What a folder of images holds, before any config names it, and everything that is wrong with it."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tui_influence.datasets.errors import BadImageError, printable_path
from tui_influence.datasets.folder import FolderReader
from tui_influence.datasets.images import read_shape
from tui_influence.errors import DatasetError
from tui_influence.regular_files import expand_home
from tui_influence.text import printable

SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing")
"""Names of directories that are parts of a dataset rather than classes."""
_TRAINING = SPLITS[:2]
_MAX_HEADERS = 64
"""Images whose headers are read to know the sizes; they are spread evenly over the classes."""


@dataclass(frozen=True)
class FolderSurvey:
    """What a folder holds.

    Attributes:
        classes: names of the class directories.
        n_images: number of image files.
        side: median of the shorter sides of some images, in pixels.
    """

    classes: tuple[str, ...]
    n_images: int
    side: int


def survey_folder(path: str, *, is_test: bool = False) -> FolderSurvey:
    """List the images of a folder in ImageFolder layout, and read the headers of some.

    Args:
        path: of the folder.
        is_test: whether it is to hold test images, so that a folder `test` is suggested rather than `train`.

    Raises:
        DatasetError: the folder is not there, or is not laid out as it must be.
    """
    _refuse_folder_of_splits(path, is_test=is_test)
    reader = FolderReader(path)
    classes, n_images = reader.declared_classes, reader.count()
    positions = {index * n_images // _MAX_HEADERS for index in range(_MAX_HEADERS)}
    sides = []
    for sample in reader.samples(sorted(positions)):
        try:
            sides.append(read_shape(sample).side)
        except BadImageError:
            continue  # packing lists every image that cannot be read
    return FolderSurvey(classes, n_images, int(median(sides)) if sides else reader.shape().side)


def is_split_name(name: str) -> bool:
    """Whether a directory of this name is a part of a dataset rather than a dataset or a class."""
    return name.casefold() in SPLITS


def _refuse_folder_of_splits(path: str, *, is_test: bool) -> None:
    """Refuse a folder one level too high, whose directories are parts of a dataset with classes in them."""
    root = expand_home(path)
    try:
        names = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith(".") and entry.is_dir())
        splits = [name for name in names if is_split_name(name)]
        has_classes = any(entry.is_dir() for name in splits for entry in (root / name).iterdir())
    except OSError:
        return  # the reader says why
    if not has_classes or len(splits) < min(len(names), 2):
        return
    ranked = sorted(splits, key=lambda name: SPLITS.index(name.casefold()))
    likely = next((name for name in ranked if (name.casefold() in _TRAINING) != is_test), ranked[0])
    listed = " and ".join(printable(name) for name in ranked)
    raise DatasetError(
        f"{printable_path(path)} has no class folders: found {listed} in it; "
        f"did you mean {printable_path(Path(path) / likely)}?"
    )
