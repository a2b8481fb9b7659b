"""Where files are, what is a row's, and what the first version wrote: a run is read and extended by later ones."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save

from tests.unit.store.conftest import K, N, make_info, make_record
from tui_influence.designs import Row
from tui_influence.errors import ConfigError, ResultsError
from tui_influence.roles import Role
from tui_influence.store import matrix
from tui_influence.store.files import write_json
from tui_influence.store.json_values import matches_digest, with_digest
from tui_influence.store.listing import failure_reason, list_completed, list_failures, list_records
from tui_influence.store.matrix import compact
from tui_influence.store.plan import read_plan, write_plan
from tui_influence.store.records import DamagedRecordError, as_margins, encode, read_record, write_record
from tui_influence.store.run_info import IMPORTED, read_run_info, refuse_if_imported, write_run_info

RECORD = make_record(
    mask=np.array([True, False, True, True, False, False]),
    margins=as_margins(np.array([-1e9, -2.5, 0.0, 0.125, 1e9])),
    predicted=np.array([0, 1, 2, 0, 65535], np.uint16),
)


def digest_of(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def test_every_file_is_where_the_first_version_put_it(paths):
    def name(path):
        return str(path.relative_to(paths.root))

    assert name(paths.record(Role.ESTIMATE, 999, 0)) == "records/estimate/0000/0000999.t0.safetensors"
    assert name(paths.record(Role.HELDOUT, 1000, 2)) == "records/heldout/0001/0001000.t2.safetensors"
    assert name(paths.record(Role.ARM, 12_345_678, 11)) == "records/arm/12345/12345678.t11.safetensors"
    assert name(paths.failure(Role.ESTIMATE, 7)) == "failed/estimate/0000007.json"
    assert name(paths.matrix(Role.ESTIMATE, 1)) == "matrix/estimate-t1"
    assert name(paths.round(3)) == "cluster/round-0003.json"
    assert name(paths.tasks(3)) == "cluster/round-0003"
    assert name(paths.task_log(3, 12_345)) == "cluster/round-0003/012/12345.log"
    assert name(paths.task_events(3, 999)) == "cluster/round-0003/000/999.jsonl"
    assert name(paths.worker_log(2)) == "logs/worker-2.log"
    assert name(paths.target(1)) == "targets/1"


@pytest.mark.parametrize(
    ("name", "ours"),
    [("run.json", True), ("records", True), ("matrix", True), ("failed", True), ("targets", True), (".tmp-1-a", True),
     ("thesis.tex", False), ("root", False), ("", False)],
)  # fmt: skip
def test_names_that_a_run_leaves_are_known(paths, name, ours):
    assert paths.is_run_file(name) == ours


def test_a_record_has_the_bytes_that_the_first_version_gave_it():
    content = encode(RECORD)
    header = json.loads(json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]["tinfl"])
    assert header.pop("digest") == "49c33576e8c7c967bd350c5e7772fa5f"
    assert header["metrics"] == {"source_loss": 0.5, "target_accuracy": 0.25}
    assert load(content)["margins"].tolist() == [-60000, -2.5, 0, 0.125, 60000]


def test_files_with_digests_have_those_that_the_first_version_gave_them(run, monkeypatch):
    paths, info = run
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    compact(paths, info, Role.ESTIMATE, 0)
    (generation,) = paths.matrix(Role.ESTIMATE, 0).iterdir()
    manifest = json.loads((generation / "manifest.json").read_text())
    indices = b"<i8(4,)" + np.arange(4).tobytes()
    assert manifest["digests"]["indices"] == digest_of(indices)
    masks = np.array([make_record(index).mask for index in range(4)])
    assert manifest["digests"]["masks"] == digest_of(f"|b1{masks.shape}".encode() + masks.tobytes())
    assert (manifest["count"], manifest["identity"]) == (4, info.identity)
    values = {key: value for key, value in manifest.items() if key != "digest"}
    assert manifest["digest"] == digest_of(json.dumps(values, sort_keys=True).encode())
    assert info.targets[0].digests["labels.npy"] == digest_of((paths.target(0) / "labels.npy").read_bytes())


def test_an_object_without_a_digest_is_of_an_older_version():
    values = {"b": 1, "a": [1.5]}
    assert matches_digest(values)
    assert matches_digest(with_digest(values))
    assert not matches_digest(with_digest(values) | {"b": 2})
    assert with_digest(values)["digest"] == digest_of(json.dumps(values, sort_keys=True).encode())


# Rows of the plan


def rows(count=5):
    """Rows of every role, each with numbers of its own."""
    roles = list(Role)
    return [Row(roles[k % len(roles)], k, np.arange(K) % (k + 2) == 0, 2**63 - 1 - k, 10 * k) for k in range(count)]


def as_values(planned):
    return [(row.role, row.index, row.mask.tolist(), row.seed, row.cluster) for row in planned]


def test_a_plan_comes_back_in_its_order(paths):
    write_plan(paths, rows()[::-1])
    assert as_values(read_plan(paths)) == as_values(rows()[::-1])
    assert load(paths.plan.read_bytes())["roles"].tolist() == [0, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"masks": np.zeros(5, bool)},
        {"masks": np.zeros((5, K), np.uint8)},
        {"masks": np.zeros((4, K), bool)},
        {"seeds": np.array([0, 1, 2, 3, -1])},
        {"indices": np.array([0, 1, 2, 3, -1])},
        {"clusters": np.array([-1, 1, 2, 3, 4])},
        {"indices": np.arange(5, dtype=np.int32)},
        {"seeds": np.zeros((5, 1), np.int64)},
        {"roles": np.array([0, 1, 2, 3, 4], np.uint8)},
        {"roles": np.zeros(5, np.int64)},
    ],
    ids=lambda change: str(next(iter(change))),
)
def test_a_plan_with_columns_of_another_kind_is_refused(paths, change):
    write_plan(paths, rows())
    columns = load(paths.plan.read_bytes())
    paths.plan.write_bytes(save(columns | change))
    with pytest.raises(ResultsError, match="the plan cannot be read"):
        read_plan(paths)
    paths.plan.write_bytes(save({name: column for name, column in columns.items() if name not in change}))
    with pytest.raises(ResultsError, match="the plan cannot be read"):
        read_plan(paths)


# What is there


def test_only_directories_of_a_thousand_rows_hold_records(paths):
    for index in (0, 999, 1000, 12_345_678):
        write_record(paths, make_record(index))
    first = paths.record(Role.ESTIMATE, 0, 0)
    for name in ("00000", "0x00", "-001", "12345 "):
        other = first.parents[1] / name
        other.mkdir()
        (other / first.name).write_bytes(first.read_bytes())
    (first.parents[1] / "0005").write_bytes(b"")
    assert sorted(list_records(paths, Role.ESTIMATE)) == [(0, 0), (999, 0), (1000, 0), (12_345_678, 0)]
    assert list(list_records(paths, Role.HELDOUT)) == []


def test_rows_are_complete_within_the_plan_and_the_targets(paths):
    for index, target in ((0, 0), (0, 1), (4, 0), (4, 1), (5, 0), (5, 1), (6, 0), (6, 2)):
        write_record(paths, make_record(index, target=target))
    assert list_completed(paths, Role.ESTIMATE, 2) == {0, 4, 5}
    assert list_completed(paths, Role.ESTIMATE, 2, planned=5) == {0, 4}
    assert list_completed(paths, Role.ESTIMATE, 2, planned=0) == set()
    assert list_completed(paths, Role.ESTIMATE, 3) == set()


def test_rows_that_were_given_up_are_listed_with_their_reasons(paths):
    assert list_failures(paths, Role.ESTIMATE) == set()
    for index, found in ((3, {"reason": "NaN loss"}), (10**7, {}), (5, ["odd"])):
        paths.failure(Role.ESTIMATE, index).parent.mkdir(parents=True, exist_ok=True)
        write_json(paths.failure(Role.ESTIMATE, index), found)
    (paths.failures(Role.ESTIMATE) / "3.json").write_bytes(b"")
    assert list_failures(paths, Role.ESTIMATE) == {3, 5, 10**7}
    assert [failure_reason(paths, Role.ESTIMATE, index) for index in (3, 10**7, 5)] == [
        "NaN loss",
        "unknown",
        "unknown",
    ]


@pytest.mark.parametrize(
    "other",
    [make_record(4), make_record(2), make_record(3, Role.HELDOUT), make_record(3, target=1)],
    ids=["a later row", "an earlier row", "another role", "another target"],
)
def test_a_record_that_lies_where_another_belongs_is_damaged(paths, other):
    path = write_record(paths, make_record(3))
    path.write_bytes(encode(other))
    with pytest.raises(DamagedRecordError, match="it is the record of another row"):
        read_record(paths, Role.ESTIMATE, 3, 0)


# run.json


def test_a_run_of_a_version_that_knew_no_prunings_has_no_arms(run):
    paths, info = run
    values = json.loads(paths.run.read_text())
    del values["arms"], values["digest"]
    paths.run.write_text(json.dumps(values))
    assert read_run_info(paths.root) == info
    assert Role.ARM not in read_run_info(paths.root).planned_rows


def test_a_run_says_what_is_planned_of_it():
    info = make_info(models=8, heldout=3)
    assert info.planned_rows == {Role.ESTIMATE: 8, Role.HELDOUT: 3}
    assert replace(info, arms=5).planned_rows == {Role.ESTIMATE: 8, Role.HELDOUT: 3, Role.ARM: 5}


@pytest.mark.parametrize(
    ("config", "label", "place"),
    [
        ({"design": {"kind": "balanced", "alpha": 0.5}}, "balanced alpha=0.5", "on this machine"),
        ({"design": {"kind": "x\x1b", "alpha": 1}, "compute": {"executor": "slurm"}}, r"x\x1b alpha=1", "on Slurm"),
        ({"design": {"kind": "fixed"}, "compute": {"executor": "ray"}}, "unknown", "on Ray"),
        ({"design": 3, "compute": 3}, "unknown", "on this machine"),
        ({}, "unknown", "on this machine"),
    ],
)
def test_a_design_and_a_place_are_said_in_words_whatever_the_config_holds(config, label, place):
    info = make_info(config=config)
    assert (info.design_label, info.location) == (label, place)


@pytest.mark.parametrize(
    ("train", "length"),
    [
        ({"epochs": 1}, "1 epoch"),
        ({"epochs": 8, "steps": None}, "8 epochs"),
        ({"epochs": None, "steps": 2000}, "2,000 steps"),
        ({"epochs": "8", "steps": True}, ""),
        ({}, ""),
        (3, ""),
    ],
)
def test_the_length_of_a_training_is_that_of_the_config_if_it_has_any(train, length):
    assert make_info(config={"train": train}).training == length


def test_an_imported_run_has_nothing_to_be_trained_by(paths):
    refuse_if_imported(paths.root, make_info())
    imported = make_info(config={IMPORTED: {}})
    assert imported.is_imported
    with pytest.raises(ConfigError, match="was imported: it has no config and no dataset"):
        refuse_if_imported(paths.root, imported)


def test_a_target_is_found_by_its_name_and_the_first_without_one():
    first = make_info().targets[0]
    info = make_info(targets=[first, replace(first, name="cars")])
    assert [info.target_index(name) for name in (None, "digits", "cars")] == [0, 0, 1]


@pytest.mark.parametrize("change", [{"seed": 2**63}, {"models": 10**8}, {"arms": 0}, {"schema": 1}, {"schema": 0}])
def test_numbers_at_the_end_of_what_is_possible_are_read(paths, change):
    info = make_info(**change)
    write_run_info(paths, info)
    assert replace(read_run_info(paths.root), schema=info.schema) == info


def test_a_directory_in_which_nothing_is_prepared_says_how_to_look(paths):
    paths.heartbeat.write_text("{}")
    with pytest.raises(ResultsError, match="nothing is prepared yet"):
        read_run_info(paths.root)


def test_the_digest_of_a_run_covers_all_that_is_in_it(paths):
    write_run_info(paths, make_info())
    values = json.loads(paths.run.read_text())
    assert matches_digest(values)
    assert not matches_digest(values | {"seed": 7})
    assert len(make_info().source.groups) == K
    assert make_info().targets[0].test == N
