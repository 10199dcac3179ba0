"""What would help: settings that may lower the peak, each of them tried by measuring, none of them guessed."""

from collections.abc import Callable, Iterator

import msgspec

from membench.errors import UsageError
from membench.probe.recording import Category
from membench.profile.records import Profile, Remedy
from membench.result import Measurement
from membench.spec import NetworkSpec, ProbeSpec
from membench.units import format_bytes

# Below these shares of the peak a holder is not worth a remedy of its own.
_SHARE = 0.1
_SMALL_SHARE = 0.03
# Each keeps fewer activations than those before it.
_STRATEGIES = ("checkpoint", "reversible", "reversible-sliced")


class _Candidate(msgspec.Struct, frozen=True):
    setting: str
    against: str
    changes: dict[str, object]
    same_training: bool = True


def remedies(
    profile: Profile, measure: Callable[[ProbeSpec], Measurement], unrecorded: Measurement
) -> tuple[Remedy, ...]:
    """Try what may lower the peak of a profiled probe; what saves most of the peak reserved first.

    ``unrecorded`` is the probe itself, measured by ``measure`` like all the others.
    """
    found = [_tried(candidate, measure, unrecorded) for candidate in _candidates(profile, unrecorded.spec)]
    return tuple(sorted(filter(None, found), key=lambda remedy: -(remedy.saved_reserved_bytes or -(1 << 62))))


def _tried(
    candidate: _Candidate, measure: Callable[[ProbeSpec], Measurement], unrecorded: Measurement
) -> Remedy | None:
    """None for what this network cannot do."""
    try:
        measurement = measure(msgspec.structs.replace(unrecorded.spec, **candidate.changes))
    except UsageError:
        return None
    told = measurement.fits and unrecorded.fits
    return Remedy(
        setting=candidate.setting,
        against=candidate.against,
        same_training=candidate.same_training,
        measurement=measurement,
        saved_allocated_bytes=unrecorded.peak_allocated_bytes - measurement.peak_allocated_bytes if told else None,
        saved_reserved_bytes=unrecorded.peak_reserved_bytes - measurement.peak_reserved_bytes if told else None,
    )


def _candidates(profile: Profile, spec: ProbeSpec) -> Iterator[_Candidate]:
    peak = profile.peak

    def share(category: Category) -> float:
        return peak.categories[category] / peak.allocated_bytes

    def held(category: Category) -> str:
        return f"{category}, {format_bytes(peak.categories[category])}"

    if share("activation") + share("gradient") >= _SHARE:
        mainly: Category = "activation" if share("activation") >= share("gradient") else "gradient"
        for strategy in _thriftier(spec):
            yield _Candidate(f"--strategy {strategy}", held(mainly), {"strategy": strategy})
        if spec.precision == "fp32":
            yield _Candidate("--precision bf16", held(mainly), {"precision": "bf16"}, same_training=False)
    if share("workspace") >= _SMALL_SHARE and spec.precision == "fp32" and spec.tf32 is not False:
        yield _Candidate("--no-tf32", held("workspace"), {"tf32": False})
    temporary = sum(kind.bytes for kind in peak.kinds if kind.what == "temporaries of the optimizer")
    if temporary or peak.phase == "optimizer":
        for implementation in ("fused", "for-loop"):
            if implementation != spec.optimizer_implementation:
                setting = f"--optimizer-implementation {implementation}"
                against = f"temporaries of the optimizer, {format_bytes(temporary)}"
                yield _Candidate(setting, against, {"optimizer_implementation": implementation})
    if share("optimizer state") >= _SHARE and spec.optimizer != "sgd":
        yield _Candidate("--optimizer sgd", held("optimizer state"), {"optimizer": "sgd"}, same_training=False)
    if peak.fragmentation_bytes >= _SMALL_SHARE * peak.reserved_bytes and not spec.allocator:
        against = f"fragmentation, {format_bytes(peak.fragmentation_bytes)}"
        yield _Candidate("--allocator expandable_segments:True", against, {"allocator": "expandable_segments:True"})


def _thriftier(spec: ProbeSpec) -> tuple[str, ...]:
    """The strategies that keep less than the probe's own."""
    if not isinstance(spec.network, NetworkSpec):
        return () if spec.strategy == "offload" else ("offload",)
    known = [_STRATEGIES.index(name) for name in spec.strategy.split(":") if name in _STRATEGIES]
    thriftiest = max(known, default=-1) if ":" not in spec.strategy else min(known, default=-1)
    return tuple(_STRATEGIES[thriftiest + 1 :])
