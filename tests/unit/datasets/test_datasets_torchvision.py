"""Datasets of torchvision that are already here."""

import os
import pickle
import string
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from image_files import image_folder, noise, save
from PIL import Image

from tui_influence.config.schema import TorchvisionSource, TorchvisionTarget
from tui_influence.datasets import ImageSet, ImageShape, load_source, load_target, native_shape, thumbnails
from tui_influence.datasets.cache import Cache
from tui_influence.datasets.torchvision import TorchvisionReader
from tui_influence.datasets.torchvision_trust import _TRUSTED_ARGUMENTS, UntrustedDatasetError
from tui_influence.errors import DatasetError


def section(name: str, root: Path, **arguments: Any) -> TorchvisionSource:
    return TorchvisionSource(kind="torchvision", dataset=name, root=str(root), arguments=arguments)


def load(name: str, root: Path, cache: Path, channels: int = 3, trusted: bool = True, **arguments: Any) -> ImageSet:
    return load_source(
        section(name, root, **arguments), seed=0, resolution=8, channels=channels, cache=cache, trusted=trusted
    )


def write_svhn(root: Path, split: str, labels: list[int]) -> np.ndarray:
    """SVHN's files are .mat; torchvision checks only their MD5, which the test stands in for."""
    from scipy.io import savemat

    x = np.stack([noise(index) for index in range(len(labels))], axis=3)
    savemat(root / f"{split}_32x32.mat", {"X": x, "y": np.array(labels, np.uint8)[:, None]})
    return x


@pytest.fixture
def svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("torchvision.datasets.SVHN._check_integrity", lambda self: True)
    root = tmp_path / "root"
    root.mkdir()
    return root


def test_a_dataset_of_arrays_is_read(svhn: Path, cache: Path) -> None:
    x = write_svhn(svhn, "train", [3, 10, 3, 7])
    images = load("SVHN", svhn, cache, split="train")
    assert images.classes == ("0", "3", "7")  # SVHN writes 0 as 10
    assert images.labels.tolist() == [1, 0, 1, 2]
    assert images.names == ("3/0", "0/1", "3/2", "7/3")
    assert np.array_equal(images.images, np.moveaxis(x, 3, 0))
    assert native_shape(section("SVHN", svhn, split="train")) == ImageShape(8, 3)
    got = thumbnails(section("SVHN", svhn, split="train"), "source", images, [3, 1], 64)
    assert np.array_equal(got, images.images[[3, 1]])


def test_test_labels_mean_the_training_classes(svhn: Path, cache: Path) -> None:
    write_svhn(svhn, "train", [1, 2, 3])
    write_svhn(svhn, "test", [3, 2])
    target = TorchvisionTarget(
        kind="torchvision", name="t", dataset="SVHN", root=str(svhn), train={"split": "train"}, test={"split": "test"}
    )
    loaded = load_target(target, seed=0, resolution=8, channels=3, cache=cache)
    assert loaded.test.classes == ("1", "2", "3")
    assert loaded.test.labels.tolist() == [2, 1]
    write_svhn(svhn, "test", [3, 9])
    with pytest.raises(DatasetError, match="only in test: 9"):
        load_target(target, seed=0, resolution=8, channels=3, cache=cache)


def test_a_dataset_of_image_files_is_decoded_by_us(tmp_path: Path, cache: Path) -> None:
    root = image_folder(tmp_path / "data")
    images = load("ImageFolder", root, cache)
    assert images.names[0] == "a/0.png"
    assert images.classes == ("a", "b")
    (root / "b" / "1.png").write_text("no")
    with pytest.raises(DatasetError, match=r"1 unreadable image in ImageFolder at .*: b/1\.png \(not an image"):
        load("ImageFolder", root, cache)


def test_the_second_load_needs_no_torch(tmp_path: Path, cache: Path) -> None:
    root = image_folder(tmp_path / "data")
    load("ImageFolder", root, cache)
    script = (
        "import sys; from pathlib import Path; from tui_influence.datasets import load_source\n"
        "from tui_influence.config.schema import TorchvisionSource\n"
        f"section = TorchvisionSource(kind='torchvision', dataset='ImageFolder', root={str(root)!r})\n"
        f"images = load_source(section, seed=0, resolution=8, channels=3, cache=Path({str(cache)!r}))\n"
        "assert len(images) == 6\n"
        "sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=Path(__file__).parents[3]).returncode == 0


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("CIFAR", {}, "torchvision.datasets has no dataset CIFAR; did you mean CIFAR10"),
        ("VisionDataset", {}, "has no dataset VisionDataset"),
        ("utils", {}, "has no dataset utils"),
        ("CIFAR10", {}, r"CIFAR10 at .* is not there, or is damaged \(tinfl never downloads\): Dataset not found"),
        ("CIFAR10", {"download": True}, "download is not allowed: tinfl never downloads"),
        ("CIFAR10", {"transform": "os.system"}, "transform is not allowed"),
        ("CIFAR10", {"trian": True}, "does not take these arguments: .*trian"),
        ("SVHN", {"split": "tset"}, "cannot open SVHN at .*tset"),
        ("FakeData", {"size": 4, "image_size": [3, 8, 8], "num_classes": 1}, "has 1 class"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_line(
    tmp_path: Path, cache: Path, name: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        load(name, tmp_path, cache, **arguments)
    assert "\n" not in str(caught.value)


def test_a_missing_root_is_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DatasetError, match=r"CIFAR10 at .*/nowhere is not there: no such directory"):
        load("CIFAR10", tmp_path / "nowhere", cache)


def test_items_without_a_class_are_refused(svhn: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_svhn(svhn, "train", [1, 2])
    for item, message in [
        ((1, 2, 3), "not pairs of image and label"),
        ((noise(0), 1), "not images but ndarray"),
        ((noise(0), [1.5]), "labels are not whole numbers but list"),
    ]:
        monkeypatch.setattr("torchvision.datasets.SVHN.__getitem__", lambda self, index, item=item: item)
        with pytest.raises(DatasetError, match=message):
            load("SVHN", svhn, cache, split="train")


def test_a_cache_below_the_root_does_not_count_as_data(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "data")

    def stamp() -> str:
        return TorchvisionReader("ImageFolder", str(root), {}, trusted=False).stamp()

    before = stamp()
    with Cache(root / "cache").write_entry((1, 1, 1, 1), "nothing"):
        assert stamp() == before
    save(root / "a" / "new.png", noise(0))
    assert stamp() != before


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("trusted", [False, True])
def test_a_pickle_in_the_current_directory_is_not_loaded(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """LSUN needs a package that is not here; what torchvision does before and after is its own."""

    class Database(ModuleType):
        def open(self, *_: Any, **__: Any) -> Any:
            transaction = type("Nothing", (), {"stat": lambda self: {"entries": 1}})()
            begin = type("Begin", (), {"__enter__": lambda self: transaction, "__exit__": lambda *_: None})
            return type("Environment", (), {"begin": lambda self, **_: begin()})()

    monkeypatch.setitem(sys.modules, "lmdb", Database("lmdb"))
    root = tmp_path / "root"
    root.mkdir()
    letters = "".join(char for char in f"{root}/church_outdoor_train_lmdb" if char in string.ascii_letters)
    (tmp_path / f"_cache_{letters}").write_bytes(pickle.dumps(Evil(tmp_path / "executed")))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="LSUN"):
        load("LSUN", root, cache, trusted=trusted, classes=["church_outdoor_train"])
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "what"),
    [
        ("ImageNet", {"split": "train"}, "torchvision's ImageNet may run code"),
        ("FakeData", {"size": 4}, "torchvision's FakeData may run code"),
        ("Nonsense", {}, "torchvision's Nonsense may run code"),
        ("CIFAR10", {"loader": "x"}, "torchvision's CIFAR10 with the argument loader may run code"),
        ("SVHN", {"split": ["train"]}, "torchvision's SVHN with the argument split may run code"),
        ("MNIST", {"train": True}, r"torchvision's MNIST with a directory .*MNIST/processed may run code"),
    ],
)
def test_what_takes_trust_is_not_opened_for_a_results_directory(
    tmp_path: Path, cache: Path, name: str, arguments: dict[str, Any], what: str
) -> None:
    (tmp_path / "MNIST" / "processed").mkdir(parents=True)
    with pytest.raises(UntrustedDatasetError, match=f"^{what}.*your own config with `tinfl sweep`$"):
        load(name, tmp_path, cache, trusted=False, **arguments)


def test_what_takes_no_trust_is_read_for_a_results_directory(svhn: Path, cache: Path, tmp_path: Path) -> None:
    write_svhn(svhn, "train", [3, 1, 3, 7])
    assert len(load("SVHN", svhn, cache, trusted=False, split="train")) == 4
    assert len(load("ImageFolder", image_folder(tmp_path / "data"), cache, trusted=False)) == 6


def test_classes_and_arguments_that_take_no_trust_are_those_of_torchvision() -> None:
    import inspect

    from torchvision import datasets

    for name, arguments in _TRUSTED_ARGUMENTS.items():
        kind = getattr(datasets, name)
        known = {key for base in kind.__mro__ if base is not object for key in inspect.signature(base).parameters}
        assert arguments <= known, name


def test_what_is_packed_is_read_without_trust(tmp_path: Path, cache: Path) -> None:
    arguments = {"size": 6, "image_size": [3, 8, 8], "num_classes": 2}
    packed = load("FakeData", tmp_path, cache, **arguments)
    again = load("FakeData", tmp_path, cache, trusted=False, **arguments)
    assert again.fingerprint == packed.fingerprint
    shown = thumbnails(section("FakeData", tmp_path, **arguments), "source", packed, [4, 0], 64)
    assert np.array_equal(shown, packed.images[[4, 0]])


def test_nothing_is_downloaded_even_where_that_is_the_default(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(self: Any) -> None:
        raise AssertionError("downloaded")

    monkeypatch.setattr("torchvision.datasets.SEMEION.download", download)
    with pytest.raises(DatasetError, match=r"SEMEION at .* is not there, or is damaged"):
        load("SEMEION", tmp_path, cache)


def test_images_are_read_by_our_decoders_alone(tmp_path: Path, cache: Path) -> None:
    """Pillow reads an EPS by starting Ghostscript."""
    root = tmp_path / "rendered-sst2"
    for split in ("train", "valid", "test"):
        for number, name in enumerate(("negative", "positive")):
            save(root / split / name / "0.png", noise(number))
            Image.fromarray(noise(7)).save(tmp_path / "x.eps")
            (root / split / name / "1.png").write_bytes((tmp_path / "x.eps").read_bytes())
            os.mkfifo(root / split / name / "2.png")
    with pytest.raises(DatasetError, match=r"4 unreadable images in RenderedSST2 .*not an image of a supported"):
        load("RenderedSST2", tmp_path, cache)
    images = load_source(
        TorchvisionSource(kind="torchvision", dataset="RenderedSST2", root=str(tmp_path), on_bad_image="skip"),
        seed=0, resolution=8, channels=3, cache=cache,
    )  # fmt: skip
    assert np.array_equal(images.images, [noise(0), noise(1)])
