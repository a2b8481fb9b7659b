"""The datasets of a config, whatever their files are called."""

import os

import numpy as np
from PIL import Image

from tests.e2e.program import CONFIG
from tui_influence.config.loader import parse_config
from tui_influence.runs.datasets import open_datasets


def test_classes_whose_names_are_no_text_have_a_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setenv("TINFL_CACHE", str(tmp_path / "cache"))
    text = CONFIG.format(output=tmp_path / "results", models=4, epochs=1)
    text = text.replace('kind = "builtin"\nper_class = 12', f'kind = "folder"\npath = "{tmp_path}/source"')
    config = parse_config(text, "tiny.toml")
    fingerprints = []
    for name in (b"\xff", b"\xfe"):
        for part in (b"a", b"b", name):
            folder = tmp_path / "source" / os.fsdecode(part)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "0.png")
        fingerprints.append(open_datasets(config).fingerprints(config)["groups"])
    assert fingerprints[0] != fingerprints[1]
