"""The prior of an import: measures as they are stored, and what is refused before memory is taken."""

import zipfile

import numpy as np
import pytest

from tests.unit.store.npy_contents import claiming, content_of
from tui_influence.errors import ConfigError
from tui_influence.importing import prior_arrays
from tui_influence.importing.prior_arrays import has_probabilities, read_prior

K, C, NETWORKS = 4, 3, 2
LABELS = np.array([0, 1, 2, 0, 1, 2])
CLASSES = ("cat", "dog", "eel")


def mapping_of(networks: int = NETWORKS) -> np.ndarray:
    values = np.random.default_rng(0).random((networks, K, C))
    return values / values.sum(axis=1, keepdims=True)


FAVOURITE = np.array([[[0.8] * 3, [0.1] * 3, [0.1] * 3]])
"""All classes are mapped to the first of as many groups."""
ABLATION = np.random.default_rng(1).normal(size=(NETWORKS, K, C))


def read(tmp_path, labels=LABELS, **arrays):
    np.savez(tmp_path / "prior.npz", **arrays)
    return read_prior(tmp_path / "prior.npz", K, labels, CLASSES)


def changed(array, position, value):
    array = array.copy()
    array[position] = value
    return array


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_measures_are_stored_as_float32(tmp_path, dtype):
    measures = read(tmp_path, mapping=mapping_of().astype(dtype), ablation=np.asfortranarray(ABLATION.astype(dtype)))
    assert measures.mapping.dtype == measures.ablation.dtype == np.float32
    np.testing.assert_allclose(measures.mapping, mapping_of(), rtol=1e-3)
    np.testing.assert_allclose(measures.ablation, ABLATION, rtol=1e-3)


def test_one_network_needs_no_axis(tmp_path):
    measures = read(tmp_path, mapping=mapping_of()[0], ablation=ABLATION[0])
    assert measures.mapping.shape == measures.ablation.shape == (1, K, C)


def test_without_ablation_it_is_zero(tmp_path):
    assert (read(tmp_path, mapping=mapping_of()).ablation == 0).all()


def test_classes_without_examples_have_no_measures(tmp_path):
    labels = np.array([0, 2])
    mapping = changed(mapping_of(), np.s_[:, :, 1], np.nan)
    for ablation in ({}, {"ablation": ABLATION}):
        measures = read(tmp_path, labels, mapping=mapping, **ablation)
        for values in (measures.mapping, measures.ablation):
            assert np.isnan(values[:, :, 1]).all()
            assert np.isfinite(values[:, :, [0, 2]]).all()


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"mapping": mapping_of()[:, :3]}, "mapping is (2, 3, 3) float64; expected floats, (networks, 4, 3)"),
        ({"mapping": mapping_of().swapaxes(1, 2)}, "mapping is (2, 3, 4) float64"),
        ({"mapping": mapping_of()[0, 0]}, "mapping is (3,) float64"),
        ({"mapping": mapping_of()[None]}, "mapping is (1, 2, 4, 3) float64"),
        ({"mapping": mapping_of()[:0]}, "mapping is (0, 4, 3) float64"),
        ({"mapping": np.ones((2, K, C), int)}, "mapping is (2, 4, 3) int64; expected floats"),
        ({"mapping": mapping_of() + 0j}, "its elements are no plain numbers, but complex128"),
        ({"mapping": np.array(0.5)}, "mapping is () float64"),
        ({"mapping": changed(mapping_of(), (1, 2, 0), np.nan)}, "nan at mapping[1, 2, 0]"),
        ({"mapping": changed(mapping_of(), (1, 2, 0), -np.inf)}, "-inf at mapping[1, 2, 0]"),
        ({"mapping": mapping_of(), "ablation": changed(ABLATION, (0, 0, 1), np.nan)}, "class dog has examples"),
        ({"mapping": mapping_of(), "ablation": changed(ABLATION, (0, 0, 1), 1e39)}, "1e+39 at ablation[0, 0, 1]"),
        ({"mapping": mapping_of(), "ablation": ABLATION[:1]}, "mapping of 2 networks, but ablation of 1"),
        ({"mapping": np.full((2, K, C), 0.25)}, "mapping is the same for every group"),
        ({"ablation": ABLATION}, "expected an .npz file with an array mapping"),
        ({"mapping": mapping_of(), "ablations": ABLATION}, "an array ablations; expected mapping and ablation alone"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(tmp_path, arrays, reason):
    with pytest.raises(ConfigError) as error:
        read(tmp_path, **arrays)
    assert str(error.value).startswith(f"{tmp_path}/prior.npz: ")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_no_object_is_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    with pytest.raises(ConfigError, match="no plain numbers, but object"):
        read(tmp_path, mapping=np.array([[Evil()] * C] * K, dtype=object))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (claiming((10**9, K, C), "<f8"), "too short"),
        (claiming((10**9, 10**9), "<f8"), "too short"),
        (content_of(mapping_of())[:-1], "too short"),
        (b"\x93NUMPY", "not an .npz file of plain numbers"),
        (b"", "not an .npz file of plain numbers"),
    ],
)
def test_an_array_that_is_not_there_takes_no_memory(tmp_path, content, reason):
    with zipfile.ZipFile(tmp_path / "prior.npz", "w") as archive:
        archive.writestr("mapping.npy", content)
    with pytest.raises(ConfigError, match=reason):
        read_prior(tmp_path / "prior.npz", K, LABELS, CLASSES)


@pytest.mark.parametrize(("name", "limit"), [("MAX_PAIRS", K * C - 1), ("_MAX_BYTES", mapping_of().nbytes - 1)])
def test_more_than_a_record_or_the_memory_holds_is_refused_before_it_is_read(tmp_path, monkeypatch, name, limit):
    read(tmp_path, mapping=mapping_of())
    monkeypatch.setattr(prior_arrays, name, limit)
    monkeypatch.setattr(prior_arrays, "_as_measures", None)
    with pytest.raises(ConfigError, match="are supported"):
        read(tmp_path, mapping=mapping_of())


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (mapping_of(), True),
        (changed(mapping_of(), np.s_[:, :, 1], np.nan), True),
        (0.5 * mapping_of(), True),
        (mapping_of() - 0.3, False),
        (2 * mapping_of(), False),
        (FAVOURITE, True),
        (FAVOURITE.swapaxes(1, 2), False),
    ],
)
def test_logits_and_exchanged_axes_are_no_probabilities(mapping, expected):
    assert has_probabilities(mapping.astype(np.float32)) == expected
