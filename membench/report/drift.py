"""What is known of the drift of reconstruction: a table that `benchmarks/drift.py` measured, shipped with the package.

An inverse is exact only up to rounding, and what it gives is the input of the next, so that the error grows with the
blocks per stage. A device that computes nothing cannot tell how far; the table was taken on the CPU, of one small
network on random numbers. For another network it is an indication, and enough for a warning.
"""

import csv
from functools import lru_cache
from importlib import resources

import msgspec

from membench.result import Point
from membench.spec import NetworkSpec

_PRECISIONS = {"fp32": "float32", "bf16": "bf16 autocast"}


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """Relative errors (2-norms) of one strategy at one depth; ``bound`` is what ``gradient`` is to stay below.

    ``input`` is that of the first stage's reconstructed input, ``gradient`` that of all parameters' gradients beside
    plain's, ``rounding`` that of plain's own gradients beside those in float64.
    """

    strategy: str
    precision: str
    blocks: int
    input: float
    gradient: float
    rounding: float
    bound: float

    @property
    def exceeds(self) -> bool:
        return not self.gradient <= self.bound


@lru_cache
def known_drift() -> tuple[Drift, ...]:
    """The table, as `benchmarks/drift.py` wrote it."""
    text = resources.files("membench.report").joinpath("drift.csv").read_text("utf-8")
    return tuple(msgspec.convert(row, Drift, strict=False) for row in csv.DictReader(text.splitlines()))


def drift_warning(point: Point) -> str | None:
    """Where the network of a probe is deeper than reconstruction is known to stay within its bound; else None.

    That is one whose depth, or a smaller one, exceeds the bound, or one that is deeper than any that was measured.
    """
    spec = point.measurement.spec
    if not isinstance(spec.network, NetworkSpec):
        return None
    strategies = spec.strategy.split(":")
    known = [row for row in known_drift() if row.strategy in strategies and row.precision == spec.precision]
    beyond = [row for row in known if row.exceeds and row.blocks <= spec.network.blocks]
    if beyond:
        first = min(beyond, key=lambda row: row.blocks)
        return (
            f"reconstruction drifts at this depth: from {first.blocks} blocks per stage in "
            f"{_PRECISIONS[first.precision]} the gradients of {first.strategy} were {first.gradient:.1e} off those of "
            f"plain, beyond the bound of {first.bound:.0e}, where plain's own rounding was {first.rounding:.1e} "
            "(benchmarks/drift.py, a small network)"
        )
    deepest = max(known, key=lambda row: row.blocks, default=None)
    if deepest and deepest.blocks < spec.network.blocks:
        return (
            f"how far reconstruction drifts was measured to {deepest.blocks} blocks per stage: there in "
            f"{_PRECISIONS[deepest.precision]} the gradients of {deepest.strategy} were {deepest.gradient:.1e} off "
            f"those of plain, below the bound of {deepest.bound:.0e} (benchmarks/drift.py, a small network)"
        )
    return None
