"""Every mistake a user can make gets one clear line, the right exit code, and costs nothing."""

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.integration.command_line import refused, run
from tests.unit.store.digested import write_with_digest
from tui_influence.cli.app import COMMANDS
from tui_influence.roles import Role
from tui_influence.runs.ownership import Owner
from tui_influence.store.paths import Paths
from tui_influence.training.cuda import CudaProbe


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TINFL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def folder(root, classes=("cat", "dog"), images=3, side=12):
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(images):
            pixels = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def folder_config(tmp_path, source=None, train=None, test=None, **design):
    """A config of folders; those that are not given are made."""
    source = source or folder(tmp_path / "source", ("a", "b", "c", "d", "e"))
    train = train or folder(tmp_path / "train")
    test = test or folder(tmp_path / "test")
    lines = "\n".join(f"{key} = {value}" for key, value in ({"models": 4} | design).items())
    path = tmp_path / "sweep.toml"
    path.write_text(
        f'[run]\nname = "x"\noutput = "{tmp_path / "results"}"\n'
        f'[source]\nkind = "folder"\npath = "{source}"\n'
        f'[[target]]\nname = "t"\nkind = "folder"\ntrain = "{train}"\ntest = "{test}"\n'
        f'[design]\n{lines}\n[compute]\ndevices = ["cpu"]\n'
    )
    return path


def check(path, reason):
    return refused("check", "--no-time", path, code=2, reason=reason)


@pytest.mark.parametrize("command", [("check", "--no-time"), ("sweep", "--dry-run"), ("sweep",)])
def test_paths_that_lead_nowhere_are_told_together_with_their_lines(tmp_path, command):
    config = folder_config(tmp_path, source=tmp_path / "no source", test=tmp_path / "no test")
    outcome = run(*command, config)
    assert outcome.code == 2
    assert f"{config}:6:8: source.path does not exist: {tmp_path}/no source" in outcome.err
    assert f"{config}:11:8: target.test does not exist: {tmp_path}/no test" in outcome.err
    assert not (tmp_path / "results").exists()


def test_more_models_than_can_be_planned_are_refused(tmp_path):
    refused(
        "sweep", "--dry-run", folder_config(tmp_path, models=10**9), code=2, reason="1,000,000,008 models of 5 groups"
    )


def test_a_sound_config_is_accepted(tmp_path):
    said = run("check", "--no-time", folder_config(tmp_path))
    assert said.code == 0
    assert "5 groups" in said.out


@pytest.mark.parametrize("command", [("check", "--no-time"), ("sweep", "--dry-run")])
def test_held_out_masks_that_are_too_few_for_an_lds_are_named_in_time(tmp_path, command):
    few = run(*command, folder_config(tmp_path, heldout=5))
    assert few.code == 0
    assert "there will be no LDS: 5 held-out models of 3 masks, and it takes 4 masks" in few.err
    assert "17 models, 5 of them held out (3 masks) and 8 prior networks" in few.out
    config = tmp_path / "sweep.toml"
    config.write_text(config.read_text().replace("heldout = 5", "heldout = 7"))
    assert "no LDS" not in run(*command, config).err


@pytest.mark.parametrize("command", ["check", "sweep"])
def test_a_config_that_is_missing_or_unreadable(tmp_path, command):
    refused(command, tmp_path / "none.toml", code=2, reason="none.toml")
    refused(command, tmp_path, code=2, reason="directory")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    refused(command, tmp_path / "binary.toml", code=2, reason="UTF-8")


def test_all_mistakes_of_a_config_are_said_at_once_with_their_places(tmp_path):
    path = folder_config(tmp_path)
    text = path.read_text().replace("models = 4", 'models = "four"\nalpha = 1\nkindd = "fixed"')
    path.write_text(text + "worker = 2\n[trian]\nepochs = 1\n")
    said = check(path, "5 problems")
    for line, name in enumerate(path.read_text().splitlines(), 1):
        if name.startswith(("models", "alpha", "kindd", "worker", "[trian]")):
            assert f"{path}:{line}:" in said
    assert "did you mean" in said.lower()


@pytest.mark.parametrize("alpha", ["0.0", "1.0", "1", "0", "-0.5", "nan"])
def test_an_alpha_that_leaves_nothing_to_compare(tmp_path, alpha):
    check(folder_config(tmp_path, alpha=alpha), "alpha")


def test_too_few_groups_and_too_many_models(tmp_path):
    check(folder_config(tmp_path, models=200), "different masks")
    config = folder_config(tmp_path, folder(tmp_path / "two"), tmp_path / "train", tmp_path / "test")
    check(config, "the source has 2: use a source with more classes")


def test_data_that_are_not_as_described(tmp_path):
    config = folder_config(tmp_path)
    (tmp_path / "source" / "f").mkdir()
    check(config, "f")
    shutil.rmtree(tmp_path / "source" / "f")
    (tmp_path / "source" / "a" / "bad1.png").write_text("no image")
    (tmp_path / "source" / "b" / "bad2.jpg").write_bytes(b"\xff\xd8\xff")
    said = check(config, "2 unreadable images")
    assert "bad1.png" in said
    assert "bad2.jpg" in said
    config.write_text(config.read_text().replace("[source]\n", '[source]\non_bad_image = "skip"\n'))
    accepted = run("check", "--no-time", config)
    assert accepted.code == 0
    assert "2 unreadable images skipped" in accepted.out


def test_a_decompression_bomb_is_not_decoded(tmp_path):
    config = folder_config(tmp_path)
    Image.new("1", (30000, 30000)).save(tmp_path / "source" / "a" / "bomb.png")
    check(config, "bomb.png")


def test_a_target_whose_classes_differ_between_training_and_test(tmp_path):
    config = folder_config(tmp_path, test=folder(tmp_path / "other", ("cat", "horse")))
    said = check(config, "classes of its training and test images differ")
    assert "horse" in said


def test_a_directory_that_cannot_be_written_or_is_not_ours(tmp_path):
    config = folder_config(tmp_path)
    text = config.read_text()
    (tmp_path / "file").write_text("")
    config.write_text(text.replace(str(tmp_path / "results"), str(tmp_path / "file")))
    refused("sweep", config, code=3, reason="not a directory")
    config.write_text(text.replace(str(tmp_path / "results"), "/proc/nowhere"))
    refused("sweep", config, code=3, reason="/proc/nowhere")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    config.write_text(text.replace(str(tmp_path / "results"), str(tmp_path / "mine")))
    refused("sweep", config, code=3, reason="not empty")
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.fixture
def as_nobody(monkeypatch):
    """Without the privileges that ignore permissions; what commands import has to be loaded before they are gone."""
    for command in COMMANDS.values():
        command.load_function()
    if os.geteuid() == 0:
        access = os.access  # asks for the real user, who is still root
        monkeypatch.setattr(os, "access", lambda path, mode, **options: access(path, mode, effective_ids=True))
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        yield


def test_directories_without_permission(tmp_path, as_nobody):
    scratch = Path(tempfile.mkdtemp())
    try:
        config = scratch / "sweep.toml"
        config.write_text(f'[run]\nname = "x"\noutput = "{scratch}/locked/results"\n[source]\nkind = "builtin"\n'
                          '[[target]]\nkind = "builtin"\n[design]\nmodels = 4\n')  # fmt: skip
        (scratch / "locked").mkdir(mode=0o555)
        refused("sweep", config, code=3, reason="permission denied")
        (scratch / "locked").chmod(0o000)
        for command in ("sweep", "status", "rank", "logs", "stop", "resume"):
            subject = config if command == "sweep" else scratch / "locked" / "results"
            refused(command, subject, code=3, reason="permission denied")
        refused("status", scratch / "locked", code=3, reason="permission denied")
        config.chmod(0o000)
        refused("check", config, code=2, reason="no permission to read it")
    finally:
        (scratch / "locked").chmod(0o755)
        shutil.rmtree(scratch)


def test_a_device_that_is_not_here(tmp_path, monkeypatch):
    monkeypatch.setattr("tui_influence.runs.devices.probe_cuda", lambda: CudaProbe())
    refused("check", folder_config(tmp_path), "--devices", "cuda:3", code=5, reason="cuda:3")


@pytest.mark.parametrize("devices", ["foo", "cuda:x", "cpu:0", "cpu,tpu", "", ","])
def test_what_is_no_name_of_a_device_is_a_wrong_option(tmp_path, devices):
    config = folder_config(tmp_path)
    for command in (("check", config), ("demo", tmp_path / "demo")):
        said = refused(*command, "--devices", devices, code=2, reason='is not a device; use "cpu"')
        assert len(said.splitlines()) == 1
    assert not (tmp_path / "demo").exists()
    config.write_text(config.read_text().replace('["cpu"]', '["cpu:0"]'))
    check(config, "compute.devices")


def test_too_few_held_out_models_for_a_ceiling_are_warned_of(tmp_path):
    warning = "the LDS will have no ceiling: it takes 5 held-out masks with several models each"
    for heldout, count in ((8, 4), (9, 4)):
        said = run("check", "--no-time", folder_config(tmp_path / str(heldout), models=4, heldout=heldout))
        assert f"{warning}, and {heldout} held-out models are {count}" in said.err
    for name, options in (("enough", {"heldout": 10}), ("single", {"heldout": 5, "heldout_repeats": 1})):
        said = run("check", "--no-time", folder_config(tmp_path / name, models=4, **options))
        assert (said.code, "ceiling" in said.err) == (0, False)


def test_a_login_node_needs_none_of_the_devices_and_times_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tui_influence.runs.devices.probe_cuda", lambda: CudaProbe())
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    config = folder_config(tmp_path)
    config.write_text(config.read_text().replace('devices = ["cpu"]', 'devices = ["cuda:0"]\nexecutor = "slurm"'))
    said = run("check", config)
    assert said.code == 0
    assert "; slurm\n" in said.out
    assert "cost" not in said.out
    assert "not timed: this machine does not train" in said.err
    monkeypatch.setenv("SLURM_JOB_ID", "12")  # `srun tinfl check`
    refused("check", config, code=5, reason="cuda:0")


@pytest.mark.parametrize("command", ["status", "rank", "logs", "resume", "stop"])
def test_what_is_no_results_directory(tmp_path, command):
    refused(command, tmp_path / "none", code=3, reason="no such results directory")
    refused(command, tmp_path, code=3, reason="no run.json")
    (tmp_path / "run.json").write_text('{"schema": 1}')
    refused(command, tmp_path, code=3, reason="damaged")
    (tmp_path / "run.json").write_text('{"schema": 99}')
    refused(command, tmp_path, code=3, reason="newer version")


def test_questions_that_do_not_fit_the_run(finished):
    for arguments, code, reason in [
        (["--target", "cifar"], 2, 'no target "cifar"'),
        (["--class", "seven"], 2, 'no class "seven"'),
        (["--example", "100000"], 2, "numbered 0 to 99"),
        (["--example", "-1"], 2, "numbered 0 to 99"),
        (["--class", "7", "--example", "1"], 2, "cannot be combined"),
        (["--csv", "/proc/x.csv"], 3, "/proc/x.csv"),
        (["--csv", "/nowhere/x.csv"], 3, "/nowhere"),
    ]:
        refused("rank", finished, *arguments, code=code, reason=reason)
    assert run("rank", finished, "--estimator", "magic").code == 2
    assert run("rank", finished, "--split", "thirds").code == 2


def test_a_half_copied_results_directory(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    shutil.rmtree(copy / "targets")
    refused("rank", copy, code=3, reason="half copied")
    (copy / "run.json").unlink()
    refused("rank", copy, code=3, reason="half copied")


def test_a_results_directory_without_records_yet(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    shutil.rmtree(copy / "records")
    shutil.rmtree(copy / "matrix")
    refused("rank", copy, code=3, reason="no model has been recorded yet")


def test_names_made_to_harm_do_none(finished, tmp_path):
    """A stranger's directory: names that are terminal escapes, formulas and paths."""
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    found = json.loads((copy / "run.json").read_text())
    evil = ["\x1b]0;owned\x07", "=cmd|'/c calc'!A0", "../../etc/passwd", "\u202egnp.exe", "a\r\nb"]
    found["source"]["groups"][: len(evil)] = evil
    found["name"] = "\x1b[2Jevil"
    found["targets"][0]["name"] = "../../../outside"
    write_with_digest(copy / "run.json", found)
    before = set(tmp_path.rglob("*"))
    for arguments in (["rank", copy], ["rank", copy, "--csv", "-"], ["status", copy]):
        said = run(*arguments)
        assert said.code == 0
        text = said.out + said.err
        assert not [char for char in text if char in "\x1b\x07\r\u202e"]
        assert not [line for line in text.splitlines() if line.split(",")[1:2] == ["=cmd|'/c calc'!A0"]]
    assert set(tmp_path.rglob("*")) == before


ESCAPES = "\x1b]0;owned\x07\x9b2J\u202e"


def test_a_stranger_s_heartbeat_and_events_do_no_harm(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    beat = json.loads((copy / "heartbeat.json").read_text())
    worker = {"worker": 0, "device": ESCAPES, "pid": 1, "row": ESCAPES, "models": 1}
    now = {"time": time.time(), "state": "running", "stage": ESCAPES, "warnings": [ESCAPES], "workers": [worker]}
    (copy / "heartbeat.json").write_text(json.dumps(beat | now))
    (copy / "owner.json").write_text(json.dumps({"pid": 1, "started": 1.0, "host": ESCAPES, "boot": ""}))
    events = [
        {"event": ESCAPES, "time": 1.0, "x": ESCAPES},
        {"event": "model", "time": "x"},
        {"event": "model", "time": 1e300},
    ]
    events += [
        {"event": "model", "time": 1.0, "metrics": [{"source_accuracy": "x"}]},
        {"event": "failed", "time": 2, "reason": ESCAPES},
    ]
    (copy / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    for arguments in (["status", copy], ["status", copy, "--json"], ["logs", copy], ["logs", copy, "--json"]):
        said = run(*arguments)
        assert said.code == 0, said
        assert not set(said.out + said.err) & set(ESCAPES.replace("owned", "").replace("]0;", "").replace("2J", ""))
    for nonsense in ({"models_per_hour": "x"}, {"workers": 3}, {"time": None}, {"eta": [1]}):
        (copy / "heartbeat.json").write_text(json.dumps(beat | nonsense))
        assert run("status", copy).code == 0


def test_a_pipe_in_place_of_a_log_is_not_waited_for(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    for path in (copy / "logs" / "worker-0.log", copy / "events.jsonl"):
        path.unlink()
        os.mkfifo(path)
    refused("logs", copy, "--worker", 0, code=3, reason="not a regular file")
    refused("logs", copy, "--worker", 9, code=3, reason="has no log of worker 9; workers 0 to ")
    refused("logs", copy, code=3, reason="not a regular file")


def test_events_with_numbers_beyond_all_bounds_are_passed_over(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    line = '{"event": "model", "time": 1, "role": "estimate", "index": 1, "seconds": %s}\n'
    sound = len(run("logs", copy, "-n", 1000).out.splitlines())
    with (copy / "events.jsonl").open("a") as file:
        file.writelines(line % number for number in ("1" * 400, "1e999", "NaN"))
    result = run("logs", copy, "-n", 1000)
    assert result.code == 0, result
    assert len(result.out.splitlines()) == sound


def test_a_stranger_s_links_are_not_followed(finished, tmp_path):
    copy, outside = tmp_path / "copy", tmp_path / "outside"
    shutil.copytree(finished, copy)
    outside.write_text("precious")
    (copy / "events.jsonl").unlink()
    (copy / "events.jsonl").symlink_to(outside)
    refused("resume", copy, code=3, reason="a link; a results directory may hold none")
    refused("resume", "--foreground", copy, code=3, reason="a link; a results directory may hold none")
    assert outside.read_text() == "precious"


@pytest.mark.parametrize("linked", ["prune", "prune/main"])
def test_a_pruning_that_a_link_leads_to_is_written_to_by_no_command(finished, tmp_path, linked):
    copy, outside = tmp_path / "copy", tmp_path / "outside"
    shutil.copytree(finished, copy)
    outside.mkdir()
    (outside / "stop.json").write_text("precious")
    (copy / linked).parent.mkdir(exist_ok=True)
    (copy / linked).symlink_to(outside)
    reason = "a link; a results directory may hold none"
    options = ("--drop-counts", 6, "--seeds", 1, "--baselines", "none")
    refused("prune", copy, *options, code=3, reason=reason)
    result = run("prune", copy, *options, "--foreground")
    assert (result.code, reason in result.err) == (3, True)
    refused("rank", copy, "--csv", copy / linked / "stop.json", code=3, reason=reason)
    assert [path.name for path in outside.iterdir()] == ["stop.json"]
    assert (outside / "stop.json").read_text() == "precious"


def test_a_run_in_a_directory_that_a_link_leads_to_is_not_stopped_or_gone_on_with(finished, tmp_path):
    copy, outside = tmp_path / "copy", tmp_path / "outside"
    shutil.copytree(finished, copy)
    shutil.copytree(finished, outside)
    now = {"time": time.time(), "state": "running"}
    (outside / "heartbeat.json").write_text(json.dumps(json.loads((outside / "heartbeat.json").read_text()) | now))
    (outside / "owner.json").write_text(json.dumps(vars(Owner.this_process(outside))))
    (copy / "prune").mkdir()
    (copy / "prune" / "main").symlink_to(outside)
    refused("stop", copy / "prune" / "main", code=3, reason="a link; a results directory may hold none")
    assert not (outside / "stop.json").exists()
    (outside / "owner.json").unlink()
    refused("resume", copy / "prune" / "main", code=3, reason="a link; a results directory may hold none")


def test_the_results_of_a_sweep_are_nobody_elses_business(tmp_path):
    config = folder_config(tmp_path)
    before = os.umask(0o022)
    try:
        result = run("sweep", "--foreground", config)
    finally:
        os.umask(before)
    assert result.code == 0, result.err
    assert (tmp_path / "results").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "results" / "lock").stat().st_mode & 0o777 == 0o600


def test_records_that_are_missing_from_a_finished_run_are_noticed(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    Paths(copy).record(Role.ESTIMATE, 3, 0).unlink()
    shutil.rmtree(copy / "matrix")
    said = run("rank", copy)
    assert "1 of 10 models are missing although the run was done: is it half copied?" in said.err


def test_records_that_cannot_be_read_cost_no_command_and_are_trained_again(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    shutil.rmtree(copy / "matrix")
    spoilt = [Paths(copy).record(Role.ESTIMATE, index, 0) for index in (2, 5)]
    before = [path.read_bytes() for path in spoilt]
    for path in spoilt:
        path.unlink()
    spoilt[0].mkdir()
    os.mkfifo(spoilt[1])
    result = run("rank", copy)
    assert result.code == 0
    assert "2 damaged records were left out" in result.err
    assert run("resume", "--foreground", copy).code == 0
    assert [path.read_bytes() for path in spoilt] == before
    assert len(list((copy / "quarantine").iterdir())) == 2


def test_zeroed_sectors_of_the_matrix_change_no_ranking(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    sound = run("rank", copy, "--json")
    assert "damaged" not in sound.err
    for margins in copy.glob("matrix/*/*/margins.npy"):
        with margins.open("r+b") as file:
            file.seek(256)
            file.write(bytes(512))
    result = run("rank", copy, "--json")
    assert result.code == 0
    assert result.out == sound.out
    assert "the compacted matrix is damaged, and the records were read instead" in result.err


def test_what_a_crash_while_preparing_leaves_does_not_bar_the_way(tmp_path):
    config = folder_config(tmp_path)
    (tmp_path / "results" / "logs").mkdir(parents=True)
    for name in ("plan.safetensors", ".tmp-12-abcd", "events.jsonl"):
        (tmp_path / "results" / name).write_text("")
    assert run("sweep", "--dry-run", config).code == 0


def test_code_named_by_a_results_directory_is_not_run(finished, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    found = json.loads((copy / "run.json").read_text())
    found["config"]["model"]["arch"] = "evil:run"
    write_with_digest(copy / "run.json", found)
    (copy / "evil.py").write_text("raise SystemExit('executed')")
    (copy / "numpy.py").write_text("raise SystemExit('executed')")
    monkeypatch.chdir(copy)
    refused("resume", copy, code=3, reason="is code (evil:run)")


def test_a_dataset_named_by_a_results_directory_is_not_opened_if_that_could_run_code(finished, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    saved = json.loads((copy / "run.json").read_text())
    saved["config"]["source"] = {"kind": "torchvision", "dataset": "PhotoTour", "root": str(tmp_path)}
    saved["source"]["fingerprint"] = "0" * 64
    write_with_digest(copy / "run.json", saved)
    for command in (("resume",), ("prune", "--dry-run")):
        refused(command[0], copy, *command[1:], code=3, reason="PhotoTour may run code, which is not done because")


def test_modules_lying_in_the_directory_are_not_imported(finished, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    record = next(iter(Paths(copy).records_root.rglob("*.safetensors")))
    record.unlink()
    for module in ("numpy", "torch", "psutil", "json"):
        (copy / f"{module}.py").write_text("raise SystemExit('executed')")
    monkeypatch.chdir(copy)
    said = run("resume", "--foreground", copy)
    assert said.code == 0, said.err
    assert record.exists()


@pytest.mark.parametrize("command", [("check", "--no-time"), ("sweep", "--dry-run"), ("sweep",)])
def test_a_network_that_does_not_exist_is_refused_before_anything_is_written(tmp_path, command):
    config = folder_config(tmp_path)
    config.write_text(config.read_text() + '[model]\narch = "resnet99"\n')
    refused(*command, config, code=2, reason='there is no network "resnet99"; did you mean')
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("arch", "reason"),
    [
        ("nowhere:network", "cannot be imported"),
        ("os:getcwd", "failed when called with"),
        ("os:nothing", "AttributeError"),
    ],
)
def test_a_network_that_is_code_is_tried_by_check(tmp_path, arch, reason):
    config = folder_config(tmp_path)
    config.write_text(config.read_text() + f'[model]\narch = "{arch}"\n')
    refused("check", "--no-time", config, code=2, reason=reason)
