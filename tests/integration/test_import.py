"""`tinfl import`: what it makes is a run like any other; what does not fit is refused before anything is written."""

import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from tests.integration.array_files import save
from tests.integration.command_line import refused, run
from tests.tui.runs import exploring, ranked, screen_text
from tests.unit.influence.simulated_sweeps import simulate
from tests.unit.store.npy_contents import claiming, content_of
from tui_influence.influence.difference import difference
from tui_influence.roles import Role
from tui_influence.store.matrix import load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info

MODELS, GROUPS, EXAMPLES = 120, 6, 30
SWEEP = simulate("bernoulli", MODELS, GROUPS, EXAMPLES, seed=0, noise=0.3)
LABELS = np.arange(EXAMPLES) % 3


@pytest.fixture
def given(tmp_path):
    return (
        "--masks", save(tmp_path, "masks", SWEEP.masks),
        "--outputs", save(tmp_path, "outputs", SWEEP.outputs),
    )  # fmt: skip


def write_lines(path, names):
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def test_influences_of_an_import_are_those_of_its_arrays(given, tmp_path):
    said = run("import", *given, tmp_path / "out")
    assert said.code == 0
    assert said.out == ""
    assert f"next: tinfl rank {tmp_path / 'out'}" in said.err
    ranked = json.loads(run("rank", tmp_path / "out", "--estimator", "difference", "--split", "all", "--json").out)
    expected = difference(SWEEP.masks, SWEEP.outputs.mean(axis=1))
    assert ranked["n_models"] == MODELS
    for row in ranked["rows"]:
        place = int(row["group"].split()[-1])
        assert row["influence"] == pytest.approx(expected.influence[place, 0], abs=1e-3)
        assert row["se"] == pytest.approx(expected.se[place, 0], rel=1e-2)


def test_names_labels_predictions_pictures_and_held_out_models_are_kept(given, tmp_path):
    rng = np.random.default_rng(0)
    predicted = rng.integers(0, 3, (MODELS, EXAMPLES))
    pictures = rng.integers(0, 256, (EXAMPLES, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=pictures)
    out = tmp_path / "out"
    said = run(
        "import", *given,
        "--labels", save(tmp_path, "labels", LABELS),
        "--predicted", save(tmp_path, "predicted", predicted),
        "--groups", write_lines(tmp_path / "groups.txt", ["ostrich", "=1", "c", "d", "e", "f"]),
        "--classes", write_lines(tmp_path / "classes.txt", ["bird", "cat", "dog"]),
        "--images", tmp_path / "images.npz", "--heldout", 20, "--target", "animals", out,
    )  # fmt: skip
    assert said.code == 0, said
    info = read_run_info(out)
    assert info.is_imported
    assert (info.models, info.heldout, info.source.groups[0]) == (100, 20, "ostrich")
    assert (info.targets[0].name, info.targets[0].classes) == ("animals", ["bird", "cat", "dog"])
    for role, rows in ((Role.ESTIMATE, slice(0, 100)), (Role.HELDOUT, slice(100, 120))):
        found = load_outputs(Paths(out), info, role, 0)
        assert np.array_equal(found.masks, SWEEP.masks[rows])
        assert np.array_equal(found.predicted, predicted[rows])
        assert found.margins == pytest.approx(SWEEP.outputs[rows], rel=1e-3, abs=1e-3)
    shown = json.loads(run("show", out, "--example", 4, "--json").out)
    assert (shown["label"], shown["image"]) == ("cat", [8, 8, 3])
    assert np.array_equal(np.load(out / "targets/0/thumbnails.npy"), pictures)
    assert json.loads(run("rank", out, "--json").out)["lds"] is not None


def test_held_out_models_with_equal_masks_give_the_lds_a_ceiling(tmp_path):
    rng = np.random.default_rng(1)
    masks = np.concatenate([SWEEP.masks[:80], SWEEP.masks[80:].repeat(2, axis=0)])
    means = masks @ SWEEP.effects
    outputs = means + 0.5 * means.std(axis=0) * rng.standard_normal(means.shape)
    options = ("--masks", save(tmp_path, "m", masks), "--outputs", save(tmp_path, "o", outputs), "--heldout", 80)
    assert run("import", *options, tmp_path / "out").code == 0
    ranked = json.loads(run("rank", tmp_path / "out", "--json").out)
    n_masks = len(np.unique(SWEEP.masks[80:], axis=0))
    assert (ranked["lds"]["n"], ranked["lds"]["n_masks"], ranked["lds"]["n_repeated"]) == (80, n_masks, n_masks)
    assert 0 < ranked["lds_ceiling"]["low"] < ranked["lds_ceiling"]["value"] < ranked["lds_ceiling"]["high"] <= 1
    words = " ".join(run("rank", tmp_path / "out").out.split())
    assert f"LDS {ranked['lds']['value']:.2f} [" in words
    assert f"] of {ranked['lds_ceiling']['value']:.2f} [" in words


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64])
@pytest.mark.parametrize("floats", [np.float16, np.float32, np.float64])
def test_masks_of_any_whole_kind_and_outputs_of_any_floating_kind_are_read(tmp_path, dtype, floats):
    masks = save(tmp_path, "masks", np.asfortranarray(SWEEP.masks.astype(dtype)))
    outputs = save(tmp_path, "outputs", SWEEP.outputs.astype(floats))
    assert run("import", "--masks", masks, "--outputs", outputs, tmp_path / "out").code == 0
    found = load_outputs(Paths(tmp_path / "out"), read_run_info(tmp_path / "out"), Role.ESTIMATE, 0)
    assert np.array_equal(found.masks, SWEEP.masks)


def test_without_predictions_an_example_is_right_where_its_margin_is_above_0(given, tmp_path):
    assert "margin is above 0" in run("import", *given, tmp_path / "out").err
    found = json.loads(run("show", tmp_path / "out", "--example", 7, "--json").out)
    assert found["accuracy"] == pytest.approx((SWEEP.outputs[:, 7] > 0).mean())
    assert {vote["label"] for vote in found["predicted"]} == {"all", "another class"}


@pytest.mark.parametrize("command", [("status",), ("rank",), ("show", "--example", "3"), ("subpops",), ("logs",)])
def test_what_reads_a_run_reads_an_import(given, tmp_path, command):
    assert run("import", *given, tmp_path / "out").code == 0
    said = run(command[0], tmp_path / "out", *command[1:])
    assert said.code == 0, said
    assert said.out


@pytest.mark.parametrize("command", [("resume",), ("prune",), ("prune", "--dry-run"), ("prune", "--report")])
def test_what_trains_refuses_an_import_in_one_line(given, tmp_path, command):
    assert run("import", *given, tmp_path / "out").code == 0
    refused(command[0], tmp_path / "out", *command[1:], code=2, reason="was imported: it has no config")


async def test_the_app_opens_an_import(given, tmp_path):
    assert run("import", *given, "--labels", save(tmp_path, "labels", LABELS), tmp_path / "out").code == 0
    async with exploring(tmp_path / "out", (120, 40)) as (app, pilot):
        await pilot.press("2")
        await ranked(app, pilot)
        assert "group 0" in screen_text(app)
        for mode in "1345":
            await pilot.press(mode)
            await pilot.pause(0.2)
        assert app.is_running


def test_groups_that_never_vary_are_named(tmp_path):
    masks = SWEEP.masks.copy()
    masks[:, 2], masks[:, 4] = True, False
    given = ("--masks", save(tmp_path, "masks", masks), "--outputs", save(tmp_path, "outputs", SWEEP.outputs))
    said = run("import", *given, tmp_path / "out")
    assert said.code == 0
    assert "2 groups in all models or in none" in said.err
    assert "group 2, group 4" in said.err
    assert run("rank", tmp_path / "out").code == 0


def test_probabilities_in_place_of_margins_are_noticed(tmp_path):
    shares = 1 / (1 + np.exp(-SWEEP.outputs))
    given = ("--masks", save(tmp_path, "masks", SWEEP.masks), "--outputs", save(tmp_path, "outputs", shares))
    assert "are these probabilities?" in run("import", *given, tmp_path / "out").err


def with_value(array, value):
    changed = array.copy()
    changed[5, 3] = value
    return changed


OBJECTS = np.array([[{}, {}]] * MODELS, dtype=object)


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("outputs", SWEEP.outputs[:-1], "120 models in"),
        ("outputs", with_value(SWEEP.outputs, np.nan), "nan at [5, 3]; outputs must be finite"),
        ("outputs", with_value(SWEEP.outputs, -np.inf), "-inf at [5, 3]"),
        ("outputs", SWEEP.outputs.astype(int), "floating-point margins"),
        ("outputs", SWEEP.outputs[:, 0], "expected outputs (m, n)"),
        ("outputs", SWEEP.outputs[:, :0], "none of them 0"),
        ("outputs", OBJECTS, "not a .npy file of plain numbers"),
        ("masks", SWEEP.masks.astype(float), "masks must be bool"),
        ("masks", with_value(SWEEP.masks.astype(int), 2), "2 at [5, 3]; masks must be 0 or 1"),
        ("masks", with_value(SWEEP.masks.astype(int), -1), "-1 at [5, 3]"),
        ("masks", SWEEP.masks[:0], "none of them 0"),
        ("masks", SWEEP.masks[:, :1], "at least 2"),
        ("masks", np.ones_like(SWEEP.masks), "no group varies"),
        ("masks", OBJECTS, "not a .npy file of plain numbers"),
        ("labels", LABELS[:-1], "29 labels, but outputs of 30 examples"),
        ("labels", LABELS - 1, "a label of -1"),
        ("labels", LABELS.astype(float), "labels must be (n,) integers"),
        ("predicted", np.full((MODELS, EXAMPLES), 3), "3 at [0, 0]; there are 3 classes"),
        ("predicted", LABELS, "expected (120, 30) integers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_leave_nothing_behind(given, tmp_path, name, array, reason):
    options = [*given, *(["--labels", save(tmp_path, "labels", LABELS)] if name == "predicted" else [])]
    if f"--{name}" not in options:
        options += [f"--{name}", tmp_path / f"{name}.npy"]
    save(tmp_path, name, array)
    refused("import", *options, tmp_path / "made/out", code=2, reason=reason)
    assert not (tmp_path / "made").exists()


def test_a_pickle_is_never_loaded(given, tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    (tmp_path / "masks.npy").write_bytes(pickle.dumps(Evil()))
    refused("import", *given, tmp_path / "out", code=2, reason="not a .npy file of plain numbers")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("option", "content", "reason"),
    [
        ("--groups", "a\nb\n", "2 lines for 6 groups"),
        ("--groups", "a\nb\nc\nd\ne\na\n", "more than once: a"),
        ("--groups", "a\nb\n\nd\ne\nf\n", "a name is empty"),
        ("--groups", "\x1b[2J\n" * 6, "more than once: \\x1b[2J"),
        ("--classes", "a\nb\n", "2 lines for 1 class"),
        ("--images", "no archive", "not an .npz file"),
        ("--masks", "", "not a .npy file"),
        ("--masks", "a text", "not a .npy file of plain numbers (no .npy header)"),
        ("--predicted", "", "--predicted needs --labels"),
    ],
)
def test_files_of_another_kind_are_refused(given, tmp_path, option, content, reason):
    path = tmp_path / "other"
    path.write_text(content)
    refused("import", *given, option, path, tmp_path / "out", code=2, reason=reason)


@pytest.mark.parametrize("option", ["--masks", "--outputs", "--images", "--groups"])
def test_a_pipe_is_refused_and_not_waited_for(given, tmp_path, option):
    os.mkfifo(tmp_path / "pipe")
    refused("import", *given, option, tmp_path / "pipe", tmp_path / "out", code=2, reason="not a regular file")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (claiming((EXAMPLES, 10**6, 10**6), "|u1"), "too short"),
        (claiming((EXAMPLES + 1, 10**6, 10**6), "|u1"), "too short"),
        (content_of(np.zeros((EXAMPLES, 8, 8), np.float32)), "or (n, H, W, 3) uint8"),
        (b"\x93NUMPY", "not an .npz file of plain numbers"),
    ],
)
def test_pictures_are_not_made_room_for_before_they_fit(given, tmp_path, content, reason):
    with zipfile.ZipFile(tmp_path / "images.npz", "w") as archive:
        archive.writestr("x.npy", content)
    refused("import", *given, "--images", tmp_path / "images.npz", tmp_path / "out", code=2, reason=reason)


def test_a_missing_file_a_taken_place_and_too_few_models_are_refused(given, tmp_path):
    refused("import", *given, "--masks", tmp_path / "none.npy", tmp_path / "out", code=2, reason="no such file")
    refused("import", *given, "--heldout", 119, tmp_path / "out", code=2, reason="at least 2 others")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").touch()
    refused("import", *given, tmp_path / "taken", code=2, reason="writes a new directory")
    np.savez(tmp_path / "images.npz", x=np.zeros((3, 8, 8), np.uint8))
    refused("import", *given, "--images", tmp_path / "images.npz", tmp_path / "out", code=2, reason="3 images, but")


@pytest.mark.parametrize("option", ["--groups", "--classes"])
def test_a_missing_list_of_names_is_a_mistake_of_the_command_line(given, tmp_path, option):
    refused("import", *given, option, tmp_path / "none", tmp_path / "out", code=2, reason="no such file")
    refused("import", *given, option, tmp_path, tmp_path / "out", code=2, reason=str(tmp_path))


def test_outputs_beyond_half_floats_are_counted_and_kept_as_they_are(given, tmp_path):
    outputs = SWEEP.outputs.copy()
    outputs[3, 4:6] = -1e6, 1e5
    said = run("import", *given, "--outputs", save(tmp_path, "large", outputs), tmp_path / "out")
    assert said.code == 0
    assert "2 outputs beyond +-60,000: are these nats?" in said.err
    assert "stored as float32" in said.err
    stored = load_outputs(Paths(tmp_path / "out"), read_run_info(tmp_path / "out"), Role.ESTIMATE, 0)
    assert stored.margins[3, 4:6].tolist() == [-1e6, 1e5]


@pytest.mark.parametrize("shift", [0, 1000, -1000])
def test_influences_do_not_depend_on_what_is_added_to_every_output(given, tmp_path, shift):
    outputs = shift + 0.1 * SWEEP.outputs
    said = run("import", *given, "--outputs", save(tmp_path, "shifted", outputs), tmp_path / "out")
    assert ("stored as float32" in said.err) == bool(shift)
    assert "warning" not in said.err
    assert read_run_info(tmp_path / "out").margin_type == ("float32" if shift else "float16")
    expected = difference(SWEEP.masks, 0.1 * SWEEP.outputs[:, 3])
    options = ("--example", 3, "--estimator", "difference", "--json")
    ranked = json.loads(run("rank", tmp_path / "out", *options).out)
    for row in ranked["rows"]:
        place = int(row["group"].split()[-1])
        assert row["influence"] == pytest.approx(expected.influence[place, 0], abs=0.02 * expected.se[place, 0])
    assert run("verify", tmp_path / "out").code == 0


def test_outputs_that_float32_is_too_coarse_for_are_counted_with_a_remedy(given, tmp_path):
    outputs = SWEEP.outputs.copy()
    outputs[:, 4] += 1e7
    said = run("import", *given, "--outputs", save(tmp_path, "large", outputs), tmp_path / "out")
    assert said.code == 0
    assert "warning: float32 rounds the outputs of 1 example by more than 1% of their spread over models" in said.err
    assert "subtract each example's mean" in said.err


def test_what_is_the_same_for_all_models_loses_nothing_by_rounding(given, tmp_path):
    outputs = SWEEP.outputs.astype(np.float32)
    outputs[:, 4] = 1000.1
    run("import", *given, "--outputs", save(tmp_path, "constant", outputs), tmp_path / "out")
    assert read_run_info(tmp_path / "out").margin_type == "float16"


@pytest.mark.parametrize(
    ("dtype", "value", "reason"),
    [
        (np.float64, 1e13, "at [5, 3]; outputs must be finite, within +-1e+12: are these nats?"),
        (np.float64, 1e300, "1e+300 at [5, 3]; outputs must be finite, within"),
        (np.float32, -2e12, "at [5, 3]; outputs must be finite, within"),
        (np.float16, np.inf, "inf at [5, 3]; outputs must be finite\n"),
    ],
)
def test_outputs_that_no_sum_can_hold_are_refused(given, tmp_path, dtype, value, reason):
    outputs = save(tmp_path, "large", with_value(SWEEP.outputs.astype(dtype), value))
    refused("import", *given, "--outputs", outputs, tmp_path / "out", code=2, reason=reason)


def test_the_design_of_an_import_is_that_of_all_its_models(tmp_path):
    masks = np.random.default_rng(0).random((400, GROUPS)) < 0.5
    masks[:300] = np.arange(GROUPS) < 3
    masks[300:, 0] = True
    given = ("--masks", save(tmp_path, "m", masks), "--outputs", save(tmp_path, "y", np.ones((400, 4))))
    assert run("import", *given, tmp_path / "out").code == 0
    assert read_run_info(tmp_path / "out").design == {"kind": "random", "alpha": round(masks.mean(), 3)}


@pytest.mark.parametrize("command", [("show", "--example", "3"), ("show", "--source", "group 1"), ("failures",)])
def test_that_an_import_has_no_pictures_is_no_warning(given, tmp_path, command):
    assert run("import", *given, tmp_path / "out").code == 0
    said = run(command[0], tmp_path / "out", *command[1:])
    assert "without images" in said.err
    assert "warning" not in said.err
    assert "thumbnails" not in said.err


def test_an_interrupted_import_leaves_nothing_behind(given, tmp_path, monkeypatch):
    from tui_influence.importing import directory

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(directory, "write_run_info", interrupted)
    (tmp_path / "made").mkdir()
    assert run("import", *given, tmp_path / "made/out").code == 130
    assert list((tmp_path / "made").iterdir()) == []
