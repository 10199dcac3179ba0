import json
import multiprocessing
import os
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from membench.errors import MembenchError
from membench.result import DeviceInfo, Measurement
from membench.spec import ProbeSpec
from membench.store import RESULTS, Provenance, Store, read_records
from membench.units import GIB

DEVICE = DeviceInfo(
    name="t4-16gb", kind="emulated", title="T4", total_bytes=16 * GIB, compute_capability="7.5", multiprocessors=40
)
HERE = Provenance(device=DEVICE, versions={"torch": "2.11"})


def measured(batch: int, **fields) -> Measurement:
    known = {"status": "fits", "device": DEVICE, "versions": HERE.versions, "peak_reserved_bytes": batch * GIB}
    return Measurement(spec=ProbeSpec(batch=batch), **(known | fields))


def fill(folder: Path, count: int) -> list[Measurement]:
    records = [measured(batch) for batch in range(1, count + 1)]
    with Store(folder) as store:
        for record in records:
            store.put(record)
    return records


def test_what_was_put_is_there_after_reopening(tmp_path):
    records = fill(tmp_path / "new" / "folder", 3)

    with Store(tmp_path / "new" / "folder") as store:
        assert store.notices == ()
        assert [store.get(record.spec, HERE) for record in records] == records
        assert store.get(ProbeSpec(batch=9), HERE) is None


def test_a_measurement_is_on_disk_as_soon_as_it_is_put(tmp_path):
    with Store(tmp_path) as store:
        store.put(measured(1))
        records, notices = read_records(tmp_path)
        assert list(records) == [measured(1)]
        assert notices == ()


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"versions": {"torch": "2.12"}},
        {"versions": {}},
        {"device": None},
        {"device": msgspec.structs.replace(DEVICE, kind="real")},
        {"device": msgspec.structs.replace(DEVICE, total_bytes=15 * GIB)},
    ],
)
@pytest.mark.parametrize("status", ["fits", "oom"])
def test_measurements_from_elsewhere_are_not_reused(tmp_path, elsewhere, status):
    with Store(tmp_path) as store:
        store.put(measured(1, status=status, **elsewhere))
        assert store.get(ProbeSpec(batch=1), HERE) is None
        store.put(measured(1, status=status))
        store.put(measured(1, status=status, **elsewhere))
        assert store.get(ProbeSpec(batch=1), HERE) == measured(1, status=status)


def test_a_probe_that_died_before_it_knew_its_device_is_known(tmp_path):
    crashed = measured(1, status="crashed", device=None, versions={})
    with Store(tmp_path) as store:
        store.put(crashed)
        assert store.get(crashed.spec, HERE) == crashed
        store.put(measured(1))
        assert store.get(crashed.spec, HERE) == measured(1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere_keeps_every_whole_record(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("cut")
    records = fill(folder, 3)
    content = (folder / RESULTS).read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    (folder / RESULTS).write_bytes(content[:cut])
    ends = [len(b"\n".join(content.split(b"\n")[: number + 1])) for number in range(3)]
    whole = sum(end <= cut for end in ends)
    torn = cut not in (0, *ends, *(end + 1 for end in ends))

    with Store(folder) as store:
        assert [record for record in records if store.get(record.spec, HERE)] == records[:whole]
        tails = list(folder.glob("*.tail*"))
        assert len(tails) == len(store.notices) == torn
        if torn:
            begin = ends[whole - 1] + 1 if whole else 0
            assert tails[0].read_bytes() == content[begin:cut] + b"\n"
            assert tails[0].name in store.notices[0]
        store.put(measured(9))

    with Store(folder) as store:
        assert store.notices == ()
        assert [record for record in records if store.get(record.spec, HERE)] == records[:whole]
        assert store.get(ProbeSpec(batch=9), HERE) == measured(9)


def test_a_damaged_line_in_the_middle_is_set_aside_beside_an_earlier_tail(tmp_path):
    records = fill(tmp_path, 3)
    lines = (tmp_path / RESULTS).read_bytes().splitlines()
    (tmp_path / RESULTS).write_bytes(b"\n".join([lines[0], b"\xff not json", lines[1], b'{"spec": 1}', lines[2], b""]))
    (tmp_path / f"{RESULTS}.tail").write_bytes(b"from an earlier time\n")

    with Store(tmp_path) as store:
        assert all(store.get(record.spec, HERE) for record in records)
        assert "2 unreadable" in store.notices[0]
        assert f"{RESULTS}.tail.1" in store.notices[0]
    assert (tmp_path / f"{RESULTS}.tail").read_bytes() == b"from an earlier time\n"
    assert (tmp_path / f"{RESULTS}.tail.1").read_bytes() == b'\xff not json\n{"spec": 1}\n'
    assert (tmp_path / RESULTS).read_bytes().splitlines() == lines


def test_reading_changes_nothing(tmp_path):
    fill(tmp_path, 2)
    cut = (tmp_path / RESULTS).read_bytes()[:-5]
    (tmp_path / RESULTS).write_bytes(cut)

    records, notices = read_records(tmp_path)

    assert list(records) == [measured(1)]
    assert "1 unreadable" in notices[0]
    assert (tmp_path / RESULTS).read_bytes() == cut
    assert list(tmp_path.glob("*.tail*")) == []


def test_a_second_writer_is_refused(tmp_path):
    with Store(tmp_path):
        with pytest.raises(MembenchError, match="another membench is writing") as refused:
            Store(tmp_path)
        assert "\n" not in str(refused.value)
    Store(tmp_path).close()


def hold(folder: Path, ready, leave) -> None:
    with Store(folder) as store:
        store.put(measured(1))
        ready.set()
        leave.wait(30)


def test_a_killed_writer_leaves_the_folder_free(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    ready, leave = spawn.Event(), spawn.Event()
    holder = spawn.Process(target=hold, args=(tmp_path, ready, leave))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(MembenchError, match="another membench"):
            Store(tmp_path)
    finally:
        holder.kill()
        holder.join()
    with Store(tmp_path) as store:
        assert store.get(ProbeSpec(batch=1), HERE) == measured(1)


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MembenchError, match="cannot write results in") as error:
        Store(tmp_path / "file" / "out")
    assert "\n" not in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_error_in_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(MembenchError, match="permission denied"):
        Store(tmp_path)
    tmp_path.chmod(0o700)


def test_a_full_disk_is_an_error_in_one_line(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    store = Store(tmp_path)
    os.dup2(os.open(full, os.O_WRONLY), store._file)
    with pytest.raises(MembenchError, match="no space left"):
        store.put(measured(1))
    assert store.get(ProbeSpec(batch=1), HERE) is None
    store.close()


def test_many_threads_write_whole_lines(tmp_path):
    with Store(tmp_path) as store:
        batches = [range(start, 100, 8) for start in range(1, 9)]
        threads = [threading.Thread(target=lambda own=own: [store.put(measured(b)) for b in own]) for own in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    records, notices = read_records(tmp_path)
    assert notices == ()
    assert sorted(record.spec.batch for record in records) == list(range(1, 100))


def test_records_from_before_networks_had_a_kind_are_read(tmp_path: Path) -> None:
    written = json.loads(msgspec.json.encode(measured(3)))
    del written["spec"]["network"]["kind"]
    (tmp_path / "results.jsonl").write_text(json.dumps(written) + "\n")
    records, notices = read_records(tmp_path)
    assert (list(records), notices) == ([measured(3)], ())
