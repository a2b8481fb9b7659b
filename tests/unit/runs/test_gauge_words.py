from dataclasses import replace

import pytest

from tui_influence.render.run_words import align_columns, device_cells, device_name, format_bytes, worker_cells
from tui_influence.runs.heartbeat import DeviceState, WorkerState

H100 = DeviceState("cuda:0", "NVIDIA H100\x1b[2J", 0.974, int(41.2 * 2**30), 80 << 30, 64.0, 612.4)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (2048, "2 KiB"), (700 << 20, "700 MiB"), (1023 << 20, "1.0 GiB"), (3 << 30, "3.0 GiB"),
     (5 << 40, "5.0 TiB"), (10**18, "909494.7 TiB")],
)  # fmt: skip
def test_bytes_have_a_fitting_unit(count, words):
    assert format_bytes(count) == words


def test_a_device_is_shown_in_cells():
    assert device_cells(H100) == [" 97%", "41.2 of 80.0 GiB", "64 °C", "612 W"]
    assert device_cells(H100, short=True, ascii=True) == [" 97%", "41/80 GiB", "64 C", "612 W"]
    assert device_cells(DeviceState("cuda:0")) == ["   -", "", "", ""]
    assert device_cells(DeviceState("cuda:0", memory_used=3 << 30))[1] == "3.0 GiB"
    assert device_name(H100) == "H100\\x1b[2J"


def test_a_worker_is_shown_in_cells():
    busy = WorkerState(0, "cuda:0", 1, "estimate 3", 1234, 62.0, 0.98, 700 << 20)
    assert worker_cells(busy) == ["cuda:0", "estimate 3", "for 1 min 02 s", "1,234 done", "98% cpu", "700 MiB"]
    silent = replace(busy, silence=42.0)
    assert worker_cells(silent)[2] == "silent for 42 s"
    assert worker_cells(WorkerState(0, "\x1b", 1, "", 0)) == ["\\x1b", "idle", "", "0 done", "", ""]


def test_cells_line_up_and_what_does_not_fit_or_is_empty_is_left_out():
    rows = [["cpu", "", "9 done", "x"], ["cuda:0", "", "10 done", "yz"]]
    assert align_columns(rows) == ["cpu      9 done  x ", "cuda:0  10 done  yz"]
    assert align_columns(rows, 19) == align_columns(rows)
    assert align_columns(rows, 18) == ["cpu      9 done", "cuda:0  10 done"]
    assert align_columns(rows, 1) == ["cpu   ", "cuda:0"]
    assert align_columns([]) == []
    assert align_columns([["", ""]] * 2) == ["", ""]
