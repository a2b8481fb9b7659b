"""What torch says of CUDA, on a machine that may have none: torch's own functions are played."""

from types import SimpleNamespace

import pytest
import torch

from tui_influence.errors import first_line
from tui_influence.training import cuda
from tui_influence.training.cuda import CudaDevice, CudaProbe, from_json, probe, to_json, unusable_reason

GOOD, BAD = CudaDevice("one", 3, 4), CudaDevice("", 0, 0, "unspecified launch failure")


@pytest.fixture
def two_devices(monkeypatch):
    """Two devices, of which the second fails as soon as its memory is looked at."""

    def memory(index):
        if index == 1:
            raise RuntimeError("unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")
        return 3, 4

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(name=("one", "two")[index]))
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)


def test_every_device_is_asked_for_its_name_and_memory_or_why_not(two_devices):
    assert probe() == CudaProbe((GOOD, BAD))
    assert [unusable_reason(index) for index in range(3)] == ["", BAD.reason, "2 CUDA devices here"]


def test_no_device_is_asked_where_cuda_does_not_start(two_devices, monkeypatch):
    def refuse():
        raise RuntimeError("Found no NVIDIA driver\nPlease check")

    monkeypatch.setattr(torch.cuda, "init", refuse)
    assert probe() == CudaProbe(reason="Found no NVIDIA driver")
    assert unusable_reason(0) == "Found no NVIDIA driver"


@pytest.mark.parametrize(("built_for", "starts"), [((None, None), False), (("13.0", None), True), ((None, "6"), True)])
def test_a_torch_without_cuda_says_so(two_devices, monkeypatch, built_for, starts):
    monkeypatch.setattr(torch.version, "cuda", built_for[0])
    monkeypatch.setattr(torch.version, "hip", built_for[1])
    reason = cuda._start_cuda()
    assert (reason == "") == starts
    assert starts or reason == f"torch {torch.__version__} is built without CUDA"


def test_a_probe_knows_why_a_device_cannot_be_used():
    found = CudaProbe((GOOD, BAD))
    assert [found.unusable_reason(index) for index in range(4)] == ["", BAD.reason, *["2 CUDA devices here"] * 2]
    assert CudaProbe((GOOD,)).unusable_reason(1) == "1 CUDA device here"
    assert CudaProbe().unusable_reason(0) == "no CUDA device here"
    assert CudaProbe(reason="no driver").unusable_reason(0) == "no driver"


def test_a_probe_is_read_back_from_its_line():
    for found in (CudaProbe((GOOD, BAD)), CudaProbe(reason="no\ndriver")):
        assert "\n" not in to_json(found)
        assert from_json(to_json(found)) == found


@pytest.mark.parametrize("line", ["", "null", "{}", '{"devices": [{}], "reason": ""}', '{"devices": 3, "reason": ""}'])
def test_a_line_that_holds_no_probe_is_refused(line):
    with pytest.raises(ValueError, match=r".*"):
        from_json(line)


def test_an_error_is_its_first_line_or_its_kind():
    assert first_line(RuntimeError("  first \n second")) == "first "
    assert first_line(RuntimeError("")) == "RuntimeError"
