"""A results directory that is damaged, foreign, half copied or too new is refused in one line."""

import json
import pickle
from dataclasses import asdict, replace

import numpy as np
import pytest

from tests.unit.store.conftest import N, make_info, make_record
from tui_influence.errors import ExitCode, ResultsError
from tui_influence.roles import Role
from tui_influence.store import matrix
from tui_influence.store.events import EventLog, read_events
from tui_influence.store.examples import read_examples, read_thumbnails
from tui_influence.store.matrix import compact, load_outputs
from tui_influence.store.paths import Paths
from tui_influence.store.records import write_record
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
    monkeypatch.setattr(matrix, "WORTH_COMPACTING", 2)
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
    assert len(list(paths.matrix(Role.ESTIMATE, 0).iterdir())) == 1
    assert load_outputs(paths, info, Role.ESTIMATE, 0).indices.tolist() == [0, 1, 2, 3, 5, 7]


def test_a_damaged_compacted_matrix_is_ignored(run, monkeypatch):
    paths, info = run
    monkeypatch.setattr(matrix, "WORTH_COMPACTING", 1)
    compact(paths, info, Role.ESTIMATE, 0)
    (generation,) = paths.matrix(Role.ESTIMATE, 0).iterdir()
    (generation / "margins.npy").write_bytes(b"\x93NUMPY garbage")
    outputs = load_outputs(paths, info, Role.ESTIMATE, 0)
    assert outputs.indices.tolist() == [0, 1, 2, 3]
    assert (outputs.margins[2] == make_record(2).margins).all()


def test_an_unknown_target_is_refused_with_those_there_are():
    refused(make_info().target_index, "\x1bx", match=r'no target "\\x1bx".*digits')


def test_events_come_back_and_a_torn_line_waits_for_its_end(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.write("started", pid=1)
    log.write("model", index=3)
    with path.open("ab") as file:
        file.write(b'{"event": "mod')
    first = list(read_events(path))
    assert [event["event"] for event, _ in first] == ["started", "model"]
    log.close()
    again = EventLog(path)
    again.write("resumed")
    again.close()
    after = [event["event"] for event, _ in read_events(path, first[-1][1])]
    assert after == ["resumed"]


def test_paths_never_leave_the_directory(tmp_path):
    paths = Paths(tmp_path)
    for path in (paths.record(Role.HELDOUT, 10**9, 7), paths.target(3), paths.worker_log(2)):
        assert tmp_path in path.parents
