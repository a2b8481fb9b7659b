"""Targets: two sets of images, one set of classes. And what the package ships."""

import importlib.resources
import json
from pathlib import Path

import numpy as np
import pytest
from image_files import image_folder, npz, target

from tui_influence.config.schema import BuiltinSource, BuiltinTarget
from tui_influence.datasets import load_source, load_target
from tui_influence.errors import DatasetError


def test_training_and_test_images_share_their_classes(tmp_path: Path, cache: Path) -> None:
    loaded = target(image_folder(tmp_path / "train"), image_folder(tmp_path / "test", start=50), cache)
    assert loaded.train.classes == loaded.test.classes == ("a", "b")
    assert loaded.train.fingerprint != loaded.test.fingerprint


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ("abc", "abd", r'target "t": the classes of .* differ \(only in training: c; only in test: d\)'),
        ("abc", "ab", r"differ \(only in training: c\)"),
        ("ab", "abc", r"differ \(only in test: c\)"),
    ],
)
def test_folders_with_different_classes_are_refused_before_packing(
    tmp_path: Path, cache: Path, decodes: list[str], train: str, test: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        target(image_folder(tmp_path / "train", train), image_folder(tmp_path / "test", test), cache)
    assert decodes == []


def test_an_empty_test_directory_is_refused(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "test").mkdir()
    with pytest.raises(DatasetError, match="test has no class folders"):
        target(image_folder(tmp_path / "train"), tmp_path / "test", cache)


def test_files_with_different_class_names_are_refused(tmp_path: Path, cache: Path) -> None:
    train = npz(tmp_path / "train.npz", classes=np.array(["a", "b"]))
    with pytest.raises(DatasetError, match="only in training: b; only in test: c"):
        target(train, npz(tmp_path / "test.npz", classes=np.array(["a", "c"])), cache)
    with pytest.raises(DatasetError, match="they are in a different order"):
        target(train, npz(tmp_path / "test2.npz", classes=np.array(["b", "a"])), cache)


def test_test_images_may_lack_a_class(tmp_path: Path, cache: Path) -> None:
    train = npz(tmp_path / "train.npz", y=np.array([5, 6, 7] * 2))
    test = npz(tmp_path / "test.npz", y=np.array([7, 6] * 3))
    loaded = target(train, test, cache)
    assert loaded.test.classes == loaded.train.classes == ("5", "6", "7")
    assert loaded.test.labels.tolist() == [2, 1] * 3
    names = np.array(["a", "b", "c"])
    named = target(
        npz(tmp_path / "train2.npz", y=np.array([0, 1, 2] * 2), classes=names),
        npz(tmp_path / "test2.npz", classes=names),
        cache,
    )
    assert named.test.classes == ("a", "b", "c")
    with pytest.raises(DatasetError, match="only in test: 9"):
        target(train, npz(tmp_path / "test3.npz", y=np.array([5, 9] * 3)), cache)


def test_the_number_of_images_a_class_is_chosen_from_each_part(tmp_path: Path, cache: Path) -> None:
    loaded = target(
        image_folder(tmp_path / "train"), image_folder(tmp_path / "test"), cache, train_per_class=1, test_per_class=2
    )
    assert np.bincount(loaded.train.labels).tolist() == [1, 1]
    assert np.bincount(loaded.test.labels).tolist() == [2, 2]


def test_the_glyphs_are_36_characters_in_82_families(cache: Path) -> None:
    glyphs = load_source(BuiltinSource(kind="builtin"), seed=0, resolution=28, channels=1, cache=cache)
    assert glyphs.images.shape == (2952, 28, 28, 1)
    assert "".join(glyphs.classes) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert np.bincount(glyphs.labels).tolist() == [82] * 36
    assert len(set(glyphs.names)) == 2952
    assert "A/Fira Code" in glyphs.names


def test_the_digits_have_a_fixed_split_that_never_overlaps(cache: Path) -> None:
    def digits(seed: int, **settings: int) -> tuple[set[str], set[str]]:
        loaded = load_target(
            BuiltinTarget(kind="builtin", **settings), seed=seed, resolution=14, channels=1, cache=cache
        )
        assert loaded.train.classes == loaded.test.classes == tuple("0123456789")
        return set(loaded.train.names), set(loaded.test.names)

    train, test = digits(0)
    assert (len(train), len(test)) == (1000, 4000)
    assert not train & test
    for seed in range(3):
        few, some = digits(seed, train_per_class=10, test_per_class=30)
        assert (len(few), len(some)) == (100, 300)
        assert few < train
        assert some < test
    assert digits(1, train_per_class=10)[0] != digits(2, train_per_class=10)[0]


def test_what_is_shipped_comes_with_its_notices() -> None:
    folder = importlib.resources.files("tui_influence.datasets") / "builtin"
    notice = (folder / "NOTICE.md").read_text(encoding="utf-8")
    families = json.loads((folder / "families.json").read_text(encoding="utf-8"))
    for words in (
        "LeCun",
        "Cortes",
        "Burges",
        "creativecommons.org/licenses/by-sa/3.0",
        "What was changed",
        "SIL Open Font License 1.1",
        "Apache License 2.0",
        "families.json",
    ):
        assert words in notice
    with np.load(str(folder / "glyphs.npz"), allow_pickle=False) as glyphs:
        assert set(glyphs["group"].tolist()) == {name for names in families.values() for name in names}
