"""Who held a peak, as a baseline keeps it."""

import msgspec

from membench.profile import Peak

# Modules that hold less than this share of the peak are summed up, so that a baseline stays small.
SMALLEST_SHARE = 1000
NO_MODULE = "(no module)"


class Holders(msgspec.Struct, frozen=True, kw_only=True):
    """Who held the peak, in bytes: the categories add up to it, and so do the ``modules`` and ``others`` together.

    ``at`` is the phase and the module in which the peak was. ``others`` are the modules that held less than a
    thousandth of the peak each.
    """

    at: str
    categories: dict[str, int]
    modules: dict[str, int]
    others: int


def holders_of(peak: Peak) -> Holders:
    """What a baseline keeps of a profile's peak."""
    large = {
        module or NO_MODULE: size
        for module, size in peak.modules.items()
        if size * SMALLEST_SHARE >= peak.allocated_bytes
    }
    return Holders(
        at=f"{peak.phase or 'unknown phase'}, {peak.module or 'no module'}",
        categories={name: size for name, size in peak.categories.items() if size},
        modules=large,
        others=sum(peak.modules.values()) - sum(large.values()),
    )
