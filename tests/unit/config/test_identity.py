import json
import re
from typing import Any

import pytest
from hypothesis import assume, given, settings

from tests.unit.config.configs import VALID, configs
from tui_influence.config.identity import compute_identity, differences
from tui_influence.config.loader import config_from_json, config_to_json, parse_config
from tui_influence.config.schema import Config
from tui_influence.text import printable

DATA = {"source": "aa", "digits/train": "bb"}

FOLDERS = """\
[run]
name = "a"
[source]
kind = "folder"
path = "x"
[[target]]
name = "one"
kind = "folder"
train = "one/train"
test = "one/test"
[[target]]
name = "two"
kind = "torchvision"
dataset = "CIFAR10"
root = "tv"
[design]
models = 4
"""


def config(text: str = VALID) -> Config:
    return parse_config(text, "a.toml")


def changed(section: str, key: str, value: object, text: str = FOLDERS) -> Config:
    saved: dict[str, Any] = config_to_json(config(text))
    tables = saved[section] if section == "target" else [saved[section]]
    tables[0][key] = value
    return config_from_json(saved)


COUNTS: list[tuple[str, str, object, str]] = [
    ("run", "seed", 1, "run.seed: 0 -> 1"),
    ("source", "groups", "example", 'source.groups: "class" -> "example"'),
    ("source", "per_class", 5, "source.per_class: not set -> 5"),
    ("source", "on_bad_image", "skip", 'source.on_bad_image: "error" -> "skip"'),
    ("source", "kind", "npz", 'source.kind: "folder" -> "npz"'),
    ("target", "name", "three", "targets: one, two -> three, two"),
    ("target", "transfer", "full-network", 'target one: transfer: "fixed-feature" -> "full-network"'),
    ("target", "train_per_class", 7, "target one: train_per_class: not set -> 7"),
    ("design", "kind", "balanced", 'design.kind: "fixed" -> "balanced"'),
    ("design", "alpha", 0.25, "design.alpha: 0.5 -> 0.25"),
    ("model", "width", 2.0, "model.width: 1.0 -> 2.0"),
    ("model", "weights", "start.pt", 'model.weights: not set -> "file"'),
    ("model", "weights", "timm:a1_in1k", 'model.weights: not set -> "timm:a1_in1k"'),
    ("train", "epochs", 4, "train.epochs: 8 -> 4"),
    ("train", "warm_up", 0.1, "train.warm_up: 0.2 -> 0.1"),
    ("train", "schedule", "cosine", 'train.schedule: "linear" -> "cosine"'),
    ("train", "resized_crop", [0.3, 1.0], "train.resized_crop: not set -> [0.3, 1.0]"),
    ("train", "cutout", 4, "train.cutout: 0 -> 4"),
    ("target", "finetune_lr", 0.1, "target one: finetune_lr: not set -> 0.1"),
]
DOES_NOT_COUNT: list[tuple[str, str, object]] = [
    ("run", "name", "b"),
    ("run", "output", "elsewhere"),
    ("source", "path", "moved"),
    ("source", "keep", "kept.txt"),  # the images that it keeps have a fingerprint of their own
    ("source", "exclude", "remove.txt"),  # so have those that it leaves
    ("target", "train", "moved"),
    ("target", "test", "moved"),
    ("design", "models", 9),
    ("design", "heldout", 9),
    ("compute", "devices", ["cpu"]),
    ("compute", "workers_per_device", 2),
    ("compute", "attempts", 9),
    ("compute", "model_deadline", 3.0),
]


@pytest.mark.parametrize(("section", "key", "value", "line"), COUNTS, ids=lambda part: str(part)[:12])
def test_what_decides_a_record_counts_and_is_named(section: str, key: str, value: object, line: str) -> None:
    old, new = config(FOLDERS), changed(section, key, value)
    assert compute_identity(old, DATA) != compute_identity(new, DATA)
    assert differences(old, new) == [line]


@pytest.mark.parametrize(("section", "key", "value"), DOES_NOT_COUNT, ids=lambda part: str(part)[:12])
def test_what_does_not_decide_a_record_may_change(section: str, key: str, value: object) -> None:
    old, new = config(FOLDERS), changed(section, key, value)
    assert old != new
    assert compute_identity(old, DATA) == compute_identity(new, DATA)
    assert differences(old, new) == []


def test_a_config_without_steps_has_the_identity_that_it_had_before_there_were_steps() -> None:
    assert compute_identity(config(), DATA) == "d1d2f2513e518a8857bad0e6972b719b8b2fa308f818b671b719cd6922743a71"


def test_steps_instead_of_epochs_are_another_run() -> None:
    old, new, other = (config(VALID + f"[train]\n{length}\n") for length in ("epochs = 8", "steps = 200", "steps = 9"))
    assert len({compute_identity(each, DATA) for each in (old, new, other)}) == 3
    assert differences(old, new) == ["train.epochs: 8 -> not set", "train.steps: not set -> 200"]
    assert differences(new, other) == ["train.steps: 200 -> 9"]


def test_every_key_of_the_schema_is_decided_on_here() -> None:
    """A new section is not forgotten: what counts, and what does not, add up to all of them."""
    assert {section for section, *_ in [*COUNTS, *DOES_NOT_COUNT]} == set(Config.model_fields)


def test_a_file_of_groups_may_move_but_is_neither_classes_nor_examples() -> None:
    """What it says has a fingerprint; that the groups come from a file is a setting."""
    classes, one, other = (changed("source", "groups", groups) for groups in ("class", "g.csv", "elsewhere/h.CSV"))
    assert compute_identity(one, DATA) == compute_identity(other, DATA)
    assert differences(one, other) == []
    assert compute_identity(classes, DATA) != compute_identity(one, DATA)
    assert differences(classes, one) == ['source.groups: "class" -> "csv"']
    assert compute_identity(one, DATA | {"groups": "a"}) != compute_identity(other, DATA | {"groups": "b"})


def test_a_file_of_weights_may_move_but_not_change() -> None:
    one, other = (changed("model", "weights", path) for path in ("start.pt", "elsewhere/begin.safetensors"))
    assert compute_identity(one, DATA | {"weights": "a"}) == compute_identity(other, DATA | {"weights": "a"})
    assert compute_identity(one, DATA | {"weights": "a"}) != compute_identity(one, DATA | {"weights": "b"})
    assert differences(one, other) == []


def test_weights_by_name_are_not_those_of_a_file() -> None:
    one, other = (changed("model", "weights", weights) for weights in ("start.pt", "timm:a1_in1k"))
    assert compute_identity(one, DATA) != compute_identity(other, DATA)
    assert differences(one, other) == ['model.weights: "file" -> "timm:a1_in1k"']


def test_other_data_are_another_run() -> None:
    assert compute_identity(config(), DATA) != compute_identity(config(), DATA | {"source": "ab"})


def test_the_order_of_the_fingerprints_does_not_matter() -> None:
    assert compute_identity(config(), DATA) == compute_identity(config(), dict(reversed(DATA.items())))


def test_the_order_of_the_targets_does() -> None:
    saved = config_to_json(config(FOLDERS))
    saved["target"].reverse()
    swapped = config_from_json(saved)
    assert compute_identity(config(FOLDERS), DATA) != compute_identity(swapped, DATA)
    assert differences(config(FOLDERS), swapped) == ["targets: one, two -> two, one"]


def test_identity_is_a_digest_that_stays_what_it_is() -> None:
    """If this fails, results of older versions cannot be resumed any more: is that meant?"""
    assert compute_identity(config(), DATA) == "d1d2f2513e518a8857bad0e6972b719b8b2fa308f818b671b719cd6922743a71"
    assert re.fullmatch("[0-9a-f]{64}", compute_identity(config(), {}))


def test_true_and_one_are_not_the_same_argument() -> None:
    text = FOLDERS.replace('kind = "folder"\npath = "x"', 'kind = "torchvision"\ndataset = "A"\nroot = "x"')
    old, new = (config(text.replace('root = "x"', f'root = "x"\narguments.a = {value}')) for value in ("1", "true"))
    assert differences(old, new) == ["source.arguments: { a = 1 } -> { a = true }"]
    assert compute_identity(old, DATA) != compute_identity(new, DATA)


def test_repeats_change_the_masks_of_held_out_models_and_nothing_where_there_are_none() -> None:
    before = config(FOLDERS.replace("models = 4", "models = 4\nheldout = 6\nheldout_repeats = 3"))
    after = changed("design", "heldout_repeats", 2, FOLDERS.replace("models = 4", "models = 4\nheldout = 6"))
    assert differences(before, after) == ["design.heldout_repeats: 3 -> 2"]
    assert compute_identity(before, DATA) == compute_identity(after, DATA)
    assert differences(config(FOLDERS), before) == []
    assert differences(before, before.model_copy()) == []


def test_a_run_without_the_key_is_continued_by_writing_what_it_means() -> None:
    text = FOLDERS.replace("models = 4", "models = 4\nheldout = 6")
    saved: dict[str, Any] = config_to_json(config(text))
    del saved["design"]["heldout_repeats"]
    old = config_from_json(saved)
    line = "design.heldout_repeats: 1 -> 2 (the default; this run needs heldout_repeats = 1)"
    assert differences(old, config(text)) == [line]
    assert differences(old, config(f"{text}heldout_repeats = 1\n")) == []


@settings(max_examples=50, deadline=None)
@given(configs(), configs())
def test_configs_differ_in_identity_exactly_when_a_difference_is_named(old: Config, new: Config) -> None:
    lines = differences(old, new)
    of_repeats = [line for line in lines if line.startswith("design.heldout_repeats")]
    assert (len(lines) > len(of_repeats)) == (compute_identity(old, DATA) != compute_identity(new, DATA))
    assert bool(of_repeats) == (old.design.heldout > 0 and old.design.heldout_repeats != new.design.heldout_repeats)
    assert all(printable(line) == line for line in lines)


@settings(max_examples=40, deadline=None)
@given(configs())
def test_identity_survives_saving(config: Config) -> None:
    again = config_from_json(json.loads(json.dumps(config_to_json(config))))
    assume(again is not config)
    assert compute_identity(again, DATA) == compute_identity(config, DATA)
