"""Snapshots of the allocator: what PyTorch writes is read, and whatever else a pickle can be is one clear error."""

import contextlib
import io
import os
import pickle
import pickletools
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membench.errors import MembenchError
from membench.snapshot import Frame, Segment, Snapshot, Stack, addresses_ascend, live_blocks, read_snapshot

FRAMES = [
    {"filename": "??", "line": 0, "name": "at::native::empty_cuda"},
    {"filename": "/usr/lib/python3.12/site-packages/torch/nn/modules/linear.py", "line": 125, "name": "forward"},
    {"filename": "/home/me/train.py", "line": 17, "name": "step"},
]
PLAIN: dict[str, Any] = {
    "segments": [
        {
            **{"device": 0, "address": 1 << 45, "total_size": 2097152, "allocated_size": 512, "active_size": 512},
            **{"stream": 0, "segment_type": "small", "segment_pool_id": (0, 0), "frames": FRAMES},
            "blocks": [
                {"size": 512, "requested_size": 4, "state": "active_allocated", "frames": FRAMES},
                {"size": 2096640, "requested_size": 0, "state": "inactive"},
            ],
        }
    ],
    "device_traces": [
        [],
        [
            {"action": "segment_alloc", "addr": 1 << 45, "size": 2097152, "stream": 0, "frames": FRAMES},
            {"action": "alloc", "addr": 1 << 45, "size": 512, "stream": 0, "time_us": 7, "frames": FRAMES},
            {"action": "oom", "device_free": 99, "size": 1 << 40, "stream": 0},
        ],
    ],
}


def written(folder: Path, content: bytes | object) -> Path:
    path = folder / "snapshot.pickle"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return path


def test_what_pytorch_writes_is_read(tmp_path: Path) -> None:
    snapshot = read_snapshot(written(tmp_path, PLAIN))
    events = snapshot.trace()
    assert events == snapshot.trace(1)
    assert [(event.action, event.size) for event in events] == [
        ("segment_alloc", 2097152),
        ("alloc", 512),
        ("oom", 1 << 40),
    ]
    assert (events[1].addr, events[1].time_us, events[1].device_free, events[2].device_free) == (1 << 45, 7, None, 99)
    assert [block.requested_size for block in live_blocks(snapshot)] == [4]
    assert str(events[0].frames.cause) == "/home/me/train.py:17 (step)"
    assert events[0].frames is events[1].frames, "stacks are shared, as in the file"
    assert events[2].frames.cause is None


@pytest.mark.parametrize(("address", "ascend"), [(0x7F2062000000, False), (0xA02E00000, True)])
def test_small_addresses_are_those_of_a_driver_that_goes_upwards(address: int, ascend: bool) -> None:
    assert addresses_ascend(Snapshot(segments=(Segment(total_size=2, blocks=(), address=address),))) is ascend
    assert not addresses_ascend(Snapshot(segments=()))


def test_the_cause_is_the_users_own_line_where_there_is_one() -> None:
    library = Frame(filename="/v/lib/python3.12/site-packages/torch/optim/adam.py", line=3, name="step")
    standard = Frame(filename="/usr/lib/python3.12/runpy.py", line=1, name="run")
    native = Frame(filename="memory.cpp", line=0, name="malloc")
    assert Stack((native, library, standard)).cause == library
    assert Stack((native,)).cause is None


def test_a_trace_must_be_there_and_be_one(tmp_path: Path) -> None:
    snapshot = read_snapshot(written(tmp_path, {**PLAIN, "device_traces": [PLAIN["device_traces"][1]] * 2}))
    with pytest.raises(MembenchError, match="events of the devices 0, 1; choose one"):
        snapshot.trace()
    with pytest.raises(MembenchError, match="no events of device 2; record with"):
        snapshot.trace(2)
    with pytest.raises(MembenchError, match="no events; record with"):
        read_snapshot(written(tmp_path, {"segments": []})).trace()


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_file_that_names_code_is_refused_and_nothing_runs(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "ran"
    path = written(tmp_path, pickle.dumps({**PLAIN, "more": [Hostile(target)]}, protocol))
    with pytest.raises(
        MembenchError, match=r"is refused: it names \w+\.mkdir, and a snapshot of the allocator names no"
    ):
        read_snapshot(path)
    assert not target.exists()
    pickle.loads(path.read_bytes())
    assert target.exists(), "the file is hostile indeed"


def test_a_reference_to_elsewhere_is_refused(tmp_path: Path) -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> str | None:
            return "elsewhere" if isinstance(value, set) else None

    buffer = io.BytesIO()
    Pickler(buffer).dump({"segments": [set()]})
    with pytest.raises(MembenchError, match="refers to something outside itself"):
        read_snapshot(written(tmp_path, buffer.getvalue()))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no pickle that can be read"),
        (b"PK\x03\x04 a file of torch.save", "is refused: it refers to something outside itself"),
        (pickle.dumps(PLAIN)[:-40], "is no pickle that can be read"),
        (b"\x80\x04\x8d" + (1 << 62).to_bytes(8, "little"), "is no pickle that can be read"),
        ([1, 2], "is no snapshot of PyTorch's allocator"),
        ({"device_traces": []}, "is no snapshot of PyTorch's allocator .*missing required field `segments`"),
        ({"segments": [], "device_traces": [[{"size": 1}]]}, "missing required field `action`"),
        ({"segments": [], "device_traces": [[{"action": "alloc", "size": "many"}]]}, "Expected `int`, got `str`"),
        ({"segments": [], "device_traces": [[{"action": "alloc", "frames": 3}]]}, "Expected `array`, got `int`"),
        ({"segments": [], "device_traces": [[{"action": "alloc", "frames": [{}]}]]}, "missing required field"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path: Path, content: object, reason: str) -> None:
    with pytest.raises(MembenchError, match=reason) as caught:
        read_snapshot(written(tmp_path, content))
    assert "\n" not in str(caught.value)
    assert "snapshot.pickle" in str(caught.value)


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(MembenchError, match="No such file or directory"):
        read_snapshot(tmp_path / "none.pickle")
    with pytest.raises(MembenchError, match="Is a directory"):
        read_snapshot(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02]r\xff\xff\xff\x3f.",
        b"\x80\x05\x96\x00\x00\x00\x40\x00\x00\x00\x00.",
        b"\x80\x04\x8d" + b"\x7f" * 8 + b".",
    ],
)
def test_a_few_bytes_do_not_take_much_memory(tmp_path: Path, content: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(MembenchError):
        read_snapshot(written(tmp_path, content))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


GOOD = pickletools.optimize(pickle.dumps(PLAIN, 2))


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
@settings(max_examples=400, deadline=None)
def test_a_damaged_byte_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, position: int, byte: int) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.pickle"
    path.write_bytes(GOOD[:position] + bytes([byte]) + GOOD[position + 1 :])
    with contextlib.suppress(MembenchError):
        read_snapshot(path)
