"""What terminal tests share."""

import pytest

from tests.e2e.terminal import Terminal


@pytest.fixture
def terminal(tmp_path):
    """A real terminal of 80 by 24."""
    made = Terminal(tmp_path / "socket")
    yield made
    made.close()
