"""Classes of torchvision that are opened because a results directory names them, and their arguments.

A config in a results directory may come from anyone, and so may the files that it points to: reading them must not run
code from them. Only the classes listed here have been checked for that, in torchvision 0.22 to 0.29:

- ImageFolder, Country211 and EuroSAT list files below their root, which `images` decodes. Imagenette and
  RenderedSST2 do the same; they accept a reader of images, and get that of `images`.
- CIFAR10 and CIFAR100 unpickle, and SVHN and Flowers102 read MATLAB files, once the MD5 of each is that of the
  original. STL10, FER2013, SEMEION and the lists of Places365 are read after the same check.
- MNIST and its likes read raw bytes, unless there is a directory `processed`: then they unpickle, with no check.

The others are not safe, or were not checked: LSUN unpickles a file of the current directory and writes it; ImageNet and
PhotoTour load and write files of torch, and ImageNet unpacks archives; StanfordCars and SBDataset read MATLAB files
that nothing checks, PCAM HDF5, MovingMNIST numpy's format, USPS an archive that may unpack to any size. Caltech101,
Caltech256, CelebA, GTSRB, Omniglot and WIDERFace open images with all of Pillow's decoders, one of which starts
Ghostscript. CLEVRClassification, DTD, FGVCAircraft, Food101, LFWPeople, OxfordIIITPet and SUN397 read whatever paths a
text file names, inside the root or not. INaturalist and the two Caltechs make directories. FakeData takes as much
memory as its arguments request. The rest (videos, captions, boxes, pairs, flow, stereo) is not for classification.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tui_influence.datasets.errors import UntrustedDatasetError
from tui_influence.text import printable

_TRUSTED_ARGUMENTS: dict[str, frozenset[str]] = {
    "CIFAR10": frozenset({"train"}),
    "CIFAR100": frozenset({"train"}),
    "Country211": frozenset({"split"}),
    "EMNIST": frozenset({"split", "train"}),
    "EuroSAT": frozenset(),
    "FER2013": frozenset({"split"}),
    "FashionMNIST": frozenset({"train"}),
    "Flowers102": frozenset({"split"}),
    "ImageFolder": frozenset({"allow_empty"}),
    "Imagenette": frozenset({"split", "size"}),
    "KMNIST": frozenset({"train"}),
    "MNIST": frozenset({"train"}),
    "Places365": frozenset({"split", "small"}),
    "QMNIST": frozenset({"what", "compat", "train"}),
    "RenderedSST2": frozenset({"split"}),
    "SEMEION": frozenset(),
    "STL10": frozenset({"split", "folds"}),
    "SVHN": frozenset({"split"}),
}
"""Accepted arguments by class; their values are text, whole numbers, true or false."""

_UNPICKLE_PROCESSED = frozenset({"EMNIST", "FashionMNIST", "KMNIST", "MNIST", "QMNIST"})


def require_trusted(name: str, root: Path, arguments: Mapping[str, Any]) -> None:
    """Refuse to open a dataset that only the user's own config may name.

    Args:
        name: name of a class of `torchvision.datasets`; it may not exist.
        root: its root directory.
        arguments: arguments of its constructor.

    Raises:
        UntrustedDatasetError: it could run code, or has not been checked.
    """
    trusted_arguments = _TRUSTED_ARGUMENTS.get(name)
    if trusted_arguments is None:
        dataset = f"torchvision's {printable(name, 60)}"
    elif untrusted_arguments := [
        key for key, value in arguments.items() if key not in trusted_arguments or not isinstance(value, str | int)
    ]:
        dataset = f"torchvision's {name} with the argument {printable(untrusted_arguments[0], 60)}"
    elif name in _UNPICKLE_PROCESSED and (root / name / "processed").exists():
        dataset = f"torchvision's {name} with a directory {printable(str(root / name / 'processed'))}"
    else:
        return
    raise UntrustedDatasetError(
        f"{dataset} may run code, which is not done because a results directory names it: start it again from your own "
        "config with `tinfl sweep`"
    )
