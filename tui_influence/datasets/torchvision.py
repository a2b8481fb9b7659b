"""Classification datasets of torchvision that are already on disk.

Loading a dataset that is in the cache imports no torch; `native_shape` and `thumbnails` read the original images, so
they construct the dataset and import it. Nothing is ever downloaded. The dataset's own code reads its files (for
a few, such as CIFAR-10, that includes unpickling, after torchvision has checked their MD5); those made of image files
(ImageFolder, ImageNet, ...) are decoded by `images`.
"""

import difflib
import json
import numbers
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tui_influence.config.schema import TorchvisionSource, TorchvisionTarget
from tui_influence.datasets.base import ImageShape, Labels, Part, Sample, check_classes, parse_index
from tui_influence.datasets.cache import CACHE_TAG
from tui_influence.datasets.errors import BadImageError, image_reason, printable_path, reason_of
from tui_influence.datasets.folder import tree_stamp
from tui_influence.datasets.images import read_colour, read_shape
from tui_influence.datasets.torchvision_trust import require_trusted
from tui_influence.errors import DatasetError
from tui_influence.regular_files import expand_home
from tui_influence.text import printable

_UNPICKLE_CURRENT_DIRECTORY = frozenset({"LSUN", "LSUNClass"})
_RESERVED_ARGUMENTS = frozenset(
    {"download", "loader", "is_valid_file", "root", "target_transform", "transform", "transforms"}
)


def open_reader(section: TorchvisionSource | TorchvisionTarget, part: Part, *, trusted: bool) -> "TorchvisionReader":
    """Return the reader of the split of one part."""
    if isinstance(section, TorchvisionSource):
        arguments = section.arguments
    else:
        arguments = section.train if part == "train" else section.test
    return TorchvisionReader(section.dataset, section.root, arguments, trusted=trusted)


class TorchvisionReader:
    """Reader of one split of a dataset: `torchvision.datasets.<name>(root, **arguments)`.

    Args:
        name: name of the class.
        root: its root directory.
        arguments: arguments of its constructor.
        trusted: whether the user's own config names it; if not, it is opened only if that cannot run code.
    """

    declared_classes = None
    """Some datasets declare classes that have no image."""

    def __init__(self, name: str, root: str, arguments: Mapping[str, Any], *, trusted: bool) -> None:
        self.name = name
        self.trusted = trusted
        self.root = expand_home(root)
        self.arguments = dict(arguments)
        self.display_name = f"{printable(name)} at {printable_path(root)}"

    def stamp(self) -> str:
        """The class, its arguments, torchvision's version, and the size and time of every file below the root."""
        files = tree_stamp(self.root, CACHE_TAG) if self.root.is_dir() else "none"
        arguments = json.dumps(self.arguments, sort_keys=True, default=str)
        return f"{self.name} {arguments} {metadata.version('torchvision')} {files}"

    def shape(self) -> ImageShape:
        """Shape of the first image."""
        try:
            return read_shape(next(self.samples(range(self.count()))))
        except StopIteration:
            raise DatasetError(f"{self.display_name} has no images") from None
        except BadImageError as error:
            raise DatasetError(f"cannot read the first image of {self.display_name}: {error}") from error

    def count(self) -> int:
        """Number of samples of the split."""
        return len(self._dataset)

    def samples(self, positions: Sequence[int]) -> Iterator[Sample]:
        """Samples, read one after the other: few of these classes can be used from two threads."""
        if self._files is None:
            return map(self._sample, positions)
        files = list(self._files.items())
        return (Sample(name, label, path) for name, (path, label) in map(files.__getitem__, positions))

    def finalize_labels(self, labels: Labels) -> tuple[tuple[str, ...], Labels]:
        """Return the classes that occur: some datasets declare one that has no image (EMNIST's letters)."""
        present, numbers = np.unique(labels, return_inverse=True)
        declared = self._declared
        if declared is None:
            classes = tuple(str(label) for label in present)
        elif present.min() < 0 or present.max() >= len(declared):
            raise DatasetError(f"{self.display_name}: a label is outside its {len(declared)} classes")
        else:
            classes = tuple(declared[label] for label in present)
        check_classes(self.display_name, classes)
        return classes, numbers.astype(np.int64).reshape(-1)

    def find(self, names: Iterable[str]) -> Iterator[Sample]:
        """Samples by path, if the dataset is made of image files, else by index."""
        for name in names:
            if self._files is None:
                yield self._sample(parse_index(name, len(self._dataset), self.display_name))
            elif name in self._files:
                yield Sample(name, 0, self._files[name][0])
            else:
                raise DatasetError(f"{printable(name)} is not an image of {self.display_name}")

    def _sample(self, index: int) -> Sample:
        try:
            item = self._dataset[index]
        except Exception as error:  # noqa: BLE001 - foreign code may raise any exception
            return Sample(f"?/{index}", 0, BadImageError(image_reason(error)))
        if not isinstance(item, tuple) or len(item) != 2:
            raise self._unsuitable("its items are not pairs of image and label")
        image, label = item
        if isinstance(label, bool) or not isinstance(label, numbers.Integral):
            raise self._unsuitable(f"its labels are not whole numbers but {type(label).__name__}")
        if not isinstance(image, Image.Image):
            raise self._unsuitable(f"its items are not images but {type(image).__name__}")
        number = int(label)
        declared = self._declared or ()
        return Sample(f"{declared[number] if 0 <= number < len(declared) else number}/{index}", number, image)

    def _unsuitable(self, reason: str) -> DatasetError:
        return DatasetError(f"{self.display_name} cannot be used for classification: {reason}")

    @cached_property
    def _declared(self) -> tuple[str, ...] | None:
        """Class names of the dataset. ImageNet has a tuple of synonyms for each."""
        declared = getattr(self._dataset, "classes", None) or getattr(self._dataset, "categories", None)
        if not isinstance(declared, list | tuple) or not all(isinstance(name, str | tuple) for name in declared):
            return None
        names = [name if isinstance(name, str) else str(name[0]) for name in declared]
        counts = Counter(names)
        return tuple(
            names[label] if counts[names[label]] == 1 or isinstance(name, str) else ", ".join(map(str, name))
            for label, name in enumerate(declared)
        )

    @cached_property
    def _files(self) -> dict[str, tuple[Path, int]] | None:
        """Path and label of each image by name, if the dataset consists of image files."""
        from torchvision.datasets import DatasetFolder

        if not isinstance(self._dataset, DatasetFolder):
            return None
        start = Path(self._dataset.root)
        samples = ((Path(path), int(label)) for path, label in self._dataset.samples)
        return {path.relative_to(start).as_posix(): (path, label) for path, label in samples}

    @cached_property
    def _dataset(self) -> Any:
        """The dataset of torchvision."""
        if not self.trusted:
            require_trusted(self.name, self.root, self.arguments)
        import inspect

        from torchvision import datasets

        names = [
            name
            for name in datasets.__all__
            if isinstance(kind := getattr(datasets, name), type)
            and issubclass(kind, datasets.VisionDataset)
            and kind is not datasets.VisionDataset
        ]
        if self.name not in names:
            matches = difflib.get_close_matches(self.name, names, 1, 0.5) or [
                name for name in names if name.lower() == self.name.lower()
            ]
            hint = f"; did you mean {matches[0]}?" if matches else ""
            raise DatasetError(f"torchvision.datasets has no dataset {printable(self.name)}{hint}")
        if self.name in _UNPICKLE_CURRENT_DIRECTORY:
            raise DatasetError(
                f"{self.display_name}: torchvision unpickles a file of the current directory to read it; "
                'extract its images, and use kind = "folder"'
            )
        for name in sorted(_RESERVED_ARGUMENTS & set(self.arguments)):
            if name != "download" or self.arguments[name]:
                reason = "tinfl never downloads a dataset" if name == "download" else "it is not a setting"
                raise DatasetError(f"{self.display_name}: the argument {name} is not allowed: {reason}")
        kind = getattr(datasets, self.name)
        parameters = inspect.signature(kind).parameters
        if "root" in parameters and not self.root.is_dir():
            raise DatasetError(f"{self.display_name} is not there: no such directory")
        arguments = {name: value for name, value in self.arguments.items() if name != "download"}
        if "download" in parameters:
            arguments["download"] = False  # SEMEION's default is another
        if "loader" in parameters:
            arguments["loader"] = read_colour
        return self._construct(kind, (str(self.root),) if "root" in parameters else (), arguments)

    def _construct(self, kind: type[Any], positional: tuple[str, ...], arguments: Mapping[str, Any]) -> Any:
        try:
            return kind(*positional, **arguments)
        except (FileNotFoundError, RuntimeError) as error:
            state = "is not there, or is damaged (tinfl never downloads)"
            raise DatasetError(f"{self.display_name} {state}: {_reason(error)}") from error
        except TypeError as error:
            raise DatasetError(f"{self.display_name} does not take these arguments: {_reason(error)}") from error
        except Exception as error:  # foreign code: its message is the best reason
            raise DatasetError(f"cannot open {self.display_name}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return reason_of(error).replace("You can use download=True to download it", "").strip(" .")
