"""Configs for the tests: one that is valid, and hypothesis strategies for valid and for half-valid ones."""

from typing import Any

from hypothesis import strategies as st

from tui_influence.config.combinations import are_repeats_possible, stored_side_problem
from tui_influence.config.loader import config_from_json
from tui_influence.config.messages import (
    KINDS,
    SECTIONS,
    as_toml,
    as_toml_key,
    choices,
    inner_tables,
    section_header,
    section_keys,
)
from tui_influence.config.schema import Config

VALID = """\
[run]
name = "a"

[source]
kind = "builtin"

[[target]]
kind = "builtin"

[design]
models = 4
"""


def written(data: dict[str, Any]) -> str:
    """Return tables as a TOML file with a header for each."""
    lines: list[str] = []
    for section, content in data.items():
        for table in content if isinstance(content, list) else [content]:
            lines.append(section_header(section))
            lines += [f"{as_toml_key(key)} = {as_toml(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


_names = st.from_regex(r"[a-z][a-z0-9.-]{0,8}", fullmatch=True)
_counts = st.integers(1, 1000)
_words = st.sampled_from(["gpu", "my-group"])
_shares = st.floats(0, 0.99)
_paths = st.sampled_from(["data/x", "/mnt/Bilder 2", "ü/漢字"])
_plain = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
_arguments = st.dictionaries(_names, st.one_of(_plain, _names, st.lists(_plain, max_size=2)), max_size=2)

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 2**63 - 1), "output": _paths, "groups": st.sampled_from(["class", "example", "g.csv"]),
    "per_class": _counts, "train_per_class": _counts, "test_per_class": _counts, "path": _paths, "root": _paths,
    "keep": _paths,
    "exclude": _paths,
    "arguments": _arguments, "models": _counts, "heldout": st.integers(0, 9), "prior": st.integers(0, 9),
    "heldout_repeats": st.integers(1, 9),
    "clusters": st.sampled_from([0, 4, 25]),
    "until": st.floats(0.01, 0.99), "max_models": st.integers(1001, 10**6),
    "alpha": st.floats(0.01, 0.99),
    "resolution": st.integers(8, 1024), "width": st.floats(0.1, 16), "epochs": _counts,
    "steps": _counts, "batch_size": st.integers(2, 9),
    "lr": st.floats(1e-9, 10), "momentum": _shares, "weight_decay": st.floats(0, 1), "label_smoothing": _shares,
    "warm_up": _shares, "schedule": st.sampled_from(["linear", "cosine"]),
    "resized_crop": st.sampled_from([[0.25, 1.0], [0.5, 0.5]]), "cutout": st.integers(0, 99),
    "resolutions": st.lists(st.integers(8, 1024), min_size=1, max_size=3), "stored_side": st.integers(8, 1024),
    "crop": st.integers(0, 64), "flip": st.booleans(), "probe_l2": st.floats(1e-9, 1), "finetune_epochs": _counts,
    "finetune_lr": st.floats(1e-9, 1), "finetune_batch_size": st.integers(2, 99), "attempts": _counts,
    "model_deadline": st.floats(0, 1e6),
    "threads": st.integers(1, 256), "workers_per_device": st.one_of(st.just("auto"), _counts),
    "devices": st.one_of(st.just("auto"), st.lists(st.sampled_from(["cpu", "cuda:0", "cuda"]), min_size=1)),
    "arch": st.sampled_from(["small-cnn", "resnet9", "resnet18", "mine.networks:Net", "timm:vit"]),
    "weights": st.sampled_from(["w/start.safetensors", "ü.pth", "torchvision:IMAGENET1K_V1", "timm:a1_in1k"]),
    "dataset": st.sampled_from(["CIFAR10", "STL10"]),
    "split": st.sampled_from(["train", "ü/漢字"]), "image": st.just("img"), "label": st.sampled_from(["label", "a b"]),
    "classes": _paths,
    "block_minutes": st.floats(0.1, 1000), "partition": _words, "planner_partition": _words, "account": _words,
    "gpus_per_task": st.integers(0, 8), "cpus_per_task": st.integers(1, 64), "mem": st.sampled_from(["4G", "500M"]),
    "time_limit": st.sampled_from(["90", "4:00:00", "2-12", "1-00:30"]), "warn_seconds": st.integers(5, 3600),
    "array_concurrency": _counts, "stage": st.sampled_from(["$TMPDIR", "/scratch"]),
    "sbatch": st.lists(st.sampled_from(["--qos=low", "-C a100"]), max_size=2),
    "setup": st.lists(st.sampled_from(["module load cuda", "source ~/venv/bin/activate"]), max_size=2),
    "address": st.sampled_from(["auto", "head:6379"]), "num_gpus": st.floats(0, 8), "num_cpus": st.floats(0.5, 8),
    "connect_seconds": st.floats(1, 600),
}  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """Return the tables of a valid config, as they would stand in a file."""
    found: dict[str, Any] = {}
    for section in SECTIONS:
        if section == "target":
            kinds = draw(
                st.lists(
                    st.sampled_from(["folder", "npz", "torchvision", "huggingface", "webdataset"]),
                    min_size=1,
                    max_size=3,
                )
            )
            found[section] = [
                draw(_table(section, kind)) | {"name": f"target-{index}"} for index, kind in enumerate(kinds)
            ]
        else:
            kind = draw(st.sampled_from(list(KINDS[section]))) if section in KINDS else None
            found[section] = draw(_table(section, kind))
    if "steps" in found["train"]:
        found["train"].pop("epochs", None)
    for table in (found["train"], *found["target"]):
        if table.get("crop") and "resized_crop" in table:
            table.pop("resized_crop")
    model, train = found["model"], found["train"]
    if stored_side_problem(model.get("stored_side"), model.get("resolution"), train.get("resolutions")):
        model.pop("stored_side", None)
        train.pop("resolutions", None)
    if found["design"].get("kind") == "balanced":
        found["design"].pop("alpha", None)
    if not are_repeats_possible(found["design"].get("heldout", 0), found["design"].get("heldout_repeats", 1)):
        found["design"].pop("heldout_repeats")
    if not found["design"].get("prior") or found["source"].get("groups", "class") != "class":
        found["design"].pop("clusters", None)
    if found["source"].get("groups") == "example" or not {"until", "max_models"} <= found["design"].keys():
        found["design"].pop("until", None)
        found["design"].pop("max_models", None)
    return found


@st.composite
def _table(draw: st.DrawFn, section: str, kind: str | None) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, field in section_keys(section, kind).items():
        if not field.is_required() and draw(st.booleans()):
            continue
        if key in inner_tables(section):
            table[key] = draw(_table(f"{section}.{key}", None))
        elif key in ("train", "test"):
            table[key] = draw(_arguments if kind == "torchvision" else _paths)
        elif key == "name":
            table[key] = choices(field)[0] if choices(field) else draw(_names)
        else:
            table[key] = (
                kind
                if key == "kind" and kind
                else draw(_VALUES[key] if key in _VALUES else st.sampled_from(choices(field)))
            )
    return table


def configs() -> st.SearchStrategy[Config]:
    return tables().map(config_from_json)


_NAMES = [key for section in SECTIONS for key in section_keys(section)]
_wrong_scalars = st.one_of(
    st.none().map(lambda _: "auto"), st.booleans(), st.integers(-5, 5), st.integers(), st.floats(), st.text(max_size=9),
    st.just(2**10_000),
    st.sampled_from([value for s in SECTIONS for f in section_keys(s).values() for value in choices(f)]),
)  # fmt: skip
_wrong = st.recursive(
    _wrong_scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_NAMES), inner, max_size=3)),
    max_leaves=5,
)
_some_key = st.one_of(
    st.sampled_from(_NAMES), st.sampled_from([*SECTIONS, "epoch", "kinds", "x", "\x1b[31m"]), st.text()
)
_half_table = st.dictionaries(_some_key, _wrong, max_size=5)


@st.composite
def half_valid(draw: st.DrawFn) -> dict[str, Any]:
    """Return JSON values that look like a config here and there."""
    data: dict[str, Any] = draw(tables())
    for _ in range(draw(st.integers(1, 6))):
        section = draw(st.one_of(st.sampled_from(SECTIONS), _some_key))
        whole = draw(st.integers(0, 9)) == 0
        if whole or not isinstance(data.get(section), dict | list) or not data[section]:
            data[section] = draw(st.one_of(_half_table, st.lists(_half_table, max_size=2), _wrong))
            continue
        table = data[section][0] if isinstance(data[section], list) else data[section]
        if isinstance(table, dict):
            table[draw(_some_key)] = draw(_wrong)
            if draw(st.booleans()):
                table.pop(draw(st.sampled_from(sorted(table))))
    return data
