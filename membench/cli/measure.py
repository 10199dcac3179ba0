"""``membench measure``: one probe."""

from collections.abc import Iterator

import msgspec
from rich.panel import Panel
from rich.text import Text

from membench.cli.candidates import choice_document, choice_facts, choose
from membench.cli.options import Json, probe_options
from membench.cli.output import err, exactness, facts, note, out, print_json, verdict
from membench.cli.probing import on_device
from membench.cli.words import device_words, step_words, usable_words, versions_words
from membench.device import Device
from membench.floor import known_floor
from membench.probe import Prober
from membench.result import Measurement
from membench.spec import AUTO, ProbeSpec
from membench.units import format_bytes

EXIT_CODES = {"fits": 0, "oom": 3}


@probe_options
def measure(probe: ProbeSpec, json: Json = False) -> int:
    """Run training steps of one network under a budget.

    With the strategy auto, each resolution gets the strategy that computes least again and fits.

    Exit code: 0 it fits, 3 out of memory, 1 an error, 2 bad usage.
    """
    probe.validate()
    device, probe = on_device(probe)
    chosen = None
    with err().status(f"{probe.steps} training steps on {device.info.title} …") as status, Prober(device) as prober:
        if probe.strategy == AUTO:
            chosen = choose(probe, device, (), prober, status)
            measurement = chosen.subject.measurement
        else:
            measurement = prober(probe)
    if json:
        document = msgspec.structs.asdict(measurement) | {"floor_bytes": known_floor(probe)}
        print_json(document | (choice_document(chosen) if chosen else {}))
    else:
        title = f"{measurement.spec.variant}, {probe.network.size_words(probe.volume, probe.batch)}, {device.info.name}"
        rows = (*_facts(measurement, device), *choice_facts(chosen))
        out().print(Panel(facts(rows), title=title, title_align="left", expand=False))
    if measurement.status not in EXIT_CODES:
        note(f"the probe ended with {measurement.status}: {measurement.message}")
    return EXIT_CODES.get(measurement.status, 1)


def _facts(found: Measurement, device: Device) -> Iterator[tuple[str, str | Text]]:
    spec = found.spec
    budget = spec.budget or device.usable_bytes
    yield "Verdict", verdict(found.status)
    yield "Message", _essence(found)
    yield (
        "Peak reserved",
        f"{_exact(found.peak_reserved_bytes)}, {found.peak_reserved_bytes / budget:.1%} of the budget",
    )
    yield "Peak allocated", _exact(found.peak_allocated_bytes)
    yield "Peak requested", _exact(found.peak_requested_bytes)
    yield "Floor", _floor(found)
    yield "Largest workspace", "" if found.largest_workspace_bytes is None else _exact(found.largest_workspace_bytes)
    yield "Pinned host memory", _exact(found.host_bytes) if found.host_bytes else ""
    yield "Budget", _exact(budget) if spec.budget else f"none: {usable_words(device)}"
    yield "Retries", f"{found.allocator_retries} of the allocator, {found.workspace_retries} for a smaller workspace"
    yield "Exact", exactness(found)
    yield "Device reads", f"{found.device_to_host_reads}, all zero" if found.device_to_host_reads else ""
    yield "Modelled calls", ", ".join(found.modelled_calls)
    yield "Unmodelled calls", ", ".join(found.unmodelled_calls)
    yield "Network", spec.network.words + (f", {found.parameters:,} parameters" if found.parameters else "")
    yield "Training", step_words(spec)
    yield "Would change it", ", ".join(found.sensitivities)
    yield "Device", device_words(device)
    yield "Versions", versions_words(found.versions)
    yield "Wall time", f"{found.seconds:.1f} s"


def _essence(found: Measurement) -> str:
    """The message; of PyTorch's long one about memory, what was asked for: the rest is in the other rows."""
    return ". ".join(found.message.split(". ")[:2]) if found.status == "oom" else found.message


def _floor(found: Measurement) -> str:
    """The least that any exact step would hold, and how many times that the peak is, where there was a whole step."""
    floor = known_floor(found.spec)
    if floor is None:
        return ""
    multiple = f"; the peak allocated is {found.peak_allocated_bytes / floor:.2f} × it" if found.fits else ""
    return f"{_exact(floor)}{multiple}"


def _exact(count: int) -> str:
    return f"{format_bytes(count)} ({count:,} bytes)"
