"""What tests share: one undisturbed run to compare with, and a cache of their own."""

import pytest

from tests.e2e.program import kill_everything, record_bytes, tinfl, write_config
from tests.requirements import pytest_sessionfinish, pytest_terminal_summary  # noqa: F401 - hooks


@pytest.fixture(scope="session", autouse=True)
def _own_places(tmp_path_factory):
    """Pack datasets into a cache of the test session, not the user's, and take no notice of the user's files."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    patch.setenv("TINFL_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("TINFL_CONFIG", "")
    yield
    patch.undo()


@pytest.fixture
def here(tmp_path):
    """A directory to run in; its run is ended afterwards."""
    yield tmp_path
    kill_everything(tmp_path / "results")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The results directory of an undisturbed run. Tests must not change it."""
    directory = tmp_path_factory.mktemp("finished")
    tinfl("sweep", "--foreground", write_config(directory))
    return directory / "results"


@pytest.fixture(scope="session")
def reference(finished) -> dict[str, bytes]:
    """Every record of the undisturbed run."""
    return record_bytes(finished)
