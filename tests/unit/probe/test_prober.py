"""The prober's life: its server starts when it is needed, and once closed there is no other."""

import threading

import pytest
from msgspec.structs import replace

from membench.device import resolve
from membench.errors import MembenchError
from membench.probe import Prober
from membench.spec import NetworkSpec, ProbeSpec

SMALL = NetworkSpec(base_channels=16, stages=2, blocks=1)
PROBE = ProbeSpec(network=SMALL, volume=(16, 16, 16), device="a100-40gb")
ENDLESS = ProbeSpec(network=SMALL, volume=(16, 16, 16), device="a100-40gb", steps=10**6)


def test_a_closed_prober_starts_nothing() -> None:
    with Prober(resolve("a100-40gb")) as prober:
        pass
    with pytest.raises(MembenchError, match="closed"):
        prober(PROBE)


@pytest.mark.slow
def test_closing_from_another_thread_ends_the_probe_under_way() -> None:
    prober = Prober(resolve("a100-40gb"))
    assert {"membench", "torch", "cuda", "cudnn"} <= set(prober.versions)
    closing = threading.Timer(1.0, prober.close)
    closing.start()
    ended = prober(ENDLESS)
    assert (ended.status, ended.message) == ("crashed", "the probing process was killed")
    closing.join()
    with pytest.raises(MembenchError, match="closed"):
        prober(PROBE)


@pytest.mark.slow
def test_a_server_that_was_killed_is_started_anew() -> None:
    with Prober(resolve("a100-40gb")) as prober:
        first = prober(PROBE)
        server = prober._server
        assert server is not None
        server.kill()
        server.wait()
        second = prober(PROBE)
    assert first.fits
    assert second.peak_reserved_bytes == first.peak_reserved_bytes


@pytest.mark.slow
def test_pinned_host_memory_is_reported() -> None:
    """What leaves the device is on the host, some of it twice, each tensor rounded up to a power of two."""
    probe = ProbeSpec(network=SMALL, volume=(32, 32, 32), device="a100-40gb")
    with Prober(resolve("a100-40gb")) as prober:
        plain, offload, again = (prober(replace(probe, strategy=name)) for name in ("plain", "offload", "offload"))
    assert plain.host_bytes == 0
    assert offload.fits
    assert offload.host_bytes == again.host_bytes
    assert offload.host_bytes is not None
    kept = plain.peak_requested_bytes - offload.peak_requested_bytes
    assert 0 < kept < offload.host_bytes < 4 * kept
