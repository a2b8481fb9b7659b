import re
import tomllib
from pathlib import Path

import pytest

from tui_influence.config.loader import load_config, parse_config
from tui_influence.config.messages import KINDS, SECTIONS, section_keys
from tui_influence.config.schema import Config
from tui_influence.config.template import make_template
from tui_influence.errors import ConfigError
from tui_influence.text import printable

SAMPLES = sorted((Path(__file__).parents[3] / "sample_configs").glob("*.toml"))
KIND_NAMES = list(KINDS["source"])


def test_there_are_sample_configs() -> None:
    assert {path.stem for path in SAMPLES} >= {
        "glyphs-digits",
        "tiny-imagenet-cifar10",
        "torchvision",
        "huggingface",
        "several-targets",
    }


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_configs_are_valid(path: Path) -> None:
    assert load_config(path).design.heldout > 0


def test_the_several_targets_are_of_both_transfers() -> None:
    (path,) = [path for path in SAMPLES if path.stem == "several-targets"]
    assert {target.transfer for target in load_config(path).target} == {"fixed-feature", "full-network"}


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_templates_are_valid_and_of_their_kind(kind: str) -> None:
    config = parse_config(make_template(kind), "sweep.toml")
    assert (config.source.kind, config.target[0].kind) == (kind, kind)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_no_line_of_a_template_is_too_wide(kind: str) -> None:
    assert max(map(len, make_template(kind).splitlines())) <= 100


def without_comments(kind: str) -> str:
    """Return a template with every key, but for `steps`, which excludes `epochs`."""
    return re.sub(r"^# (?!steps = )(\w+ = )", r"\1", make_template(kind), flags=re.MULTILINE)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_template_stays_valid_with_every_comment_taken_away(kind: str) -> None:
    text = without_comments(kind)
    found = tomllib.loads(text)
    parse_config(text, "sweep.toml")
    parse_config(re.sub(r"^epochs = 8(?=\s)", "steps = 200", text, flags=re.MULTILINE), "sweep.toml")
    found["train"]["steps"] = None
    assert set(found["compute"]["slurm"]) == set(section_keys("compute.slurm"))
    for section in SECTIONS:
        table = found[section][0] if section == "target" else found[section]
        assert set(table) == set(section_keys(section, kind if section in KINDS else None))


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_the_defaults_a_template_shows_are_the_defaults(kind: str) -> None:
    """Taking the comments away changes nothing, but for the examples of what has no default."""
    plain = parse_config(make_template(kind), "")
    shown = parse_config(without_comments(kind), "")

    def flat(config: Config) -> dict[str, object]:
        dumped = config.model_dump()
        tables = {section: dumped[section][0] if section == "target" else dumped[section] for section in dumped}
        tables |= {f"compute.{name}": tables["compute"].pop(name) for name in ("slurm", "ray")}
        return {f"{section}.{key}": value for section, table in tables.items() for key, value in table.items()}

    assert all(value == flat(shown)[key] for key, value in flat(plain).items() if value is not None)


def test_a_template_explains_every_key() -> None:
    for line in make_template("torchvision").splitlines():
        if " = " in line and not line.startswith("# A"):
            assert re.search(r"\S {2,}# \S", line), line


@pytest.mark.parametrize("kind", ["", "Folder", "\x1b[31m", "imagenet"], ids=ascii)
def test_an_unknown_kind_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="builtin, folder, npz, torchvision, huggingface or webdataset") as caught:
        make_template(kind)
    assert printable(str(caught.value)) == str(caught.value)
