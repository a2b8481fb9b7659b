"""What happened to a run is read line by line; what is no event is passed over and stops nobody."""

import json
import os

import pytest

from tui_influence.errors import ResultsError
from tui_influence.render.run_words import event_sentence, event_time
from tui_influence.store.events import EventLog, count_damaged_lines, read_events
from tui_influence.store.files import DiskFullError, last_line


def kinds(path) -> list[str]:
    return [event["event"] for event, _ in read_events(path)]


def test_events_come_back_and_a_torn_line_waits_for_its_end(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.write("started", pid=1)
    log.write("model", index=3)
    with path.open("ab") as file:
        file.write(b'{"event": "mod')
    first = list(read_events(path))
    assert [event["event"] for event, _ in first] == ["started", "model"]
    log.close()
    again = EventLog(path)
    again.write("resumed")
    again.close()
    after = [event["event"] for event, _ in read_events(path, first[-1][1])]
    assert after == ["resumed"]


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "model", "time": ' + "1" * 400 + "}",
        '{"event": "model", "time": 1, "seconds": ' + "1" * 400 + "}",
        '{"event": "model", "time": 1, "seconds": NaN}',
        '{"event": "model", "time": 1, "seconds": 1e999}',
        '{"event": "model", "time": 1, "metrics": [{"source_accuracy": Infinity}]}',
        '{"event": "model", "time": 1, "metrics": [{"source_accuracy": "high"}]}',
        '{"event": "model", "time": 1, "metrics": {"source_accuracy": 1}}',
        '{"event": "model", "time": true}',
        '{"event": "model", "time": -1}',
        '{"event": 3, "time": 1}',
        '{"time": 1}',
        "[" * 100_000,
        '["event"]',
        "\x00\xff",
    ],
    ids=lambda line: line[:60],
)
def test_a_line_that_is_no_event_is_passed_over(tmp_path, line):
    path = tmp_path / "events.jsonl"
    sound = json.dumps({"event": "model", "time": 2, "role": "estimate", "index": 3, "seconds": 1.5})
    path.write_bytes(f"{line}\n{sound}\n".encode("latin-1"))
    (event,) = [event for event, _ in read_events(path)]
    assert event["time"] == 2
    assert event_sentence(event)
    assert event_time(event)


def test_a_line_longer_than_any_event_hides_none_of_those_after_it(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.write("started")
    log.close()
    with path.open("ab") as file:
        file.write(b"x" * (3 << 20) + b"\n")
    log = EventLog(path)
    log.write("done")
    log.close()
    assert kinds(path) == ["started", "done"]
    (_, first), (_, second) = read_events(path)
    assert [event["event"] for event, _ in read_events(path, first)] == ["done"]
    assert second == path.stat().st_size


def test_a_terabyte_of_nothing_is_not_read(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.write("started")
    log.close()
    os.truncate(path, 1 << 40)
    assert kinds(path) == ["started"]
    assert count_damaged_lines(path) == 1


def test_a_number_that_json_has_no_word_for_costs_the_field_and_not_the_event(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.write("model", seconds=float("nan"), metrics=[{"source_loss": float("inf"), "source_accuracy": 0.5}])
    log.append([{"event": "model", "time": 1.0, "metrics": [{"source_loss": float("nan")}]}])
    log.close()
    first, second = (event for event, _ in read_events(path))
    assert "seconds" not in first
    assert first["metrics"] == [{"source_accuracy": 0.5}]
    assert second["metrics"] == [{}]


def test_a_pipe_in_place_of_a_log_is_refused_and_not_waited_for(tmp_path):
    path = tmp_path / "events.jsonl"
    os.mkfifo(path)
    with pytest.raises(ResultsError, match="not a regular file"):
        list(read_events(path))
    with pytest.raises(ResultsError, match=r"events\.jsonl"):
        EventLog(path)
    assert last_line(path) == ""


def test_events_are_not_written_through_a_link(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious\n")
    (tmp_path / "events.jsonl").symlink_to(elsewhere)
    with pytest.raises(ResultsError, match=r"cannot write .*events\.jsonl"):
        EventLog(tmp_path / "events.jsonl")
    assert elsewhere.read_text() == "precious\n"


def test_damaged_lines_are_counted_and_every_event_ends_where_the_next_begins(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path, host="node")
    for index in range(3):
        log.write("model", index=index)
    log.close()
    content = path.read_bytes()
    path.write_bytes(b"x\n" + content + b"{}\n" + content[:10])
    assert count_damaged_lines(path) == 2
    found = list(read_events(path))
    assert [event["index"] for event, _ in found] == [0, 1, 2]
    assert {event["host"] for event, _ in found} == {"node"}
    ends = [end for _, end in found]
    assert path.read_bytes()[: ends[-1]] == b"x\n" + content
    for place, end in enumerate(ends):
        assert [event["index"] for event, _ in read_events(path, end)] == [0, 1, 2][place + 1 :]
    assert list(read_events(tmp_path / "none.jsonl")) == []


@pytest.mark.parametrize(("time", "is_event"), [(0, True), (253402300800, True), (253402300801, False), (-0.5, False)])
def test_an_event_has_a_time_that_a_calendar_can_show(tmp_path, time, is_event):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({"event": "model", "time": time}) + "\n")
    assert len(kinds(path)) == is_event


def test_events_of_others_keep_their_times_and_a_full_disk_takes_none_of_them(tmp_path, monkeypatch):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.append([{"event": "model", "time": 5.0}, {"event": "model", "time": 6.0}])
    assert [event["time"] for event, _ in read_events(path)] == [5.0, 6.0]
    before = path.read_bytes()
    write = log._file.write
    parts = iter([lambda lines: write(lines[:7]), None])

    class Full:
        def write(self, lines):
            part = next(parts)
            if part is None:
                raise OSError(28, "No space left on device")
            return part(lines)

        def __getattr__(self, name):
            return getattr(real, name)

    real = log._file
    log._file = Full()
    with pytest.raises(DiskFullError, match="no space left"):
        log.append([{"event": "model", "time": 7.0}])
    assert path.read_bytes() == before


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.write("started")
    before = path.read_bytes()

    class Short:
        def write(self, line):
            return real.write(line[:-1])

        def __getattr__(self, name):
            return getattr(real, name)

    real = log._file
    log._file = Short()
    with pytest.raises(DiskFullError, match="no space left on the disk"):
        log.write("model")
    assert path.read_bytes() == before


def test_the_time_of_an_event_is_to_the_millisecond(tmp_path, monkeypatch):
    monkeypatch.setattr("tui_influence.store.events.time.time", lambda: 12.3456789)
    log = EventLog(tmp_path / "events.jsonl")
    log.write("started")
    log.close()
    ((event, _),) = read_events(tmp_path / "events.jsonl")
    assert event["time"] == 12.346


@pytest.mark.parametrize("torn", [b"x", b"xy", b"\n", b""])
def test_a_line_that_was_cut_short_stays_alone_however_short_it_is(tmp_path, torn):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "started", "time": 1}\n' + torn)
    log = EventLog(path)
    log.write("resumed")
    log.close()
    assert kinds(path) == ["started", "resumed"]
    assert path.read_bytes().count(b"\n") == 2 + bool(torn)


def test_a_worker_says_how_much_it_reads_while_it_trains():
    event = {"event": "worker-ready", "time": 1.0, "worker": 0, "numerics": "cpu fp32 1 thread"}
    assert event_sentence(event) == "worker 0 is ready; it trains with cpu fp32 1 thread"
    streamed = event_sentence({**event, "streamed_bytes": 3 << 30})
    assert streamed == "worker 0 is ready; it trains with cpu fp32 1 thread; it reads 3.0 GiB of images as it trains"
    assert event_sentence({**event, "streamed_bytes": "3"}) == event_sentence(event)
