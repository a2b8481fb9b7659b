"""Which devices a run uses, and what is said of those it cannot use."""

import subprocess
import sys
from pathlib import Path

import pytest

from tui_influence.config.compute import ComputeSection
from tui_influence.errors import DeviceError, ExitCode
from tui_influence.runs import devices
from tui_influence.runs.devices import probe_cuda, worker_devices
from tui_influence.training import cuda
from tui_influence.training.cuda import CudaDevice, CudaProbe, from_json, probe, to_json
from tui_influence.training.precision import choose_numerics

OLD_DRIVER = "The NVIDIA driver on your system is too old (found version 11040)."
GPU = CudaDevice("NVIDIA H200", 10 << 30, 139 << 30)
BUSY = CudaDevice("", 0, 0, "CUDA error: all CUDA-capable devices are busy or unavailable")


@pytest.fixture
def machine(monkeypatch):
    """Pretend that torch says something of CUDA, and that there is a GPU, or not."""

    def pretend(result: CudaProbe, gpu: bool = True) -> None:
        monkeypatch.setattr(devices, "probe_cuda", lambda: result)
        monkeypatch.setattr(devices, "_GPU_FILES", ("/dev/null",) if gpu else ("/dev/no-such-gpu*",))

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return pretend


def test_devices_take_turns_so_that_a_short_plan_uses_all(machine, monkeypatch):
    machine(CudaProbe((GPU, GPU)))
    monkeypatch.setattr(devices, "cpu_cores", lambda: 3)
    compute = ComputeSection(devices=["cuda:0", "cuda:1", "cpu"], workers_per_device=2)
    assert worker_devices(compute) == ["cuda:0", "cuda:1", "cpu"] * 2
    assert worker_devices(ComputeSection(devices=["cpu"])) == ["cpu"] * 3
    assert worker_devices(ComputeSection()) == ["cuda:0", "cuda:1"]  # and `tuning` adds to them


def test_as_many_workers_start_as_fit_into_memory(machine, monkeypatch):
    machine(CudaProbe())
    warnings: list[str] = []
    monkeypatch.setattr(devices, "cpu_cores", lambda: 64)
    monkeypatch.setattr(devices, "available_host_memory", lambda: 12 << 30)
    assert worker_devices(ComputeSection(), warn=warnings.append) == ["cpu"] * 12
    assert warnings == [
        "12 workers on 64 cores: more would not fit into the memory that is free "
        "([compute] workers_per_device sets another number)"
    ]
    assert worker_devices(ComputeSection(workers_per_device=20), warn=warnings.append) == ["cpu"] * 20
    assert worker_devices(ComputeSection(threads=8), warn=warnings.append) == ["cpu"] * 8
    assert len(warnings) == 1
    monkeypatch.setattr(devices, "available_host_memory", lambda: 1 << 20)
    assert worker_devices(ComputeSection()) == ["cpu"]


def test_gpus_get_as_many_workers_as_fit_into_the_memory_of_the_machine(machine, monkeypatch):
    machine(CudaProbe((GPU, GPU)))
    monkeypatch.setattr(devices, "cpu_cores", lambda: 64)
    limits = []
    for size in (1, 20, 1000):
        monkeypatch.setattr(devices, "available_host_memory", lambda size=size: size << 30)
        limits.append(devices.max_workers("cuda:0", ComputeSection()))
    assert limits == [1, 4, devices.MAX_WORKERS_PER_GPU]
    monkeypatch.setattr(devices, "available_host_memory", lambda: 20 << 30)
    assert devices.max_workers("cuda:0", ComputeSection(devices=["cuda:0"])) == 8


@pytest.mark.parametrize("device", ["cuda:0", "cuda:7", "tpu", "cuda:x", "cuda:" + "9" * 5000, "cuda:\u00b2"])
def test_a_device_that_is_not_here_is_refused(device, machine):
    machine(CudaProbe())
    with pytest.raises(DeviceError, match=device[:8]) as caught:
        worker_devices(ComputeSection.model_construct(devices=[device]))
    assert caught.value.exit_code is ExitCode.DEVICE


def test_a_device_that_cannot_be_used_is_refused_in_torchs_own_words(machine):
    machine(CudaProbe(reason=OLD_DRIVER))
    with pytest.raises(DeviceError, match="driver on your system is too old"):
        worker_devices(ComputeSection(devices=["cuda:0"]))
    machine(CudaProbe((BUSY, BUSY)))
    with pytest.raises(DeviceError, match=r'"cuda:0" cannot be used: .*busy.*; "cuda:1" cannot be used: .*busy'):
        worker_devices(ComputeSection(devices=["cuda:0", "cuda:1"]))


def test_a_named_device_that_cannot_be_used_is_left_out_with_a_warning(machine, monkeypatch):
    monkeypatch.setattr(devices, "cpu_cores", lambda: 1)
    machine(CudaProbe((GPU, BUSY)))
    warnings: list[str] = []
    compute = ComputeSection(devices=["cuda:0", "cuda:1", "cpu"])
    assert worker_devices(compute, warn=warnings.append) == ["cuda:0", "cpu"]
    (warning,) = warnings
    assert warning.startswith('compute.devices: "cuda:1" cannot be used: CUDA error')
    with pytest.raises(DeviceError, match='"tpu" is not a device'):
        worker_devices(ComputeSection.model_construct(devices=["cpu", "tpu"]))


@pytest.mark.parametrize(
    ("result", "gpu", "hidden", "used", "warned"),
    [
        (CudaProbe(reason=OLD_DRIVER), True, None, "cpu", "training on the CPU: torch cannot use the GPU"),
        (CudaProbe(reason=OLD_DRIVER), True, "", "cpu", ""),
        (CudaProbe(reason="No CUDA GPUs are available"), False, None, "cpu", ""),
        (CudaProbe((GPU, BUSY)), True, None, "cuda:0", "cuda:1 is not used: CUDA error"),
        (CudaProbe((GPU,)), True, None, "cuda:0", ""),
    ],
)
def test_no_device_is_left_out_without_a_word(machine, monkeypatch, result, gpu, hidden, used, warned):
    machine(result, gpu)
    monkeypatch.setattr(devices, "cpu_cores", lambda: 1)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    warnings: list[str] = []
    assert worker_devices(ComputeSection(), warn=warnings.append) == [used]
    assert len(warnings) == bool(warned)
    assert warned in "".join(warnings)


def test_gpus_that_a_task_was_given_are_not_passed_over(machine):
    machine(CudaProbe((GPU, BUSY)))
    with pytest.raises(
        DeviceError, match=r"the config requests 2 GPUs per task, but torch can use 1 \(cuda:1: CUDA error"
    ):
        worker_devices(ComputeSection(), gpus=2)


def test_a_probe_survives_being_printed():
    for result in (CudaProbe((GPU, BUSY)), CudaProbe(reason=OLD_DRIVER)):
        assert from_json(to_json(result)) == result


@pytest.mark.parametrize("line", ["", "1", "[]", "{}", '{"devices": [{}], "reason": ""}', "Aborted"])
def test_what_is_no_probe_is_refused(line):
    with pytest.raises(ValueError):  # noqa: PT011
        from_json(line)


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Let a program of ours answer in torch's place."""
    monkeypatch.setattr(devices, "_DRIVER_FILES", ("/dev/null",))

    def answer(code: str) -> CudaProbe:
        script = tmp_path / "python"
        script.write_text(f"#!{sys.executable}\n{code}\n")
        script.chmod(0o755)
        probe_cuda.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(devices.sys, "executable", str(script))
            result = probe_cuda()
        probe_cuda.cache_clear()
        return result

    return answer


def test_a_torch_that_crashes_is_a_reason_and_not_a_machine_without_gpus(program):
    assert program("raise SystemExit('libcudart.so.13: cannot open shared object file')").reason == (
        "cannot run torch: libcudart.so.13: cannot open shared object file"
    )
    assert program("import os; os.abort()").reason == "cannot run torch: no message"


def test_what_else_is_printed_does_not_hide_the_answer(program):
    line = to_json(CudaProbe((GPU,)))
    assert program(f"print('Warning: x'); print({line!r})") == CudaProbe((GPU,))


def test_a_torch_that_does_not_answer_is_a_reason(program, monkeypatch):
    monkeypatch.setattr(devices, "_PROBE_TIMEOUT", 0.2)
    assert "did not answer" in program("import time; time.sleep(60)").reason


class TorchOfAnOldDriver:
    """What torch says there: the driver's library counts devices that torch cannot use."""

    class version:  # noqa: N801
        cuda, hip = "13.2", None

    class cuda:  # noqa: N801
        DeferredCudaCallError = RuntimeError

        @staticmethod
        def init():
            raise RuntimeError(f"{OLD_DRIVER} Please update your GPU driver\nand more")

        @staticmethod
        def device_count():
            return 1


def test_an_old_driver_is_named_and_not_zero_devices(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", TorchOfAnOldDriver)
    assert probe() == CudaProbe(reason=f"{OLD_DRIVER} Please update your GPU driver")
    assert "too old" in cuda.unusable_reason(0)


def test_a_worker_refuses_a_device_in_torchs_own_words():
    with pytest.raises(DeviceError, match=r'device "cuda:5" cannot be used: .+') as caught:
        choose_numerics("cuda:5", "auto", 1)
    assert caught.value.exit_code is ExitCode.DEVICE


def test_the_program_prints_a_probe():
    command = [sys.executable, "-P", "-m", "tui_influence.training.cuda"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path("/"))
    result = from_json(done.stdout.splitlines()[-1])
    assert result.reason or result.devices


@pytest.fixture
def mac(monkeypatch):
    """A Mac, whose torch prints something."""
    monkeypatch.setattr(sys, "platform", "darwin")

    def prints(text: str, errors: str = "") -> None:
        done = subprocess.CompletedProcess([], 0, text, errors)
        monkeypatch.setattr(subprocess, "run", lambda *_, **options: environments.append(options["env"]) or done)
        devices.mps_reason.cache_clear()

    environments: list[dict[str, str]] = []
    prints.environments = environments
    yield prints
    devices.mps_reason.cache_clear()


def test_the_gpu_of_a_mac_is_used_where_it_is_named(mac):
    mac('\n{"reason": ""}\n')
    compute = ComputeSection(devices=["mps", "cpu"])
    assert worker_devices(compute)[0] == "mps"
    assert devices.max_workers("mps", compute) == 1
    assert mac.environments[0]["PYTORCH_ENABLE_MPS_FALLBACK"] == "1"
    assert len(mac.environments) == 1


@pytest.mark.parametrize(
    ("text", "errors", "reason"),
    [
        ('{"reason": "no GPU of Apple"}', "", "no GPU of Apple"),
        ("", "Traceback\nImportError: no torch", "cannot run torch: ImportError: no torch"),
        ("{}", "", "cannot run torch: no message"),
    ],
)
def test_the_gpu_of_a_mac_that_cannot_be_used_is_refused_with_the_reason(mac, text, errors, reason):
    mac(text, errors)
    with pytest.raises(DeviceError, match=f'"mps" cannot be used: {reason}'):
        worker_devices(ComputeSection(devices=["mps"]))


def test_no_process_is_started_where_there_is_no_mac(mac, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(DeviceError, match="this is not a Mac"):
        worker_devices(ComputeSection(devices=["mps"]))
    assert mac.environments == []
    assert worker_devices(ComputeSection(devices=["cpu"]))
