import multiprocessing
import random
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from fake_device import PROVENANCE, FakeDevice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from membench.errors import MembenchError, UsageError
from membench.result import Measurement, Point, SearchResult
from membench.store import Provenance, Store, read_records
from membench.sweep import (
    Preset,
    ProbeFinished,
    ProbeStarted,
    SearchFinished,
    SearchStarted,
    SweepResult,
    load,
    load_preset,
    plan,
    run,
)

SMALL = plan(
    msgspec.convert(
        {
            "title": "small",
            "device": "a100-40gb",
            "budgets": ["4GiB"],
            "variant": [{"strategy": "plain", "baseline": True}, {"strategy": "reversible"}],
            "search": [{"axis": "volume"}, {"axis": "blocks", "probe": {"volume": "48x48x48"}}],
            "claim": [{"claim": "volume", "axis": "volume", "paper_ratio": 3.0}],
            "sensitivity": [{"parameter": "blocks", "values": [1], "variants": ["plain"]}],
            "tradeoff": [{"strategies": ["plain", "reversible:plain:plain:plain"], "volume": "64"}],
        },
        Preset,
    )
)


def sweep(folder: Path, device: FakeDevice, planned=SMALL, **options) -> SweepResult:
    with Store(folder) as store:
        return run(planned, store, PROVENANCE, device.open, **options)


def timeless(result: SweepResult) -> SweepResult:
    """The result without the only field that may differ between two runs."""

    def still(found: SearchResult | Point) -> SearchResult | Point:
        text = msgspec.json.decode(msgspec.json.encode(found))

        def strip(node):
            if isinstance(node, dict):
                return {key: strip(value) for key, value in node.items() if key != "seconds"}
            return [strip(value) for value in node] if isinstance(node, list) else node

        return msgspec.convert(strip(text), type(found))

    return msgspec.structs.replace(
        result,
        searches=tuple(map(still, result.searches)),
        sensitivity=tuple(map(still, result.sensitivity)),
        tradeoff=tuple(point and still(point) for point in result.tradeoff),
        notices=(),
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[SweepResult, FakeDevice]:
    device = FakeDevice()
    return timeless(sweep(tmp_path_factory.mktemp("undisturbed"), device)), device


def test_a_sweep_runs_every_search_and_closes_its_probes(tmp_path, undisturbed):
    result, device = undisturbed

    assert result.complete
    assert [search.search for search in result.all_searches] == list(SMALL.all_searches)
    assert all(search.certified for search in result.all_searches)
    assert [point.measurement.spec for point in result.tradeoff] == [priced.probe for priced in SMALL.tradeoff]
    assert [(point.value, point.extent) for point in result.tradeoff] == [((64, 64, 64), 64**3)] * 2
    assert device.opened == device.closed == 1


def test_no_probe_is_run_twice(tmp_path):
    device = FakeDevice()
    sweep(tmp_path, device, plan(load_preset("paper")), jobs=4)

    assert set(device.probed.values()) == {1}


def test_the_paper_preset_takes_at_most_eight_probes_a_search(tmp_path):
    result = sweep(tmp_path, FakeDevice(), plan(load_preset("paper")))

    assert all(search.certified for search in result.all_searches)
    assert max(len(search.probes) for search in result.all_searches) <= 8


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(jobs=st.integers(1, 5), seed=st.integers())
def test_neither_jobs_nor_speed_change_the_result_or_the_probes(tmp_path_factory, undisturbed, jobs, seed):
    rng = random.Random(seed)
    device = FakeDevice(before=lambda spec: time.sleep(rng.random() / 500))

    result = sweep(tmp_path_factory.mktemp("jobs"), device, jobs=jobs)

    assert timeless(result) == undisturbed[0]
    assert device.probed == undisturbed[1].probed
    assert 1 <= device.opened == device.closed <= jobs


class StoppedError(Exception):
    pass


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(stops=st.lists(st.integers(0, 12), max_size=5), jobs=st.integers(1, 3))
def test_a_sweep_that_is_stopped_goes_on_where_it_was(tmp_path_factory, undisturbed, stops, jobs):
    folder = tmp_path_factory.mktemp("stopped")
    left = [0]

    def count_down(spec):
        left[0] -= 1
        if left[0] < 0:
            raise StoppedError

    device = FakeDevice(before=count_down)
    for stop in stops:
        left[0] = stop
        try:
            sweep(folder, device, jobs=jobs)
        except StoppedError:
            part = load(folder)
            assert not part.complete
            for search, whole in zip(timeless(part).all_searches, undisturbed[0].all_searches, strict=True):
                assert search.probes == whole.probes[: len(search.probes)]
                assert search.finished == (len(search.probes) == len(whole.probes))
    left[0] = 10_000
    result = sweep(folder, device, jobs=jobs)

    assert timeless(result) == undisturbed[0]
    assert timeless(load(folder)) == undisturbed[0]
    assert device.probed == undisturbed[1].probed


def test_a_finished_sweep_needs_no_device(tmp_path, undisturbed):
    sweep(tmp_path, FakeDevice())
    again = FakeDevice()

    assert timeless(sweep(tmp_path, again)) == undisturbed[0]
    assert again.opened == 0
    assert timeless(load(tmp_path)) == undisturbed[0]


def test_results_of_other_versions_are_measured_again(tmp_path):
    sweep(tmp_path, FakeDevice())
    newer = FakeDevice()
    other = Provenance(device=PROVENANCE.device, versions={"torch": "2.12"})
    with Store(tmp_path) as store:
        result = run(SMALL, store, other, newer.open)

    assert newer.probed
    assert result.provenance == other


def test_a_failed_probe_ends_its_search_alone_and_is_tried_again(tmp_path, undisturbed):
    failing = FakeDevice(failing=lambda spec: spec.strategy == "reversible" and spec.network.blocks > 4)

    result = sweep(tmp_path, failing)

    failed = [search for search in result.all_searches if search.failure]
    assert [(search.search.axis, search.search.probe.strategy) for search in failed] == [("blocks", "reversible")]
    assert result.complete
    assert timeless(load(tmp_path)) == timeless(result)
    mended = FakeDevice()
    assert timeless(sweep(tmp_path, mended)) == undisturbed[0]
    assert set(mended.probed) < set(undisturbed[1].probed)


def test_events_tell_the_whole_story_in_the_calling_thread(tmp_path):
    events = []

    def record(event):
        assert threading.current_thread() is threading.main_thread()
        events.append(event)

    result = sweep(tmp_path, FakeDevice(), jobs=2, on_event=record)

    for position, search in enumerate(result.all_searches):
        own = [event for event in events if event.position == position]
        assert own[0] == SearchStarted(position=position, search=search.search)
        assert own[-1] == SearchFinished(position=position, result=search)
        finished = [event for event in own if isinstance(event, ProbeFinished)]
        started = [event.candidate.spec for event in own if isinstance(event, ProbeStarted)]
        assert tuple(event.point for event in finished) == search.probes
        assert started == [event.point.measurement.spec for event in finished if not event.reused]

    events.clear()
    sweep(tmp_path, FakeDevice(), jobs=2, on_event=record)
    assert not [event for event in events if isinstance(event, ProbeStarted)]
    assert all(event.reused for event in events if isinstance(event, ProbeFinished))


def test_an_interrupt_ends_the_workers_and_keeps_what_was_measured(tmp_path):
    device = FakeDevice(before=lambda spec: time.sleep(0.005))
    seen = []

    def interrupt(event):
        if isinstance(event, ProbeFinished):
            seen.append(event.point.measurement)
            if len(seen) == 5:
                raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, device, jobs=3, on_event=interrupt)

    assert threading.active_count() == before
    assert device.opened == device.closed
    kept = [point.measurement for search in load(tmp_path).all_searches for point in search.probes]
    assert len(kept) == device.probed.total()
    assert all(measurement in kept for measurement in seen)


def test_an_interrupt_ends_the_probe_that_is_under_way(tmp_path):
    ended = threading.Event()

    class Hanging(FakeDevice):
        @contextmanager
        def open(self):
            yield self.measure
            ended.set()

        def measure(self, spec):
            assert ended.wait(60), "the probe was not ended"
            return Measurement(spec=spec, status="crashed", message="the probing process was killed")

    def interrupt(event):
        if isinstance(event, ProbeStarted):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, Hanging(), on_event=interrupt)

    assert ended.is_set()
    assert list(read_records(tmp_path)[0]) == []


def test_an_interrupt_lets_no_probe_start_that_was_being_opened(tmp_path):
    class Slow(FakeDevice):
        @contextmanager
        def open(self):
            time.sleep(0.5)
            with super().open() as probe:
                yield probe

    def interrupt(event):
        if isinstance(event, ProbeStarted):
            raise KeyboardInterrupt

    device = Slow()
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, device, on_event=interrupt)

    assert device.opened == device.closed == 1
    assert device.probed.total() == 0


def sweep_slowly(folder: Path) -> None:
    sweep(folder, FakeDevice(before=lambda spec: time.sleep(0.02)), jobs=2)


@pytest.mark.slow
def test_a_sweep_that_is_killed_again_and_again_ends_with_the_same_result(tmp_path, undisturbed):
    spawn = multiprocessing.get_context("spawn")
    for wait in (0.0, 0.02, 0.05, 0.1, 0.2):
        (tmp_path / "sweep.json").unlink(missing_ok=True)
        process = spawn.Process(target=sweep_slowly, args=(tmp_path,))
        process.start()
        give_up = time.monotonic() + 60
        while not (tmp_path / "sweep.json").exists() and time.monotonic() < give_up:
            time.sleep(0.005)
        time.sleep(wait)
        process.kill()
        process.join()
        load(tmp_path)
    device = FakeDevice()

    assert timeless(sweep(tmp_path, device)) == undisturbed[0]
    assert device.probed.total() < undisturbed[1].probed.total()


def test_a_programming_error_in_a_probe_is_raised(tmp_path):
    def broken(spec):
        raise ZeroDivisionError

    device = FakeDevice(before=broken)
    with pytest.raises(ZeroDivisionError):
        sweep(tmp_path, device, jobs=2)
    assert device.opened == device.closed


def test_no_jobs_are_refused(tmp_path):
    with pytest.raises(UsageError, match="at least 1"):
        sweep(tmp_path, FakeDevice(), jobs=0)


def test_a_folder_without_a_sweep_cannot_be_loaded(tmp_path):
    with pytest.raises(MembenchError, match=r"sweep\.json is missing"):
        load(tmp_path)


def test_a_damaged_sweep_file_is_named(tmp_path):
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(MembenchError, match=r"sweep\.json is damaged"):
        load(tmp_path)
