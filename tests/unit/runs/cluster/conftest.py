"""Slurm's programs, played by shell scripts."""

import pytest

from tui_influence.runs.cluster import slurm_client as module


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Make programs of these names, which run a line of shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(module, "_answers", {})

    def make(**lines: str) -> None:
        for name, line in lines.items():
            (folder / name).write_text(f"#!/bin/bash\n{line}\n")
            (folder / name).chmod(0o755)

    return make
