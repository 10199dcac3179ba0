"""Measurements against a baseline: what regressed, what improved, what cannot be said."""

from collections.abc import Mapping, Sequence

from membench.check.baseline import Baseline, Entry, Peaks, entry_of, environment_changes, peaks_of, versions_of
from membench.check.config import Case, Config
from membench.check.result import CheckResult, Outcome, Status
from membench.check.thresholds import METRICS, Threshold
from membench.result import DeviceInfo, Measurement
from membench.units import format_bytes


def compare(
    config: Config,
    measured: Mapping[str, Measurement],
    baseline: Baseline | None,
    *,
    thresholds: Sequence[Threshold] = (),
    allow_environment_change: bool = False,
    selected: Sequence[Case] | None = None,
    updating: bool = False,
) -> CheckResult:
    """Compare each measured case with the baseline, which is None where there is none at all.

    ``thresholds`` take the place of the configuration's overall ones; those of a case stand above both. ``selected``
    are the cases that were measured, None for all; cases can vanish only from all. Where the baseline is ``updating``,
    nobody is told how to update it.
    """
    overall = tuple(thresholds) or config.fail_on
    judge = _Judge(baseline, versions_of(measured.values()), overall, allow_environment_change, updating)
    cases = config.cases if selected is None else selected
    outcomes = [judge.outcome(case, measured[case.name]) for case in cases]
    if selected is None and baseline is not None:
        gone = sorted(baseline.cases.keys() - {case.name for case in cases})
        outcomes += [_vanished(name, baseline.cases[name], updating) for name in gone]
    devices = {found.device.name: found.device for found in measured.values() if found.device}
    return CheckResult(
        config=str(config.path),
        baseline=str(config.baseline) if baseline else "",
        versions=judge.versions,
        environment=environment_changes(baseline, judge.versions, devices.values()) if baseline else (),
        compared=allow_environment_change,
        outcomes=tuple(outcomes),
    )


class _Judge:
    def __init__(
        self,
        baseline: Baseline | None,
        versions: dict[str, str],
        overall: Sequence[Threshold],
        allow: bool,
        updating: bool,
    ) -> None:
        self._baseline = baseline
        self.versions = versions
        self._overall = overall
        self._allow = allow
        self._updating = updating

    def outcome(self, case: Case, found: Measurement) -> Outcome:
        entry = self._baseline.cases.get(case.name) if self._baseline else None
        verdicts = [*_limits(case, found), *self._comparison(case, found, entry)]
        if len(verdicts) > 1:  # beside a limit exceeded it does not matter that the case is new
            verdicts = [verdict for verdict in verdicts if verdict[0] != "new"]
        order = list(Status.__args__)  # type: ignore[attr-defined]
        verdicts.sort(key=lambda verdict: order.index(verdict[0]))
        return Outcome(
            name=case.name,
            status=verdicts[0][0],
            device=found.spec.device,
            reasons=tuple(reason for _, reason in verdicts if reason),
            baseline=entry.peaks if entry else None,
            current=peaks_of(found) if found.fits else None,
            limit=case.limit,
            settings=_changed_settings(entry, entry_of(found)) if entry else (),
            inexact=found.inexact_because,
            line=case.line,
        )

    def _comparison(self, case: Case, found: Measurement, entry: Entry | None) -> list[tuple[Status, str]]:
        if found.status == "oom":
            return []  # a limit exceeded, and no peak to compare
        if not found.fits:
            return [("failed", f"the probe failed: {found.status}: {found.message}")]
        if entry is None and self._baseline is None:
            lacks = "was no baseline" if self._updating else "is no baseline; --update writes one"
            return [("new", f"there {lacks}")]
        if entry is None:
            lacks = "did not have it" if self._updating else "does not have it; --update adds it"
            return [("new", f"the baseline {lacks}")]
        changes = self._environment(entry, found.device)
        if changes and not self._allow:
            return [("incomparable", f"the baseline is from another environment: {', '.join(changes)}")]
        return _grown(entry.peaks, peaks_of(found), self._overall if case.fail_on is None else case.fail_on)

    def _environment(self, entry: Entry, device: DeviceInfo | None) -> tuple[str, ...]:
        assert self._baseline is not None
        if device is not None and entry.device != device.name:
            return (f"device {entry.device} → {device.name}",)
        return environment_changes(self._baseline, self.versions, [device] if device else [])


def _limits(case: Case, found: Measurement) -> list[tuple[Status, str]]:
    if found.status == "oom":
        budget = f"its budget of {format_bytes(found.spec.budget)}" if found.spec.budget else "the device's memory"
        return [("limit", f"out of memory: it does not fit in {budget}")]
    over = found.peak_reserved_bytes - case.limit if found.fits and case.limit is not None else 0
    if over <= 0 or case.limit is None:
        return []
    peak = format_bytes(found.peak_reserved_bytes)
    return [("limit", f"peak reserved {peak} exceeds the limit of {format_bytes(case.limit)} by {format_bytes(over)}")]


def _grown(baseline: Peaks, current: Peaks, thresholds: Sequence[Threshold]) -> list[tuple[Status, str]]:
    """A verdict for each metric that is judged and changed; ``unchanged`` where none did."""
    verdicts: list[tuple[Status, str]] = []
    for metric in dict.fromkeys(threshold.metric for threshold in thresholds):
        before, now = getattr(baseline, metric), getattr(current, metric)
        change = f"{METRICS[metric]} {format_bytes(before)} → {format_bytes(now)} ({change_words(before, now)})"
        broken = [t for t in thresholds if t.metric == metric and not t.permits(before, now)]
        if broken:
            verdicts.append(("regressed", f"{change}; allowed: {', '.join(map(str, broken))}"))
        elif now != before:
            verdicts.append(("tolerated" if now > before else "improved", change))
    return verdicts or [("unchanged", "")]


def change_words(before: int, now: int) -> str:
    """``+64.00 MiB, +3.1 %``; a change that rounds to nothing keeps its sign."""
    share = f", {100 * (now - before) / before:+.1f} %" if before else ""
    return f"{'+' if now >= before else '-'}{format_bytes(abs(now - before))}{share}"


def _changed_settings(before: Entry, now: Entry) -> tuple[str, ...]:
    names = sorted(before.settings.keys() | now.settings.keys())
    changed = [name for name in names if before.settings.get(name) != now.settings.get(name)]
    words = [f"{name} {_setting(before, name)} → {_setting(now, name)}" for name in changed]
    return tuple(words)


def _setting(entry: Entry, name: str) -> str:
    return str(entry.settings[name]) if name in entry.settings else "default"


def _vanished(name: str, entry: Entry, updating: bool) -> Outcome:
    has, hint = ("had", "") if updating else ("has", "; --update removes it")
    reason = f"the baseline {has} it, the configuration does not{hint}"
    return Outcome(name=name, status="vanished", device=entry.device, reasons=(reason,), baseline=entry.peaks)
