import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """As a worker has it; threads that spin beside other tests' make small networks slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
