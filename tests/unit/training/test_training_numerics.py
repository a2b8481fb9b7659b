"""Devices and precisions, seeds, and what a worker's start costs."""

import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch

from tui_influence.errors import DeviceError
from tui_influence.runs.devices import worker_environment
from tui_influence.training import precision as numerics


def run_python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_environment_is_read_without_importing_torch():
    run_python(
        "import sys; from tui_influence.runs.devices import worker_environment as w;"
        "w('cuda:0', 2); bad = {'torch', 'numpy'} & set(sys.modules); assert not bad, bad"
    )


def test_a_training_imports_neither_torchs_compiler_nor_torchvision():
    """More than a second of a worker's start each."""
    run_python(
        "import sys; from tests.unit.training.small_data import *;"
        "from tui_influence.training.determinism import deterministic_kernels as repeatable;"
        "repeatable()(trainer(precision='fp16').run)(mask(), 0);"
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
        numerics.choose_numerics(device, "auto", 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "precision", "chosen"),
    [
        ({"avx2"}, "auto", "fp32"),
        ({"avx512_bf16"}, "auto", "bf16"),
        ({"amx_bf16"}, "auto", "bf16"),
        ({"avx512_bf16"}, "fp32", "fp32"),
        (set(), "bf16", "bf16"),
        ({"avx512_bf16"}, "fp16", "fp16"),
    ],
)
def test_bf16_is_chosen_by_what_the_processor_has(monkeypatch, flags, precision, chosen):
    monkeypatch.setattr(numerics, "cpu_flags", lambda: flags)
    assert numerics.choose_numerics("cpu", precision, 2).precision == chosen
    assert str(numerics.choose_numerics("cpu", "fp32", 1)) == "cpu fp32 1 thread"
    assert str(numerics.choose_numerics("cpu", "bf16", 2)) == "cpu bf16 2 threads"


@pytest.fixture
def played_gpu(monkeypatch):
    """GPUs with units for bfloat16, for float16 alone, and for neither; torch need not have any."""
    capabilities = ((8, 0), (7, 0), (6, 1))
    monkeypatch.setattr(numerics, "unusable_reason", lambda index: "" if index < 3 else "3 CUDA devices here")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capabilities[device.index])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: ("new", "old", "older")[device.index])


@pytest.mark.parametrize(
    ("device", "precision", "words"),
    [
        ("cuda", "auto", "cuda bf16 new"),
        ("cuda:0", "auto", "cuda bf16 new"),
        ("cuda:1", "auto", "cuda fp16 old"),
        ("cuda:2", "auto", "cuda fp32 older"),
        ("cuda:1", "fp32", "cuda fp32 old"),
        ("cuda:2", "fp16", "cuda fp16 older"),
        ("cuda:1", "bf16", "cuda bf16 old"),
        ("cuda:0", "fp32", "cuda fp32 new"),
    ],
)
def test_a_gpu_is_named_with_its_number_and_computes_as_fast_as_it_can(played_gpu, device, precision, words):
    found = numerics.choose_numerics(device, precision, 3)
    assert str(found) == words
    assert (found.device.index, found.threads) == (int(device[5:] or 0), 3)
    assert found.exact_device == found.device


def test_a_gpu_that_cannot_be_used_is_refused_with_the_reason(played_gpu):
    with pytest.raises(DeviceError, match=r'^device "cuda:3" cannot be used: 3 CUDA devices here$'):
        numerics.choose_numerics("cuda:3", "auto", 1)


@pytest.mark.parametrize("before", [True, False])
def test_a_gpu_repeats_itself_inside_and_is_as_it_was_outside(played_gpu, monkeypatch, before):
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", before)

    def settings():
        cudnn = torch.backends.cudnn
        return torch.backends.cuda.matmul.allow_tf32, cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32

    outside = settings()
    threads = torch.get_num_threads()

    def train_and_fail():
        with numerics.repeatable(numerics.choose_numerics("cuda", "fp32", threads + 1)):
            assert settings() == (False, True, False, False)
            assert torch.backends.cudnn.enabled
            assert torch.get_num_threads() == threads
            raise KeyError

    with pytest.raises(KeyError):
        train_and_fail()
    assert settings() == outside


@pytest.fixture
def played_mac(monkeypatch):
    """A torch that can use the GPU of a Mac."""
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: None)


def test_the_gpu_of_a_mac_computes_in_float32_and_leaves_float64_to_the_cpu(played_mac):
    chosen = numerics.choose_numerics("mps", "auto", 2)
    assert str(chosen) == "mps fp32"
    assert (chosen.device.type, chosen.exact_device.type) == ("mps", "cpu")
    assert str(numerics.choose_numerics("mps", "fp16", 2)) == "mps fp16"
    assert numerics.choose_numerics("cpu", "auto", 1).exact_device.type == "cpu"


@pytest.mark.parametrize(("name", "reason"), [("is_built", "built without MPS"), ("is_available", "no GPU of Apple")])
def test_a_mac_without_such_a_gpu_is_refused_with_the_reason(played_mac, monkeypatch, name, reason):
    monkeypatch.setattr(torch.backends.mps, name, lambda: False)
    with pytest.raises(DeviceError, match=f'^device "mps" cannot be used: .*{reason}'):
        numerics.choose_numerics("mps", "auto", 1)


def test_a_gpu_of_a_mac_that_fails_is_refused_with_torchs_first_line(played_mac, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("MPS backend failed\nsee the log")

    monkeypatch.setattr(torch, "zeros", fail)
    with pytest.raises(DeviceError, match=r'^device "mps" cannot be used: MPS backend failed$'):
        numerics.choose_numerics("mps", "auto", 1)


def test_the_generator_of_a_mac_is_restored(played_mac, monkeypatch):
    states = []
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: "before")
    monkeypatch.setattr(torch.mps, "set_rng_state", states.append)
    with numerics.seeded_globals(torch.device("mps", 0), 3):
        assert states == []
    assert states == ["before"]


def test_a_mac_repeats_itself_with_its_threads(played_mac):
    before = torch.get_num_threads()
    try:
        with numerics.repeatable(numerics.choose_numerics("mps", "fp32", 2)):
            assert torch.get_num_threads() == 2
            assert torch.are_deterministic_algorithms_enabled()
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(before)


def test_streams_of_one_seed_are_independent():
    seeds = {numerics.derive_seed(seed, stream) for seed in range(20) for stream in range(5)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert not torch.equal(
        torch.rand(9, generator=numerics.seeded_generator(1, 0)),
        torch.rand(9, generator=numerics.seeded_generator(1, 1)),
    )


def test_a_seed_is_derived_as_the_first_version_derived_it():
    """Models of a run are trained by several versions: the same row must be the same model."""
    assert numerics.derive_seed(7) == 8460147692890830636
    assert numerics.derive_seed(7, 2) == 9139555415570476218


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 amx_bf16\nflags : other\n", {"fpu", "avx2", "amx_bf16"}),
        ("Features : neon: fp\n", set()),
        ("flags : a:b c\n", {"a:b", "c"}),
    ],
)
def test_a_processor_is_asked_for_the_first_line_of_its_flags(monkeypatch, tmp_path, text, flags):
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    monkeypatch.setattr(numerics, "Path", lambda asked: path if asked == "/proc/cpuinfo" else None)
    assert numerics.cpu_flags() == flags
    path.unlink()
    assert numerics.cpu_flags() == set()


def test_lower_precision_computes_the_products_and_nothing_else_is_rounded():
    x = torch.randn(4, 4)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)):
        with numerics.choose_numerics("cpu", precision, 1).autocast():
            assert (x @ x).dtype == dtype


def test_generators_start_from_the_seed_inside_and_go_on_outside():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with numerics.seeded_globals(torch.device("cpu"), 11):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(inside, torch.rand(3, generator=torch.Generator().manual_seed(11)))


def test_the_number_of_threads_is_the_one_that_was_asked_for():
    before = torch.get_num_threads()
    try:
        with numerics.repeatable(numerics.choose_numerics("cpu", "fp32", 2)):
            assert torch.get_num_threads() == 2
        with numerics.repeatable(numerics.choose_numerics("cpu", "fp32", 1)):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
