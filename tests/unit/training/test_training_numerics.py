"""Devices and precisions, seeds, and what a worker's start costs."""

import subprocess
import sys

import pytest
import torch

from tui_influence.errors import DeviceError
from tui_influence.training import numerics
from tui_influence.training.environment import worker_environment


def run_python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_environment_is_read_without_importing_torch():
    run_python(
        "import sys; from tui_influence.training.environment import worker_environment as w;"
        "w('cuda:0', 2); bad = {'torch', 'numpy'} & set(sys.modules); assert not bad, bad"
    )


def test_a_training_imports_neither_torchs_compiler_nor_torchvision():
    """More than a second of a worker's start each."""
    run_python(
        "import sys; from tests.unit.training.small_data import *; trainer().run(mask(), 0);"
        "bad = {'torch._dynamo', 'sympy', 'torchvision'} & set(sys.modules); assert not bad, bad"
    )


def test_a_worker_gets_its_threads_and_its_devices_settings():
    cpu, cuda = worker_environment("cpu", 3), worker_environment("cuda:1")
    assert cpu["OMP_NUM_THREADS"] == cpu["MKL_NUM_THREADS"] == "3"
    assert cpu["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    assert "CUBLAS_WORKSPACE_CONFIG" not in cpu
    assert cuda["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert cuda["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # NVML's, from which the gauges are read
    assert all(isinstance(value, str) for value in (cpu | cuda).values())


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "meta", "cpu:x"])
def test_a_device_that_is_not_here_is_refused_by_name(device):
    with pytest.raises(DeviceError, match=device) as caught:
        numerics.choose(device, "auto", 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "precision", "bf16"),
    [
        ({"avx2"}, "auto", False),
        ({"avx512_bf16"}, "auto", True),
        ({"amx_bf16"}, "auto", True),
        ({"avx512_bf16"}, "fp32", False),
        (set(), "bf16", True),
    ],
)
def test_bf16_is_chosen_by_what_the_processor_has(monkeypatch, flags, precision, bf16):
    monkeypatch.setattr(numerics, "cpu_flags", lambda: flags)
    assert numerics.choose("cpu", precision, 2).bf16 is bf16
    assert str(numerics.choose("cpu", "fp32", 1)) == "cpu fp32 1 thread"
    assert str(numerics.choose("cpu", "bf16", 2)) == "cpu bf16 2 threads"


def test_streams_of_one_seed_are_independent():
    seeds = {numerics.derive(seed, stream) for seed in range(20) for stream in range(5)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert not torch.equal(
        torch.rand(9, generator=numerics.generator(1, 0)), torch.rand(9, generator=numerics.generator(1, 1))
    )


def test_the_number_of_threads_is_the_one_that_was_asked_for():
    before = torch.get_num_threads()
    try:
        with numerics.repeatable(numerics.choose("cpu", "fp32", 2)):
            assert torch.get_num_threads() == 2
        with numerics.repeatable(numerics.choose("cpu", "fp32", 1)):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
