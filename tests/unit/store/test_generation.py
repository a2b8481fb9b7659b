"""A generation of the compacted matrix is believed only where it matches its digests, and is hashed once."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.unit.store.conftest import K, N, make_info, make_record
from tests.unit.store.npy_contents import claiming, content_of
from tui_influence.roles import Role
from tui_influence.store import digest_memory, generation, matrix
from tui_influence.store.matrix import compact, list_generations, load_outputs, remove_unsound
from tui_influence.store.paths import TEMPORARY_PREFIX
from tui_influence.store.records import as_margins, encode, write_record

ARRAYS = ("margins", "predicted", "masks", "indices", "clusters")


@pytest.fixture
def compacted(run, monkeypatch, tmp_path_factory):
    """A run whose four records are compacted, and its generation."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    paths, info = run
    compact(paths, info, Role.ESTIMATE, 0)
    (directory,) = list_generations(paths, Role.ESTIMATE, 0)
    return paths, info, directory


@pytest.fixture
def at_once(monkeypatch):
    """Files are remembered at once, not only when they have not changed for a while."""
    monkeypatch.setattr(digest_memory, "_SETTLING_SECONDS", -1e9)


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """The names of the files that are hashed."""
    names: list[str] = []
    digest = generation._digest_in

    def counting(file, header):
        names.append(Path(f"/proc/self/fd/{file.fileno()}").readlink().name)
        return digest(file, header)

    monkeypatch.setattr(generation, "_digest_in", counting)
    return names


def read(compacted):
    paths, info, _ = compacted
    return load_outputs(paths, info, Role.ESTIMATE, 0)


def is_what_the_records_say(outputs, indices=range(4)) -> bool:
    records = [make_record(index) for index in indices]
    return outputs.indices.tolist() == list(indices) and all(
        encode(record)
        == encode(
            replace(
                record,
                margins=np.array(outputs.margins[position]),
                predicted=np.array(outputs.predicted[position]),
                mask=np.array(outputs.masks[position]),
                metrics=outputs.metrics[position],
                cluster=int(outputs.clusters[position]),
            )
        )
        for position, record in enumerate(records)
    )


def was_passed_over(outputs) -> bool:
    """Whether the records were read instead, and the reader is warned."""
    return len(outputs.damaged_matrices) == 1 and not isinstance(outputs.margins, np.memmap)


def zero_sector(path) -> None:
    with path.open("r+b") as file:
        file.seek(-16, os.SEEK_END)
        file.write(bytes(16))


@pytest.mark.parametrize("name", ["margins", "predicted", "masks", "clusters"])
def test_zeroed_sectors_are_noticed_by_who_reads(compacted, name):
    assert not was_passed_over(read(compacted))
    zero_sector(compacted[2] / f"{name}.npy")
    outputs = read(compacted)
    assert was_passed_over(outputs)
    assert is_what_the_records_say(outputs)
    assert name in outputs.damaged_matrices[0]


def test_a_change_is_noticed_where_the_file_was_sound_before_and_keeps_its_times(compacted, at_once):
    path = compacted[2] / "margins.npy"
    before = path.stat()
    assert not was_passed_over(read(compacted))
    zero_sector(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert was_passed_over(read(compacted))


def test_measurements_that_were_changed_are_noticed(compacted):
    path = compacted[2] / "manifest.json"
    path.write_text(path.read_text().replace('"source_loss": 0.5', '"source_loss": 0.6', 1))
    assert was_passed_over(read(compacted))


def test_a_generation_of_a_version_whose_manifest_had_no_digest_is_read(compacted):
    path = compacted[2] / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["digest"]
    path.write_text(json.dumps(manifest))
    outputs = read(compacted)
    assert not outputs.damaged_matrices
    assert is_what_the_records_say(outputs)


def test_a_second_look_hashes_nothing(compacted, at_once, hashed):
    for _ in range(3):
        assert is_what_the_records_say(read(compacted))
    assert sorted(hashed) == sorted(f"{name}.npy" for name in ARRAYS)


def test_what_was_written_a_moment_ago_is_hashed_again(compacted, hashed):
    """It may change once more within one tick of the file system's clock."""
    for _ in range(2):
        assert is_what_the_records_say(read(compacted))
    assert len(hashed) == 2 * len(ARRAYS)


def test_whoever_starts_a_run_hashes_again(compacted, at_once, hashed):
    paths, info, _ = compacted
    read(compacted)
    assert remove_unsound(paths, info, Role.ESTIMATE, 0) == []
    assert len(hashed) == 2 * len(ARRAYS)


def test_another_directory_with_the_same_content_is_hashed_for_itself(compacted, at_once, hashed, tmp_path_factory):
    paths, info, _ = compacted
    read(compacted)
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(paths.root, copy)
    assert is_what_the_records_say(load_outputs(replace(paths, root=copy), info, Role.ESTIMATE, 0))
    assert len(hashed) == 2 * len(ARRAYS)


def memory() -> Path:
    return digest_memory._folder()


def test_what_others_may_have_written_is_not_remembered(compacted, at_once, hashed):
    read(compacted)
    memory().chmod(0o777)
    read(compacted)
    assert len(hashed) == 2 * len(ARRAYS)


def test_nobody_else_may_see_or_write_what_is_remembered(compacted, at_once):
    read(compacted)
    assert memory().stat().st_mode & 0o777 == 0o700


def test_not_to_be_able_to_remember_does_no_harm(compacted, at_once, hashed):
    memory().parent.parent.mkdir(exist_ok=True)
    memory().parent.write_text("a file where the directory should be")
    for _ in range(2):
        assert is_what_the_records_say(read(compacted))
    assert len(hashed) == 2 * len(ARRAYS)


def test_what_is_remembered_does_not_grow_for_ever(compacted, at_once, monkeypatch):
    monkeypatch.setattr(digest_memory, "_MAX_DIRECTORIES", 10)
    read(compacted)
    note = next(memory().iterdir())
    os.utime(note, (0, 0))
    for number in range(12):
        (memory() / f"{number:032}").touch()
    (compacted[2] / "margins.npy").touch()
    assert is_what_the_records_say(read(compacted))
    left = list(memory().iterdir())
    assert len(left) == 9
    assert note in left, "what was looked at last is remembered"


def forge(directory, **arrays) -> None:
    """Write other arrays, with digests to match all that is there then."""
    manifest = json.loads((directory / "manifest.json").read_text())
    for name, array in arrays.items():
        (directory / f"{name}.npy").write_bytes(content_of(array))
        digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(array).tobytes())
        manifest["digests"][name] = digest.hexdigest()
    models = len(np.load(directory / "indices.npy"))
    manifest |= {"count": models, "metrics": (manifest["metrics"] * models)[:models]}
    del manifest["digest"]
    (directory / "manifest.json").write_text(json.dumps(manifest))


def arrays_of(directory) -> dict[str, np.ndarray]:
    return {name: np.load(directory / f"{name}.npy") for name in ARRAYS}


def test_a_forged_generation_with_digests_to_match_is_read_where_it_says_nothing_impossible(compacted):
    arrays = arrays_of(compacted[2])
    forge(compacted[2], **arrays)
    outputs = read(compacted)
    assert isinstance(outputs.margins, np.memmap)
    assert is_what_the_records_say(outputs)


@pytest.mark.parametrize(
    "indices",
    [[0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 2, 3, 3, 2, 1, 0], [0, 1, 2, -1]],
    ids=["twice", "unsorted", "negative"],
)
def test_no_model_counts_twice(compacted, indices):
    arrays = {name: array[np.array(indices) % 4] for name, array in arrays_of(compacted[2]).items()}
    forge(compacted[2], **arrays | {"indices": np.array(indices)})
    outputs = read(compacted)
    assert was_passed_over(outputs)
    assert is_what_the_records_say(outputs)


def test_models_beyond_the_plan_do_not_count(compacted):
    """Nor are they damage: the plan may have grown since it was read."""
    forge(compacted[2], indices=np.array([0, 1, 2, make_info().models]))
    outputs = read(compacted)
    assert outputs.damaged_matrices == ()
    assert is_what_the_records_say(outputs)
    paths, info, directory = compacted
    assert len(remove_unsound(paths, info, Role.ESTIMATE, 0)) == 1
    assert not directory.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_margins_that_are_not_finite_are_not_read(compacted, value):
    margins = arrays_of(compacted[2])["margins"]
    margins[1, 1] = value
    forge(compacted[2], margins=margins)
    assert was_passed_over(read(compacted))


def test_masks_of_bytes_that_are_neither_true_nor_false_are_not_read(compacted):
    masks = arrays_of(compacted[2])["masks"].view(np.uint8) * 7
    forge(compacted[2], masks=masks.view(np.bool_))
    assert was_passed_over(read(compacted))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("margins", claiming((10**8, N), "<f2")),
        ("masks", claiming((10**8, K), "|b1")),
        ("indices", claiming((10**12,), "<i8")),
        ("indices", content_of(np.arange(4.0))),
        ("margins", content_of(np.zeros((4, N), np.float16, order="F"))),
        ("clusters", b""),
    ],
)
def test_an_array_of_another_kind_or_size_is_not_read(compacted, name, content):
    (compacted[2] / f"{name}.npy").write_bytes(content)
    outputs = read(compacted)
    assert was_passed_over(outputs)
    assert is_what_the_records_say(outputs)


def test_a_hundred_million_models_in_a_sparse_file_are_not_read(compacted):
    path = compacted[2] / "margins.npy"
    path.write_bytes(claiming((10**8, N), "<f2"))
    os.truncate(path, path.stat().st_size + 10**8 * N * 2)
    manifest = json.loads((compacted[2] / "manifest.json").read_text())
    (compacted[2] / "manifest.json").write_text(json.dumps(manifest | {"count": 10**8}))
    assert was_passed_over(read(compacted))


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in ARRAYS), "manifest.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(compacted, name):
    (compacted[2] / name).unlink()
    os.mkfifo(compacted[2] / name)
    outputs = read(compacted)
    assert was_passed_over(outputs)
    assert is_what_the_records_say(outputs)


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 10**8},
        {"count": True},
        {"metrics": [{"a": "x"}] * 4},
        {"metrics": {}},
        {"digests": {}},
        {"digests": 3},
        {"identity": ["cafe"]},
        {"digest": 3},
    ],
    ids=str,
)
def test_a_manifest_with_values_of_another_kind_is_not_read(compacted, changes):
    path = compacted[2] / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert was_passed_over(read(compacted))


def test_an_older_sound_generation_is_read_where_the_newest_is_damaged(compacted):
    paths, info, older = compacted
    write_record(paths, make_record(5))
    compact(paths, info, Role.ESTIMATE, 0)
    newest = list_generations(paths, Role.ESTIMATE, 0)[-1]
    assert newest != older
    zero_sector(newest / "margins.npy")
    outputs = read(compacted)
    assert len(outputs.damaged_matrices) == 1
    assert is_what_the_records_say(outputs, [0, 1, 2, 3, 5])


def test_compacting_replaces_what_is_damaged_whatever_its_name(compacted):
    paths, info, directory = compacted
    zero_sector(directory / "margins.npy")
    directory.rename(directory.with_name("99999999-ffffffff"))
    shutil.copytree(directory.with_name("99999999-ffffffff"), directory.with_name("99999998-ffffffff"))
    write_record(paths, make_record(5))
    assert compact(paths, info, Role.ESTIMATE, 0)
    (left,) = list_generations(paths, Role.ESTIMATE, 0)
    assert left.name.startswith("00000005-")
    outputs = read(compacted)
    assert isinstance(outputs.margins, np.memmap)
    assert is_what_the_records_say(outputs, [0, 1, 2, 3, 5])


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 256])
@pytest.mark.parametrize("chunk", [2, 14, 1 << 20])
def test_what_is_written_does_not_depend_on_how_much_at_a_time(run, monkeypatch, tmp_path_factory, rows, chunk):
    paths, info = run
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    monkeypatch.setattr(generation, "_ROWS_PER_WRITE", rows)
    monkeypatch.setattr(generation, "_CHUNK_BYTES", chunk)
    compact(paths, info, Role.ESTIMATE, 0)
    (directory,) = list_generations(paths, Role.ESTIMATE, 0)
    assert is_what_the_records_say(load_outputs(paths, info, Role.ESTIMATE, 0))
    for name in ARRAYS:
        whole = np.load(directory / f"{name}.npy")
        assert len(whole) == 4
        assert (directory / f"{name}.npy").stat().st_size == 128 + whole.nbytes
    assert not load_outputs(paths, info, Role.ESTIMATE, 0).damaged_matrices


def test_a_generation_of_nothing_is_none(tmp_path):
    directory = tmp_path / "00000000-00000000"
    fit = generation.GenerationSpec("cafe", Role.ESTIMATE, 0, 8, 3, 5)
    assert generation.write_generation(directory, [], fit) == 0
    found = generation.open_generation(directory, fit)
    assert (len(found), found.margins.shape, found.masks.shape) == (0, (0, 5), (0, 3))


def test_as_many_models_as_are_planned_and_no_more_are_read(compacted):
    _, info, directory = compacted
    fit = matrix.generation_spec(info, Role.ESTIMATE, 0)
    assert len(generation.open_generation(directory, replace(fit, planned_rows=4))) == 4
    with pytest.raises(generation.LargerPlanError, match="beyond the 3 of the plan"):
        generation.open_generation(directory, replace(fit, planned_rows=3))


@pytest.mark.parametrize(
    "wrong",
    [{"identity": "beef"}, {"groups": K + 1}, {"examples": N - 1}, {"role": Role.HELDOUT}, {"target": 1}],
    ids=str,
)
def test_a_generation_of_another_run_role_or_target_is_none_of_this_one(compacted, wrong):
    _, info, directory = compacted
    with pytest.raises(generation.DamagedGenerationError, match=r"damaged \("):
        generation.open_generation(directory, replace(matrix.generation_spec(info, Role.ESTIMATE, 0), **wrong))


def test_a_generation_that_holds_a_row_is_dropped_where_the_row_is_to_be_trained_again(compacted):
    paths, info, directory = compacted
    assert remove_unsound(paths, info, Role.ESTIMATE, 0, without=[7, 5]) == []
    assert directory.exists()
    assert remove_unsound(paths, info, Role.ESTIMATE, 0, without=[7, 2]) == []
    assert not directory.exists()


@pytest.mark.parametrize(("worth", "writes"), [(1, True), (2, True), (3, False)])
def test_a_generation_is_written_once_enough_records_have_come(compacted, monkeypatch, worth, writes):
    paths, info, directory = compacted
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", worth)
    for index in (6, 4):
        write_record(paths, make_record(index))
    assert compact(paths, info, Role.ESTIMATE, 0) == writes
    found = list_generations(paths, Role.ESTIMATE, 0)
    assert len(found) == 1 + writes
    assert found[-1].name.startswith("00000006-" if writes else "00000004-")
    assert is_what_the_records_say(load_outputs(paths, info, Role.ESTIMATE, 0), (0, 1, 2, 3, 4, 6))
    assert directory.exists()


def test_rows_of_a_generation_are_taken_over_without_their_records(compacted, monkeypatch):
    paths, info, _ = compacted
    write_record(paths, make_record(5))
    paths.record(Role.ESTIMATE, 1, 0).unlink()
    assert compact(paths, info, Role.ESTIMATE, 0)
    assert is_what_the_records_say(load_outputs(paths, info, Role.ESTIMATE, 0), (0, 1, 2, 3, 5))


def test_a_record_that_is_damaged_has_no_row_in_the_next_generation(compacted):
    paths, info, _ = compacted
    write_record(paths, make_record(4, identity="other"))
    write_record(paths, make_record(5))
    assert compact(paths, info, Role.ESTIMATE, 0)
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert outputs.indices.tolist() == [0, 1, 2, 3, 5]
    assert len(outputs.damaged) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"mask": np.ones(K + 1, bool)},
        {"margins": np.zeros(N - 1, np.float16)},
        {"predicted": np.zeros(N + 1, np.uint16)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_record_that_does_not_fit_the_run_is_left_out(run, wrong):
    paths, info = run
    write_record(paths, make_record(1, **wrong))
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert outputs.indices.tolist() == [0, 2, 3]
    assert f"it does not fit {K} groups and {N} examples" in outputs.damaged[0]


def test_what_is_remembered_is_not_older_than_a_moment(compacted, hashed, monkeypatch):
    """Files that settled are remembered; whether they have is judged by the latest time of any of them."""
    now = digest_memory.time.time()
    times = {"margins": now - 3600, "clusters": now}
    monkeypatch.setattr(digest_memory.time, "time", lambda: now + digest_memory._SETTLING_SECONDS - 0.5)
    stats = {name: os.stat_result((0o100600, 1, 1, 1, 0, 0, 10, when, when, when)) for name, when in times.items()}
    directory = compacted[2]
    digest_memory.remember(directory, "stamp", stats)
    assert not digest_memory.is_remembered(directory, "stamp")
    monkeypatch.setattr(digest_memory.time, "time", lambda: now + digest_memory._SETTLING_SECONDS + 0.5)
    digest_memory.remember(directory, "stamp", stats)
    assert digest_memory.is_remembered(directory, "stamp")
    assert not digest_memory.is_remembered(directory, "other")
    assert not digest_memory.is_remembered(directory.parent, "stamp")


@pytest.mark.parametrize("changed", ["st_ino", "st_size", "st_mtime_ns", "st_ctime_ns"])
def test_a_stamp_changes_with_every_file_it_is_of(changed):
    status = {"st_ino": 1, "st_size": 2, "st_mtime_ns": 3, "st_ctime_ns": 4}

    def stamp(name="a", digest="d", **changes):
        return digest_memory.compute_stamp(digest, {name: SimpleNamespace(**status | changes)})

    assert stamp() == stamp(st_atime_ns=77)
    assert len({stamp(), stamp("b"), stamp(digest="e"), stamp(**{changed: 77})}) == 4


@pytest.fixture
def two_targets(run, monkeypatch, tmp_path_factory):
    """Two targets with equally many examples, compacted in both roles; nothing but its labels tells matrices apart."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    paths, info = run
    info = replace(info, heldout=8, targets=[info.targets[0], replace(info.targets[0], name="cars")])
    for role, target in PLACES:
        for index in range(4):
            rng = np.random.default_rng([index, target, len(role)])
            margins = as_margins(rng.normal(size=N))
            write_record(paths, make_record(index, role=role, target=target, margins=margins))
        assert compact(paths, info, role, target)
    return paths, info


PLACES = [(role, target) for role in (Role.ESTIMATE, Role.HELDOUT) for target in (0, 1)]


def without_labels(paths) -> None:
    """Make all manifests what older versions wrote."""
    for path in paths.root.rglob("manifest.json"):
        manifest = json.loads(path.read_text())
        del manifest["role"], manifest["target"], manifest["digest"]
        path.write_text(json.dumps(manifest))


def swap(first, second) -> None:
    elsewhere = first.with_name("elsewhere")
    first.rename(elsewhere)
    second.rename(first)
    elsewhere.rename(second)


@pytest.mark.parametrize("age", [lambda paths: None, without_labels], ids=["labelled", "older"])
@pytest.mark.parametrize("place", PLACES[1:], ids=str)
def test_matrices_that_changed_places_are_not_read(two_targets, place, age):
    paths, info = two_targets
    before = {place: np.array(load_outputs(paths, info, *place).margins) for place in PLACES}
    age(paths)
    swap(paths.matrix(*PLACES[0]), paths.matrix(*place))
    for each in (PLACES[0], place):
        outputs = load_outputs(paths, info, *each)
        assert was_passed_over(outputs)
        assert np.array_equal(outputs.margins, before[each])
        assert len(remove_unsound(paths, info, *each)) == 1
        assert list_generations(paths, *each) == []


def test_a_matrix_of_an_older_version_in_its_place_is_read_at_the_cost_of_a_few_records(two_targets, monkeypatch):
    paths, info = two_targets
    without_labels(paths)
    read_one, rows = matrix.read_record, []
    monkeypatch.setattr(matrix, "read_record", lambda *row: rows.append(row) or read_one(*row))
    for place in PLACES:
        assert isinstance(load_outputs(paths, info, *place).margins, np.memmap)
        assert remove_unsound(paths, info, *place) == []
    assert len(rows) <= 2 * len(PLACES) * matrix._RECORDS_COMPARED


def test_a_matrix_of_an_older_version_is_not_believed_without_any_record_that_says_whose_it_is(two_targets):
    paths, info = two_targets
    shutil.rmtree(paths.records_root)
    assert len(load_outputs(paths, info, Role.ESTIMATE, 0)) == 4
    without_labels(paths)
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert len(outputs) == 0
    assert "no record can be read" in outputs.damaged_matrices[0]


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in ARRAYS), "manifest.json"])
def test_a_missing_file_of_a_generation_is_damage_and_is_named(compacted, name):
    (compacted[2] / name).unlink()
    outputs = read(compacted)
    assert was_passed_over(outputs)
    assert name in outputs.damaged_matrices[0]
    assert is_what_the_records_say(outputs)


def test_a_generation_that_is_removed_is_gone_before_its_files_are(compacted, monkeypatch):
    """A reader that has just listed it would take it for damaged otherwise."""
    paths, info, directory = compacted
    removed = []
    monkeypatch.setattr(matrix.shutil, "rmtree", lambda path, **_: removed.append(path))
    remove_unsound(paths, info, Role.ESTIMATE, 0, without=[2])
    (path,) = removed
    assert not directory.exists()
    assert path.is_dir()
    assert path.name.startswith(TEMPORARY_PREFIX), "what a crash leaves is removed later"
