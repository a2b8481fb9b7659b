"""`tinfl verify` reads everything, says what is damaged and what helps, and changes nothing."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tests.integration.command_line import refused, run
from tests.integration.test_import import save, simulate
from tests.tui.runs import make_run
from tests.unit.store.digested import write_with_digest
from tests.unit.store.unreadable import UNREADABLE
from tui_influence.datasets.cache import Cache
from tui_influence.image_selection import ImageSelection
from tui_influence.roles import Role
from tui_influence.runs import integrity
from tui_influence.store import matrix
from tui_influence.store.matrix import compact
from tui_influence.store.paths import Paths
from tui_influence.store.run_info import read_run_info


def verified(root, *options) -> dict:
    """What `tinfl verify` says, with the right exit code."""
    result = run("verify", root, "--json", *options)
    assert "Traceback" not in result.err
    answer = json.loads(result.out)
    assert result.code == (0 if answer["sound"] else 3)
    assert answer["sound"] == (not answer["damaged"])
    assert all(damage["problem"] and damage["remedy"] for damage in answer["damaged"])
    return answer


def damaged_paths(root, *options) -> list[str]:
    return [os.path.relpath(damage["path"], root) for damage in verified(root, *options)["damaged"]]


def state_of(root) -> dict[str, tuple]:
    return {
        str(path.relative_to(root)): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


def forget_matrix_of(path, root) -> None:
    """Remove the compacted matrix if the path is of a record: on a slow machine it holds them all."""
    if "records/estimate" in str(path):
        shutil.rmtree(root / "matrix")


def flip(path, offset: int = -3) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_a_sound_run_is_said_to_be_sound_with_all_that_was_checked(complete):
    before = state_of(complete)
    result = run("verify", complete)
    assert result.code == 0
    assert result.out.splitlines()[-1] == "sound"
    rows = [read_run_info(root).planned_rows for root in (complete, complete / "prune" / "main")]
    records = sum(count for planned in rows for count in planned.values())
    assert f"{records} records" in result.out
    assert "1 pruning" in result.out
    assert state_of(complete) == before


def change_value(path) -> None:
    """Change one value of a JSON file; all else stays, a digest too."""
    if path.name == "heartbeat.json":
        path.write_bytes(path.read_bytes()[:-20])
        return
    values = json.loads(path.read_text())
    match path.name:
        case "run.json":
            values["created"] += "x"
        case "arms.json":
            values["sweep"] += "x"
        case "manifest.json":
            values["metrics"][0]["source_loss"] += 0.5
        case "growth.json":
            values["forecast"]["models"] += 1
        case "names.json":
            values[0] += "x"
    path.write_text(json.dumps(values))


EVERYTHING = [
    "run.json",
    "plan.safetensors",
    "heartbeat.json",
    "growth.json",
    "records/estimate/0000/0000003.t0.safetensors",
    "records/heldout/0000/0000001.t0.safetensors",
    *(f"matrix/estimate-t0/*/{name}.npy" for name in ("margins", "predicted", "masks", "indices", "clusters")),
    "matrix/estimate-t0/*/manifest.json",
    *(f"targets/0/{name}" for name in ("labels.npy", "estimate.npy", "names.json", "thumbnails.npy")),
    "source/thumbnails.npy",
    "source/groups.npy",
    "prune/main/run.json",
    "prune/main/arms.json",
    "prune/main/plan.safetensors",
    "prune/main/records/arm/0000/0000002.t0.safetensors",
    "prune/main/targets/0/thumbnails.npy",
]


@pytest.mark.parametrize("pattern", EVERYTHING)
def test_one_changed_value_anywhere_is_named(copy, pattern):
    path = sorted(copy.glob(pattern))[-1]
    if path.suffix == ".json":
        change_value(path)
    else:
        flip(path)
    named = verified(copy)["damaged"]
    assert [damage for damage in named if path.is_relative_to(damage["path"])], named
    result = run("verify", copy)
    assert result.code == 3
    assert result.out.splitlines()[-1] == f"{len(named)} damaged"


@pytest.mark.parametrize("pattern", sorted(set(EVERYTHING) - {"run.json", "heartbeat.json", "growth.json"}))
def test_one_missing_file_is_named_where_it_is_missed(copy, pattern):
    path = sorted(copy.glob(pattern))[-1]
    forget_matrix_of(path, copy)
    path.unlink()
    assert [damaged for damaged in damaged_paths(copy) if path.is_relative_to(copy / damaged)], pattern


@pytest.mark.parametrize("spoil", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_named(copy, monkeypatch, spoil):
    path = Paths(copy).record(Role.ESTIMATE, 3, 0)
    spoil(path, monkeypatch)
    assert "records/estimate/0000/0000003.t0.safetensors" in damaged_paths(copy)


@pytest.mark.parametrize("name", ["events.jsonl", "logs/worker-0.log", "prune/other", "source/x"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "link"])
def test_what_is_neither_a_file_nor_a_directory_is_named_and_not_waited_for(copy, name, make):
    (copy / name).unlink(missing_ok=True)
    make(copy / name)
    assert name in damaged_paths(copy)


def test_a_plan_that_does_not_follow_from_the_config_is_named_and_no_record_is(copy):
    """`tinfl resume` makes the plan from the config, and trains by that."""
    path = copy / "plan.safetensors"
    content = bytearray(path.read_bytes())
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    content[8 + size + header["seeds"]["data_offsets"][0]] ^= 1
    path.write_bytes(content)
    assert damaged_paths(copy) == ["plan.safetensors"]


def test_a_matrix_that_says_other_than_the_records_is_named_whatever_its_digests(copy):
    from tests.unit.store.test_generation import forge

    generation = sorted(copy.glob("matrix/estimate-t0/*"))[-1]
    forge(generation, margins=np.load(generation / "margins.npy") + np.float16(1))
    assert damaged_paths(copy) == ["matrix/estimate-t0"]


def test_models_that_are_missing_from_a_run_that_was_done_are_said_to_be(copy):
    shutil.rmtree(copy / "matrix")
    for index in (2, 3):
        Paths(copy).record(Role.ESTIMATE, index, 0).unlink()
    (damage,) = verified(copy)["damaged"]
    assert "2 of 10 models are missing" in damage["problem"]


def copied_half(copy) -> None:
    (copy / "heartbeat.json").unlink()
    shutil.rmtree(copy / "matrix")
    for index in (2, 3):
        Paths(copy).record(Role.ESTIMATE, index, 0).unlink()


def test_models_that_are_missing_are_said_to_be_where_the_heartbeat_is_too(copy):
    """The last event says that the run was done."""
    copied_half(copy)
    (damage,) = verified(copy)["damaged"]
    assert "2 of 10 models are missing" in damage["problem"]


def test_of_a_run_that_was_not_done_it_is_said_how_many_models_there_are(copy):
    copied_half(copy)
    (copy / "events.jsonl").unlink()
    answer = verified(copy)
    assert answer["sound"]
    assert any(note.endswith("records/estimate: 8 of 10 models") for note in answer["notes"])


def test_records_that_only_the_matrix_still_holds_are_a_note(copy, monkeypatch):
    paths = Paths(copy)
    monkeypatch.setattr(matrix, "MIN_RECORDS_TO_COMPACT", 1)
    compact(paths, read_run_info(copy), Role.ESTIMATE, 0)
    paths.record(Role.ESTIMATE, 3, 0).unlink()
    answer = verified(copy)
    assert answer["sound"]
    assert any("1 of 10 models have no record" in note for note in answer["notes"])


def test_what_a_resumed_run_has_set_aside_is_no_damage(copy):
    record = Paths(copy).record(Role.ESTIMATE, 3, 0)
    record.unlink()
    os.mkfifo(record)
    assert run("resume", copy, "--foreground").code == 0
    assert [path.is_fifo() for path in Paths(copy).quarantine.iterdir()] == [True]
    answer = verified(copy)
    assert answer["sound"]
    assert any("1 damaged record of earlier sessions" in note for note in answer["notes"])
    (Paths(copy).quarantine / "link").symlink_to("x")  # because of which nothing can be written here
    assert damaged_paths(copy) == ["quarantine/link"]


PIPE, LINK, FOLDER, NOTHING = "a pipe", "a link", "a directory", "nothing"
REPLACED = {
    PIPE: os.mkfifo,
    LINK: lambda path: path.symlink_to("x"),
    FOLDER: os.mkdir,
    NOTHING: lambda path: None,
}


@pytest.mark.parametrize("kind", REPLACED)
@pytest.mark.parametrize(
    "pattern",
    ["records/estimate/0000/0000003.t0.safetensors", "matrix/estimate-t0/*/masks.npy", "plan.safetensors"],
)
def test_each_damage_is_named_once_with_its_file_once_and_a_remedy_that_works(copy, pattern, kind):
    path = sorted(copy.glob(pattern))[-1]
    forget_matrix_of(path, copy)
    path.unlink()
    REPLACED[kind](path)
    (damage,) = verified(copy)["damaged"]
    words = f"{damage['path']}: {damage['problem']}"
    assert words.count(str(copy)) == 1
    assert words.count(path.name) == 1 or (kind == NOTHING and "missing" in words), words
    if kind == LINK or (kind != NOTHING and pattern == "plan.safetensors"):
        assert damage["remedy"].startswith("remove it")
        assert run("resume", copy, "--foreground").code == 3
        path.rmdir() if kind == FOLDER else path.unlink()
    assert run("resume", copy, "--foreground").code == 0
    assert verified(copy)["sound"]


def test_a_run_of_a_version_without_digests_of_pictures_and_files_is_sound(copy):
    for path in copy.rglob("run.json"):
        values = json.loads(path.read_text())
        del values["digest"], values["source"]["digests"]
        for target in values["targets"]:
            del target["digests"]["thumbnails.npy"]
        path.write_text(json.dumps(values))
    for path in copy.rglob("*.json"):
        if path.name in ("arms.json", "manifest.json"):
            values = json.loads(path.read_text())
            del values["digest"]
            path.write_text(json.dumps(values))
    assert verified(copy)["sound"]


def test_what_comes_and_goes_while_a_run_is_under_way_is_no_damage(copy, monkeypatch):
    heartbeat = json.loads((copy / "heartbeat.json").read_text())
    (copy / "heartbeat.json").write_text(json.dumps(heartbeat | {"state": "running"}))
    (copy / "records" / "estimate" / "0000" / ".tmp-1-aa").write_bytes(b"half of a record")
    (copy / "matrix" / "estimate-t0" / ".tmp-1-aa").mkdir()
    paths, read = Paths(copy), integrity.read_record

    def set_aside_meanwhile(*row):
        if row[2] == 3:
            paths.record(Role.ESTIMATE, 3, 0).unlink(missing_ok=True)
        return read(*row)

    monkeypatch.setattr(integrity, "read_record", set_aside_meanwhile)
    assert verified(copy)["sound"]


def test_records_beyond_the_plan_and_lines_without_an_event_are_notes(copy):
    source = Paths(copy).record(Role.ESTIMATE, 3, 0)
    shutil.copy(source, source.with_name("0000999.t0.safetensors"))
    with (copy / "events.jsonl").open("a") as file:
        file.write('{"event": "mod\n')
    answer = verified(copy)
    assert answer["sound"]
    assert any("1 record not in the plan" in note for note in answer["notes"])
    assert any("1 line without an event" in note for note in answer["notes"])


def test_the_packed_data_are_checked_where_that_is_asked_for(copy, tmp_path, monkeypatch):
    shutil.copytree(Cache().root, tmp_path / "cache")
    monkeypatch.setenv("TINFL_CACHE", str(tmp_path / "cache"))
    assert verified(copy, "--cache")["checked"]["packed"] == 3
    fingerprint = read_run_info(copy).source.fingerprint
    images = Cache(tmp_path / "cache").open(fingerprint).images
    assert isinstance(images, ImageSelection)
    whole = Path(images.whole.filename).parent
    flip(whole / "images.npy")
    assert verified(copy)["sound"]
    assert whole in {Path(damage["path"]) for damage in verified(copy, "--cache")["damaged"]}
    shutil.rmtree(whole)
    shutil.rmtree(tmp_path / "cache" / "packed" / fingerprint)
    answer = verified(copy, "--cache")
    assert answer["sound"]
    assert any("not in the cache" in note for note in answer["notes"])


def test_a_fingerprint_that_is_a_path_is_not_followed(copy):
    values = json.loads((copy / "run.json").read_text())
    values["source"]["fingerprint"] = "../../../etc"
    write_with_digest(copy / "run.json", values)
    problems = [damage["problem"] for damage in verified(copy, "--cache")["damaged"]]
    assert any("invalid fingerprint of packed data" in problem for problem in problems)


def test_a_directory_without_write_permission_is_checked_by_somebody_else(complete, monkeypatch):
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        shutil.copytree(complete, folder / "copy")
        subprocess.run(["chmod", "-R", "a+rX,a-w", folder / "copy"], check=True)
        monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
        run("verify", folder / "copy")  # loads what it needs
        before = state_of(folder)
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            result = run("verify", folder / "copy")
        finally:
            os.seteuid(os.getuid())
        assert (result.code, result.out.splitlines()[-1:]) == (0, ["sound"]), result
        assert state_of(folder) == before
    finally:
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)
        shutil.rmtree(folder)


def test_an_imported_run_is_sound_and_its_damage_is_not_to_be_resumed(tmp_path):
    sweep = simulate("bernoulli", 20, 4, 10, seed=0, noise=0.3)
    out = tmp_path / "out"
    given = ("--masks", save(tmp_path, "masks", sweep.masks), "--outputs", save(tmp_path, "outputs", sweep.outputs))
    assert run("import", *given, out).code == 0
    assert verified(out, "--cache")["sound"]
    flip(Paths(out).record(Role.ESTIMATE, 3, 0))
    (damage,) = verified(out)["damaged"]
    assert "resume" not in damage["remedy"]


def test_names_made_to_harm_do_none(tmp_path):
    paths = make_run(tmp_path / "run")
    (paths.root / "\x1b[2J").symlink_to("x")
    root = paths.root.rename(tmp_path / "\x1b]0;owned\x07")
    result = run("verify", root)
    assert result.code == 3
    assert not set(result.out + result.err) & set("\x1b\x07")


def test_what_is_no_results_directory_is_refused(tmp_path):
    refused("verify", tmp_path / "none", code=3, reason="no such results directory")
    refused("verify", tmp_path, code=3, reason="no run.json")
    (tmp_path / "run.json").write_text("{")
    refused("verify", tmp_path, code=3, reason="damaged")
