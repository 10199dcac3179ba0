"""Configurations of nnU-Net on an emulated card: trained as nnU-Net trains them."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from made_up_plans import write

from membench.device import resolve
from membench.errors import UsageError
from membench.nnunet import Configuration, Dataset, fit, read_plans
from membench.nnunet.fit import planned_probe
from membench.probe import Prober
from membench.result import Measurement
from membench.spec import ModelSpec, ProbeSpec
from membench.units import MIB

HERE = Path(__file__).parent
DATASET = Dataset(channels=4, outputs=3, foreground=2)
PROBE = ProbeSpec(device="rtx-3090-24gb", budget=300 * MIB)


@pytest.fixture(scope="module")
def configurations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Configuration]:
    read = read_plans(write(tmp_path_factory.mktemp("plans")))
    return {each.name: each for each in read.configurations}


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE), prepend=":")
        with Prober(resolve("rtx-3090")) as prober:
            yield prober


def test_the_plan_is_probed_once_and_both_searches_begin_with_it(configurations: dict[str, Configuration]) -> None:
    asked: list[ProbeSpec] = []

    def measure(spec: ProbeSpec) -> Measurement:
        asked.append(spec)
        assert isinstance(spec.network, ModelSpec)
        fits = spec.batch * spec.network.values["patch"] ** 3 <= 2 * 20**3
        return Measurement(spec=spec, status="fits" if fits else "oom")

    found = fit(configurations["3d_fullres"], DATASET, PROBE, measure)
    assert asked[0] == planned_probe(configurations["3d_fullres"], DATASET, PROBE)
    assert len({spec.key() for spec in asked}) == len(asked)
    assert found.planned.fits
    assert found.largest_patch == (26, 80, 52)
    assert found.largest_batch == 2 * 20**3 // 12**3
    assert found.patch.certified
    assert found.batch.certified


@pytest.mark.slow
@pytest.mark.parametrize(("name", "regions"), [("3d_fullres", False), ("2d", False), ("3d_lowres", True)])
def test_the_loss_takes_what_nnunets_own_takes(
    prober: Prober, configurations: dict[str, Configuration], name: str, regions: bool
) -> None:
    """The same step with the losses of the installed nnunetv2: the same bytes."""
    pytest.importorskip("nnunetv2")
    dataset = msgspec.structs.replace(DATASET, regions=regions)
    probe = planned_probe(configurations[name], dataset, PROBE)
    model = probe.network
    assert isinstance(model, ModelSpec)
    theirs = msgspec.structs.replace(probe, network=msgspec.structs.replace(model, step="nnunets_loss:training"))
    ours, other = prober(probe), prober(theirs)
    assert ours.status == other.status == "fits", (ours.message, other.message)
    assert ours.peak_allocated_bytes == other.peak_allocated_bytes
    assert ours.peak_requested_bytes == other.peak_requested_bytes


@pytest.mark.slow
def test_a_class_that_is_not_installed_is_named(prober: Prober, configurations: dict[str, Configuration]) -> None:
    architecture = msgspec.structs.replace(configurations["2d"].architecture, network_class_name="my_networks.unet.Net")
    broken = msgspec.structs.replace(configurations["2d"], architecture=architecture)
    with pytest.raises(UsageError, match=r"my_networks.unet.Net, which is not installed \(pip install my-networks\)"):
        prober(planned_probe(broken, DATASET, PROBE))
