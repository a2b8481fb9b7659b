"""What devices and workers are measured to do, by a driver that is made up and by processes that are real."""

import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from tui_influence.runs import resources
from tui_influence.runs.devices import cpu_cores
from tui_influence.runs.heartbeat import DeviceState, WorkerState
from tui_influence.runs.resources import Nvml, ProcessUsage, ResourceMonitor, ResourceSample, ResourceSampler

UUIDS = ["GPU-11111111-aaaa", "GPU-22222222-bbbb"]
SLICE = "MIG-33333333-cccc"


class NVMLError(Exception):
    pass


class Driver(SimpleNamespace):
    """A module like pynvml, over two GPUs and a slice of the second; `mute` names what it does not answer."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *mute: str) -> None:
        super().__init__(mute=set(mute), open=0)

    def __getattribute__(self, name):
        if name.startswith("nvml") and name in self.mute:
            return self._refuse
        return super().__getattribute__(name)

    def _refuse(self, *_):
        raise NVMLError("not supported")

    def nvmlInit(self):  # noqa: N802
        self.open += 1

    def nvmlShutdown(self):  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(UUIDS)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index if index < len(UUIDS) else self._refuse()

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        return "slice" if uuid == SLICE else self._refuse()

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):  # noqa: N802
        return 1 if handle == "slice" else self._refuse()

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return UUIDS[handle]

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return f"NVIDIA Test {handle}"

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802
        return self._refuse() if handle == "slice" else SimpleNamespace(gpu=40 + handle, memory=3)

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(used=5 if handle == "slice" else 10 + handle, total=80)

    def nvmlDeviceGetTemperature(self, handle, _sensor):  # noqa: N802
        return 60 + handle  # and a slice, which is no number, has none

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802
        return 300_500 + handle


@pytest.fixture
def driver(monkeypatch):
    """Installs a driver that is mute on some questions, and what CUDA may see."""

    def install(*mute, visible=None):
        made = Driver(*mute)
        monkeypatch.setitem(sys.modules, "pynvml", made)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        return made

    return install


def worker(pid, device="cpu", number=0):
    return WorkerState(number, device, pid, "", 0)


def test_a_driver_is_asked_for_everything_and_let_go(driver):
    made = driver()
    nvml = Nvml()
    assert nvml.read("cuda:1") == DeviceState("cuda:1", "NVIDIA Test 1", 0.41, 11, 80, 61, 300.501)
    assert nvml.read("cuda").name == "NVIDIA Test 0"
    assert made.open == 1
    nvml.close()
    nvml.close()
    assert made.open == 0
    assert nvml.read("cuda") == DeviceState("cuda")


@pytest.mark.parametrize(
    ("visible", "device", "name"),
    [
        ("1", "cuda:0", "NVIDIA Test 1"),
        ("1, 0", "cuda:1", "NVIDIA Test 0"),
        (UUIDS[1], "cuda", "NVIDIA Test 1"),
        ("GPU-2,GPU-1", "cuda:0", "NVIDIA Test 1"),
        ("GPU-2,GPU-1", "cuda:1", "NVIDIA Test 0"),
        ("0", "cuda:1", ""),
        ("7", "cuda:0", ""),
        ("GPU-9", "cuda:0", ""),
        ("", "cuda:0", ""),
        ("-1", "cuda:0", ""),
        ("MIG-9", "cuda:0", ""),
    ],
)
def test_devices_are_numbered_as_cuda_is_told_to_number_them(driver, visible, device, name):
    driver(visible=visible)
    assert Nvml().read(device).name == name


def test_a_slice_of_a_gpu_has_its_own_memory_and_the_temperature_of_the_whole(driver):
    driver(visible=f"0,{SLICE}")
    assert Nvml().read("cuda:1") == DeviceState("cuda:1", "NVIDIA Test slice", None, 5, 80, 61, 300.501)


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("nvmlDeviceGetName", {"name": ""}),
        ("nvmlDeviceGetUtilizationRates", {"utilisation": None}),
        ("nvmlDeviceGetMemoryInfo", {"memory_used": None, "memory_total": None}),
        ("nvmlDeviceGetTemperature", {"temperature": None}),
        ("nvmlDeviceGetPowerUsage", {"power": None}),
        ("nvmlDeviceGetHandleByIndex", vars(DeviceState("cuda:0"))),
        ("nvmlInit", vars(DeviceState("cuda:0"))),
    ],
)
def test_what_the_driver_does_not_tell_is_missing_and_nothing_else_is(driver, question, missing):
    driver()
    everything = vars(Nvml().read("cuda:0"))
    driver(question)
    assert vars(Nvml().read("cuda:0")) == everything | missing


def test_a_gpu_that_is_lost_on_the_way_is_a_device_without_gauges(driver):
    made = driver()
    nvml = Nvml()
    assert nvml.read("cuda:0").utilisation == 0.4
    made.mute |= {name for name in dir(made) if name.startswith("nvmlDevice")}
    assert nvml.read("cuda:0") == DeviceState("cuda:0")
    made.mute.add("nvmlShutdown")
    nvml.close()


def test_without_the_binding_there_are_no_gauges(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)  # makes its import fail
    assert Nvml().read("cuda:0") == DeviceState("cuda:0")


def test_without_a_driver_the_real_binding_gives_no_gauges(monkeypatch):
    def fail(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "CDLL", fail)
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    nvml = Nvml()
    assert nvml.read("cuda:0") == DeviceState("cuda:0")
    nvml.close()


def test_a_sweep_on_the_cpu_asks_no_driver(driver):
    made = driver()
    sampler = ResourceSampler()
    sampler.sample([worker(os.getpid())])
    assert made.open == 0
    sampler.sample([worker(os.getpid()), worker(os.getpid(), "cuda:0")])
    assert made.open == 1
    sampler.close()
    assert made.open == 0


@pytest.fixture
def busy():
    """A process that keeps a core busy and holds 64 MiB."""
    code = "held = b'x' * (64 << 20); print(flush=True)\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_busy_worker_is_seen_to_use_its_core_and_its_memory(busy):
    sampler = ResourceSampler()
    first = sampler.sample([worker(busy.pid)])
    assert first.devices["cpu"].utilisation is None  # one reading is no rate
    assert first.devices["cpu"].name.startswith(f"{cpu_cores()} core")
    time.sleep(0.5)
    second = sampler.sample([worker(busy.pid)])
    usage, cpu = second.processes[busy.pid], second.devices["cpu"]
    assert 0 < usage.cpu < 1.5
    assert cpu.utilisation == pytest.approx(min(usage.cpu / cpu_cores(), 1.0))
    assert 64 << 20 < usage.resident < cpu.memory_total == psutil.virtual_memory().total
    assert cpu.memory_used == usage.resident


def test_memory_that_workers_share_is_counted_once():
    usages = [ProcessUsage(1.0, 100, 60), ProcessUsage(0.5, 90, 50)]
    assert resources._cpu("cpu", usages).memory_used == 40 + 40 + 60


def test_a_worker_that_has_ended_is_left_out(busy):
    sampler = ResourceSampler()
    workers = [worker(busy.pid), worker(os.getpid(), number=1)]
    assert len(sampler.sample(workers).processes) == 2
    busy.kill()
    busy.wait()
    assert list(sampler.sample(workers).processes) == [os.getpid()]


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_devices_and_workers_are_shown_at_once_and_their_gauges_when_they_are_read(driver):
    made = driver()
    states = [worker(os.getpid(), "cuda:1"), worker(os.getpid(), "cpu", 1)]
    monitor = ResourceMonitor()
    assert [device.device for device in monitor.with_usage(states)[0]] == ["cuda:1", "cpu"]
    wait_for(lambda: monitor.with_usage(states)[0][0].temperature == 61)
    devices, workers = monitor.with_usage(states)
    assert devices[1].memory_total
    assert all(state.memory for state in workers)
    assert monitor.with_usage([]) == ([], [])
    monitor.close()
    assert made.open == 0


def test_a_driver_that_no_longer_answers_costs_the_gauges_and_not_the_run(driver, monkeypatch):
    hang = threading.Event()
    driver().nvmlDeviceGetPowerUsage = lambda handle: hang.wait(20)
    monkeypatch.setattr(resources, "_JOIN_TIMEOUT", 0.05)
    monitor = ResourceMonitor()
    states = [worker(os.getpid(), "cuda:0")]
    for _ in range(3):
        assert monitor.with_usage(states) == ([DeviceState("cuda:0")], states)
    monitor.close()
    hang.set()


def test_a_reading_that_is_old_is_not_shown(monkeypatch):
    states = [worker(1, "cuda:0")]
    monitor = ResourceMonitor()
    monitor._thread = threading.Thread()  # none of its own
    warm = DeviceState("cuda:0", temperature=60.0)
    monitor._sample = ResourceSample(time.monotonic(), {"cuda:0": warm}, {1: ProcessUsage(0.5, 10, 0)})
    assert monitor.with_usage(states) == ([warm], [WorkerState(0, "cuda:0", 1, "", 0, cpu=0.5, memory=10)])
    monitor._sample = ResourceSample(time.monotonic() - resources.SAMPLE_EXPIRY - 1, {"cuda:0": warm})
    assert monitor.with_usage(states) == ([DeviceState("cuda:0")], states)
