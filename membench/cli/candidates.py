"""What the commands that choose a strategy share."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.status import Status

from membench.device import Device
from membench.plugins import load_plugins
from membench.probe import Prober
from membench.recommend import LADDER, Option, Recommendation, find_cheapest, network_mixes
from membench.result import Measurement
from membench.search import Mix
from membench.spec import NetworkSpec, ProbeSpec


def choose(
    probe: ProbeSpec, device: Device, strategies: Sequence[str], prober: Prober, status: Status
) -> Recommendation:
    """The cheapest of the mixes of ``strategies`` (none: all that there are) that fits; ``status`` shows the way."""
    load_plugins()
    measure = told(prober, status)
    known: tuple[Option, ...] = ()
    if not strategies and isinstance(probe.network, NetworkSpec):
        # The thriftiest take longest to count and compute more than the first of the others, which may fit at once.
        found = find_cheapest(probe, device, _counted(probe, LADDER, prober, status)[:1], measure)
        if found.recommended or found.failure:
            return found
        known = found.candidates
    return find_cheapest(probe, device, _counted(probe, strategies, prober, status), measure, known)


def _counted(probe: ProbeSpec, strategies: Sequence[str], prober: Prober, status: Status) -> tuple[Mix, ...]:
    status.update("counting the operations of each strategy …")
    with ThreadPoolExecutor(1) as pool:
        # The server imports PyTorch meanwhile, as this process does to count.
        started = pool.submit(lambda: prober.versions)
        found = network_mixes(probe.network, strategies, slices=probe.slices)
        started.result()
    return found


def told(prober: Prober, status: Status) -> Callable[[ProbeSpec], Measurement]:
    """Measure, and show which strategy it is that is measured."""

    def measure(spec: ProbeSpec) -> Measurement:
        status.update(f"measuring {spec.strategy} …")
        return prober(spec)

    return measure


def option_document(option: Option) -> dict[str, Any]:
    """A strategy for a program. The peak of a probe that ran out of memory says only how far it got, and is left out.

    ``peak_reserved_unlimited_bytes`` is the peak on the same card with its memory limit lifted, where it was measured.
    """
    found, unlimited = option.measurement, option.unlimited
    return {
        "strategy": option.strategy,
        "recomputation": option.recomputation,
        "status": found.status,
        "peak_reserved_bytes": found.peak_reserved_bytes if found.fits else None,
        "peak_reserved_unlimited_bytes": unlimited.peak_reserved_bytes if unlimited and unlimited.fits else None,
        "misses_by_bytes": option.misses_by_bytes,
    }


def choice_document(found: Recommendation) -> dict[str, Any]:
    """What was chosen for ``auto``, and from what."""
    chosen = found.subject
    return {
        "strategy": chosen.strategy,
        "recomputation": chosen.recomputation,
        "candidates": [option_document(option) for option in found.candidates],
    }


def choice_facts(found: Recommendation | None) -> Iterator[tuple[str, str]]:
    """The same for people; nothing where nothing was chosen."""
    if found is None:
        return
    yield "Operations", f"{found.subject.recomputation:.3f}× those of plain"
    if found.recommended and found.cheaper:
        names = ", ".join(option.strategy for option in found.cheaper)
        yield "Next cheaper", f"{names}: out of memory"
    yield "Measured", f"{len(found.candidates)} to choose this one"
