"""Where a budget ends, guessed from the peaks of probes that fit."""

import math
from collections.abc import Sequence

# Peaks are whole segments of the caching allocator and change with library plans; a slope between two of them is
# uncertain by this much. Erring towards a steeper slope keeps the guess where a probe fits and so tells us a peak.
NOISE_BYTES = 16 * 1024**2
# Peaks whose extents are closer than this say little about the slope.
APART = 0.75

Peak = tuple[int, int]


def predict(peaks: Sequence[Peak], budget: float, *, quadratic: bool) -> float:
    """The extent at which the peak is expected to reach ``budget``.

    ``peaks`` are (extent, bytes), at least one, extents distinct. One peak is taken as proportional to the extent, two
    make a line; where ``quadratic``, to its square, and a parabola whose third point, when there is none yet, makes it
    as steep as it can be. The part of the peak that does not grow is never negative, so the line beyond the last peak
    is at most as steep as the proportional one.
    """
    ordered = _apart(sorted(peaks))
    if not quadratic:
        return _on_line(ordered, budget)
    if len(ordered) < 3:
        return math.sqrt(_on_line([(extent**2, peak) for extent, peak in ordered], budget))
    return _on_parabola(ordered[-3:], budget)


def _apart(ordered: Sequence[Peak]) -> Sequence[Peak]:
    """The last peak and those well below it: between neighbours, a change of a plan outweighs the growth."""
    kept = [ordered[-1]]
    for peak in reversed(ordered):
        if peak[0] <= APART * kept[-1][0]:
            kept.append(peak)
    if len(kept) == 1 < len(ordered):
        kept.append(ordered[0])
    return kept[::-1]


def _on_line(ordered: Sequence[Peak], budget: float) -> float:
    extent, peak = ordered[-1]
    slope = peak / extent
    if len(ordered) > 1 and peak > ordered[-2][1]:
        before, lower = ordered[-2]
        slope = min(slope, (peak - lower + NOISE_BYTES) / (extent - before))
    return extent + (budget - peak) / slope


def _on_parabola(ordered: Sequence[Peak], budget: float) -> float:
    (x1, p1), (x2, p2), (x3, p3) = ordered
    slope = (p3 - p2) / (x3 - x2)
    bend = (slope - (p2 - p1) / (x2 - x1)) / (x3 - x1)
    if slope <= 0 or bend <= 0:
        return _on_line(ordered, budget)
    tangent = slope + bend * (x3 - x2)
    discriminant = tangent**2 + 4 * bend * (budget - p3)
    return x3 + 2 * (budget - p3) / (tangent + math.sqrt(max(discriminant, 0.0)))
