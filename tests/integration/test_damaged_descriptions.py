"""A `run.json` or `arms.json` that is damaged, or of another run, is refused; no record is believed less for it."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.program import record_bytes, write_config
from tests.integration.command_line import refused, run
from tests.unit.store.digested import write_with_digest
from tui_influence.store.paths import Paths


def swap(values: list[Any]) -> None:
    values[0], values[1] = values[1], values[0]


Alteration = Callable[[dict[str, Any]], object]
ALTERATIONS: dict[str, Alteration] = {
    "targets[0].test": lambda values: values["targets"][0].update(test=values["targets"][0]["test"] + 8),
    "targets[0].train": lambda values: values["targets"][0].update(train=1),
    "targets[0].classes": lambda values: swap(values["targets"][0]["classes"]),
    "targets[0].transfer": lambda values: values["targets"][0].update(transfer="full-network"),
    "targets[0].fingerprints": lambda values: swap(values["targets"][0]["fingerprints"]),
    "1 fingerprints": lambda values: values["targets"][0]["fingerprints"].pop(),
    "targets": lambda values: values["targets"].append(values["targets"][0]),
    "source.groups": lambda values: swap(values["source"]["groups"]),
    "source.sizes": lambda values: values["source"]["sizes"].__setitem__(0, 99),
    "source.images": lambda values: values["source"].update(images=1),
    "source.classes": lambda values: swap(values["source"]["classes"]),
    "source.fingerprint": lambda values: values["source"].update(fingerprint="0" * 64),
    "resolution": lambda values: values.update(resolution=11),
    "channels": lambda values: values.update(channels=3),
    "seed": lambda values: values.update(seed=77),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_nothing_is_trained_or_set_aside_by_a_description_that_was_altered(copy, name):
    paths = Paths(copy)
    before = record_bytes(copy)
    values = json.loads(paths.run.read_text())
    ALTERATIONS[name](values)
    paths.run.write_text(json.dumps(values))
    for command in (("resume", copy, "--foreground"), ("rank", copy), ("status", copy)):
        refused(*command, code=3, reason="run.json: its content does not match its digest")
    del values["digest"]  # as older versions wrote it: it is held against the data
    content = json.dumps(values)
    paths.run.write_text(content)
    refused("resume", copy, "--foreground", code=3, reason=f"does not describe the data of its config ({name}")
    assert record_bytes(copy) == before
    assert paths.run.read_text() == content, "the damage got no digest of its own"


def damages(root) -> list[tuple[str, str]]:
    """Each path that `tinfl verify` names, and what is wrong with it."""
    answer = run("verify", root, "--json")
    found = json.loads(answer.out)["damaged"]
    assert answer.code == (3 if found else 0)
    return [(damage["path"].removeprefix(f"{root}/"), damage["problem"]) for damage in found]


def test_an_altered_description_is_all_that_is_called_damaged(copy):
    """What is held against it would all be called damaged, and no advice on that would be right."""
    values = json.loads((copy / "run.json").read_text())
    ALTERATIONS["targets[0].test"](values)
    (copy / "run.json").write_text(json.dumps(values))
    ((path, problem),) = damages(copy)
    assert path == "run.json"
    assert problem.startswith("its content does not match its digest")
    assert "nothing else was checked" in run("verify", copy, "--cache").out


def test_arms_that_changed_places_are_refused(copy):
    paths = Paths(copy / "prune" / "main")
    values = json.loads(paths.arms.read_text())
    lowest, highest = values["arms"][1], values["arms"][-1]
    for key in ("kind", "label"):
        lowest[key], highest[key] = highest[key], lowest[key]
    paths.arms.write_text(json.dumps(values))
    for command in (("prune", copy, "--report"), ("resume", paths.root, "--foreground"), ("prune", copy)):
        refused(*command, code=3, reason="arms.json: its content does not match its digest")
    assert [path for path, _ in damages(copy)] == ["prune/main/arms.json"]


def test_the_description_of_a_pruning_in_place_of_the_sweeps_is_refused(copy):
    before = record_bytes(copy)
    shutil.copy(copy / "prune" / "main" / "run.json", copy / "run.json")
    refused(
        "resume", copy, "--foreground", code=3, reason="it describes a pruning, but there is no arms.json beside it"
    )
    assert record_bytes(copy) == before
    assert "arms.json" in [path for path, _ in damages(copy)]


def test_the_description_of_a_sweep_in_place_of_a_prunings_is_refused(copy):
    own = copy / "prune" / "main"
    before = record_bytes(own)
    shutil.copy(copy / "run.json", own / "run.json")
    refused("resume", own, "--foreground", code=3, reason="run.json beside it is that of a sweep")
    assert record_bytes(own) == before
    assert "prune/main/arms.json" in [path for path, _ in damages(copy)]


def test_arms_that_lie_in_a_sweep_are_named_and_switch_no_check_off(copy):
    paths = Paths(copy)
    shutil.copy(copy / "prune" / "main" / "arms.json", paths.arms)
    (named,) = damages(copy)
    assert named == ("arms.json", "run.json is that of a sweep, which has no arms")
    refused("resume", copy, "--foreground", code=3, reason="remove this file")
    values = json.loads(paths.run.read_text())
    values["config"]["design"]["alpha"] = 0.25
    write_with_digest(paths.run, values)
    assert "plan.safetensors" in [path for path, _ in damages(copy)]


@pytest.fixture
def other(tmp_path_factory):
    """A finished sweep of another config."""
    directory = tmp_path_factory.mktemp("other")
    config = write_config(directory, models=3, swap={'kind = "fixed"': 'kind = "bernoulli"'})
    assert run("sweep", "--foreground", config).code == 0
    return directory / "results"


def test_the_description_of_another_run_costs_no_record(copy, other):
    before = record_bytes(copy)
    plan = (copy / "plan.safetensors").read_bytes()
    shutil.copy(other / "run.json", copy / "run.json")
    refused("resume", copy, "--foreground", code=3, reason="none of them of this config and data")
    assert record_bytes(copy) == before
    assert (copy / "plan.safetensors").read_bytes() == plan


def test_a_sweep_writes_a_lost_description_again_and_keeps_the_records(copy, tmp_path):
    before = record_bytes(copy)
    values = json.loads((copy / "run.json").read_text())
    (copy / "run.json").unlink()
    other = write_config(tmp_path, name="other.toml", epochs=2)
    refused("sweep", "--foreground", other, code=3, reason="none of them of this config and data")
    assert not (copy / "run.json").exists()
    config = write_config(tmp_path)
    assert run("sweep", "--foreground", config).code == 0
    assert record_bytes(copy) == before
    assert damages(copy) == []
    again = json.loads((copy / "run.json").read_text())
    assert {key: again[key] for key in ("identity", "source", "targets")} == {
        key: values[key] for key in ("identity", "source", "targets")
    }
