"""What of a configuration of nnU-Net fits: as it was planned, in the largest patch, and in the largest batch."""

from collections.abc import Callable

import msgspec

from membench.nnunet.plans import Configuration, Dataset, Patch
from membench.result import Measurement, SearchResult
from membench.search import search
from membench.spec import ModelSpec, ProbeSpec, SearchSpec

STEP = "membench.nnunet.step:training"


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """``patch`` is the search for the largest patch with the planned batch; its values are the `units` of the patch.

    ``batch`` is the search for the largest batch with the planned patch.
    """

    configuration: Configuration
    planned: Measurement
    patch: SearchResult
    batch: SearchResult

    @property
    def largest_patch(self) -> Patch | None:
        found = self.patch.largest_fit
        return self.configuration.patch_of(found.extent) if found else None

    @property
    def largest_batch(self) -> int | None:
        found = self.batch.largest_fit
        return found.extent if found else None


def fit(
    configuration: Configuration, dataset: Dataset, probe: ProbeSpec, measure: Callable[[ProbeSpec], Measurement]
) -> Fit:
    """Measure a configuration, and search its patch and its batch. ``probe`` gives device, budget, steps and the like.

    Both searches begin with the plan; no probe is run twice.
    """
    known: dict[str, Measurement] = {}

    def once(spec: ProbeSpec) -> Measurement:
        if spec.key() not in known:
            known[spec.key()] = measure(spec)
        return known[spec.key()]

    planned = planned_probe(configuration, dataset, probe)
    return Fit(
        configuration=configuration,
        planned=once(planned),
        patch=search(SearchSpec(axis="patch", probe=planned, start=configuration.units), once),
        batch=search(SearchSpec(axis="batch", probe=planned, start=configuration.batch_size), once),
    )


def planned_probe(configuration: Configuration, dataset: Dataset, probe: ProbeSpec) -> ProbeSpec:
    """The probe of a configuration as it was planned."""
    model = ModelSpec(
        step=STEP,
        arguments={
            "configuration": msgspec.to_builtins(configuration),
            "channels": dataset.channels_of(configuration),
            "outputs": dataset.outputs,
            "regions": dataset.regions,
            "units": "{patch}",
            "batch": "{batch}",
        },
        values={"patch": configuration.units},
    )
    return msgspec.structs.replace(probe, network=model, strategy="plain", batch=configuration.batch_size)
