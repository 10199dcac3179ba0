import msgspec
import pytest
from small import NETWORK, small

from membench.device import resolve
from membench.errors import MembenchError
from membench.probe import Prober
from membench.spec import ProbeSpec
from membench.train import rehearsal
from membench.train.rehearsal import rehearse

SIDE = (32, 32, 32)


@pytest.mark.slow
def test_one_rank_needs_what_a_probe_measures_and_several_their_buckets_or_their_parts() -> None:
    device = resolve("a100-40gb")
    network = msgspec.structs.replace(NETWORK, base_channels=32, stages=3)
    spec, side = small(network=network, strategy="plain"), (16, 16, 16)
    alone = rehearse(spec, device, side)
    of_two = rehearse(spec, device, side, ranks=2)
    sharded = rehearse(msgspec.structs.replace(spec, parallel="fsdp2"), device, side, ranks=8)
    with Prober(device) as probe:
        found = probe(ProbeSpec(network=network, volume=side, strategy="plain", device="a100-40gb"))
    assert {alone.status, of_two.status, sharded.status, found.status} == {"fits"}
    assert alone.allocated_bytes == pytest.approx(found.peak_allocated_bytes, rel=0.01)
    parameters = 4 * found.parameters
    assert 0.5 * parameters <= of_two.allocated_bytes - alone.allocated_bytes <= 3 * parameters
    # Weights and two optimizer states are an eighth, what is gathered for a step is whole.
    assert 0.5 * parameters <= alone.allocated_bytes - sharded.allocated_bytes <= 3 * 7 / 8 * parameters


@pytest.mark.slow
def test_out_of_memory_is_a_result() -> None:
    found = rehearse(small(strategy="plain"), resolve("t4-16gb"), (320, 320, 320))
    assert found.status == "oom"
    assert found.message.startswith("CUDA out of memory")
    assert found.reserved_bytes <= resolve("t4-16gb").usable_bytes


def test_a_process_that_dies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal.sys, "executable", "/bin/false")
    with pytest.raises(MembenchError, match="the rehearsal on a100-40gb ended with an error"):
        rehearse(small(), resolve("a100-40gb"), SIDE)
