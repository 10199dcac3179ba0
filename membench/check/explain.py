"""Why a peak grew: who held it in the baseline, and who holds it now."""

import re
from collections.abc import Mapping

import msgspec

from membench.check.baseline import Baseline
from membench.check.holders import NO_MODULE, Holders, holders_of
from membench.check.result import CheckResult, Growth, Source
from membench.profile import Peak

MODULES_TOLD = 5


def explained(result: CheckResult, baseline: Baseline, peaks: Mapping[str, Peak | None]) -> CheckResult:
    """The result with what grew, for the cases whose peak is given and whose holders the baseline has."""
    outcomes = []
    for outcome in result.outcomes:
        entry, peak = baseline.cases.get(outcome.name), peaks.get(outcome.name)
        if entry is not None and entry.holders is not None and peak is not None:
            now = holders_of(peak)
            moved = f"the peak is now in {now.at}; before in {entry.holders.at}" if now.at != entry.holders.at else ""
            outcome = msgspec.structs.replace(outcome, growth=growth(entry.holders, peak), moved=moved)
        outcomes.append(outcome)
    return msgspec.structs.replace(result, outcomes=tuple(outcomes))


def growth(before: Holders, peak: Peak) -> tuple[Growth, ...]:
    """What holds more than before: every category, then the modules that grew most, with the line that made it."""
    now = holders_of(peak)
    categories = [
        Growth(kind="category", name=name, baseline=before.categories.get(name, 0), current=size)
        for name, size in now.categories.items()
    ]
    modules = [
        Growth(kind="module", name=name, baseline=before.modules.get(name), current=size)
        for name, size in now.modules.items()
    ]
    grown = [
        sorted((each for each in kind if each.grown > 0), key=lambda each: -each.grown)
        for kind in (categories, modules)
    ]
    told = [msgspec.structs.replace(each, source=_source(each, peak)) for each in grown[1][:MODULES_TOLD]]
    return (*grown[0], *told)


def _source(module: Growth, peak: Peak) -> Source | None:
    """The line of the module whose tensors come nearest to what it holds more: that of the tensors that were added."""
    lines = [holder for holder in peak.holders if (holder.module or NO_MODULE) == module.name and holder.line]
    if not lines:
        return None
    nearest = min(lines, key=lambda holder: (abs(holder.bytes - module.grown), holder.line))
    match = re.fullmatch(r"(.+):(\d+) \((.*)\)", nearest.line)
    return Source(file=match[1], line=int(match[2]), function=match[3]) if match else None
