"""A results directory that is damaged, foreign, half copied or too new is refused in one line."""

import errno
import hashlib
import io
import json
import os
import pickle
from dataclasses import asdict, replace

import numpy as np
import pytest

from tests.unit.store.conftest import N, make_info, make_record
from tests.unit.store.npy_contents import claiming, with_header
from tests.unit.store.unreadable import UNREADABLE
from tui_influence.errors import ConfigError, ExitCode, ResultsError
from tui_influence.roles import Role
from tui_influence.store import files, matrix
from tui_influence.store.examples import (
    Examples,
    read_examples,
    read_source_thumbnails,
    read_thumbnails,
    write_examples,
    write_source_thumbnails,
)
from tui_influence.store.matrix import compact, load_outputs, remove_unsound
from tui_influence.store.paths import Paths
from tui_influence.store.records import write_record
from tui_influence.store.results_directory import refuse_links
from tui_influence.store.run_info import read_run_info, write_run_info


def refused(call, *arguments, match):
    with pytest.raises(ResultsError, match=match) as caught:
        call(*arguments)
    assert caught.value.exit_code is ExitCode.RESULTS
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_run_info_comes_back_as_written(paths):
    info = make_info()
    write_run_info(paths, info)
    assert read_run_info(paths.root) == info


def test_what_is_no_results_directory_is_refused(tmp_path):
    refused(read_run_info, tmp_path / "none", match="no such results directory")
    refused(read_run_info, tmp_path, match="no run.json")
    file = tmp_path / "file"
    file.write_text("")
    refused(read_run_info, file, match="not a results directory, but a file")
    refused(read_run_info, tmp_path / "a\x1b]0;evil\x07", match=r"\\x1b")


def test_a_newer_layout_is_refused_with_what_to_do(paths):
    write_run_info(paths, replace(make_info(), schema=99))
    refused(read_run_info, paths.root, match="newer version.*upgrade")


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found.pop("targets"),
        lambda found: found.update(targets=[]),
        lambda found: found.update(targets=3),
        lambda found: found["source"].update(groups="abc"),
        lambda found: found["source"].update(sizes=[1]),
        lambda found: found["source"].update(groups=[], sizes=[]),
        lambda found: found["source"].update(digests={"groups.npy": 3}),
        lambda found: found.update(models=-1),
        lambda found: found.update(seed="0"),
        lambda found: found["targets"][0].update(test=10**12),
        lambda found: found.update(schema="1"),
    ],
)
def test_a_damaged_run_json_is_refused(paths, damage):
    found = asdict(make_info())
    damage(found)
    paths.run.write_text(json.dumps(found))
    refused(read_run_info, paths.root, match="damaged")


@pytest.mark.parametrize("digest", ["00" * 16, "", None, 3])
def test_a_run_json_that_does_not_match_its_digest_is_refused_with_what_helps(paths, digest):
    write_run_info(paths, make_info())
    values = json.loads(paths.run.read_text())
    groups = values["source"]["groups"]
    groups[0], groups[1] = groups[1], groups[0]
    for altered in (values, values | {"digest": digest}):
        paths.run.write_text(json.dumps(altered))
        refused(read_run_info, paths.root, match="run.json: its content does not match its digest.*copy it again")


def test_a_truncated_run_json_and_a_missing_one_are_half_copies(run):
    paths, _ = run
    paths.run.write_bytes(paths.run.read_bytes()[:50])
    refused(read_run_info, paths.root, match="half copied")
    paths.run.unlink()
    refused(read_run_info, paths.root, match="half copied: it has records")


@pytest.mark.parametrize("name", ["labels.npy", "estimate.npy", "names.json"])
def test_examples_that_are_missing_or_altered_are_refused(run, name):
    paths, info = run
    assert len(read_examples(paths, info, 0).labels) == N
    path = paths.target(0) / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    refused(read_examples, paths, info, 0, match="does not match run.json")
    path.unlink()
    refused(read_examples, paths, info, 0, match="half copied")


def forged(paths, info, name, content):
    """A run whose file somebody else wrote, with the digest to match."""
    (paths.target(0) / name).write_bytes(content)
    digests = info.targets[0].digests | {name: hashlib.blake2b(content, digest_size=16).hexdigest()}
    return replace(info, targets=[replace(info.targets[0], digests=digests)])


def archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(N, np.int64))
    return buffer.getvalue()


NO_NUMBERS = {
    "archive": archive(),
    "10^12 elements": claiming((10**12,)),
    "bad header": b"\x93NUMPY\x01\x00\x10\x00{'descr': object}\n",
    "header nested too deep": with_header("(" * 9000),
    "endless header": b"\x93NUMPY\x01\x00\x10\x00{'descr': '<i8',",
    "nothing": b"",
}


@pytest.mark.parametrize("content", NO_NUMBERS.values(), ids=NO_NUMBERS)
@pytest.mark.parametrize("name", ["labels.npy", "estimate.npy"])
def test_examples_that_are_no_arrays_are_refused_whatever_their_digest(run, name, content):
    paths, info = run
    refused(read_examples, paths, forged(paths, info, name, content), 0, match=f"{name}: damaged")


@pytest.mark.parametrize("content", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_groups_of_sample_images_that_are_no_array_are_refused(run, content):
    paths, _ = run
    write_source_thumbnails(paths, np.zeros((4, 8, 8, 1), np.uint8), np.arange(4, dtype=np.int32))
    assert len(read_source_thumbnails(paths)[1]) == 4
    (paths.source / "groups.npy").write_bytes(content)
    refused(read_source_thumbnails, paths, match="damaged")


def test_a_split_of_bytes_that_are_neither_true_nor_false_is_refused(run):
    paths, info = run
    content = (paths.target(0) / "estimate.npy").read_bytes()[:-1] + b"\x02"
    refused(read_examples, paths, forged(paths, info, "estimate.npy", content), 0, match="true and false")


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"{}", b"[1]", b'"abcdefghijkl"', b"[NaN]"], ids=lambda c: repr(c[:9])
)
def test_names_that_are_no_list_of_texts_are_refused(run, content):
    paths, info = run
    refused(read_examples, paths, forged(paths, info, "names.json", content), 0, match=r"names\.json: damaged")


def test_a_pipe_in_place_of_pictures_is_not_waited_for(run):
    paths, _ = run
    path = paths.target(0) / "thumbnails.npy"
    path.unlink()
    os.mkfifo(path)
    refused(read_thumbnails, paths.target(0), match="not a regular file")


def test_everything_that_is_kept_of_the_data_has_a_digest(paths):
    digests = write_source_thumbnails(paths, np.zeros((4, 8, 8, 1), np.uint8), np.arange(4, dtype=np.int32))
    assert digests.keys() == {path.name for path in paths.source.iterdir()}
    examples = Examples(np.arange(N) % 3, np.arange(N) % 2 == 0, ("x",) * N)
    assert write_examples(paths, 0, examples, None).keys() == {"labels.npy", "estimate.npy", "names.json"}
    digests = write_examples(paths, 0, examples, np.zeros((N, 8, 8, 1), np.uint8))
    assert digests.keys() == {path.name for path in paths.target(0).iterdir()}


def test_a_run_of_a_version_that_kept_no_digests_of_sample_images_is_read(paths):
    values = asdict(make_info())
    del values["source"]["digests"]
    paths.run.write_text(json.dumps(values))
    assert read_run_info(paths.root) == make_info()


def test_nothing_is_unpickled(run):
    paths, _ = run

    class Bomb:
        def __reduce__(self):
            return (print, ("executed",))

    payload = np.empty(1, dtype=object)
    payload[0] = Bomb()
    np.save(paths.target(0) / "thumbnails.npy", payload, allow_pickle=True)
    refused(read_thumbnails, paths.target(0), match="damaged|half copied")
    (paths.target(0) / "thumbnails.npy").write_bytes(pickle.dumps(Bomb()))
    refused(read_thumbnails, paths.target(0), match="damaged|half copied")


def test_outputs_are_the_records_in_order(run):
    paths, info = run
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert outputs.indices.tolist() == [0, 1, 2, 3]
    for index in range(4):
        assert (outputs.margins[index] == make_record(index).margins).all()
        assert (outputs.masks[index] == make_record(index).mask).all()
    assert len(load_outputs(paths, info, Role.HELDOUT, 0)) == 0


def test_damaged_and_foreign_records_are_left_out_and_named(run):
    paths, info = run
    path = paths.record(Role.ESTIMATE, 1, 0)
    path.write_bytes(path.read_bytes()[:-4])
    write_record(paths, make_record(2, identity="other"))
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert outputs.indices.tolist() == [0, 3]
    assert len(outputs.damaged) == 2


def test_the_compacted_matrix_says_what_the_records_say_and_takes_in_new_ones(run, monkeypatch):
    paths, info = run
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 2)
    before = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert compact(paths, info, Role.ESTIMATE, 0)
    assert not compact(paths, info, Role.ESTIMATE, 0)
    after = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert isinstance(after.margins, np.memmap)
    for name in ("margins", "predicted", "masks", "indices", "clusters"):
        assert (getattr(before, name) == getattr(after, name)).all()
    assert before.metrics == after.metrics
    write_record(paths, make_record(7))
    write_record(paths, make_record(5))
    assert load_outputs(paths, info, Role.ESTIMATE, 0).indices.tolist() == [0, 1, 2, 3, 5, 7]
    assert compact(paths, info, Role.ESTIMATE, 0)
    assert load_outputs(paths, info, Role.ESTIMATE, 0).indices.tolist() == [0, 1, 2, 3, 5, 7]


def test_a_damaged_compacted_matrix_is_ignored(run, monkeypatch):
    paths, info = run
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    compact(paths, info, Role.ESTIMATE, 0)
    (generation,) = paths.matrix(Role.ESTIMATE, 0).iterdir()
    (generation / "margins.npy").write_bytes(b"\x93NUMPY garbage")
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert outputs.indices.tolist() == [0, 1, 2, 3]
    assert (outputs.margins[2] == make_record(2).margins).all()


def flip(path, place=-3):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["margins", "predicted", "masks", "indices", "clusters"])
def test_a_flipped_bit_in_the_matrix_is_found_when_a_run_starts(run, monkeypatch, name):
    paths, info = run
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    compact(paths, info, Role.ESTIMATE, 0)
    assert remove_unsound(paths, info, Role.ESTIMATE, 0) == []
    (generation,) = paths.matrix(Role.ESTIMATE, 0).iterdir()
    flip(generation / f"{name}.npy")
    assert len(remove_unsound(paths, info, Role.ESTIMATE, 0)) == 1
    assert not generation.exists()


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\x10\x00{'descr': object}\n"])
def test_a_half_written_generation_is_passed_over(run, monkeypatch, content):
    paths, info = run
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    compact(paths, info, Role.ESTIMATE, 0)
    (generation,) = paths.matrix(Role.ESTIMATE, 0).iterdir()
    (generation / "masks.npy").write_bytes(content)
    assert load_outputs(paths, info, Role.ESTIMATE, 0).indices.tolist() == [0, 1, 2, 3]


def test_a_generation_that_is_replaced_while_it_is_opened_leads_to_its_successor(run, monkeypatch):
    """On a shared file system a directory may be listed as it was seconds ago."""
    paths, info = run
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    compact(paths, info, Role.ESTIMATE, 0)
    write_record(paths, make_record(5))
    list_generations, calls = matrix.list_generations, []

    def late(*arguments):
        found = list_generations(*arguments)
        calls.append(found)
        if len(calls) == 1:  # between the listing and the opening another process compacts, twice
            monkeypatch.setattr(matrix, "list_generations", list_generations)
            compact(paths, info, Role.ESTIMATE, 0)
            write_record(paths, make_record(6))
            compact(paths, info, Role.ESTIMATE, 0)
            monkeypatch.setattr(matrix, "list_generations", late)
            monkeypatch.setattr(matrix, "read_record", None)  # nothing needs to be read one by one
            assert not found[-1].exists()
        return found

    monkeypatch.setattr(matrix, "list_generations", late)
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert isinstance(outputs.margins, np.memmap)
    assert outputs.indices.tolist() == [0, 1, 2, 3, 5, 6]
    assert outputs.damaged == ()


def test_what_another_machine_replaces_while_it_is_read_is_read_again_and_no_damage(run, monkeypatch):
    """On NFS the file that was found by its name may be gone when it is opened."""
    paths, info = run
    stale, open_file = [0, 0], os.open

    def seldom(path, *rest):
        if str(path).endswith(".safetensors") and stale:
            stale.pop()
            raise OSError(errno.ESTALE, "Stale file handle")
        return open_file(path, *rest)

    monkeypatch.setattr(files.os, "open", seldom)
    with pytest.raises(ResultsError, match="stale file handle"):  # twice in a row is a file system that is ill
        load_outputs(paths, info, Role.ESTIMATE, 0)
    stale.append(0)
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert len(outputs) == 4
    assert outputs.damaged == ()


def test_compacting_removes_only_generations(run, monkeypatch):
    paths, info = run
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    mine = paths.matrix(Role.ESTIMATE, 0) / "thesis"
    mine.mkdir(parents=True)
    compact(paths, info, Role.ESTIMATE, 0)
    for index in (5, 6):
        write_record(paths, make_record(index))
        compact(paths, info, Role.ESTIMATE, 0)
    left = sorted(path.name[:8] for path in paths.matrix(Role.ESTIMATE, 0).iterdir())
    assert left == ["00000005", "00000006", "thesis"], (
        "the newest, the one that readers may be at, and what is not ours"
    )


@pytest.mark.parametrize("spoil", UNREADABLE.values(), ids=UNREADABLE)
def test_a_record_that_cannot_be_read_is_left_out_and_named(run, monkeypatch, spoil):
    paths, info = run
    spoil(paths.record(Role.ESTIMATE, 1, 0), monkeypatch)
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert outputs.indices.tolist() == [0, 2, 3]
    (line,) = outputs.damaged
    assert "0000001.t0.safetensors" in line
    assert "\n" not in line


def test_what_is_no_ordinary_file_is_refused(run):
    paths, _ = run
    paths.run.unlink()
    paths.run.symlink_to("/dev/zero")
    refused(read_run_info, paths.root, match="not a regular file")


@pytest.mark.parametrize("link", ["events.jsonl", "records/estimate/0009", "matrix", "logs/worker-0.log", "lock"])
def test_a_directory_that_holds_a_link_is_not_written_to(run, tmp_path_factory, link):
    paths, _ = run
    refuse_links(paths.root)
    path = paths.root / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(tmp_path_factory.mktemp("elsewhere"))
    refused(refuse_links, paths.root, match="a link; a results directory may hold none")


def test_records_beyond_the_plan_are_not_read(run):
    paths, info = run
    write_record(paths, make_record(8))
    assert load_outputs(paths, info, Role.ESTIMATE, 0).indices.tolist() == [0, 1, 2, 3]


def test_names_that_are_no_unicode_can_be_written_and_shown(paths):
    info = make_info(name="caf\udce9")
    write_run_info(paths, info)
    assert read_run_info(paths.root).name == info.name


def test_an_unknown_target_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match=r'no target "\\x1bx".*digits'):
        make_info().target_index("\x1bx")


def test_paths_never_leave_the_directory(tmp_path):
    paths = Paths(tmp_path)
    for path in (paths.record(Role.HELDOUT, 10**9, 7), paths.target(3), paths.worker_log(2)):
        assert tmp_path in path.parents
