"""Frozen records of a check: what became of each case, and what that makes of the whole."""

from typing import Literal

import msgspec

from membench.check.baseline import Peaks

Status = Literal[
    "limit", "regressed", "failed", "incomparable", "new", "vanished", "improved", "tolerated", "unchanged"
]
# From the gravest to the least; a case has one status, and so has the whole. What is certain comes first: a regression
# or a limit exceeded stays one whatever else could not be measured or compared.
EXIT_CODES: dict[Status, int] = {"limit": 1, "regressed": 1, "failed": 4, "incomparable": 3}
WORDS: dict[Status, str] = {
    "limit": "limit exceeded",
    "regressed": "regressed",
    "failed": "failed",
    "incomparable": "not comparable",
    "new": "new",
    "vanished": "vanished",
    "improved": "improved",
    "tolerated": "within threshold",
    "unchanged": "unchanged",
}
MARKS: dict[Status, str] = {
    **dict.fromkeys(("limit", "regressed"), "✗"),
    **dict.fromkeys(("failed", "incomparable"), "!"),
    **dict.fromkeys(("new", "vanished"), "–"),
    "improved": "↓",
    "tolerated": "≈",
    "unchanged": "✓",
}


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A line of code."""

    file: str
    line: int
    function: str = ""


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """What held more at the peak than in the baseline: a category or a module, in bytes.

    ``baseline`` is None for a module that held too little of that peak to be kept (`holders.SMALLEST_SHARE`).
    ``source`` is the line behind the tensors that were added, where it is known.
    """

    kind: Literal["category", "module"]
    name: str
    baseline: int | None
    current: int
    source: Source | None = None

    @property
    def grown(self) -> int:
        """In bytes; at most, where the baseline is None."""
        return self.current - (self.baseline or 0)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one case. ``reasons`` are sentences for people, the gravest first.

    ``baseline`` is None for a new case, ``current`` for one that vanished or failed. ``line`` is that of the case in
    the configuration; ``settings`` name what the case states otherwise than in the baseline,
    ``moved`` says where the peak is now, if that is elsewhere. ``inexact``: why the figures are estimates, if they are.
    """

    name: str
    status: Status
    device: str
    reasons: tuple[str, ...] = ()
    baseline: Peaks | None = None
    current: Peaks | None = None
    limit: int | None = None
    settings: tuple[str, ...] = ()
    growth: tuple[Growth, ...] = ()
    moved: str = ""
    inexact: tuple[str, ...] = ()
    line: int = 1

    @property
    def grew(self) -> bool:
        """Whether it takes more than in the baseline, as far as can be told of what ran out of memory."""
        before, now = self.baseline, self.current
        return before is not None and (now is None or now.peak > before.peak or now.reserved > before.reserved)

    @property
    def told(self) -> bool:
        """Whether there is more to say of it than its figures."""
        return self.status != "unchanged" or bool(self.inexact)

    @property
    def passes(self) -> bool:
        return self.status not in EXIT_CODES


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """All cases in the configuration's order, those that vanished last.

    ``baseline`` is the path of its file, empty where there is none. ``environment`` are the differences from the
    baseline's; they stand in the way of a comparison unless ``compared``.
    """

    config: str
    baseline: str
    versions: dict[str, str]
    environment: tuple[str, ...]
    compared: bool
    outcomes: tuple[Outcome, ...]

    @property
    def status(self) -> Status:
        """The gravest of the cases' statuses."""
        order = list(WORDS)
        return min((outcome.status for outcome in self.outcomes), key=order.index, default="unchanged")

    @property
    def exit_code(self) -> int:
        """1 a regression or a limit exceeded; else 4 a probe failed; else 3 the environment differs; else 0."""
        return EXIT_CODES.get(self.status, 0)
