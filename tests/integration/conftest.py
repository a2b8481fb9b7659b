"""A finished sweep with a finished pruning, and copies of it to change."""

import shutil

import pytest

from tests.integration.command_line import run


@pytest.fixture(scope="session")
def complete(finished, tmp_path_factory):
    """A finished sweep with a finished pruning. Tests must not change it."""
    root = tmp_path_factory.mktemp("complete") / "results"
    shutil.copytree(finished, root)
    assert run("prune", root, "--drop-counts", 6, "--seeds", 2, "--baselines", "none", "--foreground").code == 0
    return root


@pytest.fixture
def copy(complete, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(complete, root, symlinks=True)
    return root
